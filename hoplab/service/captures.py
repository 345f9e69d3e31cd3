# SPDX-License-Identifier: Apache-2.0
"""A lab's capture: which sockets to open where, and what a reader of the file should know.

Every interface of every namespace is listened to, and beside them the OpenFlow channel: what
switches and controller say to each other runs over the lo of the lab's root namespace, and is an
interface `openflow` of its own in the file. It is no wire: nothing there is followed from hop to
hop, it is the reason why hops happen.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hoplab import outfile
from hoplab.capture import bpf, load, notes
from hoplab.capture.capture import LOOKS, Capture, Tap, open_socket, ring_size
from hoplab.capture.pcapng_format import InterfaceInfo
from hoplab.control import faults, log
from hoplab.errors import Exit, LabError
from hoplab.kernel.cable_queues import CableDrops
from hoplab.kernel.shaping import Limits
from hoplab.kernel.system_calls import CLONE_NEWNET, setns, unshare
from hoplab.openflow_channel import CONTROLLER_PORTS
from hoplab.openflow_channel import INTERFACE as OPENFLOW
from hoplab.openvswitch import monitor
from hoplab.openvswitch.drops import QueueDrops
from hoplab.sentences import listed, say, term, to_plain

if TYPE_CHECKING:
    from hoplab.kernel.batch import Place
    from hoplab.service.lab import Lab

_EXCEPTIONS = 50  # more of them say nothing new
_CLONE_FS = 0x200  # a thread that wanders between namespaces shares no root with the others


def comment(lab: Lab) -> str:
    """How the lab was built, for the head of the file."""
    controller = lab.controller.name if lab.controller else "none"
    return (
        f"hoplab: topology {lab.spec.title}, controller {controller}, datapath {lab.datapath}\n"
        f"built by: {lab.command()}"
    )


def names(lab: Lab) -> dict[str, str]:
    """IP address -> the name of the node that has it."""
    wiring = lab.network.wiring()
    switches = {node["name"] for node in wiring["nodes"] if node["kind"] == "switch"}
    return {
        address.split("/")[0]: intf["node"]
        for intf in wiring["interfaces"]
        if intf["node"] not in switches
        for address in intf["addresses"]
    }


def start(
    lab: Lab,
    out: Path | int,
    wanted: list[str] | None = None,
    program: bpf.Program | None = None,
    count: int = 0,
    *,
    fresh: bool = False,
) -> Capture:
    """A capture of the lab's interfaces, or of those wanted (HOST, HOST:IF, an interface's name).
    Raises LabError for a name that is none, OSError if the file cannot be written."""
    places = list(lab.network.batch.places)
    interfaces = [(place, name) for place in places for name in list(place.index)]
    chosen, openflow = _choose(lab, interfaces, wanted or [])
    if lab.datapath == "afxdp" and any(place is lab.network.batch.root for place, _ in chosen):
        raise unheard(say("the lab {lab}", lab=lab.spec.name))
    # A filter is about the lab's traffic; the controller's would be all that is left of most.
    openflow = openflow and (program is None or bool(wanted))
    if fresh and isinstance(out, int):
        outfile.empty(out)  # nothing speaks against it any more
    capture = Capture(out, comment(lab), count=count)
    try:
        capture.add_names(names(lab))
        if openflow:
            tap_openflow(lab.network.batch.root, capture, lab.openflow_ports())
        watch_processes(lab, capture)
        if not wanted and program is None:
            watch_switches(lab, capture)
        tap(lab, capture, chosen, program)
    except BaseException:
        capture.stop()
        raise
    return capture


def unheard(network: str) -> LabError:
    """What to say of a capture at switches that take their frames by AF_XDP: the driver hands them
    over before packet sockets are asked, and sends without asking them (packet(7))."""
    return LabError(
        say(
            "nothing can be captured at the switches of {network}: its datapath is afxdp",
            network=network,
        ),
        term("name hosts, as in `hoplab capture h1 h2`, or bring a lab up without --datapath"),
        Exit.FAILED,
    )


def _choose(
    lab: Lab, interfaces: list[tuple[Place, str]], wanted: list[str]
) -> tuple[list[tuple[Place, str]], bool]:
    if not wanted:
        return interfaces, lab.controller is not None
    chosen: dict[tuple[Place, str], None] = {}
    openflow = False
    for word in wanted:
        if word == OPENFLOW:
            openflow = True
            continue
        fitting = [
            (place, name)
            for place, name in interfaces
            for node in [lab.network.owner_of(place, name)]
            if word in (node, f"{node}:{name}", lab.network.label_of(place, name))
        ]
        if not fitting:
            labels = [lab.network.label_of(place, name) for place, name in interfaces]
            raise LabError(
                say("the lab {lab} has no host or interface {name}", lab=lab.spec.name, name=word),
                say(
                    "its interfaces: {names}, {openflow}",
                    names=listed(labels, most=40),
                    openflow=OPENFLOW,
                ),
                Exit.NO_SUCH,
            )
        chosen.update(dict.fromkeys(fitting))
    return list(chosen), openflow


def tap(
    lab: Lab, capture: Capture, new: Sequence[tuple[Place, str]], program: bpf.Program | None = None
) -> None:
    """Listen on these interfaces too. Returns when every one of them is heard."""
    size = ring_size(len(new))
    peers = _peers(lab)

    def open_one(place: Place, name: str) -> Tap:
        setns(place.namespace.net, CLONE_NEWNET)
        sock = open_socket(name, size, program)
        label, node = lab.network.label_of(place, name), lab.network.owner_of(place, name)
        peer = peers.get((node, name))
        address = place.address.get(name)
        info = InterfaceInfo(
            label,
            f"{node} to {peer}" if peer else f"interface of {node}",
            sock.getsockname()[4].hex(":"),
            (address,) if address else (),
        )
        return Tap(info, sock, size)

    # A ring costs a wait in the kernel, so all of them wait at once; plain sockets cost nothing.
    works: list[Callable[[], list[Tap]]]
    if size:
        works = [lambda place=place: [open_one(*place)] for place in new]  # type: ignore[misc]
    else:
        works = [lambda: [open_one(*place) for place in new]]
    taps = _at_once(works)
    since_ns = _count_drops(lab, capture) if capture.cables is None else 0
    capture.add(*taps, since_ns=since_ns)


def _count_drops(lab: Lab, capture: Capture) -> int:
    """Have counted what is dropped from the moment on from which frames count: that moment, one
    at which nothing was dropped if there is such a one."""
    behind_ports = QueueDrops(lab.switchd.vswitchds)
    before_cables = CableDrops(lab.cables.queues, root=lab.network.batch.root)
    unread = lab.cables.unread()
    for _ in range(LOOKS):
        since_ns = time.time_ns()
        if all([behind_ports.look(), before_cables.look()]):  # both, whatever the first says
            break
    capture.queue_drops = behind_ports.counted
    capture.cables = before_cables
    capture.cable_drops = lambda: _cable_drops(lab, capture, unread)
    capture.last_words += [lambda: _tell_lost(capture), lambda: _tell_made(capture)]
    _tell_standing(lab, capture)
    return since_ns


def _cable_drops(lab: Lab, capture: Capture, unread: dict[str, int]) -> dict[str, int]:
    """What cables dropped since the capture began: their queues, and what delays their frames."""
    counts = capture.cables.counted() if capture.cables is not None else {}
    for name, number in lab.cables.unread().items():
        counts[name] = counts.get(name, 0) + number - unread.get(name, 0)
    return counts


def _tell_lost(capture: Capture) -> None:
    """Keep how many frames cables lost because they were to lose some."""
    lost = capture.cables.on_purpose() if capture.cables is not None else {}
    if any(lost.values()):
        counts = {name: frames for name, frames in lost.items() if frames}
        capture.add_note(notes.LOST, "", json.dumps(counts))


def _tell_standing(lab: Lab, capture: Capture) -> None:
    """Keep before which interfaces there is a queue that the lab has not made: as its network is
    described, nothing limits what they send."""
    names = capture.cables.standing()
    if names:
        limits = Limits.__dataclass_fields__
        plain = {
            interface["name"]
            for interface in lab.network.wiring()["interfaces"]
            if not any(interface.get(limit) for limit in limits)
        }
        foreign = [name for name in names if name in plain]
        if foreign:
            capture.add_note(notes.STANDING, "", json.dumps(foreign))


def _tell_made(capture: Capture) -> None:
    """Keep before which interfaces somebody made a queue meanwhile, who is not the lab."""
    made = capture.cables.made() if capture.cables is not None else []
    if made:
        capture.add_note(notes.QUEUES, "", json.dumps(made))
    if capture.cables is not None:
        capture.cables.close()


def tap_openflow(
    root: Place, capture: Capture, ports: Sequence[int] = CONTROLLER_PORTS
) -> None:
    """Listen to what switches and controller say to each other on these ports."""
    program = bpf.tcp_ports_received(ports)

    def work() -> list[Tap]:
        setns(root.namespace.net, CLONE_NEWNET)
        info = InterfaceInfo(OPENFLOW, "switches and controller", addresses=("127.0.0.1/8",))
        return [Tap(info, open_socket("lo", 0, program), wire=False)]

    capture.add(*_at_once([work]))


def watch_processes(lab: Lab, capture: Capture) -> None:
    """Keep in the capture how busy Open vSwitch and the controllers are, as far as they run."""
    switches = [
        (name, load.SWITCH, pid) for name, pid in lab.switchd.forwarders().items()
    ]  # fmt: skip
    controllers = [
        (each.name, load.CONTROLLER, each.process.pid)
        for shard in (lab.crew.shards if lab.crew is not None else ())
        for each in shard.processes()
        if each.process is not None
    ]
    capture.watch([*switches, *controllers])
    lab.listening.add(capture)


def watch_switches(lab: Lab, capture: Capture) -> None:
    """Keep in the capture what the switches' tables hold and how they change, and which exceptions
    of controllers nobody caught meanwhile. A switch that does not tell is left out."""
    bridges = lab.network.bridges()
    if not bridges:
        return
    watch_tables(capture, bridges)
    begun_s = time.time()

    def tell_exceptions() -> None:
        names = {int(node["dpid"], 16): node["name"] for node in lab.network.wiring()["nodes"]
                 if node.get("dpid")}  # fmt: skip
        for raised in log.raised(lab.spec.folder, begun_s, time.time())[-_EXCEPTIONS:]:
            note = {
                "sentence": to_plain(faults.sentence(raised, 1, names)),
                "at_ns": round((raised.at_s or 0) * 1e9),
                "switch": names.get(raised.dpid or 0),
                "in_port": raised.in_port,
                "frame": raised.frame.hex(),
            }
            name = lab.controller.name if lab.controller is not None else ""
            capture.add_note(notes.RAISED, name, json.dumps(note))

    capture.last_words.append(tell_exceptions)


def watch_tables(capture: Capture, bridges: Sequence[str]) -> None:
    """Keep in the capture what the tables of these switches hold and how they change."""
    streams: list[socket.socket] = []
    for bridge in bridges:
        with contextlib.suppress(OSError):
            stream = monitor.watch(bridge)
            streams.append(stream.dup())
            capture.add_stream(stream, notes.TABLES, bridge, time.time_ns())
    for bridge, text in monitor.learned(list(bridges)).items():
        capture.add_note(notes.LEARNED, bridge, text)

    def tell_trees() -> None:
        for bridge, states in monitor.spanning_trees().items():
            capture.add_note(notes.SPANNING_TREE, bridge, json.dumps(states))

    tell_trees()

    def ask_meters() -> None:
        for stream in streams:
            with stream, contextlib.suppress(OSError):
                stream.sendall(monitor.meter_counts())
        streams.clear()

    capture.last_words += [tell_trees, ask_meters]


def _at_once(works: list[Callable[[], list[Tap]]]) -> list[Tap]:
    """Each work in a thread of its own, which may wander between namespaces; results in order."""
    results: list[list[Tap] | BaseException] = [[] for _ in works]

    def body(place: int) -> None:
        try:
            unshare(_CLONE_FS)
            results[place] = works[place]()
        except BaseException as error:  # handed over, not handled
            results[place] = error

    threads = [threading.Thread(target=body, args=(i,), daemon=True) for i in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [tap_ for result in results if not isinstance(result, BaseException) for tap_ in result]


def _peers(lab: Lab) -> dict[tuple[str, str], Any]:
    """(node, interface) -> the node at the other end."""
    peers = {}
    for link in lab.network.links:
        intf1, intf2 = link.intf1, link.intf2
        if intf1 is not None and intf2 is not None:
            peers[intf1.node.name, intf1.name] = intf2.node.name
            peers[intf2.node.name, intf2.name] = intf1.node.name
    return peers
