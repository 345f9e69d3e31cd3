# SPDX-License-Identifier: Apache-2.0
"""What `up` remarks on a network that has been built: where it may not be what its author means.

One rule for each kind, in the order of importance: first what keeps hosts from talking at all, then
what the file says and `up` leaves out, then what was chosen of it. A rule gives one line, however
often its case occurs, and says how to get what is missing. A new remark is a new rule in `RULES`.
"""

from __future__ import annotations

import ipaddress
import itertools
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mininet.link
import mininet.node

from hoplab.kernel import cgroups
from hoplab.network import script, topofile
from hoplab.sentences import listed, number_of, say, term

if TYPE_CHECKING:
    from hoplab.network.net import Network

MOST = 5  # names or addresses in one line
_SHAPING = ("bw", "delay", "jitter", "loss", "max_queue_size")  # a TCLink's parameters
_PROCESSOR = ("cpu", "cores")


def remarks(network: Network) -> list[str]:
    """All there is to remark, the most important first."""
    return [line for rule in RULES for line in rule(network)]


def some(names: Sequence[str], most: int = MOST) -> str:
    """'h1, h2' or 'h1, h2, h3, h4, h5 and 7 others'."""
    more = len(names) - most
    if more < 2:
        return listed(names)
    return say("{names} and {n} others", names=listed(names[:most]), n=more)


def _file(network: Network) -> Path | None:
    return topofile.users_file(network.topo)


def _empty(network: Network) -> Iterator[str]:
    if network.topo.nodes():
        return
    file, maker = _file(network), type(network.topo).__name__
    methods = script.methods_that_add(file, maker) if file is not None else []
    if file is None or not methods:
        yield term("the topology is empty: no host, no switch")
        return
    yield say(
        "the topology is empty: no host, no switch; {maker} has its hosts in {method}() (line "
        "{line}), which nobody calls: name it build(), or {command}",
        maker=maker,
        method=methods[0].text,
        line=methods[0].line,
        command=script.how_to_run(file),
    )


def _without_cable(network: Network) -> Iterator[str]:
    joined = {name for link in network.topo.links() for name in link}
    alone = [name for name in network.topo.nodes() if name not in joined]
    if alone:
        yield number_of(
            "{nodes} has no cable: no addLink() names it",
            "{nodes} have no cable: no addLink() names them",
            len(alone),
            nodes=some(alone),
        )


def _shared_addresses(network: Network) -> Iterator[str]:
    for address, names in itertools.islice(network.shared_addresses(), MOST):
        yield say(
            "{nodes} are on one link and have the same address, {ip}: who asks for it hears "
            "several answers",
            nodes=some(names),
            ip=address,
        )


def _several_subnets(network: Network) -> Iterator[str]:
    """Hosts on one link in different subnets, of which one at least knows no way to another."""
    if _file(network) is None:  # ours are in two subnets where that is the lesson
        return
    link_of = network.link_finder()
    links: dict[Any, list[tuple[Any, Any]]] = {}
    for node in network.hosts:
        for intf in node.intfList():
            if intf.IP() and intf.link is not None:
                address = ipaddress.ip_interface(f"{intf.IP()}/{intf.prefixLen}")
                links.setdefault(link_of(intf), []).append((node, address))
    for ends in links.values():
        for (node, own), (peer, address) in itertools.islice(_strangers(ends), MOST):
            if not _has_route(network, node, address.ip):
                yield say(
                    "{node} ({own}) and {peer} ({address}) are on one link in two subnets, and "
                    "{node} has no gateway: it does not reach {peer}",
                    node=node.name,
                    own=str(own),
                    peer=peer.name,
                    address=str(address),
                )
                return


def _strangers(ends: list[tuple[Any, Any]]) -> Iterator[tuple[Any, Any]]:
    """Pairs of (node, address) on one link of which the second is not in the first one's subnet."""
    if len({own.network for _, own in ends}) < 2:
        return
    for node, own in ends:
        for peer, address in ends:
            if address.ip not in own.network and node is not peer:
                yield (node, own), (peer, address)


def _has_route(network: Network, node: Any, address: Any) -> bool:
    """Whether the host's own table knows a way there (proc_net: Destination and Mask are numbers
    as this machine stores them, of an address as it goes over the wire)."""
    table = Path("/proc/net/route")
    rows = network.place(node.name).namespace.run(table.read_text).splitlines()[1:]
    number = int.from_bytes(address.packed, sys.byteorder)
    return any(number & int(row[7], 16) == int(row[1], 16) for row in map(str.split, rows))


def _second_cables(network: Network) -> Iterator[str]:
    """Two cables from a host to the same node: Mininet gives the first alone an address."""
    count: dict[tuple[str, str], int] = {}
    for ends in network.topo.links():
        pair = (min(ends), max(ends))
        count[pair] = count.get(pair, 0) + 1
    hosts = set(network.topo.hosts())
    double = [
        say("{node} and {peer}", node=node, peer=peer)
        for (node, peer), n in count.items()
        if n > 1 and {node, peer} & hosts
    ]
    if double:
        yield say(
            "several cables join {pairs}: a host's address is that of its first one, unless the "
            "others are given theirs ({example})",
            pairs=some(double),
            example="params1={'ip': '10.0.1.1/24'}",
        )


def _named_twice(network: Network) -> Iterator[str]:
    names = list(getattr(network.topo, "hoplab_twice", ()))
    if names:
        yield number_of(
            "{nodes} has been added twice: it is one node, as it was described last",
            "{nodes} have been added twice: each is one node, as it was described last",
            len(names),
            nodes=some(names),
        )


def _remote_controller(network: Network) -> Iterator[str]:
    file = _file(network)
    if file is None or not network.switches or getattr(network.topo, "controller", None):
        return
    if getattr(network.topo, "hoplab_outside", False):
        return
    for remote in script.remotes(file)[:1]:
        yield say(
            "nobody of yours answers for the RemoteController of line {line}, at {ip}:{port}, so "
            "hoplab runs a controller itself; yours takes over with hoplab swap APP.py, or if it "
            "runs before hoplab up",
            line=remote.line,
            ip=remote.ip,
            port=remote.ports[0],
        )
        return
    asked = script.read(file).remote
    if asked:
        yield say(
            "a RemoteController (line {line}) is not waited for: hoplab runs the controller "
            "itself; yours takes over with hoplab swap APP.py",
            line=asked[0].line,
        )


def _no_controller(network: Network) -> Iterator[str]:
    file = _file(network)
    alone = script.read(file).alone if file is not None and network.switches else []
    if file is not None and alone:
        yield say(
            "{option} in line {line} is not heeded: the switches have a controller of hoplab's; "
            "{command} leaves them without one",
            option=alone[0].text,
            line=alone[0].line,
            command=script.how_to_run(file),
        )


def _not_run(network: Network) -> Iterator[str]:
    """What the file does with its network that `up` does not do."""
    file = _file(network)
    if file is None:
        return
    rest = script.read(file)
    parts = []
    if rest.commands:
        first, more = rest.commands[0], len(rest.commands) - 1
        quoted = say("{command} in line {line}", command=first.text, line=first.line)
        parts.append(say("{quoted} and {n} more", quoted=quoted, n=more) if more else quoted)
    if rest.options:
        words = some([option.text for option in rest.options])
        parts.append(
            say("Mininet's {options} in line {line}", options=words, line=rest.options[0].line)
        )
    if parts:
        yield say(
            "of {file} the Topo alone is read, not {parts}: {command} runs all of it",
            file=file.name,
            parts=say("{first}, nor {second}", first=parts[0], second=parts[1])
            if len(parts) > 1
            else parts[0],
            command=script.how_to_run(file),
        )


def _not_shaped(network: Network) -> Iterator[str]:
    """Links of which a bandwidth or the like is not there: what stands in the file in a form that
    no TCLink takes."""
    unread: dict[str, None] = {}
    unread_on = []
    for link in network.links:
        ends = [intf for intf in (link.intf1, link.intf2) if intf is not None]
        name = " - ".join(intf.node.name for intf in ends)
        plain = [intf for intf in ends if not isinstance(intf, mininet.link.TCIntf)]
        kinds = [k for k in _SHAPING if any(intf.params.get(k) is not None for intf in plain)]
        if kinds:
            unread_on.append(name)
            unread |= {f"{kind}={_value(plain, kind)!r}": None for kind in kinds}
    if unread:
        yield say(
            "{settings} is not applied: a TCLink takes {example}",
            settings=_of_links(unread, unread_on),
            example="bw=10, delay='5ms', loss=1, max_queue_size=100",
        )


def _value(intfs: Sequence[Any], kind: str) -> Any:
    return next(value for intf in intfs if (value := intf.params.get(kind)) is not None)


def _of_links(settings: Sequence[str] | dict[str, None], links: Sequence[str]) -> str:
    return number_of(
        "{settings} of the link {links}",
        "{settings} of the links {links}",
        len(links),
        settings=some([*settings]),
        links=some(links, 3),
    )


def _not_limited(network: Network) -> Iterator[str]:
    limited = [
        node.name
        for node in network.hosts
        if not isinstance(node, mininet.node.CPULimitedHost)
        and any(node.params.get(kind) is not None for kind in _PROCESSOR)
    ]
    if limited:
        yield say(
            "the share of the processor that {hosts} should have is not limited: Mininet limits a "
            "CPULimitedHost alone; write addHost(…, cls=CPULimitedHost)",
            hosts=some(limited),
        )


def _without_limit(network: Network) -> Iterator[str]:
    """What a CPULimitedHost has to do without (`cpu_limited`)."""
    lacking = {node.name: getattr(node, "hoplab_lacks", {}) for node in network.hosts}
    file = _file(network)
    command = f"hoplab up {shlex.quote(str(file))}" if file is not None else "hoplab up"
    limits = [name for name, kinds in lacking.items() if "limit" in kinds]
    if limits:
        reason = lacking[limits[0]]["limit"]
        yield cgroups.without(some(limits), len(limits), reason, command)
    cores = [name for name, kinds in lacking.items() if "cores" in kinds]
    if cores:
        yield number_of(
            "{hosts} runs on every processor: its control group (cgroup) has no cpuset",
            "{hosts} run on every processor: their control groups (cgroups) have no cpuset",
            len(cores),
            hosts=some(cores),
        )


def _chosen(network: Network) -> Iterator[str]:
    """Which of several topologies was taken."""
    chosen, left_out = getattr(network.topo, "hoplab_chosen", ("", ()))
    if left_out:
        file = network.topo.hoplab_file
        values = {
            "file": file.name,
            "chosen": chosen,
            "command": f"hoplab up {shlex.quote(f'{file}:{left_out[0]}')}",
        }
        if left_out[1:]:
            yield say(
                "of the topologies in {file}, {chosen} was taken; another one: {command} (or "
                "{names})",
                names=some(left_out[1:]),
                **values,
            )
        else:
            yield say(
                "of the topologies in {file}, {chosen} was taken; another one: {command}", **values
            )


def _command_line(network: Network) -> Iterator[str]:
    file = _file(network)
    words: Sequence[str] = getattr(network.topo, "hoplab_words", ())
    read = getattr(network.topo, "hoplab_words_read", False)
    if file is None or read == bool(words):
        return
    if words:
        yield say(
            "{file} has not read its command line, {words}: {command} runs all of it",
            file=file.name,
            words=shlex.join(words),
            command=script.how_to_run(file, words),
        )
        return
    flags = script.read(file).flags
    yield say(
        "{file} reads a command line, which is empty here: its options have their defaults; "
        "{command} gives it others",
        file=file.name,
        command=script.how_to_bring_up(file, f"{flags[0]} …" if flags else "…"),
    )


def _passed_over(network: Network) -> Iterator[str]:
    """What a lab of another program asks for, and is no matter of a lab here."""
    yield from getattr(network.topo, "hoplab_remarks", ())


RULES: tuple[Callable[[Network], Iterator[str]], ...] = (
    _empty,
    _without_cable,
    _shared_addresses,
    _several_subnets,
    _second_cables,
    _named_twice,
    _remote_controller,
    _no_controller,
    _not_run,
    _not_shaped,
    _not_limited,
    _without_limit,
    _chosen,
    _command_line,
    _passed_over,
)
