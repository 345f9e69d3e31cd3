# SPDX-License-Identifier: Apache-2.0
"""What our controllers have in common, so that each of them shows its own algorithm alone.

Nobody needs to read this first. It is no controller; the files beside it import it, and whoever
copies one of them copies this file, too. In the order of use:

    Switches     the part of an app that looks after connections: a clean start, switches that
                 come and go, errors said with what was sent, ports that go down
    Switch       what is known of one connected switch; nothing is shared between switches
    flow, delete, clean, Bundle        flow-mods, and several of them at one instant
    send_together                      several messages, and nobody else's between them
    arrived, send_on                   a packet-in taken apart, and its frame sent on its way
    Template                           a message made once and filled in many times
    text, mac_of, is_group, is_reserved     addresses

Two parameters come from outside: $MAC_AGE_S, seconds until a silent address is forgotten, and
$MAC_LIMIT, addresses of one switch.

At its end the framework's way of taking packet-ins apart is exchanged for a quicker one.
"""

from __future__ import annotations

import logging
import os
import struct
import time
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from ryu.controller import ofp_event
from ryu.controller.handler import (
    CONFIG_DISPATCHER,
    DEAD_DISPATCHER,
    MAIN_DISPATCHER,
    set_ev_cls,
)
from ryu.lib import hub
from ryu.ofproto import ofproto_v1_3 as ofp
from ryu.ofproto import ofproto_v1_3_parser as parser

# How long a silent address is remembered: IEEE 802.1Q-2018, table 8-6.
AGE_S = int(os.environ.get("MAC_AGE_S", "300"))
# Addresses of one switch: a host that invents them must not fill every table.
MAX_ADDRESSES = int(os.environ.get("MAC_LIMIT", "4096"))
# An address that moves more than MOVES times in MOVES_S is in a loop: not followed for PAUSE_S.
MOVES, MOVES_S, PAUSE_S = 5, 1.0, 10

# IEEE 802.1D-2004, 7.12.6: 01-80-C2-00-00-00 to -0F are for the bridge itself (spanning tree,
# pause frames, ...) and no bridge forwards them.
RESERVED = ("01:80:c2:00:00:00", "ff:ff:ff:ff:ff:f0")
# IEEE 802.3, 3.2.3: the first bit on the wire marks a group (multicast, broadcast), and a group
# sends nothing.
GROUP = ("01:00:00:00:00:00", "01:00:00:00:00:00")

BUNDLE = 1  # number of the one bundle that is open on a connection
MOST_WAITING = 4096  # messages to one switch
QUIET_S = 1.0  # what may happen thousands of times a second is said once in this time
ETHERNET = 14  # bytes of a frame's header: destination, source, type
PACKET_IN = ofp_event.EventOFPPacketIn
EVERY_BIT = (1 << 64) - 1
# OpenFlow 1.3.5, 7.3.7 and 7.2.5: a packet-out with one output action, before its frame.
PACKET_OUT = struct.Struct("!BBHIIIH6xHHIH6x")


# ---- switches -----------------------------------------------------------------------------------


class Switch:
    """A connected switch. An app that knows more of its switches makes a class of it."""

    def __init__(self, datapath: Any) -> None:
        self.datapath = datapath
        self.port_names: dict[int, str] = {}
        self.bundle: Bundle | None = None
        self.told_s = -QUIET_S  # when trouble was said last

    @property
    def name(self) -> str:
        """In words: the local port is named as the switch is."""
        return self.port_names.get(ofp.OFPP_LOCAL, f"switch {self.datapath.id}")

    def port(self, number: int) -> str:
        """In words: port 2 (s1-eth2)."""
        if number == ofp.OFPP_LOCAL:
            return "its own local port"
        name = self.port_names.get(number)
        return f"port {number} ({name})" if name else f"port {number}"


class Switches:
    """Goes before RyuApp: `class MySwitch(kit.Switches, app_manager.RyuApp)`. Gives the app
    `self.switches`, by datapath id. What an app says for itself: `switch_class`, which holds what
    is known of a switch, and the three methods that follow.
    """

    OFP_VERSIONS = (ofp.OFP_VERSION,)
    logger: logging.Logger
    name: str
    events: Any
    frame_arrives: Callable[[Any], None]
    switch_class: type = Switch

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.switches: dict[int, Any] = {}
        self.now_s = time.monotonic

    def pipeline(self, datapath: Any) -> list[Any]:
        """The flows that an untaught switch has."""
        raise NotImplementedError

    def port_is_gone(self, switch: Any, port: int) -> None:
        """A port went down or away."""

    def flow_is_refused(self, switch: Any, sent: bytes) -> None:
        """The switch did not take a flow; `sent` is how its message began."""

    @set_ev_cls(ofp_event.EventOFPSwitchFeatures, CONFIG_DISPATCHER)
    def switch_connects(self, ev: Any) -> None:
        """All flows of before go and those of the pipeline come at one instant, so that no frame
        meets an empty table. A reconnected switch is a new one."""
        datapath = ev.msg.datapath
        if not isinstance(datapath.socket, Chunks):
            datapath.socket = Chunks(datapath.socket)
        switch = self.switches[ev.msg.datapath_id] = self.switch_class(datapath)
        self.renew(switch)

    def renew(self, switch: Any) -> None:
        """From whatever the switch has to its pipeline, at one instant."""
        datapath = switch.datapath
        switch.bundle = Bundle(datapath, lambda: [clean(datapath), *self.pipeline(datapath)])
        switch.bundle.send()

    @set_ev_cls(ofp_event.EventOFPStateChange, DEAD_DISPATCHER)
    def switch_is_gone(self, ev: Any) -> None:
        """Forgets the switch, unless it has connected again meanwhile."""
        switch = self.switches.get(ev.datapath.id)
        if switch is not None and switch.datapath is ev.datapath:
            del self.switches[ev.datapath.id]

    @set_ev_cls(ofp_event.EventOFPErrorMsg, [CONFIG_DISPATCHER, MAIN_DISPATCHER])
    def switch_refuses(self, ev: Any) -> None:
        """Says what was refused, and how the message began that was (OpenFlow 1.3.5, 7.4.4)."""
        msg = ev.msg
        switch = self.switches.get(msg.datapath.id)
        if switch is None or (switch.bundle is not None and switch.bundle.refused(msg)):
            return
        sent = bytes(msg.data)
        if sent[1:2] == bytes([ofp.OFPT_FLOW_MOD]):
            self.flow_is_refused(switch, sent)
        if msg.code is None:  # an experimenter's error, as those about bundles (7.4.4)
            reason = f"experimenter {msg.experimenter:#x}, error {msg.exp_type}"
        else:
            code = ofp.ofp_error_code_to_str(msg.type, msg.code)
            reason = f"{ofp.ofp_error_type_to_str(msg.type)}, {code}"
        self.warn(switch, f"refused: {reason}; sent: {sent.hex()}")

    @set_ev_cls(ofp_event.EventOFPPortDescStatsReply, [CONFIG_DISPATCHER, MAIN_DISPATCHER])
    def ports_are_named(self, ev: Any) -> None:
        """The framework asks every switch for its ports; the names are for the log alone."""
        switch = self.switches.get(ev.msg.datapath.id)
        if switch is None:
            return
        for port in ev.msg.body:
            switch.port_names[port.port_no] = port.name.decode(errors="replace")

    @set_ev_cls(ofp_event.EventOFPPortStatus, [CONFIG_DISPATCHER, MAIN_DISPATCHER])
    def port_changes(self, ev: Any) -> None:
        """Tells `port_is_gone` if it is."""
        msg, port = ev.msg, ev.msg.desc
        switch = self.switches.get(msg.datapath.id)
        if switch is None:
            return
        switch.port_names[port.port_no] = port.name.decode(errors="replace")
        down = port.state & ofp.OFPPS_LINK_DOWN or port.config & ofp.OFPPC_PORT_DOWN
        if down or msg.reason == ofp.OFPPR_DELETE:
            self.port_is_gone(switch, port.port_no)

    def _send_event(self, ev: Any, state: Any) -> None:
        """In place of the framework's: a packet-in is answered where it is read, if no other event
        waits. Its way through the app's queue is a quarter of the time that it takes."""
        if type(ev) is not PACKET_IN or state != MAIN_DISPATCHER or not self.events.empty():
            super()._send_event(ev, state)  # type: ignore[misc]
            return
        try:
            self.frame_arrives(ev)
        except Exception:
            self.logger.exception("%s: a packet-in was not understood", self.name)

    def say(self, switch: Any, words: str) -> None:
        """A line of the log."""
        self.logger.info("%s: %s", switch.name, words)

    def warn(self, switch: Any, words: str) -> None:
        """A line about trouble, at most one in QUIET_S: it may come thousands of times a second."""
        now_s = self.now_s()
        if now_s - switch.told_s >= QUIET_S:
            switch.told_s = now_s
            self.logger.error("%s: %s", switch.name, words)


class Moves:
    """Counts how often addresses move, and says when one has done it too often."""

    def __init__(self) -> None:
        self.counted: dict[bytes, tuple[float, int]] = {}  # since when, how many

    def count(self, mac: bytes, now_s: float) -> int:
        """Which move in MOVES_S this is, from 1."""
        since_s, count = self.counted.get(mac, (now_s, 0))
        if now_s - since_s >= MOVES_S:
            since_s, count = now_s, 0
        self.counted[mac] = since_s, count + 1
        return count + 1


# ---- flows --------------------------------------------------------------------------------------


def flow(
    datapath: Any,
    table: int,
    priority: int,
    match: dict[str, Any],
    *,
    out: int | None = None,
    goto: int | None = None,
    actions: Sequence[Any] = (),
    **more: Any,
) -> Any:
    """The message that adds a flow: to the port `out`, through `actions`, on to the table `goto`.
    None of them is how OpenFlow says "drop". `more`: a timeout, flags, a cookie."""
    # max_len: the whole frame comes to a controller, since a switch need not keep a copy.
    does = [*actions, *([] if out is None else [parser.OFPActionOutput(out, ofp.OFPCML_NO_BUFFER)])]
    instructions = [parser.OFPInstructionActions(ofp.OFPIT_APPLY_ACTIONS, does)] if does else []
    if goto is not None:
        instructions.append(parser.OFPInstructionGotoTable(goto))
    return parser.OFPFlowMod(
        datapath, table_id=table, priority=priority, match=parser.OFPMatch(**match),
        instructions=instructions, **more,
    )  # fmt: skip


def delete(
    datapath: Any,
    table: int = ofp.OFPTT_ALL,
    out: int = ofp.OFPP_ANY,
    cookie: int | None = None,
    **match: Any,
) -> Any:
    """The message that takes away the flows that match: of a table or of all, that send to `out`,
    that bear the cookie. Who matches less than is given here stays: the fixed flows do."""
    return parser.OFPFlowMod(
        datapath, table_id=table, command=ofp.OFPFC_DELETE, out_port=out, out_group=ofp.OFPG_ANY,
        cookie=cookie or 0, cookie_mask=0 if cookie is None else EVERY_BIT,
        match=parser.OFPMatch(**match),
    )  # fmt: skip


def clean(datapath: Any) -> Any:
    """The message that takes away every flow."""
    return delete(datapath)


class Bundle:
    """Messages that a switch obeys at one instant (ONF extension 230). A switch without bundles
    gets the same messages one after the other."""

    def __init__(self, datapath: Any, make: Callable[[], list[Any]]) -> None:
        self.datapath, self.make = datapath, make
        whole = ofp.ONF_BF_ATOMIC | ofp.ONF_BF_ORDERED
        control, add = parser.ONFBundleCtrlMsg, parser.ONFBundleAddMsg
        self.messages = [
            control(datapath, BUNDLE, ofp.ONF_BCT_OPEN_REQUEST, whole, []),
            *(add(datapath, BUNDLE, whole, message, []) for message in make()),
            control(datapath, BUNDLE, ofp.ONF_BCT_COMMIT_REQUEST, whole, []),
        ]
        for message in self.messages:
            datapath.set_xid(message)
        self.numbers = {message.xid for message in self.messages}

    def send(self) -> None:
        """To the switch. Apart from the making, so that `refused` can be asked already."""
        messages, self.messages = self.messages, []
        send_together(self.datapath, messages)

    def refused(self, error: Any) -> bool:
        """Whether the error is about this bundle; the first one sends the messages plainly."""
        if error.xid not in self.numbers:
            return False
        again, self.make = self.make(), lambda: []
        send_together(self.datapath, again)
        return True


def send_together(datapath: Any, messages: list[Any]) -> None:
    """Sends them as one piece. One by one the framework would queue sixteen and then let others
    go on, who would send theirs between these: another bundle with the same number, perhaps."""
    for message in messages:
        if message.xid is None:
            datapath.set_xid(message)
        message.serialize()
    datapath.send(b"".join(message.buf for message in messages))


class Template:
    """A message that the framework made once, cut where addresses and ports go. Putting it
    together again with others costs a fiftieth of making another one."""

    # What stands in the message where something else is put: nothing else looks like that.
    MAC, MAC_2 = b"\x5a\x5b\x5c\x53\x54\x55", b"\x5a\x5b\x5c\x56\x57\x58"
    PORT, PORT_2 = 0x5A5B5C51, 0x5A5B5C52

    def __init__(self, message: Any, *marks: bytes | int) -> None:
        """`marks`: those of the above that are in the message, each any number of times, in the
        order in which `of` takes what is put there."""
        message.xid = 0
        message.serialize()
        form, order = bytes(message.buf).replace(b"%", b"%%"), []
        as_bytes = [m.to_bytes(4, "big") if isinstance(m, int) else m for m in marks]
        while places := [(form.index(m), n) for n, m in enumerate(as_bytes) if m in form]:
            at, number = min(places)
            form = form[:at] + b"%b" + form[at + len(as_bytes[number]) :]
            order.append(number)
        self.form, self.order = form, itemgetter(*order)

    def of(self, *values: bytes) -> bytes:
        """The message with these addresses (6 bytes) and ports (4)."""
        filled: bytes = self.form % self.order(values)
        return filled


# ---- frames -------------------------------------------------------------------------------------


def arrived(switches: dict[int, Any], msg: Any) -> tuple[Any, int, bytes, bytes] | None:
    """A packet-in: its switch, the port, the frame's destination and source. None if it teaches
    nothing: from an unknown switch, without a port, shorter than an Ethernet header."""
    switch, data = switches.get(msg.datapath.id), msg.data
    port = msg.in_port if type(msg) is OFPPacketIn else msg.match.get("in_port")
    if switch is None or port is None or len(data) < ETHERNET:
        return None
    return switch, port, data[:6], data[6:12]


def send_on(msg: Any, in_port: int, out_port: int | None) -> bytes:
    """The message that sends the frame of a packet-in out of a port. For None nothing, or, where
    the switch keeps a copy, the one that frees it."""
    kept = msg.buffer_id != ofp.OFP_NO_BUFFER  # 0 is a buffer like any other
    if not kept and (out_port is None or len(msg.data) < msg.total_len):
        return b""  # nothing to free; half a frame is never sent
    if out_port is None:
        drop = parser.OFPPacketOut(
            msg.datapath, buffer_id=msg.buffer_id, in_port=in_port, actions=[], data=None
        )
        drop.xid = 0
        drop.serialize()
        return bytes(drop.buf)
    data = b"" if kept else msg.data
    length = PACKET_OUT.size + len(data)
    head = (ofp.OFP_VERSION, ofp.OFPT_PACKET_OUT, length, 0, msg.buffer_id, in_port)
    return PACKET_OUT.pack(*head, 16, ofp.OFPAT_OUTPUT, 16, out_port, 0) + data


def send(switch: Switch, messages: bytes) -> None:
    """Bytes to the switch, after all that was sent before; past the framework's queue if nothing
    is in it."""
    datapath = switch.datapath
    queue = getattr(datapath, "send_q", None)
    if type(datapath.socket) is Chunks and queue is not None and queue.empty():
        datapath.socket.sendall(messages)
    elif messages:
        datapath.send(messages)


def text(mac: bytes) -> str:
    """A MAC address of six bytes as people write it, 02:00:00:00:00:01."""
    return mac.hex(":")


def mac_of(address: str) -> bytes:
    """The six bytes of a MAC address as people write it: the inverse of `text`."""
    return bytes.fromhex(address.replace(":", ""))


def cookie_of(mac: bytes) -> int:
    """The address as a flow's cookie, for flows that all go when it is forgotten."""
    return int.from_bytes(mac, "big")


def is_group(mac: bytes) -> bool:
    """Multicast or broadcast."""
    return bool(mac[0] & 1)


def is_reserved(mac: bytes) -> bool:
    """One of the sixteen that no bridge forwards."""
    return mac[:5] == b"\x01\x80\xc2\x00\x00" and mac[5] < 0x10


# ---- the same, quicker --------------------------------------------------------------------------


class Chunks:
    """A switch's socket, for the framework to read and write message by message as it likes, while
    the kernel is asked once for many: a quarter of the time that a packet-in took."""

    def __init__(self, socket: Any) -> None:
        self.socket = socket
        self.came, self.at = b"", 0
        self.waiting: list[bytes] = []
        self.sending = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.socket, name)

    def recv(self, size: int) -> bytes:
        """As socket.recv."""
        if self.at >= len(self.came):
            self.came, self.at = self.socket.recv(1 << 16), 0
        begin, self.at = self.at, self.at + size
        return self.came[begin : self.at]

    def sendall(self, data: bytes) -> None:
        """As socket.sendall, when the others have had their turn."""
        while self.sending and len(self.waiting) > MOST_WAITING:
            hub.sleep(0.01)  # for a switch that does not read
        self.waiting.append(data)
        if not self.sending:
            self.sending = True
            hub.spawn(self.flush)

    def flush(self) -> None:
        """Send what waits. An error ends the connection here, and the reader notices."""
        try:
            while self.waiting:
                data, self.waiting = b"".join(self.waiting), []
                self.socket.sendall(data)
        except OSError:
            self.socket.close()
        finally:
            self.sending = False

    def shutdown(self, how: int) -> None:
        """As socket.shutdown, after what was sent before."""
        if not self.sending or self.waiting:
            self.flush()
        self.socket.shutdown(how)


class OFPPacketIn(parser.OFPPacketIn):
    """The framework's message, with a match that is taken apart when somebody asks for it, and with
    what nearly everybody asks for: `in_port` (None if the match does not begin with it). Taking
    every match apart is the most that the framework does for a packet-in."""

    # 7.4.1 after the header: buffer, length, reason, table, cookie; 7.2.3: the match's type and
    # length, its first field, which is the port in all that Open vSwitch sends.
    HEAD = struct.Struct("!8xIHBBQHHII")
    IN_PORT = 0x80000004
    in_port: int | None = None
    data: bytes
    _match: Any

    @classmethod
    def parser(
        cls, datapath: Any, version: int, msg_type: int, msg_len: int, xid: int, buf: bytes
    ) -> Any:
        if len(buf) < cls.HEAD.size:
            return parser.OFPPacketIn.parser(datapath, version, msg_type, msg_len, xid, buf)
        msg = cls.__new__(cls)
        msg.datapath, msg.version, msg.msg_type = datapath, version, msg_type
        msg.msg_len, msg.xid, msg.buf = msg_len, xid, buf
        (msg.buffer_id, msg.total_len, msg.reason, msg.table_id, msg.cookie, _, length, field,
         port) = cls.HEAD.unpack_from(buf)  # fmt: skip
        msg.in_port = port if field == cls.IN_PORT and length >= 12 else None
        # Fields are padded to a multiple of eight, and two bytes more.
        msg.data = bytes(buf[24 + (length + 7) // 8 * 8 + 2 :][: msg.total_len])
        msg._match = None
        return msg

    @property
    def match(self) -> Any:
        if self._match is None:
            self._match = parser.OFPMatch.parser(self.buf, 24)
        return self._match

    @match.setter
    def match(self, match: Any) -> None:
        self._match = match


parser._MSG_PARSERS[ofp.OFPT_PACKET_IN] = OFPPacketIn.parser
