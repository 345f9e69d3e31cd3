# SPDX-License-Identifier: Apache-2.0
"""A firewall in a switch: ordered rules from a file, in force when the file is saved, counted.

Run it:   hoplab up switch --controller firewall      or      ryu-manager controllers/firewall.py

The pipeline, two tables:

                 table 0: the rules, first fits first          table 1: the switch
              +----------------------------------+          +-------------------------------+
    frame in  | 60000  rule of line 7   drop     |  allowed | 0  any frame    NORMAL: Open  |
    --------> | 59999  rule of line 8   table 1  | -------> |    vSwitch's own learning     |
              |   0    what no rule fits drop    |          |    switch takes it from here  |
              +----------------------------------+          +-------------------------------+

An ordered list becomes priorities: each rule one lower than the one before. Each flow carries its
rule's line as its cookie, so a flow's counter is its rule's. The switch does all of it; no packet
comes to the controller. It has no memory: an answer passes only if a rule allows it.

What lives here: one Ryu app for OpenFlow 1.3. What it shares with others is in kit.py, beside it.
Rules: $FIREWALL_RULES, or firewall.rules beside this file, which also
explains how they are written. Counters: firewall.json in $HOPLAB_FOLDER, or where it was started.
"""

from __future__ import annotations

import ipaddress
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kit
from ryu.base import app_manager
from ryu.controller import ofp_event
from ryu.controller.handler import MAIN_DISPATCHER, set_ev_cls
from ryu.lib import hub
from ryu.ofproto import ofproto_v1_3 as ofp
from ryu.ofproto import ofproto_v1_3_parser as parser

# The rules:
#                    the file changed, all lines are understood
#    +-----------+ ---------------------------------------------> +------------------+
#    | IN FORCE  |     (all switches: new ones in, old ones out)  | NEW ONES IN FORCE |
#    +-----------+ --.                                            +------------------+
#          ^         | the file changed, a line is not understood or it is gone:
#          '---------'    say which, leave everything as it is
LOOK_S = 0.5  # how often to look whether the file has changed
COUNT_S = 1.0  # how often to ask for the counters

TABLE_RULES = 0
TABLE_SWITCH = 1
PRIORITY_FIRST = 60000
PRIORITY_NONE_FITS = 0

ARP, IPV4 = 0x0806, 0x0800
PROTOCOLS: dict[str, dict[str, int]] = {
    "any": {},
    "arp": {"eth_type": ARP},
    "ip": {"eth_type": IPV4},
    "icmp": {"eth_type": IPV4, "ip_proto": 1},
    "tcp": {"eth_type": IPV4, "ip_proto": 6},
    "udp": {"eth_type": IPV4, "ip_proto": 17},
}


class NotUnderstood(Exception):
    """A line of the file is no rule."""


@dataclass(frozen=True)
class Rule:
    """One line. `match` is what OpenFlow calls it."""

    line: int
    text: str
    allow: bool
    match: tuple[tuple[str, Any], ...]


class Switch(kit.Switch):
    """A switch, and what its rules have counted."""

    def __init__(self, datapath: Any) -> None:
        super().__init__(datapath)
        self.counted: dict[int, tuple[int, int]] = {}  # line -> packets, bytes


class Firewall(kit.Switches, app_manager.RyuApp):
    """The algorithm:

    1. Read the rules. The n-th becomes a flow of the n-th highest priority: it drops, or sends on
       to table 1.
    2. A switch connects: nothing of before stays, and the rules come, at one instant.
    3. The file changed: the same for all switches; for no moment is one without rules. A file
       with a line that is not understood changes nothing.
    4. Every COUNT_S ask for the flows' counters, and write them beside the rules' text.
    """

    switch_class = Switch

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        beside = Path(__file__).with_name("firewall.rules")
        self.file = Path(os.environ.get("FIREWALL_RULES") or beside)
        self.counters = Path(os.environ.get("HOPLAB_FOLDER", ".")) / "firewall.json"
        self.seen = self.stamp()
        self.rules = self.read()

    def start(self) -> None:
        """Called once by the framework."""
        super().start()
        self.threads.append(hub.spawn(self.look_for_ever))
        self.threads.append(hub.spawn(self.count_for_ever))

    # ---- 2. connect -----------------------------------------------------------------------------

    def pipeline(self, datapath: Any) -> list[Any]:
        """Step 2: exactly these rules."""
        return [
            kit.flow(datapath, TABLE_RULES, PRIORITY_NONE_FITS, {}),
            kit.flow(datapath, TABLE_SWITCH, 0, {}, out=ofp.OFPP_NORMAL),
            *(
                kit.flow(
                    datapath, TABLE_RULES, PRIORITY_FIRST - place, dict(rule.match),
                    goto=TABLE_SWITCH if rule.allow else None, cookie=rule.line,
                )
                for place, rule in enumerate(self.rules)
            ),
        ]  # fmt: skip

    # ---- 3. the file changes --------------------------------------------------------------------

    def stamp(self) -> tuple[int, int] | None:
        """Changes when the file does."""
        try:
            info = self.file.stat()
        except OSError:
            return None
        return info.st_mtime_ns, info.st_size

    def read(self) -> list[Rule]:
        """The rules of the file. Bytes that are no text stand in a comment, or make a bad line."""
        return parse(self.file.read_text(encoding="utf-8", errors="replace"), str(self.file))

    def look_for_ever(self) -> None:
        """Step 3."""
        while True:
            hub.sleep(LOOK_S)
            try:
                self.look()
            except Exception:  # else the file would never be looked at again
                self.logger.exception("%s: the rules could not be put in force", self.file)

    def look(self) -> None:
        """Puts the file's rules in force if it has changed."""
        now = self.stamp()
        if now == self.seen:
            return
        self.seen = now
        try:
            rules = self.read()
        except (OSError, NotUnderstood) as error:
            self.logger.error("%s; the rules of before stay in force", error)
            return
        self.rules = rules
        for switch in list(self.switches.values()):  # as sending lets others go on
            switch.counted.clear()
            self.renew(switch)
        self.logger.info("%d rules of %s are in force", len(rules), self.file)

    # ---- 4. counters ----------------------------------------------------------------------------

    def count_for_ever(self) -> None:
        """Step 4."""
        while True:
            for switch in list(self.switches.values()):
                question = parser.OFPFlowStatsRequest(
                    switch.datapath, 0, TABLE_RULES, ofp.OFPP_ANY, ofp.OFPG_ANY
                )
                switch.datapath.send_msg(question)
            hub.sleep(COUNT_S)

    @set_ev_cls(ofp_event.EventOFPFlowStatsReply, MAIN_DISPATCHER)
    def counters_arrive(self, ev: Any) -> None:
        """Step 4. Line 0 is what no rule fits."""
        switch = self.switches.get(ev.msg.datapath.id)
        if switch is None:
            return
        for flow in ev.msg.body:
            if flow.table_id == TABLE_RULES:
                switch.counted[flow.cookie] = flow.packet_count, flow.byte_count
        self.write()

    def write(self) -> None:
        """The rules with what they have counted on all switches."""
        lines = [(rule.line, rule.text) for rule in self.rules] + [(0, "deny what no rule fits")]
        data = []
        for line, text in lines:
            counts = [switch.counted.get(line, (0, 0)) for switch in self.switches.values()]
            packets = sum(count for count, _ in counts)
            size = sum(octets for _, octets in counts)
            data.append({"line": line, "rule": text, "packets": packets, "bytes": size})
        temporary = self.counters.with_suffix(".new")
        try:
            temporary.write_text(json.dumps(data, indent=1))
            os.replace(temporary, self.counters)
        except OSError as error:
            self.logger.error("%s cannot be written: %s", self.counters, error.strerror)


# ---- 1. rules ---------------------------------------------------------------------------------


def parse(text: str, name: str) -> list[Rule]:
    """The rules of a file. Raises NotUnderstood, naming the line."""
    rules = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if words:
            try:
                match = match_of(words)
            except (ValueError, IndexError) as error:
                why = str(error) or f"{line!r} is no rule"
                raise NotUnderstood(f"{name}, line {number}: {why}") from error
            rules.append(Rule(number, " ".join(words), words[0] == "allow", match))
    if len(rules) >= PRIORITY_FIRST:
        raise NotUnderstood(f"{name}: more than {PRIORITY_FIRST - 1} rules")
    return rules


def match_of(words: list[str]) -> tuple[tuple[str, Any], ...]:
    """What packets a rule is for. Raises ValueError saying what is wrong."""
    verdict, protocol, rest = words[0], words[1] if len(words) > 1 else "", words[2:]
    if verdict not in ("allow", "deny"):
        raise ValueError(f"{verdict!r} is neither allow nor deny")
    if protocol not in PROTOCOLS:
        raise ValueError(f"{protocol!r} is none of {', '.join(PROTOCOLS)}")
    match: dict[str, Any] = dict(PROTOCOLS[protocol])
    if len(rest) % 2:
        raise ValueError(f"something is missing after {rest[-1]!r}")
    for word, value in zip(rest[::2], rest[1::2], strict=True):
        if word in ("from", "to"):
            if value == "any":
                continue
            network = ipaddress.IPv4Network(value, strict=False)
            if protocol == "arp":
                key = "arp_spa" if word == "from" else "arp_tpa"
            else:
                match.setdefault("eth_type", IPV4)
                key = "ipv4_src" if word == "from" else "ipv4_dst"
            match[key] = (str(network.network_address), str(network.netmask))
        elif word == "port":
            if protocol not in ("tcp", "udp"):
                raise ValueError("only tcp and udp have ports")
            if not 0 < int(value) < 65536:
                raise ValueError(f"{value} is no port")
            match[f"{protocol}_dst"] = int(value)
        else:
            raise ValueError(f"{word!r} is none of from, to, port")
    return tuple(match.items())
