# SPDX-License-Identifier: Apache-2.0
"""Where each node of a lab stands in a picture: the same lab always gives the same picture.

What lives here: places and sizes. What must not: colours, markup, frames.

1. The picture grows from left to right like a tree. Its root is the switch or router next to the
   host that the story is about; the root's own hosts stand to its left (half of them, where there
   is nothing else), everything behind it to its right, one column a hop.
2. Within a column nodes stand in natural order of their names (h2 before h10), each parent in the
   middle of its children.
3. A cable leaves a box at a place of its own, in the order of the far ends, so cables of one box
   do not cross at it. A cable that is no branch of the tree (a loop) is drawn all the same.
4. Parts of the lab that no cable joins stand below each other.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hoplab.follow.wiring import Wiring, natural
from hoplab.report.cells import cells

CHAR = 7.0  # width of a character cell at the size of the lines in a box
GAP_X, GAP_Y, MARGIN, LINE, PORT = 132.0, 16.0, 16.0, 15.0, 24.0


@dataclass
class Box:
    """A node: its middle, its size, its lines of text (the name first)."""

    node: str
    kind: str
    lines: list[str]
    x: float = 0.0
    y: float = 0.0
    width: float = 0.0
    height: float = 0.0
    column: int = 0


@dataclass
class Wire:
    """A cable between two interfaces: its ends, each with the side of the box that it leaves
    (+1 right, -1 left)."""

    left: str
    right: str
    left_interface: str
    right_interface: str
    x1: float = 0.0
    y1: float = 0.0
    x2: float = 0.0
    y2: float = 0.0
    side1: int = 1
    side2: int = -1


@dataclass
class Picture:
    """Boxes by node, cables, and the size of it all."""

    boxes: dict[str, Box] = field(default_factory=dict)
    wires: list[Wire] = field(default_factory=list)
    width: float = 0.0
    height: float = 0.0

    def order(self) -> list[str]:
        """Nodes from left to right, then from top to bottom: the order of lifelines."""
        return sorted(self.boxes, key=lambda n: (self.boxes[n].column, self.boxes[n].y, n))


def arrange(wiring: Wiring, host: str = "") -> Picture:
    """The picture of a lab, seen from `host`."""
    picture = Picture()
    for name, node in wiring.nodes.items():
        picture.boxes[name] = _box(wiring, name, node.kind)
    neighbours = neighbours_of(wiring)
    _wires(wiring, picture)
    left: set[str] = set(wiring.nodes)
    top = MARGIN
    while left:
        start = host if host in left else min(left, key=natural)
        part = part_around(start, neighbours)
        left -= part
        root = root_of(wiring, start, part, neighbours)
        top = _grow(picture, root, part, neighbours, top, start) + GAP_Y * 2
    _columns(picture)
    _ends(picture)
    picture.width = max((b.x + b.width / 2 for b in picture.boxes.values()), default=0) + MARGIN
    picture.height = max((b.y + b.height / 2 for b in picture.boxes.values()), default=0) + MARGIN
    return picture


def short(interface: str, node: str) -> str:
    """'eth0' of client-eth0, where it is the client's."""
    return interface.removeprefix(f"{node}-")


def _box(wiring: Wiring, name: str, kind: str) -> Box:
    lines = [name]
    ports = wiring.ports(name)
    for port in ports:
        interface = wiring.interface(port)
        for address in interface.addresses:
            many = len(ports) > 1
            lines.append(f"{short(interface.name, name)} {address}" if many else address)
    if kind == "host":
        lines += [wiring.interface(port).mac for port in ports if wiring.interface(port).mac]
    width = max(cells(line) for line in lines) * CHAR + 22
    wired = sum(wiring.peer(port) is not None for port in ports)
    texts = len(lines) + (kind != "host")  # one more for the word that says what it is
    rows = max(texts * LINE, (wired - 1) * PORT if kind != "host" else 0)
    return Box(name, kind, lines, width=max(76.0, width + 22), height=rows + 16)


def neighbours_of(wiring: Wiring) -> dict[str, list[str]]:
    """The nodes at the other ends of each node's cables, in natural order of their names."""
    neighbours: dict[str, set[str]] = {name: set() for name in wiring.nodes}
    for port, interface in enumerate(wiring.interfaces):
        peer = wiring.peer(port)
        if peer is not None and wiring.node_name(peer) != interface.node:
            neighbours[interface.node].add(wiring.node_name(peer))
    return {name: sorted(names, key=natural) for name, names in neighbours.items()}


def _wires(wiring: Wiring, picture: Picture) -> None:
    for port, interface in enumerate(wiring.interfaces):
        peer = wiring.peer(port)
        if peer is not None and peer > port:
            far = wiring.interface(peer)
            picture.wires.append(Wire(interface.node, far.node, interface.name, far.name))


def part_around(start: str, neighbours: dict[str, list[str]]) -> set[str]:
    """Every node that cables lead to from `start`, itself included."""
    reached, todo = {start}, [start]
    while todo:
        for neighbour in neighbours[todo.pop()]:
            if neighbour not in reached:
                reached.add(neighbour)
                todo.append(neighbour)
    return reached


def root_of(
    wiring: Wiring, start: str, part: set[str], neighbours: dict[str, list[str]]
) -> str:
    """The switch or router next to the start; else the end of the chain; else the start."""
    if wiring.kind(start) != "host":
        ends = [
            name
            for name in sorted(part, key=natural)
            if wiring.kind(name) != "host"
            and sum(wiring.kind(near) != "host" for near in neighbours[name]) <= 1
        ]
        return ends[0] if ends else start
    inner = [near for near in neighbours[start] if wiring.kind(near) != "host"]
    return inner[0] if inner else start


def branches(
    root: str, part: set[str], neighbours: dict[str, list[str]], start: str, is_host: bool
) -> tuple[dict[str, list[str]], list[str]]:
    """Who hangs from whom, seen from `root`, and the leaves that stand to the left of it: its own
    hosts, `start` first, or half of them where there is nothing else. is_host: the root is one,
    and has nothing to its left."""
    children: dict[str, list[str]] = {name: [] for name in part}
    seen, level = {root}, [root]
    while level:
        following = []
        for name in level:
            for child in neighbours[name]:
                if child not in seen:
                    seen.add(child)
                    children[name].append(child)
                    following.append(child)
        level = following
    if is_host:
        return children, []
    leaves = [name for name in children[root] if not children[name]]
    leaves.sort(key=lambda name: name != start)
    if len(leaves) == len(children[root]):
        leaves = leaves[: (len(leaves) + 1) // 2]
    children[root] = [name for name in children[root] if name not in leaves]
    return children, leaves


def _grow(
    picture: Picture,
    root: str,
    part: set[str],
    neighbours: dict[str, list[str]],
    top: float,
    start: str,
) -> float:
    """Gives column and y to a tree; returns its lower edge."""
    children, leaves = branches(root, part, neighbours, start, picture.boxes[root].kind == "host")
    heights: dict[str, float] = {}
    _measure(picture, root, children, heights)
    left = sum(picture.boxes[name].height + GAP_Y for name in leaves) - GAP_Y
    height = max(heights[root], left)
    _place(picture, root, children, heights, top + (height - heights[root]) / 2)
    y = top + (height - left) / 2
    for name in leaves:
        box = picture.boxes[name]
        box.column, box.y = -1, y + box.height / 2
        y += box.height + GAP_Y
    return top + height


def _measure(
    picture: Picture,
    root: str,
    children: dict[str, list[str]],
    heights: dict[str, float],
) -> None:
    """Heights of all subtrees, without recursion: a chain of switches may be long."""
    order, stack = [], [root]
    while stack:
        name = stack.pop()
        order.append(name)
        stack.extend(children[name])
    for name in reversed(order):
        below = children[name]
        total = sum(heights[child] + GAP_Y for child in below) - GAP_Y
        heights[name] = max(picture.boxes[name].height, total)


def _place(
    picture: Picture,
    root: str,
    children: dict[str, list[str]],
    heights: dict[str, float],
    top: float,
) -> None:
    stack = [(root, 0, top)]
    while stack:
        name, column, y = stack.pop()
        box = picture.boxes[name]
        box.column, box.y = column, y + heights[name] / 2
        below = children[name]
        total = sum(heights[child] + GAP_Y for child in below) - GAP_Y
        at = y + (heights[name] - total) / 2
        for child in below:
            stack.append((child, column + 1, at))
            at += heights[child] + GAP_Y


def _columns(picture: Picture) -> None:
    """x of each column: wide enough for its boxes, with room for the cables between."""
    widest: dict[int, float] = {}
    for box in picture.boxes.values():
        widest[box.column] = max(widest.get(box.column, 0), box.width)
    x, middle = MARGIN, {}
    for column in sorted(widest):
        middle[column] = x + widest[column] / 2
        x += widest[column] + GAP_X
    for box in picture.boxes.values():
        box.x = middle[box.column]


def _ends(picture: Picture) -> None:
    """Where each cable meets its boxes, and which of its ends is the left one."""
    at: dict[tuple[str, int], list[tuple[float, Wire, int]]] = {}
    for wire in picture.wires:
        a, b = picture.boxes[wire.left], picture.boxes[wire.right]
        if (b.x, b.y) < (a.x, a.y):
            a, b = b, a
            wire.left, wire.right = wire.right, wire.left
            wire.left_interface, wire.right_interface = wire.right_interface, wire.left_interface
        wire.side2 = 1 if a.column == b.column else -1
        at.setdefault((a.node, 1), []).append((b.y, wire, 1))
        at.setdefault((b.node, wire.side2), []).append((a.y, wire, 2))
    for (node, side), ends in at.items():
        box = picture.boxes[node]
        ends.sort(key=lambda end: (end[0], end[1].left_interface))
        step = min(PORT * 1.4, (box.height - 6) / len(ends))
        for place, (_, wire, end) in enumerate(ends):
            x = box.x + side * box.width / 2
            y = box.y + (place - (len(ends) - 1) / 2) * step
            if end == 1:
                wire.x1, wire.y1 = x, y
            else:
                wire.x2, wire.y2 = x, y
