# SPDX-License-Identifier: Apache-2.0
"""A lab as an object: brought up, changed, asked, recorded in, and ended.

>>> with Lab("web", controller="learning_switch") as lab:
...     run = lab.trace("client", ["ping", "-c", "1", "10.80.0.80"])
...     print(run.story.outcome.ok)
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import shlex
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hoplab import quantities, ryu_apps
from hoplab.api.recorded import Recorded, take_run
from hoplab.client import changes, commands, interrupts, labs, launcher, recording
from hoplab.client.schedule import Planned
from hoplab.client.topologies import find_topology
from hoplab.errors import Exit, LabError, cannot_write
from hoplab.nearest import meant
from hoplab.ryu_apps import Apps
from hoplab.sentences import listed, say, sentence_of, term
from hoplab.service.spec import Spec

Command = Sequence[str] | str
_numbers = itertools.count(1)


def make_spec(
    topology: str | Path,
    controller: str | Path = "",
    *,
    topo: str = "",
    name: str = "",
    platform: str = "",
    datapath: str = "auto",
    ipv6: bool = False,
    static_arp: bool = False,
    controllers: int = 1,
) -> Spec:
    """A lab as it is asked for in words. Raises LabError."""
    wanted = find_topology(str(topology), topo)
    apps = ryu_apps.find(str(controller)) if controller else Apps()
    platform = platform or _installed_platform()
    ryu_apps.check_platform(apps.apps, platform)
    return Spec(
        name=name,
        folder=Path(),
        topology=wanted.file,
        arguments=wanted.parameters,
        chosen=wanted.chosen,
        words=wanted.words,
        controller=apps,
        platform=platform,
        standby=controllers > 1,
        datapath=datapath,
        ipv6=ipv6,
        static_arp=static_arp,
        workplace=Path(labs.here()),
    )


def fresh_name() -> str:
    """A name for a lab that no other process gives."""
    return f"api-{os.getpid()}-{next(_numbers)}"


def _installed_platform() -> str:
    """What can run controllers here: Ryu, or its fork where that alone is installed."""
    alone = importlib.util.find_spec("ryu") is None and importlib.util.find_spec("os_ken")
    return "os-ken" if alone else "ryu"


def _words(command: Command) -> list[str]:
    return shlex.split(command) if isinstance(command, str) else [str(word) for word in command]


@dataclass(frozen=True)
class Answer:
    """How a command on a host ended: its exit code, and all that it printed."""

    code: int
    output: str

    @property
    def ok(self) -> bool:
        return self.code == 0


class Host:
    """A host or router of a lab."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.lab = lab
        self.name = name

    @property
    def interfaces(self) -> list[str]:
        """Names of its interfaces."""
        return [str(each["name"]) for each in self._own()]

    @property
    def addresses(self) -> list[str]:
        """Its addresses with their prefix lengths, as it was built: '10.0.0.1/24'."""
        return [str(address) for each in self._own() for address in each["addresses"]]

    @property
    def ip(self) -> str:
        """The first of its addresses, without the prefix length; "" if it has none."""
        return self.addresses[0].partition("/")[0] if self.addresses else ""

    def _own(self) -> list[dict[str, Any]]:
        return [each for each in self.lab.state["interfaces"] if each["node"] == self.name]

    def run(self, command: Command, *, timeout_s: float = 120, check: bool = False) -> Answer:
        """Run a command to its end. check: raise LabError where it does not exit with 0. Raises
        LabError for one that does not end in time."""
        words = _words(command)
        code, output = commands.run_on(self.lab.handle, self.name, words, timeout_s=timeout_s)
        if check and code:
            raise LabError(
                say(
                    "{host}: {command}: this failed (exit code {code}).",
                    host=self.name,
                    command=shlex.join(words),
                    code=code,
                ),
                code=Exit.FAILED,
                detail=output,
            )
        return Answer(code, output)

    def trace(self, command: Command, **options: Any) -> Recorded:
        """`Lab.trace` of a command on this host."""
        return self.lab.trace(self.name, command, **options)

    def __repr__(self) -> str:
        return f"<host {self.name} of {self.lab.name}>"


class Link:
    """The cable between two nodes, or two interfaces, of a lab."""

    def __init__(self, lab: Lab, first: str, second: str) -> None:
        self.lab = lab
        self.ends = (first, second)

    def _change(
        self,
        state: str | None = None,
        wish: Mapping[str, float] | None = None,
        *,
        clear: bool = False,
    ) -> Link:
        request = changes.link_request(*self.ends, state, wish or {}, clear=clear)
        self.lab.handle.ask(request)
        return self

    def down(self) -> Link:
        """Cut it."""
        return self._change("down")

    def up(self) -> Link:
        """Mend it."""
        return self._change("up")

    def set(self, **limits: str) -> Link:
        """Change what it does to frames: rate="10M", delay="20ms", jitter="2ms", loss="1%",
        queue="50". Raises LabError for what cannot be read."""
        wish = {}
        for name, text in limits.items():
            if f"--{name}" not in changes.LIMITS:
                names = listed(option[2:] for option in changes.LIMITS)
                raise LabError(
                    say("a cable has no {name}", name=name),
                    say("it has: {names}", names=names),
                    Exit.USAGE,
                )
            key, read = changes.LIMITS[f"--{name}"]
            try:
                wish[key] = read(text)
            except ValueError as error:
                raise LabError(sentence_of(error), code=Exit.USAGE) from error
        return self._change(wish=wish)

    def clear(self) -> Link:
        """No rate, delay, loss or queue of its own any more."""
        return self._change(clear=True)

    @property
    def state(self) -> dict[str, Any]:
        """What `hoplab link --json` tells of it."""
        for cable in self.lab.handle.ask({"op": "links"}):
            names = [{end["node"], end["interface"]} for end in cable["ends"]]
            first, second = self.ends
            if (first in names[0] and second in names[1]) or (
                first in names[1] and second in names[0]
            ):
                state: dict[str, Any] = cable
                return state
        raise LabError(
            say("there is no cable of {names}", names=listed(self.ends)),
            term("hoplab link lists the cables"),
            Exit.NO_SUCH,
        )

    def __repr__(self) -> str:
        return f"<link {self.ends[0]} {self.ends[1]} of {self.lab.name}>"


class Lab:
    """A lab of this program's: up from `with` or `up()` on, ended with the block, by `down()`, or
    with the program.

    topology: one of ours ('web', 'switch,n=3'), or a file ('./mine.py:star,n=4'). controller: one
    of ours ('hub'), a file or a module; "" for the topology's own. topo: as for `mn --topo`.
    platform: 'ryu' or 'os-ken', "" for what is installed. Other options as for `hoplab up`.
    """

    def __init__(
        self,
        topology: str | Path = "web",
        controller: str | Path = "",
        *,
        topo: str = "",
        name: str = "",
        platform: str = "",
        datapath: str = "auto",
        ipv6: bool = False,
        static_arp: bool = False,
        controllers: int = 1,
    ) -> None:
        self._spec: Spec | None = make_spec(
            topology, controller, topo=topo, name=name or fresh_name(), platform=platform,
            datapath=datapath, ipv6=ipv6, static_arp=static_arp, controllers=controllers,
        )  # fmt: skip
        self._order: launcher.Order | None = None
        self._handle: labs.Handle | None = None

    @classmethod
    def ordered(cls, order: launcher.Order) -> Lab:
        """The lab that was asked for already. Raises LabError."""
        lab = cls.__new__(cls)
        lab._spec, lab._order = None, order
        lab._handle = order.lab()
        return lab

    @classmethod
    def attach(cls, name: str | None = None) -> Lab:
        """A lab that is up already, by its name, or the only one. It stays up. Raises LabError."""
        lab = cls.__new__(cls)
        lab._spec, lab._order = None, None
        lab._handle = labs.find(name)
        return lab

    def up(self) -> Lab:
        """Bring it up, and return when it is ready. Raises LabError."""
        if self._handle is None:
            if self._spec is None:
                raise labs.no_lab(labs.DEFAULT_NAME)
            order = launcher.order(self._spec)
            try:
                self._handle = order.lab()
            except BaseException:
                order.give_up()
                raise
            self._order = order
        return self

    def down(self) -> None:
        """End it, with all that runs in it. One that was attached stays."""
        order, self._order, self._handle = self._order, None, None
        if order is not None:
            order.end()

    def __enter__(self) -> Lab:
        return self.up()

    def __exit__(self, *_: object) -> None:
        self.down()

    @property
    def handle(self) -> labs.Handle:
        """Its folder and its socket. Raises LabError while it is not up."""
        if self._handle is None:
            name = self._spec.name if self._spec is not None else labs.DEFAULT_NAME
            raise LabError(
                say("no lab called {lab} is up", lab=name),
                say("bring it up: {command}", command="with hoplab.Lab(…) as lab:"),
                Exit.NO_SUCH,
            )
        return self._handle

    @property
    def name(self) -> str:
        """What `hoplab ls` calls it."""
        return self.handle.name

    @property
    def state(self) -> dict[str, Any]:
        """What lab.json says: nodes, interfaces, controller, url, client …"""
        return self.handle.state()

    @property
    def hosts(self) -> dict[str, Host]:
        """Hosts and routers by name."""
        return {
            node["name"]: Host(self, node["name"])
            for node in self.state["nodes"]
            if node["kind"] != "switch"
        }

    @property
    def switches(self) -> list[str]:
        """Names of the switches."""
        return [node["name"] for node in self.state["nodes"] if node["kind"] == "switch"]

    def __getitem__(self, name: str) -> Host:
        """A host or router. Raises LabError."""
        hosts = self.hosts
        if name not in hosts:
            raise LabError(
                say("this lab has no host {host}", host=name),
                meant(name, hosts),
                Exit.NO_SUCH,
            )
        return hosts[name]

    def link(self, first: str, second: str) -> Link:
        """The cable between two nodes or interfaces."""
        return Link(self, first, second)

    def change(self, line: str) -> Any:
        """A change as the command line has it: 'add host h9 --to s1', 'remove r1',
        'set h1 --ip 10.0.0.9/24', 'link r1 r2 down'. Raises LabError."""
        answer, pressed = labs.change(self.handle, changes.understood(line))
        _heed(pressed)
        return answer

    def swap(self, controller: str | Path) -> dict[str, Any]:
        """Put another controller in charge of the switches, and return when it is. Raises
        LabError; the old one stays in charge then."""
        apps = ryu_apps.find(str(controller))
        request = {**apps.as_data(), "workplace": labs.here()}
        answer, pressed = labs.swap(self.handle, request)
        _heed(pressed)
        return answer

    def table(self, *switches: str) -> list[dict[str, Any]]:
        """What switches know: addresses, flows, groups, meters, as `hoplab table --json`."""
        tables: list[dict[str, Any]] = self.handle.ask(
            {"op": "table", "switches": list(switches)}
        )["switches"]
        return tables

    def pingall(self, *hosts: str, timeout_s: float = 600) -> dict[str, Any]:
        """Who reaches whom: 'pairs', 'reached', 'lost'."""
        request = {"op": "pingall", "hosts": list(hosts) or None}
        result: dict[str, Any] = self.handle.ask(request, within_s=timeout_s)
        return result

    def trace(
        self,
        host: str,
        command: Command,
        *,
        timeout_s: float = 120,
        at: Sequence[tuple[str, str]] = (),
    ) -> Recorded:
        """Run a command on a host with every frame of the lab captured. at: changes meanwhile, as
        in [("1s", "link r1 r2 down")]. A command that takes too long is ended, and the run says so
        (`timed_out`). Raises LabError."""
        words = _words(command)
        return self._record(
            host, words, timeout_s, at, host=self[host].name, command=shlex.join(words)
        )

    def visit(self, url: str = "", client: str = "", *, timeout_s: float = 30) -> Recorded:
        """Fetch a page with the lab's own client: the URL and the host that the topology names,
        unless told otherwise. Raises LabError."""
        state = self.state
        url = url or state["url"] or ""
        if not url:
            raise LabError(
                say("the topology {topology} names no URL to visit", topology=state["topology"]),
                say("give one: {command}", command='lab.visit("http://ADDRESS/")'),
                Exit.USAGE,
            )
        host = self[client or state["client"] or next(iter(self.hosts), "")].name
        words = recording.fetch_command(url, timeout_s)
        return self._record(host, words, timeout_s + 10, (), host=host, url=url)

    def _record(
        self,
        host_name: str,
        words: Sequence[str],
        timeout_s: float,
        at: Sequence[tuple[str, str]],
        **told: str,
    ) -> Recorded:
        """told: what the story is of, as in `take_run`."""
        planned = [Planned(_seconds(when), text, changes.understood(text)) for when, text in at]
        handle = self.handle
        try:
            folder = Path(tempfile.mkdtemp(prefix="run-", dir=handle.folder))
        except OSError as error:
            raise cannot_write(error, handle.folder) from error
        try:
            recorded = recording.record(
                handle, host_name, words, folder, timeout_s=timeout_s, planned=planned
            )
            _heed(recorded.interrupted)
            return take_run(recorded, **told)
        except OSError as error:
            raise cannot_write(error, folder) from error
        finally:
            with contextlib.suppress(OSError):
                shutil.rmtree(folder)

    def __repr__(self) -> str:
        return f"<lab {self._handle.name}>" if self._handle is not None else "<lab, not up>"


def _seconds(text: str) -> float:
    try:
        return quantities.moment(text)
    except ValueError as error:
        raise LabError(
            sentence_of(error),
            say("as in {example}", example='at=[("3s", "link h1 s1 down")]'),
            Exit.USAGE,
        ) from error


def _heed(pressed: bool) -> None:
    """A Ctrl-C that went to the lab first is the program's, too."""
    interrupts.release_interrupts()
    if pressed:
        raise KeyboardInterrupt
