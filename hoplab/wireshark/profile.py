# SPDX-License-Identifier: Apache-2.0
"""The Wireshark profile `hoplab`: files that show a packet's way through many interfaces.

A capture of a whole lab holds each packet once for every interface that it passed. Wireshark takes
such repetitions for retransmissions and for fragments that overlap, so what looks for them is off.
In its place come columns that tell the repetitions apart (which interface, which direction, which
MACs, which TTL), the story's own line for the frame, and a colour for each step of the story.

Formats: preferences as `tshark -G currentprefs` prints them, colorfilters as Wireshark's own file,
dfilter_buttons as "shown","label","filter","comment".
"""

from __future__ import annotations

from collections.abc import Callable

from hoplab.sentences import term

NAME = "hoplab"
RECENT = "recent"  # what Wireshark itself writes anew when it ends

# Also given by themselves, with -o, where the profile is not installed.
PREFERENCES = {
    "tcp.analyze_sequence_numbers": "FALSE",
    "tcp.desegment_tcp_streams": "FALSE",
    "ip.defragment": "FALSE",
    "ipv6.defragment": "FALSE",
    "nameres.network_name": "TRUE",  # from the file's own name resolution block
    "nameres.use_external_name_resolver": "FALSE",
}

# Title, what it shows, width in pixels: wide enough for a whole MAC address and the story's line.
COLUMNS = (
    (term("No."), "%m", 55),
    (term("Time"), "%t", 105),
    (term("Interface"), "%Cus:frame.interface_name:0:R", 110),
    (term("Direction"), "%Cus:frame.packet_flags_direction:0:R", 85),
    (term("MAC from"), "%Cus:eth.src:0:R", 145),
    (term("MAC to"), "%Cus:eth.dst:0:R", 145),
    (term("Source"), "%s", 100),
    (term("Destination"), "%d", 100),
    ("TTL", "%Cus:ip.ttl or ipv6.hlim:0:R", 40),
    (term("Protocol"), "%p", 75),
    (term("Length"), "%L", 60),
    (term("Story"), "%Cus:frame.comment:0:R", 480),
    (term("Info"), "%i", 400),
)

# Name, display filter, background, foreground (red, green, blue; 0 to 255). The first that fits
# colours the frame, so faults come before steps. Readable in black and white: the names of the
# steps are in the Story column.
COLOURS = (
    ("OpenFlow", 'frame.interface_name == "openflow"', (236, 236, 240), (90, 90, 105)),
    (
        term("Fault: refused or reported"),
        "tcp.flags.reset == 1 || icmp.type == 3 || icmp.type == 11 || icmpv6.type in {1 .. 4}",
        (255, 214, 208),
        (130, 0, 0),
    ),
    (
        term("Step 1: ARP, neighbour discovery"),
        "arp || icmpv6.type in {133 .. 137}",
        (255, 243, 205),
        (80, 60, 0),
    ),
    (term("Step 2: DNS"), "dns", (214, 234, 255), (0, 40, 100)),
    (term("Step 3: TCP handshake"), "tcp.flags.syn == 1", (220, 245, 220), (0, 70, 20)),
    (term("Step 5: TCP close"), "tcp.flags.fin == 1", (226, 226, 226), (40, 40, 40)),
    (term("Step 4: HTTP"), "tcp.len > 0", (236, 222, 255), (60, 0, 110)),
    (term("TCP, nothing but ACK"), "tcp", (246, 240, 255), (90, 60, 120)),
    (term("Ping"), "icmp || icmpv6", (255, 228, 245), (110, 0, 70)),
)

_ONCE = term("each frame once on each link")
BUTTONS = (
    (term("no OpenFlow"), 'frame.interface_name != "openflow"', term("the lab's traffic alone")),
    (term("as sent"), "frame.packet_flags_direction == 2", _ONCE),
    (term("as received"), "frame.packet_flags_direction == 1", _ONCE),
)


def files(tr: Callable[[str], str] = str) -> dict[str, str]:
    """The profile's files, by name. tr: makes of a term that of the reader's language."""
    return {
        "preferences": _preferences(tr),
        "colorfilters": _colours(tr),
        "dfilter_buttons": _buttons(tr),
        RECENT: _recent(),
    }


def options() -> list[str]:
    """What matters most of the profile, as options for a Wireshark that does not have it."""
    names = ("tcp.analyze_sequence_numbers", "tcp.desegment_tcp_streams", "ip.defragment")
    return [word for name in names for word in ("-o", f"{name}:{PREFERENCES[name]}")]


_HEAD = "# Written by `hoplab wireshark install`; `hoplab wireshark uninstall` removes it.\n"


def _preferences(tr: Callable[[str], str]) -> str:
    columns = ",\n\t".join(f'"{tr(title)}", "{form}"' for title, form, _ in COLUMNS)
    lines = [f"{name}: {value}" for name, value in PREFERENCES.items()]
    return _HEAD + f"gui.column.format: \n\t{columns}\n" + "\n".join(lines) + "\n"


def _recent() -> str:
    # Of a column of one's own only the field is named here.
    widths = ", ".join(f"{form.removesuffix(':0:R')}, {width}" for _, form, width in COLUMNS)
    return f"{_HEAD}column.width: {widths}\n"


def _colours(tr: Callable[[str], str]) -> str:
    def colour(rgb: tuple[int, int, int]) -> str:
        return "[" + ",".join(str(value * 257) for value in rgb) + "]"

    lines = [
        f"@{tr(name)}@{expression}@{colour(back)}{colour(front)}"
        for name, expression, back, front in COLOURS
    ]
    return _HEAD + "\n".join(lines) + "\n"


def _buttons(tr: Callable[[str], str]) -> str:
    def text(value: str) -> str:
        return '"' + value.replace('"', "\\x22") + '"'

    lines = [
        ",".join(text(word) for word in ("TRUE", tr(label), expression, tr(remark)))
        for label, expression, remark in BUTTONS
    ]
    return _HEAD + "\n".join(lines) + "\n"
