# SPDX-License-Identifier: Apache-2.0
"""Kernel changes asked for one at a time and made many at a time.

Mininet's constructors each want a namespace, a veth pair, an address at once. Here they only
queue; `flush` makes everything in four strokes: namespaces, the veth pairs between them,
offloads off on all of these, then each namespace's own list of addresses and routes in the order
asked for. A pair is set up after `on_new`, so a capture that opens its sockets there sees the first
frame there will ever be. The first three are done for a part of the pairs after the other: whoever
has work to do on the interfaces of one (`on_made`) does it while the next is made. Nothing here
knows Mininet.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from hoplab.errors import Exit, LabError, reason_of
from hoplab.kernel import netlink, offloads
from hoplab.kernel.namespaces import Namespace
from hoplab.kernel.threads import shares
from hoplab.sentences import say, term

MOST_PARTS, WORTH_A_PART = 6, 50  # see `_parts`
NAME_LIMIT = 15  # IFNAMSIZ without the final zero byte

# What a topology can do to make the kernel say no, by errno.
_TWICE = term("the topology may ask for the same name or address twice")
_GATEWAY = term("a gateway must be in the subnet of one of the host's own addresses")
_HINTS = {
    errno.EEXIST: _TWICE,
    errno.EINVAL: term(
        "a name or address in the topology may be one that the kernel does not take"
    ),
    errno.ERANGE: term("a name in the topology may be one that the kernel does not take"),
    errno.ENETUNREACH: _GATEWAY,
    errno.EHOSTUNREACH: _GATEWAY,
}


@dataclass(eq=False)
class Place:
    """A namespace that exists or is queued, the indexes of its interfaces, its queued messages."""

    name: str
    space: Namespace | None = None
    next_index: int = 100  # 1 is lo; some kernels have tunnels in every namespace, a node its own
    reuse: int = 0  # an index that is free again, for the next interface
    index: dict[str, int] = field(default_factory=dict)
    address: dict[str, str] = field(default_factory=dict)
    queue: list[netlink.Message] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)

    @property
    def namespace(self) -> Namespace:
        """The namespace, once flushed."""
        assert self.space is not None, f"{self.name} is queued, not made"
        return self.space

    def number(self, interface: str) -> int:
        """The index of a queued or existing interface of ours. Raises KeyError."""
        return self.index[interface]


Pair = tuple[Place, str, str, Place, str, str]
NewInterfaces = Callable[[list[tuple[Place, str]]], None]


def check_length(name: str) -> None:
    """Raises LabError for a name that is too long for an interface."""
    if len(name.encode()) > NAME_LIMIT:
        raise LabError(
            say(
                "{interface} is too long for the name of an interface ({n} characters, "
                "Linux allows {most})",
                interface=name,
                n=len(name.encode()),
                most=NAME_LIMIT,
            ),
            term("shorten the node's name: its interfaces are called NAME-ethN"),
            Exit.BAD_INPUT,
        )


class Batch:
    """The queue. `root` is where switches live: the lab's own network namespace."""

    def __init__(self, *, ipv6: bool = False) -> None:
        self.ipv6 = ipv6
        self.root = Place("root", Namespace.own("root"), next_index=1000)
        self._maker: Namespace | None = None
        self.netem: bool | None = None  # whether the kernel has it, once somebody has tried
        self.on_new: NewInterfaces | None = None
        self.on_made: NewInterfaces | None = None
        self.built = False  # from then on a change is wanted at once
        self.places = [self.root]  # all that exist, in the order in which they were made
        self._queued: list[Place] = []
        self._pairs: list[Pair] = []
        self._ends: dict[tuple[Place, str], bool] = {}  # queued interfaces; those to be up
        self._lock = threading.RLock()

    @property
    def maker(self) -> Namespace:
        """The namespace from which pairs are asked for. It has no interfaces: before Linux 6.14 the
        index of a new one must be free where the request comes from, too, and in the root
        namespace Open vSwitch has some."""
        if self._maker is None:
            (self._maker,) = Namespace.create(["maker"])
        return self._maker

    # ------------------------------------------------------------------ asking

    def place(self, name: str) -> Place:
        """Queue a namespace of its own."""
        made = Place(name)
        self._queued.append(made)
        return made

    def pair(
        self, place1: Place, name1: str, mac1: str, place2: Place, name2: str, mac2: str
    ) -> None:
        """Queue a veth pair. Raises LabError for names that the kernel would not take."""
        for place, name in ((place1, name1), (place2, name2)):
            check_length(name)
            if name in place.index:
                raise LabError(
                    say("two links want the same interface {interface}", interface=name),
                    term("give each link its own ports: addLink(a, b, port1=1, port2=2)"),
                    Exit.BAD_INPUT,
                )
            place.index[name] = place.reuse or place.next_index
            place.next_index += not place.reuse
            place.reuse = 0
            self._ends[(place, name)] = False
        self._pairs.append((place1, name1, mac1, place2, name2, mac2))

    def forget(self, place: Place, interface: str) -> None:
        """An interface has gone, or was never made."""
        place.index.pop(interface, None)
        place.address.pop(interface, None)
        self._ends.pop((place, interface), None)

    def later(self, place: Place, message: netlink.Message) -> None:
        """Queue a message for the place's namespace; once all is built, send it at once."""
        place.queue.append(message)
        if self.built:
            self.flush()

    def set_up(self, place: Place, interface: str, up: bool) -> None:
        """Set an interface up or down; one that is queued, as soon as it is there."""
        if (place, interface) in self._ends:
            self._ends[(place, interface)] = up
        else:
            self.later(place, netlink.link_up(place.number(interface), interface, up))

    def set_address(self, place: Place, interface: str, cidr: str) -> None:
        """Queue an IPv4 address; one queued or set here before is replaced, as ifconfig does."""
        before = place.address.get(interface)
        if before == cidr:
            return
        number = place.number(interface)
        if before is not None:
            self.later(place, netlink.address(number, interface, before, add=False))
        place.address[interface] = cidr
        self.later(place, netlink.address(number, interface, cidr))

    # ------------------------------------------------------------------ doing

    def flush(self) -> None:
        """Make everything that is queued. Raises LabError naming the step that failed."""
        with self._lock:
            places, self._queued = self._queued, []
            pairs, self._pairs = self._pairs, []
            try:
                for some in _parts(pairs):
                    ends = {end for pair in some for end in (pair[0], pair[3])}
                    self._make_namespaces([place for place in places if place in ends])
                    places = [place for place in places if place not in ends]
                    self._make_pairs(some)
                self._make_namespaces(places)
                self._send_queues()
            except OSError as error:
                text = reason_of(error)
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    raise LabError(
                        term("this lab needs more open files than allowed"),
                        say("raise the limit first: {command}", command="ulimit -n 65536"),
                        Exit.REFUSED,
                        text,
                    ) from error
                hint = _HINTS.get(error.errno or 0)
                raise LabError(
                    say("the kernel did not build the network: {reason}", reason=text),
                    hint or term("see `hoplab doctor`"),
                    Exit.BAD_INPUT if hint else Exit.LAB_DIED,
                ) from error

    def _make_namespaces(self, places: list[Place]) -> None:
        if not places:
            return
        spaces = Namespace.create((place.name for place in places), ipv6=self.ipv6)
        for place, space in zip(places, spaces, strict=True):
            place.space = space
            space.files = place.files
        self.places += places

    def _make_pairs(self, pairs: list[Pair]) -> None:
        if not pairs:
            return
        messages, new = [], []
        for place1, name1, mac1, place2, name2, mac2 in pairs:
            end1 = netlink.End(name1, mac1, place1.index[name1], place1.namespace.net)
            end2 = netlink.End(name2, mac2, place2.index[name2], place2.namespace.net)
            messages.append(netlink.veth(end1, end2))
            new += [(place1, name1), (place2, name2)]
        self.maker.route.send(messages)
        for place, name in new:
            offloads.offloads_off(place.namespace.route, name)
        if self.on_new is not None:
            self.on_new(new)
        self._set_up(new)
        if self.on_made is not None:
            self.on_made(new)

    def _set_up(self, made: list[tuple[Place, str]]) -> None:
        """Now, and not with the rest: Open vSwitch reads the flags of an interface that it opens,
        adds promiscuity and writes them back, and one set up in between would be down again."""
        messages: dict[Place, list[netlink.Message]] = {}
        for place, name in made:
            if self._ends.pop((place, name)):
                up = netlink.link_up(place.number(name), name)
                messages.setdefault(place, []).append(up)
        for place, some in messages.items():
            _send(place, some)

    def _send_queues(self) -> None:
        for place in self.places:
            if place.queue:
                queue, place.queue = place.queue, []
                _send(place, queue)


def _send(place: Place, messages: list[netlink.Message]) -> None:
    """Raises OSError, which names the place."""
    try:
        place.namespace.route.send(messages)
    except OSError as error:
        reason = say("{node}: {reason}", node=place.name, reason=reason_of(error))
        raise OSError(error.errno, reason) from error


def _parts(pairs: list[Pair]) -> list[list[Pair]]:
    """The pairs in parts that are worth it: each is some work for Open vSwitch."""
    count = max(1, min(MOST_PARTS, len(pairs) // WORTH_A_PART))
    return shares(pairs, count)


def raise_file_limit() -> None:
    """Take all the open files that this process may have: every namespace is held by five."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wish = hard if hard != resource.RLIM_INFINITY else 1 << 20
    if os.geteuid() == 0:
        wish = max(wish, 1 << 16)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wish, max(wish, hard)))
    except (ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
