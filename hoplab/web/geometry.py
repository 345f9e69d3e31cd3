# SPDX-License-Identifier: Apache-2.0
"""Where each node stands on the player's map, and how cables run, for a screen that is wide.

What lives here: places and sizes, in units of the map (a line of text is 13 of them). What must
not: frames, colours, markup.

1. As in the still picture (`hoplab.report.layout`) the map grows from left to right, from the
   switch or router next to the host that the story is about.
2. Hosts of one switch of which there are many stand in a rack, a grid of boxes, so that a hub of
   200 has the shape of a screen and not of a ribbon.
3. A chain of switches that would be a ribbon, too, is folded into rows.
4. A fabric of switches stands in tiers (`tiers.py`), its cables running up and down.
5. There is a map for each level of detail: 0 names alone, 1 addresses as well, 2 MACs as well. The
   page shows the one whose text is large enough to be read where it is shown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from hoplab.follow.wiring import Wiring, natural
from hoplab.report.cells import cells
from hoplab.report.layout import branches, neighbours_of, part_around, root_of, short
from hoplab.web.tiers import Fabric, fabric_of

LEVELS = 3
CHAR, LINE = 7.2, 16.0
GAPS_X = (66.0, 80.0, 80.0)  # between columns, at least, by level of detail
# A card on a cable is as wide as the least gap. Where there are few columns, cables are longer, so
# that a frame is seen to move: up to these widths of a map, and no longer than that.
ROOMY_X, LONGEST_GAP = (940.0, 1150.0, 1150.0), 124.0
GAPS_Y, MARGIN = (13.0, 18.0, 18.0), 16.0
ROOMY_Y = 34.0  # between boxes of a column where there is room: two lines of text beside a card
LONGEST_NAME = 24  # letters; `static/map.js` cuts names off as far
RACK = 9  # more leaves than that of one node stand in a grid
RACK_ASPECT = 0.62  # width to height of a grid: two of them beside a switch are as wide as a screen
RACK_GAP = 9.0
WIDEST, FOLDED_FROM = 3.2, 6  # width to height, and columns, beyond which a chain is folded
SCREEN = 1.7  # width to height of the place where the map is shown
CONTROLLER_HEIGHT, CONTROLLER_GAP = 42.0, 56.0  # of its box; below it, for questions on their way
CONTROLLER_REACH = 90.0  # half of the width that it may take
TIER_GAP = 82.0  # between the rows of a fabric: room for a card and two lines of text
FABRIC_WIDTH = 940.0  # of a fabric, up to which hosts stand side by side and boxes say their kind
CHANNEL = 13.0  # beside hosts that stand below each other, for their cables


@dataclass
class Box:
    """A node: its middle, its size, its lines of text below the name. plain: there is no room for
    a word that says what kind of node it is; its shape does."""

    node: str
    kind: str
    lines: list[str]
    x: float = 0.0
    y: float = 0.0
    width: float = 0.0
    height: float = 0.0
    plain: bool = False


@dataclass
class Cable:
    """A cable between two interfaces as a cubic Bézier curve: x and y of its end, of the two
    points that pull it, and of its other end."""

    left: str
    right: str
    curve: tuple[float, ...] = ()


@dataclass
class Map:
    """All boxes by node, all cables, and the size. controller: the middle of the controller's box,
    None where it has none. upright: nodes of a fabric, whose cables run up and down; channels:
    hosts of it to which a cable comes from the side, and where it runs."""

    boxes: dict[str, Box] = field(default_factory=dict)
    cables: list[Cable] = field(default_factory=list)
    width: float = 0.0
    height: float = 0.0
    controller: tuple[float, float] | None = None
    upright: set[str] = field(default_factory=set)
    channels: dict[str, float] = field(default_factory=dict)


@dataclass
class _Block:
    """What stands in one column as one piece: a node, or a rack of leaves."""

    nodes: list[str]
    width: float
    height: float
    columns: int = 1


def draw_map(wiring: Wiring, host: str, level: int, controller: bool = False) -> Map:
    """The map of a lab seen from `host`. controller: leave room for one above everything."""
    drawn = Map()
    for name, node in wiring.nodes.items():
        drawn.boxes[name] = _box(wiring, name, node.kind, level)
    near = neighbours_of(wiring)
    waiting = set(wiring.nodes)
    top = MARGIN
    while waiting:
        start = host if host in waiting else min(waiting, key=natural)
        part = part_around(start, near)
        fabric = fabric_of(wiring, part, near)
        if fabric is not None:
            top = _place_fabric(drawn, fabric, top) + GAPS_Y[level] * 2
            waiting -= part
            continue
        columns, children = _columns(wiring, drawn, start, near)
        waiting -= {name for column in columns for block in column for name in block.nodes}
        top = _place(drawn, columns, children, top, level) + GAPS_Y[level] * 2
    _cables(wiring, drawn)
    _frame(drawn, controller)
    return drawn


def shortened(name: str) -> str:
    """A name as it stands on the map: that of a box no wider than a screen."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _box(wiring: Wiring, name: str, kind: str, level: int) -> Box:
    lines: list[str] = []
    ports = wiring.ports(name)
    for port in ports if level else ():
        interface = wiring.interface(port)
        for address in interface.addresses:
            several = len(ports) > 1
            lines.append(f"{short(interface.name, name)} {address}" if several else address)
        if level > 1 and kind != "switch" and interface.mac and interface.addresses:
            lines.append(interface.mac)
    texts = [shortened(name), *lines] if level else [shortened(name)]
    width = max(cells(line) for line in texts) * CHAR + 18
    wired = sum(wiring.peer(port) is not None for port in ports)
    rows = len(texts) + (kind != "host")
    height = rows * LINE + 12
    if kind != "host":
        width = max(width, 84.0)
        height = max(height, min(wired, RACK) * 17.0)
    return Box(name, kind, lines, width=max(44.0, width), height=height)


def _columns(
    wiring: Wiring, drawn: Map, start: str, near: dict[str, list[str]]
) -> tuple[list[list[_Block]], dict[str, list[str]]]:
    """The columns of the part of the lab around `start`, from left to right, and whose branches
    hang from whom."""
    part = part_around(start, near)
    root = root_of(wiring, start, part, near)
    children, leaves = branches(root, part, near, start, wiring.kind(root) == "host")
    columns = [_blocks(drawn, leaves, children), [_block(drawn, [root])]]
    parents = [root]
    while parents:
        columns.append(
            [block for name in parents for block in _blocks(drawn, children[name], children)]
        )
        parents = [child for name in parents for child in children[name]]
    return [column for column in columns if column], children


def _blocks(drawn: Map, names: list[str], children: dict[str, list[str]]) -> list[_Block]:
    leaves = [name for name in names if not children.get(name)]
    if len(leaves) <= RACK:
        return [_block(drawn, [name]) for name in names]
    branches = [name for name in names if children.get(name)]
    return [_block(drawn, leaves), *(_block(drawn, [name]) for name in branches)]


def _block(drawn: Map, names: list[str]) -> _Block:
    boxes = [drawn.boxes[name] for name in names]
    width, height = max(box.width for box in boxes), max(box.height for box in boxes)
    if len(names) == 1:
        return _Block(names, width, height)
    cell_x, cell_y = width + RACK_GAP, height + RACK_GAP
    columns = max(1, round(math.sqrt(len(names) * cell_y * RACK_ASPECT / cell_x)))
    rows = math.ceil(len(names) / columns)
    return _Block(names, columns * cell_x - RACK_GAP, rows * cell_y - RACK_GAP, columns)


def _place(
    drawn: Map,
    columns: list[list[_Block]],
    children: dict[str, list[str]],
    top: float,
    level: int,
) -> float:
    """Gives every box its place; returns the lower edge."""
    upper = top
    widths = [max(block.width for block in column) for column in columns]
    gap_x = _gap(widths, level)
    width = sum(widths) + gap_x * (len(columns) - 1)
    gap_y = max(GAPS_Y[level], min(_free_between(columns, width), ROOMY_Y))
    heights = [sum(block.height + gap_y for block in column) - gap_y for column in columns]
    rows = _rows(columns, children, width, max(heights), gap_y)
    in_row = math.ceil(len(columns) / rows)
    for first in range(0, len(columns), in_row):
        part = list(range(first, min(first + in_row, len(columns))))
        height = max(heights[place] for place in part)
        middle = top + height / 2
        turned = (first // in_row) % 2 == 1  # every other row runs from right to left
        x = MARGIN
        for place in reversed(part) if turned else part:
            _fill(drawn, columns[place], x, widths[place], middle - heights[place] / 2, gap_y)
            x += widths[place] + gap_x
        top += height + gap_y * 2
    if rows == 1:
        _straighten(drawn, columns, children, gap_y)
        _beside_root(drawn, columns, children, upper)
    return _lower_edge(drawn, columns)


def _rows(
    columns: list[list[_Block]],
    children: dict[str, list[str]],
    width: float,
    height: float,
    gap_y: float,
) -> int:
    """In how many rows the columns are drawn: a long chain is folded to fit a screen. width,
    height: those of all columns in one row."""
    chain = all(sum(bool(children.get(block.nodes[0])) for block in column) < 2
                for column in columns)  # fmt: skip
    if chain and len(columns) > FOLDED_FROM and width > WIDEST * height:
        return max(1, round(math.sqrt(width / (height + gap_y * 2) / SCREEN)))
    return 1


def _lower_edge(drawn: Map, columns: list[list[_Block]]) -> float:
    """Where the lowest box of these columns ends."""
    return max(
        drawn.boxes[name].y + drawn.boxes[name].height / 2
        for column in columns for block in column for name in block.nodes
    )  # fmt: skip


def _gap(widths: list[float], level: int) -> float:
    """The room between two columns."""
    free = (ROOMY_X[level] - 2 * MARGIN - sum(widths)) / max(1, len(widths) - 1)
    return max(GAPS_X[level], min(free, LONGEST_GAP))


def _free_between(columns: list[list[_Block]], width: float) -> float:
    """The room between two blocks of the fullest column where all fill a screen of this width."""
    return min(
        (width / SCREEN - sum(block.height for block in column)) / len(column)
        for column in columns
    )


def _fill(drawn: Map, column: list[_Block], x: float, width: float, y: float, gap_y: float) -> None:
    for block in column:
        cell_x = (block.width + RACK_GAP) / block.columns
        rows = math.ceil(len(block.nodes) / block.columns)
        cell_y = (block.height + RACK_GAP) / rows
        left = x + (width - block.width) / 2
        for place, name in enumerate(block.nodes):
            row, at = divmod(place, block.columns)
            box = drawn.boxes[name]
            box.x = left + at * cell_x + (cell_x - RACK_GAP) / 2
            box.y = y + row * cell_y + (cell_y - RACK_GAP) / 2
        y += block.height + gap_y


def _straighten(
    drawn: Map, columns: list[list[_Block]], children: dict[str, list[str]], gap_y: float
) -> None:
    """Moves each switch and router to the middle of what hangs from it, from right to left, as
    far as its column has room."""
    for column in reversed(columns[:-1]):
        lowest = -math.inf
        for block in column:
            name = block.nodes[0]
            box = drawn.boxes[name]
            below = [drawn.boxes[child] for child in children.get(name, ())]
            if len(block.nodes) == 1 and below:
                tops = min(child.y - child.height / 2 for child in below)
                bottoms = max(child.y + child.height / 2 for child in below)
                box.y = (tops + bottoms) / 2
            if len(block.nodes) == 1:
                box.y = max(box.y, lowest + gap_y + box.height / 2)
                lowest = box.y + box.height / 2


def _beside_root(
    drawn: Map, columns: list[list[_Block]], children: dict[str, list[str]], upper: float
) -> None:
    """Moves the leaves to the left of the root to its height, where it was moved away from them;
    not above the upper edge."""
    leaves = [name for block in columns[0] for name in block.nodes]
    if len(columns) < 2 or any(children.get(name) for name in leaves):
        return
    boxes = [drawn.boxes[name] for name in leaves]
    top = min(box.y - box.height / 2 for box in boxes)
    bottom = max(box.y + box.height / 2 for box in boxes)
    shift = max(drawn.boxes[columns[1][0].nodes[0]].y - (top + bottom) / 2, upper - top)
    for box in boxes:
        box.y += shift


def _place_fabric(drawn: Map, fabric: Fabric, top: float) -> float:
    """Gives every box of a fabric its place; returns the lower edge."""
    side_by_side = _columns_of_hosts(drawn, fabric)
    inner = [drawn.boxes[name] for tier in fabric.tiers for name in tier]
    for box in inner:
        box.height = (len(box.lines) + 2) * LINE + 12  # cables leave it above and below
    widths = _widths(drawn, fabric, side_by_side)
    row = max(map(len, fabric.tiers))
    if max(sum(widths) + RACK_GAP * len(widths), 93.0 * row) > FABRIC_WIDTH:
        for box in inner:
            _fold(box)
        widths = _widths(drawn, fabric, side_by_side)
    widest = max(box.width for box in inner) + RACK_GAP
    total = max(sum(widths) + RACK_GAP * len(widths), row * widest)
    spread = (total - sum(widths)) / len(widths)
    y = _place_upper_tiers(drawn, fabric, top, total)
    height = max(drawn.boxes[name].height for name in fabric.tiers[0])
    below, lowest = y + height + TIER_GAP, y + height
    x = MARGIN
    for name, width in zip(fabric.tiers[0], widths, strict=True):
        box = drawn.boxes[name]
        box.x, box.y = x + (width + spread) / 2, y + height / 2
        lowest = max(lowest, _hang(drawn, fabric.hosts[name], box.x, below, side_by_side))
        x += width + spread
    drawn.upright |= {box.node for box in inner}
    drawn.upright |= {host for hosts in fabric.hosts.values() for host in hosts}
    return lowest


def _place_upper_tiers(drawn: Map, fabric: Fabric, top: float, width: float) -> float:
    """All tiers but the lowest, each spread over the whole width; returns where that one begins."""
    y = top
    for tier in reversed(fabric.tiers[1:]):
        height = max(drawn.boxes[name].height for name in tier)
        slot = width / len(tier)
        for place, name in enumerate(tier):
            box = drawn.boxes[name]
            box.x, box.y = MARGIN + (place + 0.5) * slot, y + height / 2
        y += height + TIER_GAP
    return y


def _columns_of_hosts(drawn: Map, fabric: Fabric) -> int:
    """How many hosts of one switch stand side by side: all, or as many as there is room for."""
    most = max(1, *map(len, fabric.hosts.values()))
    for columns in range(most, 1, -1):
        widths = _widths(drawn, fabric, columns)
        if sum(widths) + RACK_GAP * len(widths) <= FABRIC_WIDTH:
            return columns
    return 1


def _widths(drawn: Map, fabric: Fabric, columns: int) -> list[float]:
    """The room that each switch of the lowest tier needs, with its hosts."""
    widths = []
    for name in fabric.tiers[0]:
        hosts = [drawn.boxes[host] for host in fabric.hosts[name]]
        cell = max((box.width for box in hosts), default=0.0) + RACK_GAP
        stacked = CHANNEL if len(hosts) > columns else 0.0
        hung = min(columns, len(hosts)) * (cell + stacked) - RACK_GAP
        widths.append(max(drawn.boxes[name].width, hung))
    return widths


def _fold(box: Box) -> None:
    """Makes a box as narrow as its name."""
    box.plain = not box.lines
    if box.plain:
        box.width = max(44.0, cells(shortened(box.node)) * CHAR + 16)
        box.height = LINE + 14


def _hang(drawn: Map, hosts: list[str], middle: float, y: float, columns: int) -> float:
    """Places the hosts of one switch below it; returns the lower edge."""
    boxes = [drawn.boxes[host] for host in hosts]
    if not boxes:
        return y
    stacked = CHANNEL if len(boxes) > columns else 0.0
    cell_x = max(box.width for box in boxes) + RACK_GAP + stacked
    cell_y = max(box.height for box in boxes) + RACK_GAP
    left = middle - (min(columns, len(boxes)) * cell_x - RACK_GAP) / 2
    for place, box in enumerate(boxes):
        row, column = divmod(place, columns)
        box.x = left + column * cell_x + stacked + (cell_x - stacked - RACK_GAP) / 2
        box.y = y + row * cell_y + (cell_y - RACK_GAP) / 2
        if stacked:
            drawn.channels[box.node] = left + column * cell_x + stacked / 2
    return y + math.ceil(len(boxes) / columns) * cell_y - RACK_GAP


def _upright_cables(wiring: Wiring, drawn: Map) -> None:
    """The cables of fabrics: out of the upper and lower edges of boxes."""
    pairs: list[tuple[str, str]] = []
    ends: dict[tuple[str, int], list[tuple[float, float, int, int]]] = {}
    for port, interface in enumerate(wiring.interfaces):
        peer = wiring.peer(port)
        if peer is None or peer <= port or interface.node not in drawn.upright:
            continue
        a, b = drawn.boxes[interface.node], drawn.boxes[wiring.node_name(peer)]
        down = 1 if b.y >= a.y else -1
        place = len(pairs)
        pairs.append((interface.name, wiring.interface(peer).name))
        ends.setdefault((a.node, down), []).append((b.x, b.y, place, 0))
        ends.setdefault((b.node, -down), []).append((a.x, a.y, place, 1))
    points: dict[tuple[int, int], tuple[float, float, int, str]] = {}
    for (node, down), items in ends.items():
        box = drawn.boxes[node]
        step = min(34.0, (box.width - 12) / len(items))
        for at, (_, _, place, end) in enumerate(sorted(items)):
            x = box.x + (at - (len(items) - 1) / 2) * step
            points[place, end] = (x, box.y + down * box.height / 2, down, node)
    for place, (left, right) in enumerate(pairs):
        drawn.cables.append(
            Cable(left, right, _upright(drawn, points[place, 0], points[place, 1]))
        )


def _upright(
    drawn: Map, a: tuple[float, float, int, str], b: tuple[float, float, int, str]
) -> tuple[float, ...]:
    """A curve between two ends, each with x, y, whether it goes down there, and its node."""
    (x1, y1, down1, node1), (x2, y2, down2, node2) = a, b
    if node1 in drawn.channels:
        curve = _upright(drawn, b, a)
        return tuple(value for at in (6, 4, 2, 0) for value in curve[at : at + 2])
    if node2 in drawn.channels:
        box, channel = drawn.boxes[node2], drawn.channels[node2]
        return (x1, y1, channel, y1 + TIER_GAP * 0.6, channel, box.y, box.x - box.width / 2, box.y)
    reach = max(20.0, abs(y2 - y1) / 2)
    return (x1, y1, x1, y1 + down1 * reach, x2, y2 + down2 * reach, x2, y2)


def _cables(wiring: Wiring, drawn: Map) -> None:
    """Each cable leaves its boxes at a place of its own, in the order of the far ends."""
    _upright_cables(wiring, drawn)
    pairs: list[tuple[str, str]] = []
    ends: dict[tuple[str, int], list[tuple[float, int, int]]] = {}
    for port, interface in enumerate(wiring.interfaces):
        peer = wiring.peer(port)
        if peer is None or peer <= port or interface.node in drawn.upright:
            continue
        a, b = drawn.boxes[interface.node], drawn.boxes[wiring.node_name(peer)]
        place = len(pairs)
        pairs.append((interface.name, wiring.interface(peer).name))
        forth = _side(a, b)
        back = forth if abs(a.x - b.x) < (a.width + b.width) / 2 else -forth
        ends.setdefault((a.node, forth), []).append((b.y, place, 0))
        ends.setdefault((b.node, back), []).append((a.y, place, 1))
    points: dict[tuple[int, int], tuple[float, float, int]] = {}
    for (node, side), items in ends.items():
        box = drawn.boxes[node]
        step = min(34.0, (box.height - 10) / len(items))
        for at, (_, place, end) in enumerate(sorted(items)):
            y = box.y + (at - (len(items) - 1) / 2) * step
            points[place, end] = (box.x + side * box.width / 2, y, side)
    for place, (left, right) in enumerate(pairs):
        (x1, y1, side1), (x2, y2, side2) = points[place, 0], points[place, 1]
        reach = max(28.0, min(abs(x2 - x1) / 2, 160.0))
        curve = (x1, y1, x1 + side1 * reach, y1, x2 + side2 * reach, y2, x2, y2)
        drawn.cables.append(Cable(left, right, curve))


def _side(a: Box, b: Box) -> int:
    return 1 if b.x >= a.x else -1


def _frame(drawn: Map, controller: bool) -> None:
    boxes = list(drawn.boxes.values())
    if controller and boxes:
        x, y = _controller(drawn)
        room = max(0.0, MARGIN + CONTROLLER_HEIGHT / 2 - y)
        for box in boxes:
            box.y += room
        for cable in drawn.cables:
            x1, y1, x2, y2, x3, y3, x4, y4 = cable.curve
            cable.curve = (x1, y1 + room, x2, y2 + room, x3, y3 + room, x4, y4 + room)
        drawn.controller = (x, y + room)
    drawn.width = max((box.x + box.width / 2 for box in boxes), default=0) + MARGIN
    if drawn.controller is not None:
        drawn.width = max(drawn.width, drawn.controller[0] + CONTROLLER_REACH + MARGIN)
    drawn.height = max((box.y + box.height / 2 for box in boxes), default=0) + MARGIN


def _controller(drawn: Map) -> tuple[float, float]:
    """The middle of the controller: above what stands or runs below it, and no higher than that,
    so that a map has no strip that is empty; it may be above the upper edge."""
    boxes = list(drawn.boxes.values())
    switches = [box for box in boxes if box.kind == "switch"] or boxes
    x = max(sum(box.x for box in switches) / len(switches), MARGIN + CONTROLLER_REACH)
    tops = [
        box.y - box.height / 2 for box in boxes
        if abs(box.x - x) < box.width / 2 + CONTROLLER_REACH
    ]  # fmt: skip
    for cable in drawn.cables:
        across = cable.curve[::2]
        if min(across) < x + CONTROLLER_REACH and max(across) > x - CONTROLLER_REACH:
            tops.append(min(cable.curve[1::2]))
    return x, min(tops, default=0.0) - CONTROLLER_GAP - CONTROLLER_HEIGHT / 2
