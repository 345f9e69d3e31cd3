# SPDX-License-Identifier: Apache-2.0
"""What a switch knows, read from its flows: the MAC table that a textbook would draw, and counters.

Nothing is asked of the controller, so this works with every one, a stranger's too: a flow that
sends one destination address to one port is an entry, whoever wrote it. Where flows are made for
pairs (in port, source, destination) the source's place is the entry. Where Open vSwitch's own
learning does the work (NORMAL) its own table is read. Every other flow is shown as what it is, with
the groups and meters that it names.

Asked is by the newest OpenFlow that the bridge speaks: an older one has no words for some actions,
and leaves them out. `read` runs in the lab, `as_rows` where text is wanted.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hoplab.openvswitch import daemons
from hoplab.sentences import say, term
from hoplab.wait import patience

ADDRESS_HEAD: list[str] = [
    term("MAC"), term("WHO"), term("PORT"), term("AGE"), term("UNUSED FOR"), term("KEPT FOR"),
    term("FRAMES"),
]  # fmt: skip
FLOW_HEAD: list[str] = [
    term("TABLE"), term("PRIORITY"), term("PACKETS"), term("BYTES"), term("AGE"),
    term("UNUSED FOR"), term("MATCH"), term("ACTIONS"),
]  # fmt: skip
GROUP_HEAD: list[str] = [
    term("GROUP"), term("TYPE"), term("BUCKET"), term("PACKETS"), term("BYTES"), term("ACTIONS"),
]  # fmt: skip
METER_HEAD: list[str] = [
    term("METER"), term("BAND"), term("RATE"), term("TAKEN IN"), term("STRUCK"),
]  # fmt: skip
RATE_HEAD: list[str] = [
    term("PORT"), term("IN: FRAMES"), term("IN: BIT"), term("OUT: FRAMES"), term("OUT: BIT"),
]  # fmt: skip
FRESH_S = 5  # older rates are of a monitor that is gone
_COUNTERS = {
    "cookie": "cookie",
    "table": "table",
    "n_packets": "packets",
    "n_bytes": "bytes",
    "idle_timeout": "idle_timeout_s",
    "hard_timeout": "hard_timeout_s",
    "idle_age": "idle_s",
    "duration": "age_s",
    "hard_age": "hard_age_s",
    "importance": "importance",
}
_VERSIONS = ",".join(f"OpenFlow{version}" for version in (10, 11, 12, 13, 14, 15))
_FLAGS = {"send_flow_rem", "check_overlap", "reset_counts", "no_packet_counts", "no_byte_counts"}
_RESUBMIT = re.compile(r"resubmit\(,(\d+)\)")
_VLAN = re.compile(r"set_field:(\d+)->vlan_vid")  # with the bit that says that there is a tag
_TAGGED = 0x1000  # OFPVID_PRESENT (OpenFlow 1.3.5, 7.2.3.7)
_PORT = re.compile(r"output:\"?([^\",]+)\"?|(\d+)|\"([^\"]+)\"")


def parse_flows(text: str) -> list[dict[str, Any]]:
    """The flows of `ovs-ofctl dump-flows`, any OpenFlow version, by table and priority."""
    parsed = []
    for line in text.splitlines():
        head, mark, actions = line.strip().partition(" actions=")
        if not mark or not head.startswith("cookie="):
            continue
        flow: dict[str, Any] = {"priority": 32768, "match": "", "actions": actions.strip()}
        flow["actions"] = _RESUBMIT.sub(lambda match: f"goto_table:{match[1]}", flow["actions"])
        *counters, last = head.split(", ")
        words = [word for part in counters for word in part.split(" ")]
        # The match has no spaces; flags and counters may stand before it.
        words += last.split(" ")[:-1]
        last = last.split(" ")[-1]
        for word in words:
            _counter(flow, word)
        match = [w for w in last.split(",") if not _counter(flow, w)]
        flow["match"] = ",".join(match)
        parsed.append(flow)
    return sorted(parsed, key=lambda f: (f.get("table", 0), -f["priority"], f["match"]))


def _counter(flow: dict[str, Any], word: str) -> bool:
    """Take down a word that is a counter, a flag or the priority; whether it was one."""
    key, equals, value = word.partition("=")
    if key in _FLAGS or not word:
        return True
    if key == "priority" and equals:
        flow["priority"] = int(value)
        return True
    if key not in _COUNTERS or not equals:
        return False
    number = value.rstrip("s")
    flow[_COUNTERS[key]] = (
        int(number, 16) if number.startswith("0x") else float(number)
        if "." in number else int(number)
    )  # fmt: skip
    return True


def parse_groups(text: str, counters: str = "") -> list[dict[str, Any]]:
    """The groups of `ovs-ofctl dump-groups`, with what `dump-group-stats` has counted."""
    counted = {}
    for line in counters.splitlines():
        if named := re.match(r"\s*group_id=(\d+),", line):
            counts = re.findall(r"bucket\d+:packet_count=(\d+),byte_count=(\d+)", line)
            counted[named[1]] = [(int(packets), int(size)) for packets, size in counts]
    groups = []
    for line in text.splitlines():
        head, *parts = line.strip().split(",bucket=")
        words = dict(word.partition("=")[::2] for word in head.split(","))
        if not head.startswith("group_id="):
            continue
        totals = counted.get(words["group_id"], [])
        buckets = []
        for place, part in enumerate(parts):
            settings, _, actions = part.partition("actions=")
            bucket: dict[str, Any] = dict(
                word.partition(":")[::2] for word in settings.split(",") if word
            )
            bucket.pop("bucket_id", None)
            bucket["actions"] = actions
            packets, size = totals[place] if place < len(totals) else (None, None)
            buckets.append({**bucket, "packets": packets, "bytes": size})
        groups.append({"group": int(words["group_id"]), "type": words["type"], "buckets": buckets})
    return sorted(groups, key=lambda group: group["group"])


def parse_meters(text: str, counters: str = "") -> list[dict[str, Any]]:
    """The meters of `ovs-ofctl dump-meters`, with what `meter-stats` has counted: packets taken in,
    and those that each band struck."""
    meters: list[dict[str, Any]] = []
    for line in text.splitlines():
        if head := re.match(r"meter=(\w+) ([\w ]*)bands=", line):
            unit = "packets" if "pktps" in head[2].split() else "kbit"
            meters.append({"meter": head[1], "unit": unit, "bands": []})
        elif meters and (band := re.match(r"\s*type=(\w+) rate=(\d+)(.*)", line)):
            rest = {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", band[3])}
            meters[-1]["bands"].append({"type": band[1], "rate": int(band[2]), **rest})
    by_name = {meter["meter"]: meter for meter in meters}
    meter: dict[str, Any] = {}
    for line in counters.splitlines():
        numbers = dict(re.findall(r"(\w+):([\d.]+)", line))
        if head := re.match(r"meter:(\w+) ", line):
            meter = by_name.get(head[1], {})
            meter["packets"] = int(numbers.get("packet_in_count", 0))
            meter["bytes"] = int(numbers.get("byte_in_count", 0))
        elif (band := re.match(r"\s*(\d+): packet_count:(\d+) byte_count:(\d+)", line)) and (
            int(band[1]) < len(meter.get("bands", ()))
        ):
            meter["bands"][int(band[1])] |= {"packets": int(band[2]), "bytes": int(band[3])}
    return meters


def addresses(flows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The MAC table: one entry for an address at a port, from the flows that say where it is. Such
    a flow gets a new item, the address that it is shown as."""
    entries: dict[tuple[str, str], dict[str, Any]] = {}
    for flow in flows:
        match = dict(
            (key, value)
            for key, equals, value in (word.partition("=") for word in flow["match"].split(","))
            if equals
        )
        place = _address_and_port(match, flow["actions"])
        if place is None:
            continue
        mac, port = place
        flow["shown_as"] = mac
        entry = entries.setdefault(
            (mac, port),
            {"mac": mac, "port": port, "age_s": 0.0, "idle_s": None, "kept_s": None, "packets": 0,
             "counted": "from it" if "dl_src" in match else "to it", "flows": 0},
        )  # fmt: skip
        # How long it is remembered when it is silent: the flow's own timeout, of either kind.
        entry["kept_s"] = flow.get("idle_timeout_s") or flow.get("hard_timeout_s")
        entry["age_s"] = max(entry["age_s"], flow.get("age_s", 0.0))
        idle = flow.get("idle_s")
        if idle is not None:
            entry["idle_s"] = idle if entry["idle_s"] is None else min(entry["idle_s"], idle)
        entry["packets"] += flow.get("packets", 0)
        entry["flows"] += 1
    return sorted(entries.values(), key=lambda entry: entry["mac"])


def _address_and_port(match: dict[str, str], actions: str) -> tuple[str, str] | None:
    """The address and the port that a flow says it is at: it sends there what is for the address,
    or it takes in there what comes from it. None: it says so of none."""
    if "/" in match.get("dl_dst", "/") or _is_group(match["dl_dst"]):
        return None
    port = _only_port(actions)
    if port is None:
        return None
    if set(match) <= {"dl_dst", "in_port"}:
        return match["dl_dst"], port
    if {"in_port", "dl_src"} <= set(match):
        return match["dl_src"], match["in_port"].strip('"')
    return None


def _is_group(mac: str) -> bool:
    """Whether an address is a multicast's or the broadcast's, which is nobody's."""
    return bool(int(mac[:2], 16) & 1)


def _only_port(actions: str) -> str | None:
    match = _PORT.fullmatch(actions)
    return next(filter(None, match.groups()), None) if match else None


def parse_fdb(text: str) -> list[dict[str, Any]]:
    """The entries of `ovs-appctl fdb/show`: port, VLAN, MAC, age."""
    rows = [line.split() for line in text.splitlines()[1:]]
    return [
        {"mac": row[2], "port": row[0], "age_s": None, "idle_s": float(row[3]), "kept_s": None,
         "packets": None, "counted": None, "flows": 0}
        for row in rows
        if len(row) == 4 and row[3].isdigit()
    ]  # fmt: skip


def read(bridges: Sequence[str], state: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    """Everything of these switches; `state` is lab.json's, for names. Raises LabError."""
    interfaces = state["interfaces"]
    node_of = {interface["mac"]: interface["node"] for interface in interfaces}
    ports = {(interface["node"], str(interface["port"])): interface for interface in interfaces}
    dpids = {node["name"]: node.get("dpid") for node in state["nodes"]}
    shards = {name: shard["number"] for shard in state["shards"] for name in shard["switches"]}
    rates: dict[str, Any] = {}
    for file in (folder / "monitor.json", *folder.glob("shard-*/monitor.json")):
        rates |= _rates(file)
    contents = []
    for bridge in bridges:
        flows = flows_of(bridge)
        learned = addresses(flows)
        if any("NORMAL" in flow["actions"] for flow in flows):
            learned += parse_fdb(daemons.appctl("fdb/show", bridge))
        for entry in learned:
            entry["who"] = node_of.get(entry["mac"])
            port = ports.get((bridge, entry["port"]))
            entry["interface"] = port["name"] if port else None
            entry["towards"] = port["peer"] if port else None
        contents.append(
            {"name": bridge, "shard": shards.get(bridge), "addresses": learned, "flows": flows,
             "groups": _groups_of(bridge), "meters": _meters_of(bridge),
             "rates": rates.get(dpids.get(bridge) or "", {})}
        )  # fmt: skip
    return contents


# Most bridges have neither groups nor meters, and each question costs a process: the counters are
# asked for only where there are some.


def _groups_of(bridge: str) -> list[dict[str, Any]]:
    """The groups of a bridge, with their counters."""
    groups = ask(bridge, "dump-groups", optional=True)
    counters = ask(bridge, "dump-group-stats", optional=True) if "group_id=" in groups else ""
    return parse_groups(groups, counters)


def _meters_of(bridge: str) -> list[dict[str, Any]]:
    """The meters of a bridge, with their counters."""
    meters = ask(bridge, "dump-meters", optional=True)
    counters = ask(bridge, "meter-stats", optional=True) if "meter=" in meters else ""
    return parse_meters(meters, counters)


def flows_of(bridge: str) -> list[dict[str, Any]]:
    """The flows of a bridge. Raises LabError."""
    return parse_flows(ask(bridge, "dump-flows"))


def ask(bridge: str, *question: str, after: Sequence[str] = (), optional: bool = False) -> str:
    """What ovs-ofctl prints, in the newest OpenFlow that the bridge speaks. after: words behind the
    bridge. optional: an old version may have no such thing. Raises LabError."""
    options = ["--no-names", "-O", _VERSIONS, f"--timeout={20 * patience():.0f}"]
    call = subprocess.run(
        ["ovs-ofctl", *options, *question, bridge, *after], capture_output=True, text=True
    )
    if call.returncode == 0 or optional:
        return call.stdout
    return daemons.ofctl(*question, bridge, *after)


def _rates(file: Path) -> dict[str, Any]:
    """The rates by switch that the controller app `monitor` has just written; {} if it has not."""
    try:
        data = json.loads(file.read_text())
        fresh = abs(time.time() - data["at_s"]) < FRESH_S  # a clock may be set back
        return dict(data["switches"]) if fresh else {}
    except (OSError, ValueError, KeyError):
        return {}


# ---- as text ------------------------------------------------------------------------------------


def as_rows(
    switch: dict[str, Any], *, every_flow: bool
) -> tuple[list[list[str]], list[list[str]], list[list[str]]]:
    """The rows of three of the tables that `hoplab table` prints: addresses, flows, rates. Flows
    that an address stands for are left out unless all are wanted."""
    addresses = [
        [entry["mac"], entry["who"] or "?", _place(entry), _age(entry["age_s"]),
         _age(entry["idle_s"]), _age(entry["kept_s"]), _counted(entry)]
        for entry in switch["addresses"]
    ]  # fmt: skip
    flows = [
        [str(flow.get("table", 0)), str(flow["priority"]), _number(flow.get("packets")),
         _number(flow.get("bytes")), _age(flow.get("age_s")), _age(flow.get("idle_s")),
         flow["match"] or term("any"), _readable(flow["actions"])]
        for flow in switch["flows"]
        if every_flow or "shown_as" not in flow
    ]  # fmt: skip
    rates: dict[str, list[str]] = {}
    for name, rate in switch["rates"].get("ports", {}).items():
        port, way = name.split()
        row = rates.setdefault(port, [port, "0", "0", "0", "0"])
        at = 1 if way == "in" else 3
        row[at : at + 2] = [_number(round(rate["packets_s"])), _number(round(rate["bit_s"]))]
    return addresses, flows, sorted(rates.values(), key=lambda row: int(row[0]))


def group_rows(switch: dict[str, Any]) -> list[list[str]]:
    """A row for each bucket of each group; a group without one has one as well."""
    rows = []
    for group in switch["groups"]:
        for place, bucket in enumerate(group["buckets"] or [{}], 1):
            settings = [
                f"{key}:{value}"
                for key, value in bucket.items()
                if key not in ("actions", "packets", "bytes")
            ]
            actions = _readable(bucket.get("actions") or "drop")
            rows.append(
                [str(group["group"]), group["type"], str(place) if bucket else "-",
                 _number(bucket.get("packets")), _number(bucket.get("bytes")),
                 "  ".join([*settings, actions])]
            )  # fmt: skip
    return rows


def meter_rows(switch: dict[str, Any]) -> list[list[str]]:
    """A row for each band of each meter."""
    rows = []
    for meter in switch["meters"]:
        for band in meter["bands"] or [{}]:
            rate: str = "-"
            if band and meter["unit"] == "packets":
                rate = say("{n:,} packets a second", n=band["rate"])
            elif band:
                rate = say("{n:,} kbit/s", n=band["rate"])
            rows.append(
                [meter["meter"], band.get("type", "-"), rate, _number(meter.get("packets")),
                 _number(band.get("packets"))]
            )  # fmt: skip
    return rows


def _readable(actions: str) -> str:
    """Actions with a VLAN's number as it is written everywhere else."""
    return _VLAN.sub(lambda match: f"set_vlan:{int(match[1]) & ~_TAGGED}", actions)


def _place(entry: dict[str, Any]) -> str:
    if not entry["towards"]:
        return str(entry["port"])
    node = entry["towards"].split("-eth")[0]
    return say("{port} to {node}", port=entry["port"], node=node)


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds < 600:
        return say("{s:.0f} s", s=seconds)
    return say("{minutes:.0f} min", minutes=seconds / 60)


def _counted(entry: dict[str, Any]) -> str:
    """How many packets went to an address, or came from it: the controller's flows match one or
    the other."""
    count = entry["packets"]
    if count is None:
        return "-"
    if entry["counted"] == "from it":
        return say("{n:,} from it", n=count)
    return say("{n:,} to it", n=count)


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"
