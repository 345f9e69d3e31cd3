# SPDX-License-Identifier: Apache-2.0
"""The OpenFlow reference switch, which Mininet's UserSwitch runs, as far as it uses it: in front
of Open vSwitch. Debian does not have the real one.

    ofdatapath -i s1-eth1,s1-eth2 punix:/tmp/s1 -d 000000000001     a bridge with these ports
    ofprotocol unix:/tmp/s1 tcp:127.0.0.1:6653 --listen=punix:/tmp/s1.listen    its controllers
    dpctl dump-flows unix:/tmp/s1.listen                            ovs-ofctl for that bridge

Both programs run until they are ended, and then the bridge goes. A bridge is found by the place
where its switch listens, as these command lines have it: a file in FOLDER, named for that place,
holds how it is reached (`Bridge`). In the namespace of Open vSwitch itself it is a bridge of that;
in any other, where Open vSwitch does not see the interfaces, one of its own is started. Of several
controllers the first one that answers is in charge, and when it goes the next, as in the original.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

FOLDER = Path("/run/hoplab/reference")
SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
PORT = "6633"  # where a switch listens, and a controller, if nobody says
_ENDINGS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
WAIT_S = 10.0  # for a switch that is being started beside
TURN_S = 0.2  # between looks at a controller
FIRST_S = 15.0  # for the first controller, which may still be loading
PATIENCE_S = 6.0  # for one to answer, or to answer again, before the next one is tried
PROBE_MS = 3000  # after so long without a word from a controller it is asked for one


@dataclass(frozen=True)
class Bridge:
    """A switch. folder: of an Open vSwitch of its own, "" for the machine's. process: the
    ofdatapath that it ends with."""

    name: str
    folder: str
    process: int

    def vsctl(self, *words: str) -> str:
        """What ovs-vsctl prints."""
        database = [f"--db=unix:{self.folder}/db.sock"] if self.folder else []
        return _output(["ovs-vsctl", *database, "--timeout=10", *words])

    def ofctl(self, command: str, words: Sequence[str]) -> int:
        place = f"{self.folder}/{self.name}.mgmt" if self.folder else self.name
        target = f"unix:{place}" if self.folder else place
        return subprocess.run(["ovs-ofctl", command, target, *words]).returncode


def main(argv: Sequence[str]) -> int:
    program, *words = argv
    return {"ofdatapath": datapath, "ofprotocol": protocol, "dpctl": dpctl}[program](words)


def place_of(address: str) -> Path:
    """The file for a place where a switch or its ofprotocol listens: 'punix:/tmp/s1' and
    'unix:/tmp/s1' are one place, and so are 'ptcp:' and 'tcp:localhost' in one namespace."""
    kind, _, rest = address.partition(":")
    if kind.endswith("unix"):
        return FOLDER / rest.strip("/").replace("/", "_")
    number = re.search(r"\d+", os.readlink("/proc/self/ns/net"))
    port = rest.rpartition(":")[2]
    return FOLDER / f"{number[0] if number else ''}-{port if port.isdigit() else PORT}"


def read(address: str) -> Bridge | None:
    """The switch that listens there, in this namespace."""
    kind, host, *_ = [*address.split(":"), ""]
    if kind == "tcp" and host != "localhost" and not host.startswith("127."):
        return None
    with contextlib.suppress(OSError, ValueError):
        bridge = Bridge(**json.loads(place_of(address).read_text()))
        if os.path.exists(f"/proc/{bridge.process}"):
            return bridge
    return None


def write(address: str, bridge: Bridge) -> None:
    place = place_of(address)
    draft = place.with_name(f"{place.name}.{os.getpid()}")
    draft.write_text(json.dumps(asdict(bridge)))
    draft.replace(place)


def end_in_order() -> None:
    """From now on whoever ends this process has it take away what it made: Mininet ends it, and at
    once its shell, which ends it and its children a second time."""

    def end(*_: object) -> None:
        for each in _ENDINGS:
            signal.signal(each, signal.SIG_IGN)
        sys.exit(0)

    for each in _ENDINGS:
        signal.signal(each, end)


def in_place_of_the_former(name: str) -> None:
    """Wait until the process that had a bridge of that name has ended: it takes it away, and
    Mininet does not wait for that."""
    lock = os.open(FOLDER / f"{name}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)  # until our end
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(0.02)


# ------------------------------------------------------------------------------ ofdatapath


def datapath(words: Sequence[str]) -> int:
    interfaces, dpid, address = datapath_wish(words)
    FOLDER.mkdir(parents=True, exist_ok=True)
    place = place_of(address)
    here = os.readlink("/proc/self/ns/net") == os.readlink("/proc/1/ns/net")
    name = re.sub(r"\W", "", place.name.removeprefix("tmp_"))[:11] if here else "reference"
    kind = "system" if here and os.environ.get("HOPLAB_DATAPATH") == "kernel" else "netdev"
    folder = "" if here else str(place.with_name(f"{place.name}.ovs"))
    bridge = Bridge(name, folder, os.getpid())
    end_in_order()
    in_place_of_the_former(place.name if folder else name)
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        if folder:
            daemons += own_open_vswitch(Path(folder))
        settings = [f"datapath_type={kind}", "fail_mode=secure"]
        if dpid:
            settings.append(f"other-config:datapath-id={dpid.zfill(16)}")
        command = ["--may-exist", "add-br", name, "--", "set", "bridge", name, *settings]
        # Mininet has shaped the interfaces already, and Open vSwitch would take their queues away.
        command += ["--", "--id=@own", "create", "qos", "type=linux-noop"]
        for number, interface in enumerate(interfaces, 1):
            command += ["--", "add-port", name, interface]
            command += ["--", "set", "port", interface, "qos=@own"]
            command += ["--", "set", "interface", interface, f"ofport_request={number}"]
        bridge.vsctl(*command)
        write(address, bridge)
        while True:
            signal.pause()
    finally:
        place.unlink(missing_ok=True)
        if not folder:
            bridge.vsctl("--if-exists", "del-br", name)
        for daemon in daemons:
            daemon.terminate()


def datapath_wish(words: Sequence[str]) -> tuple[list[str], str, str]:
    """The interfaces, the datapath id and where to listen, from ofdatapath's command line."""
    interfaces, dpid, address = "", "", f"ptcp:{PORT}"
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if name in ("-i", "--interfaces", "-d", "--datapath-id"):
            value = value if equals else rest.pop(0)
            if "i" in name[:3]:
                interfaces = value
            else:
                dpid = value
        elif word.startswith(("punix:", "ptcp:")):
            address = word
    return [each for each in interfaces.split(",") if each], dpid, address


def own_open_vswitch(folder: Path) -> list[subprocess.Popen[bytes]]:
    """One for this namespace alone."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind in ("RUNDIR", "LOGDIR", "DBDIR", "SYSCONFDIR"):
        os.environ[f"OVS_{kind}"] = str(folder)
    database, remote = f"{folder}/conf.db", f"unix:{folder}/db.sock"
    Path(database).unlink(missing_ok=True)
    _output(["ovsdb-tool", "create", database, SCHEMA])
    daemons = [_daemon("ovsdb-server", database, f"--remote=p{remote}", "--unixctl=none")]
    _output(["ovs-vsctl", f"--db={remote}", "--retry", "--no-wait", "init"])
    return [*daemons, _daemon("ovs-vswitchd", remote, f"--unixctl={folder}/ctl")]


def _daemon(*command: str) -> subprocess.Popen[bytes]:
    null = subprocess.DEVNULL
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    environment = {**os.environ, "PATH": path}
    return subprocess.Popen(command, env=environment, stdin=null, stdout=null, stderr=null)


# ------------------------------------------------------------------------------ ofprotocol


def protocol(words: Sequence[str]) -> int:
    addresses = [a for word in words if not word.startswith("-") for a in word.split(",") if a]
    listen = [word.partition("=")[2] for word in words if word.startswith("--listen=")]
    bridge, place = _found(addresses)
    if bridge is None:
        print("ofprotocol: there is no ofdatapath at", *addresses, file=sys.stderr)
        return 1
    end_in_order()
    for each in listen:
        write(each, bridge)
    controllers = [_whole(address) for address in addresses if address != place]
    fails_open = "--fail=closed" not in words
    if fails_open:  # a learning switch by itself until there is a controller
        bridge.vsctl("set-fail-mode", bridge.name, "standalone")
    try:
        while not controllers:
            signal.pause()
        if fails_open:
            _until_one_listens(controllers)
        _in_turn(bridge, controllers)
    finally:
        for each in listen:
            place_of(each).unlink(missing_ok=True)
        bridge.vsctl("--if-exists", "del-controller", bridge.name)
    return 0


def _found(addresses: Sequence[str]) -> tuple[Bridge | None, str]:
    """The switch that one of these addresses is of, and which; it may just be starting."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        for address in addresses:
            bridge = read(address)
            if bridge is not None:
                return bridge, address
        time.sleep(0.02)
    return None, ""


def _whole(address: str) -> str:
    """A controller's address with its port."""
    return address if re.search(r":\d+$", address) else f"{address.rstrip(':')}:{PORT}"


def _until_one_listens(controllers: Sequence[str]) -> None:
    while True:
        for controller in controllers:
            _, host, port = controller.split(":")
            with contextlib.suppress(OSError):
                socket.create_connection((host, int(port)), timeout=1).close()
                return
        time.sleep(TURN_S)


def _in_turn(bridge: Bridge, controllers: Sequence[str]) -> None:
    """Let the first controller that answers be in charge, until it does not, and so on for ever."""
    patience_s = FIRST_S
    for controller in itertools.cycle(controllers):
        quick = ["max_backoff=1000", f"inactivity_probe={PROBE_MS}"]
        bridge.vsctl(
            "set-controller", bridge.name, controller,
            "--", "set", "controller", bridge.name, "connection_mode=out-of-band", *quick,
        )  # fmt: skip
        last_s, connected = time.monotonic(), False
        while time.monotonic() - last_s < patience_s or len(controllers) == 1:
            state = bridge.vsctl("get", "controller", bridge.name, "is_connected").strip()
            if state == "true":
                last_s, patience_s = time.monotonic(), PATIENCE_S
                if not connected:
                    print(f"{controller}: connected", flush=True)
            connected = state == "true"
            time.sleep(TURN_S)
        patience_s = PATIENCE_S


# ----------------------------------------------------------------------------------- dpctl


def dpctl(words: Sequence[str]) -> int:
    """`dpctl COMMAND ADDRESS WORDS…`, in either order."""
    addresses = [word for word in words if re.match(r"(unix|tcp|nl):", word)]
    command, *rest = [word for word in words if word not in addresses] or ["status"]
    bridge = next((found for address in addresses if (found := read(address))), None)
    if bridge is None:
        print("dpctl: there is no switch at", *addresses, file=sys.stderr)
        return 1
    if command == "status":
        state = bridge.vsctl("get", "controller", bridge.name, "is_connected").strip()
        print(f"local.is-connected=true\nremote.is-connected={state or 'false'}")
        return 0
    return bridge.ofctl(command, rest)


def _output(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        print(done.stderr.strip(), file=sys.stderr, flush=True)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
