# SPDX-License-Identifier: Apache-2.0
"""The cables of a running lab: listed, cut and mended, slowed and made lossy, by the names of what
they join.

A cut cable is one of which an end is set down: the switch's, if one end is a switch's, so that a
host keeps what it was configured with and sees that its cable has no carrier; else both. Before a
host's end goes down, what was configured on it is read, and put back when it is up again. What
somebody cut by hand gets back what was configured when the lab came up.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from hoplab.errors import Exit, LabError, reason_of
from hoplab.kernel import kept_settings, netlink, shaping
from hoplab.kernel.batch import Place
from hoplab.kernel.cable_queues import CableDrops, dropped_by
from hoplab.kernel.kept_settings import Settings
from hoplab.kernel.shaping import Limits
from hoplab.kernel.wires import Where, Wires
from hoplab.nearest import meant
from hoplab.sentences import listed, say, term

if TYPE_CHECKING:
    from hoplab.service.lab import Lab


MOST_HOSTS = 100  # of a larger lab it would take seconds to read what each knows


class Cables:
    """The cables of one lab; `built` once the network is there."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._turn = threading.RLock()
        self.wires: Wires | None = None  # made when it is needed
        self._configured: dict[str, Settings] = {}  # by host, as the lab came up
        self._cut: dict[tuple[str, str], Settings] = {}  # by node and interface, before it was cut
        self._noted = False
        self._noting = threading.Lock()
        self.longest_ms = 0.0  # for so long a frame may be held back, or might a moment ago

    # ------------------------------------------------------------------ as built

    def shape_built(self) -> None:
        """Shape what the topology wants shaped and stock Mininet cannot here. Raises LabError."""
        network = self._lab.network
        for intf, limits in network.unshaped():
            self._shape({intf: limits})
        self.note_longest()

    def note_configured(self) -> None:
        """Keep what hosts are configured with, before anybody changes it; once. Of many hosts that
        takes its time: whoever changes a cable meanwhile waits for its own ends alone."""
        with self._noting:
            if not self._noted:
                for host in list(self._lab.network.hosts):
                    self._note_once(host.name)
                with contextlib.suppress(OSError):
                    self.netem()  # tried now: whoever is first to delay a cable need not wait
            self._noted = True

    def note_ends(self, link: Any) -> None:
        """The same of the hosts at the ends of one cable."""
        for end in _ends(link):
            if self._place(end) is not self._root:
                self._note_once(end.node.name)

    def _note_once(self, name: str) -> None:
        with self._turn:
            if name not in self._configured:
                self.note_host(name)

    def note_host(self, name: str) -> None:
        """Keep what a host is configured with now, as what it is to have."""
        network = self._lab.network
        place = network.place(name)
        if place is not self._root:
            with contextlib.suppress(OSError):
                # Where every host was told of all others, these are very many.
                few = len(network.hosts) <= MOST_HOSTS
                route = place.namespace.route
                self._configured[name] = kept_settings.read(route, neighbours=few)

    @property
    def _root(self) -> Place:
        return self._lab.network.batch.root

    # ------------------------------------------------------------------ looking

    def find(self, first: str, second: str) -> Any:
        """The cable between two nodes, or two interfaces. Raises LabError (NO_SUCH)."""
        for word in (first, second):
            self._check_word(word)
        fitting = [link for link in self._links() if _joins(link, first, second)]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            cables = listed(f"{link.intf1.name} {link.intf2.name}" for link in fitting)
            raise LabError(
                say("several cables join {node} and {peer}", node=first, peer=second),
                say("name the interfaces of one: {cables}", cables=cables),
                Exit.USAGE,
            )
        peers = list(dict.fromkeys(self._peers(first)))
        raise LabError(
            say("no cable joins {node} and {peer}", node=first, peer=second),
            say("{node} is joined to: {names}", node=first,
                names=listed(peers, most=40) if peers else term("nothing")),
            Exit.NO_SUCH,
        )  # fmt: skip

    def _check_word(self, word: str) -> None:
        """Raises LabError for what is neither a node nor an interface of this lab."""
        network = self._lab.network
        ends = [end for link in self._links() for end in _ends(link)]
        if word not in network.nameToNode and not any(_is_end(end, word) for end in ends):
            raise LabError(
                say("this lab has no node or interface {name}", name=word),
                meant(word, network.nameToNode),
                Exit.NO_SUCH,
            )

    def _peers(self, word: str) -> Iterator[str]:
        for link in self._links():
            for end, peer in ((link.intf1, link.intf2), (link.intf2, link.intf1)):
                if _is_end(end, word):
                    yield peer.node.name

    def _links(self) -> list[Any]:
        return [link for link in list(self._lab.network.links) if link.intf1 and link.intf2]

    def describe(self, links: list[Any] | None = None) -> list[dict[str, Any]]:
        """Cables as data: of each end who it is, whether it is up, what it does to the frames that
        it sends, and what it has counted. Raises LabError."""
        network = self._lab.network
        seen: dict[Place, dict[int, dict[str, Any]]] = {}
        drops = self._drops() if links is None else self._drops_of(
            [end for link in links for end in _ends(link)])  # fmt: skip
        cables = []
        for link in self._links() if links is None else links:
            ends = []
            for intf in _ends(link):
                place = network.place(intf.node.name)
                index = place.index.get(intf.name, -1)
                if links is not None:
                    state = _state(place, index)
                else:
                    if place not in seen:
                        seen[place] = _states(place)
                    state = seen[place].get(index, {})
                label = network.label(intf)
                ends.append(
                    {
                        "node": intf.node.name,
                        "interface": label,
                        "up": state.get("up", True),
                        "carrier": state.get("carrier", True),
                        **network.limits(intf).as_data(),
                        "sent": state.get("sent", 0),
                        "sent_bytes": state.get("sent_bytes", 0),
                        "dropped": drops.get(label, 0),
                    }
                )
            up = all(end["up"] and end["carrier"] for end in ends)
            cables.append({"state": "up" if up else "down", "ends": ends})
        return cables

    def _drops(self) -> dict[str, int]:
        """What the queues in front of all cables have dropped so far, by interface."""
        counts = CableDrops(self.queues, since=False).counted()
        for (name, number) in self.unread().items():
            counts[name] = counts.get(name, 0) + number
        return counts

    def _drops_of(self, ends: list[Any]) -> dict[str, int]:
        """The same of these ends alone: in a large lab all others take long to ask."""
        wires = self.wires.indexes() if self.wires is not None else []
        beside = {(place, name): index for place, index, name in wires}
        unread = self.unread()
        counts: dict[str, int] = {}
        for end in ends:
            place, label = self._place(end), self._lab.network.label(end)
            indexes = (place.index.get(end.name), beside.get((place, end.name)))
            queued = sum(dropped_by(place, index) for index in indexes if index)
            counts[label] = queued + unread.get(label, 0)
        return counts

    def queues(self) -> list[tuple[Place, int, str]]:
        """Where each queue in front of a cable is: its namespace, the index of its interface, and
        the name in the lab of the interface that it serves."""
        batch = self._lab.network.batch
        own = [(place, name, index) for place in list(batch.places)
               for name, index in list(place.index.items())]  # fmt: skip
        beside = self.wires.indexes() if self.wires is not None else []
        return [
            (place, index, self._lab.network.label_of(place, name))
            for place, name, index in [*own, *((p, n, i) for p, i, n in beside)]
        ]

    def unread(self) -> dict[str, int]:
        """Frames that were to be delayed and found no room, by interface."""
        lost = self.wires.lost() if self.wires is not None else {}
        label_of = self._lab.network.label_of
        return {label_of(place, name): n for (place, name), n in lost.items() if n}

    # ------------------------------------------------------------------ changing

    def cut(self, link: Any) -> None:
        """Cut it, if it is not. Raises LabError."""
        with self._turn:
            self.need_real(link)
            ends = _ends(link)
            switched = [end for end in ends if self._place(end) is self._root]
            for end in ends:
                if end not in switched:
                    self._keep(end)
            for end in switched or ends:
                self._set_up(end, False)

    def mend(self, link: Any) -> None:
        """Join it again, with all that was configured on its ends. Raises LabError."""
        with self._turn:
            self.need_real(link)
            for end in _ends(link):
                self._set_up(end, True)
            for end in _ends(link):
                place, node = self._place(end), end.node.name
                before = self._cut.pop((node, end.name), None) or self._configured.get(node)
                if place is not self._root and before is not None:
                    with contextlib.suppress(OSError):
                        index = place.number(end.name)
                        kept_settings.put_back(place.namespace.route, before, index)

    def _keep(self, end: Any) -> None:
        """What is configured on an end whose cable is to be cut; not again once it is down."""
        place = self._place(end)
        route = place.namespace.route
        links = {link["index"]: link["up"] for link in route.links()}
        if links.get(place.number(end.name)) and (end.node.name, end.name) not in self._cut:
            self._cut[end.node.name, end.name] = kept_settings.read(route)

    def _set_up(self, end: Any, up: bool) -> None:
        place = self._place(end)
        index = place.number(end.name)
        try:
            place.namespace.route.send([netlink.link_up(index, end.name, up)])
        except OSError as error:
            raise LabError(
                say("{port}: {reason}", port=end.name, reason=reason_of(error)),
                term("was it taken away by hand? bring the lab up anew"),
                Exit.LAB_DIED,
            ) from error

    def shape(self, link: Any, wish: dict[str, Any]) -> None:
        """Have both ends of it do what is wished, and what they did before besides. Raises
        LabError."""
        with self._turn:
            self.need_real(link)
            network = self._lab.network
            limits = {end: network.limits(end).changed(wish) for end in _ends(link)}
            self._shape(limits)
            network.asked.update(limits)
            self.note_longest()
            self._lab.switching.make_room()

    def clear(self, link: Any) -> None:
        """Have both ends do what the topology says, and nothing else. Raises LabError."""
        with self._turn:
            self.need_real(link)
            network = self._lab.network
            asked = [end for end in _ends(link) if network.asked.pop(end, None) is not None]
            stock = [end for end in asked if network.shaped_by_stock(end)]
            self._shape({end: Limits() if end in stock else network.limits(end) for end in asked})
            for end in stock:
                end.config(**end.params)
            self.note_longest()

    def forget(self, link: Any) -> None:
        """It is about to be taken away: captures keep what its queues dropped."""
        with self._turn:
            for end in _ends(link):
                place = self._place(end)
                if end.name in place.index:
                    self.settle(place, end.name)
                if self.wires is not None:
                    self.wires.let_go((place, end.name))
                self._cut.pop((end.node.name, end.name), None)
                self._lab.network.asked.pop(end, None)
            self.note_longest()

    def forget_host(self, name: str) -> None:
        """It has gone."""
        self._configured.pop(name, None)

    def _shape(self, wishes: Mapping[Any, Limits]) -> None:
        """Have these interfaces do so. Raises LabError."""
        shaping.carry_out_all(
            [(self._place(end).namespace.popen, self._lines(end, limits))
             for end, limits in wishes.items()]
        )  # fmt: skip
        if self.wires is not None:
            for end, limits in wishes.items():
                if not limits.delays or self.netem():
                    self.wires.let_go((self._place(end), end.name))

    def _lines(self, end: Any, limits: Limits) -> list[str]:
        """What tc is to do there; where we delay frames ourselves, we are ready to. Raises
        OSError."""
        place = self._place(end)
        where: Where = (place, end.name)
        wire = ""
        index = place.number(end.name)
        self._settle(place, index, self._lab.network.label(end))
        batch = shaping.away(place.namespace.route, index, end.name)
        if limits.delays and not self.netem():
            if self.wires is None:
                self.wires = Wires(self._lab.network.batch)
            wire = self.wires.name_beside(where)
            beside = next(i for p, i, n in self.wires.indexes() if (p, n) == where)
            self._settle(place, beside, self._lab.network.label(end))
            batch += shaping.away(place.namespace.route, beside, wire)
            self.wires.hold(where, limits)
        return batch + shaping.lines(end.name, limits, wire=wire, netem=self.netem())

    def settle(self, place: Place, name: str) -> None:
        """Somebody else is about to take the queue of an interface away."""
        self._settle(place, place.index.get(name, -1), self._lab.network.label_of(place, name))

    def _settle(self, place: Place, index: int, label: str) -> None:
        """A queue is about to go: captures that count its drops take down what it has."""
        for capture in list(self._lab.captures):
            if capture.cables is not None:
                capture.cables.settle(place, index, label)

    def netem(self) -> bool:
        """Whether the kernel delays frames by itself."""
        netem: bool = self._lab.network.has_netem()
        return netem

    def look_after(self) -> None:
        """Start what delays frames again, if somebody ended it."""
        if self.wires is not None:
            self.wires.mend()

    def note_longest(self) -> None:
        """Keep for how long a frame may be held back now."""
        network = self._lab.network
        ends = [end for link in self._links() for end in _ends(link)]
        limits = [network.limits(end) for end in ends]
        now = max((each.delay_ms + each.jitter_ms for each in limits), default=0.0)
        # Whoever listens at this moment has heard frames that were held back for longer.
        self.longest_ms = max(now, self.longest_ms) if self._lab.captures else now

    def _place(self, end: Any) -> Place:
        return self._lab.network.place(end.node.name)

    def need_real(self, link: Any) -> None:
        """Raises LabError for what is a cable on paper alone."""
        for end in _ends(link):
            if end.name not in self._place(end).index:
                raise LabError(
                    say("{port} is a patch port inside of Open vSwitch, and no cable",
                        port=end.name),
                    term("leave out cls=OVSLink in the topology, and it is one"),
                    Exit.BAD_INPUT,
                )  # fmt: skip


def _ends(link: Any) -> list[Any]:
    return [link.intf1, link.intf2]


def _joins(link: Any, first: str, second: str) -> bool:
    ends = _ends(link)
    return any(_is_end(one, first) and _is_end(peer, second) for one, peer in (ends, ends[::-1]))


def _is_end(intf: Any, word: str) -> bool:
    node = intf.node.name
    return word in (node, intf.name, f"{node}:{intf.name}")


def _state(place: Place, index: int) -> dict[str, Any]:
    """What the kernel says of one interface; nothing where it is not there."""
    try:
        return place.namespace.route.link(index) if index > 0 else {}
    except OSError:
        return {}


def _states(place: Place) -> dict[int, dict[str, Any]]:
    """What the kernel says of the interfaces of a namespace, by index."""
    route = place.namespace.route
    carried = route.traffic()
    return {
        link["index"]: {
            **link,
            "sent": carried[link["index"]].sent,
            "sent_bytes": carried[link["index"]].sent_bytes,
        }
        for link in route.links()
        if link["index"] in carried
    }
