# SPDX-License-Identifier: Apache-2.0
"""The address, the gateway and the DNS server of a host in a running lab, changed.

    lab.host_settings.change("h1", ip="10.0.0.9/24", gateway="10.0.0.254", dns="none")
    lab.host_settings.change("r1-eth1", ip="10.0.3.1/24")       an interface, of several

What is not named stays. With another address the routes that can still be are put back; a gateway
that cannot be reached any more is told of.

What lives here: these settings, in the kernel and in the host's own files. What must not: choosing.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface
from typing import TYPE_CHECKING, Any

from hoplab.errors import Exit, LabError
from hoplab.kernel import kept_settings, netlink
from hoplab.kernel.kept_settings import Settings
from hoplab.nearest import meant
from hoplab.network import addresses
from hoplab.network.queued import resolv_conf
from hoplab.sentences import listed, say, term
from hoplab.service import neighbourhood
from hoplab.service.host_facts import own_file

if TYPE_CHECKING:
    from hoplab.kernel.batch import Place
    from hoplab.service.lab import Lab
    from hoplab.service.members import Answer, Wanted

NONE = "none"
_RESOLV, _HOSTS = "/etc/resolv.conf", "/etc/hosts"


class HostSettings:
    """Of all hosts of a lab."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def change(
        self,
        host: str,
        *,
        ip: str | None = None,
        gateway: str | None = None,
        dns: str | None = None,
        force: bool = False,
        wanted: Wanted = lambda: None,
    ) -> Answer:
        """Change what is named; "none" takes it away. host: a host, or one of its interfaces. What
        fails is taken back. Raises LabError."""
        lab = self._lab
        with lab.members.turn:
            wanted()
            node, intf = self._meant(host, needs_one=ip is not None)
            place = lab.network.place(node.name)
            before = kept_settings.read(place.namespace.route)
            files = {target: _read_file(place, target) for target in place.files}
            began_ns = lab.moment()
            sentences: list[str] = []
            try:
                if ip is not None:
                    sentences += self._set_address(node, intf, ip, force=force)
                if gateway is not None:
                    sentences += self._set_gateway(place, gateway, force=force)
                if dns is not None:
                    sentences += self._set_dns(node.name, place, dns)
                wanted()
                lab.refresh()
                lab.write_state()
            except BaseException:
                self._take_back(place, node, before, files)
                raise
            lab.hearing.named()
            if sentences:
                lab.note_change(sentences[0], began_ns)
        return {"host": node.name, **self._state(node, place), "sentences": sentences}

    # ------------------------------------------------------------------ who is meant

    def _meant(self, word: str, *, needs_one: bool) -> tuple[Any, Any]:
        """A host and its interface, which is named where there are several. Raises LabError."""
        network = self._lab.network
        name = self._lab.node_of(word)
        node = network.nameToNode.get(name)
        if node is None:
            raise LabError(
                say("this lab has no host or interface {name}", name=word),
                meant(word, [host.name for host in network.hosts]),
                Exit.NO_SUCH,
            )
        if network.place(name) is network.batch.root:
            raise LabError(
                say("{node} is a switch, and has no address of its own", node=name),
                term("hosts and routers have: name one, or one of its interfaces"),
                Exit.BAD_INPUT,
            )
        intfs = [intf for intf in node.intfList() if intf.name != "lo"]
        fitting = intfs if word == name else [
            intf for intf in intfs if word in (intf.name, network.label(intf))
        ]  # fmt: skip
        if needs_one and not fitting:
            raise LabError(
                say("{node} has no cable, hence no interface", node=name),
                say("join it first: {command}", command=f"hoplab add cable {name} …"),
                Exit.FAILED,
            )
        if needs_one and len(fitting) > 1:
            names = [network.label(intf) for intf in fitting]
            raise LabError(
                say("{node} has several interfaces: {names}", node=name, names=listed(names)),
                say("name one: {command}", command=f"hoplab set {names[0]} --ip …"),
                Exit.USAGE,
            )
        return node, fitting[0] if fitting else None

    # ------------------------------------------------------------------ changing

    def _set_address(self, node: Any, intf: Any, text: str, *, force: bool) -> list[str]:
        place = self._lab.network.place(node.name)
        if text == NONE:
            self._replace_address(place, intf, None)
            return [say("{port} has no address any more", port=intf.name)]
        around = neighbourhood.neighbours(self._lab, intf)
        old = neighbourhood.addresses_of(place, intf.name)
        network = old[0].network if old else addresses.subnet_of(around)
        own = addresses.read_address(text, network)
        if not force:
            addresses.check_address(own, around)
        via = neighbourhood.default_gateway(place)
        self._replace_address(place, intf, own)
        sentences: list[str] = [say("{port} has the address {ip} now", port=intf.name, ip=str(own))]
        if via is not None and neighbourhood.default_gateway(place) is None:
            sentences.append(
                say("its gateway {gateway} is not in its subnet any more: {command}",
                    gateway=str(via), command=f"hoplab set {node.name} --gateway …")
            )  # fmt: skip
        if intf is node.defaultIntf():
            _name_itself(place, node.name, own)
        self._lab.members.forget_addresses([own, *old])
        if self._lab.spec.static_arp:
            self._lab.network.staticArp()
        return sentences

    def _replace_address(self, place: Place, intf: Any, own: IPv4Interface | None) -> None:
        """Put an address in place of those of an interface, and back those routes that can be."""
        route, index = place.namespace.route, place.number(intf.name)
        before = kept_settings.read(route)
        old = neighbourhood.addresses_of(place, intf.name)
        messages = [netlink.address(index, intf.name, str(each), add=False) for each in old]
        if own is not None:
            messages.append(netlink.address(index, intf.name, str(own)))
        try:
            route.send(messages)
        except OSError as error:
            raise LabError(
                say("{port}: {reason}", port=intf.name, reason=error.strerror or str(error)),
                term("see what is there: hoplab exec HOST -- ip addr"),
                Exit.FAILED,
            ) from error
        with contextlib.suppress(OSError):
            kept_settings.put_back(route, replace(before, addresses={}), index)
        _note_address(place, intf, own)

    def _set_gateway(self, place: Place, text: str, *, force: bool) -> list[str]:
        route = place.namespace.route
        if text == NONE:
            if neighbourhood.default_gateway(place) is not None:
                route.send([netlink.no_default_route()])
            return [say("{node} has no gateway any more", node=place.name)]
        gateway = addresses.read_ip(text)
        own = [
            address for name in list(place.index)
            for address in neighbourhood.addresses_of(place, name)
        ]  # fmt: skip
        addresses.check_gateway(gateway, own)
        try:
            route.send([netlink.route(None, gateway=str(gateway))])
        except OSError as error:
            raise LabError(
                say("{node}: {reason}", node=place.name, reason=error.strerror or str(error)),
                term("is its interface up? hoplab link shows it"),
                Exit.FAILED,
            ) from error
        sentences: list[str] = [
            say("{node} has the gateway {gateway} now", node=place.name, gateway=str(gateway))
        ]
        owner = self._owner(gateway)
        if owner is None and not force:
            sentences.append(
                say("nobody in the lab has the address {address}", address=str(gateway))
            )
        return sentences

    def _owner(self, address: IPv4Address) -> str | None:
        for interface in self._lab.network.wiring()["interfaces"]:
            if any(text.partition("/")[0] == str(address) for text in interface["addresses"]):
                return str(interface["node"])
        return None

    @staticmethod
    def _set_dns(name: str, place: Place, text: str) -> list[str]:
        if _RESOLV not in place.files:
            raise LabError(
                say("{node} has no /etc/resolv.conf of its own", node=name),
                term("the script that made it did not give it one: it reads the machine's"),
                Exit.FAILED,
            )
        if text == NONE:
            _write_file(place, _RESOLV, resolv_conf(None))
            return [say("{node} asks no DNS server any more", node=name)]
        server = addresses.read_ip(text)
        own, *rest = resolv_conf(server).splitlines()
        lines = _read_file(place, _RESOLV).splitlines()
        kept = [line for line in lines if line.startswith(("options", "search"))]
        _write_file(place, _RESOLV, "\n".join([own, *(kept or rest)]) + "\n")
        return [say("{node} asks the DNS server {address} now", node=name, address=str(server))]

    # ------------------------------------------------------------------ taking back

    def _take_back(
        self, place: Place, node: Any, before: Settings, files: dict[str, str]
    ) -> None:
        """Have a host as it was."""
        route = place.namespace.route
        with contextlib.suppress(OSError):
            gateway = neighbourhood.default_gateway(place)
            now = kept_settings.read(route)
            added = [key for key in now.addresses if key not in before.addresses]
            if added:
                route.send([
                    replace(message, kind=netlink.RTM_DELADDR, flags=0)
                    for message in kept_settings.messages(now.addresses, added)
                ])  # fmt: skip
            if gateway is not None:
                route.send([netlink.no_default_route()])
            for intf in node.intfList():
                if intf.name in place.index:
                    kept_settings.put_back(route, before, place.number(intf.name))
                    own = neighbourhood.addresses_of(place, intf.name)
                    _note_address(place, intf, own[0] if own else None)
        for target, text in files.items():
            with contextlib.suppress(OSError):
                _write_file(place, target, text)

    def _state(self, node: Any, place: Place) -> Answer:
        gateway = neighbourhood.default_gateway(place)
        return {
            "addresses": {
                self._lab.network.label(intf): [
                    str(own) for own in neighbourhood.addresses_of(place, intf.name)
                ]
                for intf in node.intfList() if intf.name != "lo"
            },
            "gateway": str(gateway) if gateway is not None else None,
            "dns": neighbourhood.resolvers(place),
        }  # fmt: skip


def _note_address(place: Place, intf: Any, own: IPv4Interface | None) -> None:
    """Mininet's own view of an interface; what a script has made is looked at again anyway."""
    if own is None:
        place.address.pop(intf.name, None)
    else:
        place.address[intf.name] = str(own)
    if hasattr(intf, "ip"):
        intf.ip = str(own.ip) if own is not None else None
        intf.prefixLen = own.network.prefixlen if own is not None else None


def _name_itself(place: Place, name: str, own: IPv4Interface) -> None:
    """A host knows itself by name (/etc/hosts)."""
    if _HOSTS not in place.files:
        return
    lines = _read_file(place, _HOSTS).splitlines()
    entry = f"{own.ip} {name}"
    at = [number for number, line in enumerate(lines) if line.split()[1:] == [name]]
    if at:
        lines[at[0]] = entry
    else:
        lines.append(entry)
    _write_file(place, _HOSTS, "\n".join(lines) + "\n")


def _read_file(place: Place, target: str) -> str:
    try:
        return own_file(place, target).read_text(errors="replace")
    except OSError:
        return place.files[target]


def _write_file(place: Place, target: str, text: str) -> None:
    """A host's own file in place of the machine's, before it is used and while it is."""
    place.files[target] = text
    path = own_file(place, target)
    if path.exists():  # the same file: it is bound there
        path.write_text(text)

