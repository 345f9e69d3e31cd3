# SPDX-License-Identifier: Apache-2.0
"""Records the runs in tests/data/runs on a real lab: `python tests/record_runs.py [NAME …]`.

Each scene is a lab of its own, what is broken in it, and one command whose frames are kept. A run
folder is what `--save` leaves, less what no test reads: the story in `trace.json` is told anew
from the frames, and `lab.json` need not know where a checkout was.

The golden stories of the runs hold addresses, ports and times of these very captures; after a new
recording they are written anew by `HOPLAB_UPDATE_GOLDEN=1 pytest tests/unit/test_runs.py`.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hoplab.capture import pcapng_reader, pcapng_writer

PROJECT = Path(__file__).resolve().parent.parent
RUNS = PROJECT / "tests" / "data" / "runs"
LARGEST = 100_000  # bytes of a capture: these files live in the repository
HEAD = ("format", "topology", "controller", "host", "command", "request", "exit_code", "output")


@dataclass(frozen=True)
class Scene:
    """up: arguments of `hoplab up`. before: commands on hosts, first word the host. verb: the
    recorded command; its host is the first word for a trace. frames: keep only the first so many
    of the capture, 0 for all; what the cut leaves on its way must be part of a storm."""

    name: str
    up: str
    verb: str
    before: tuple[str, ...] = ()
    frames: int = 0


PING = "trace h1 -- ping -c 1 -W 4 "
PING_6 = "trace h1 -- ping -6 -c 1 -W 2 fe80::ff:fe00:200%h1-eth0"
SURE = "sh -c 'while ip -6 address show tentative | grep -q inet6; do sleep 0.1; done'"
PAGE = "http://www.itheima.com/"
NAT = (
    "r1 nft add table ip nat",
    "r1 nft add chain ip nat post { type nat hook postrouting priority 100 ; }",
    "r1 nft add rule ip nat post oifname r1-eth1 masquerade",
)
# A lab has process numbers of its own, so this finds and ends the lab's controller and no other.
KILL = (
    "for p in /proc/[0-9]*; do grep -qs hoplab[.]control[.]ryu_main $p/cmdline && "
    "kill -9 ${p##*/}; done; "
    "exec ping -c 3 -W 2 10.0.0.2"
)
WARM = "h1 ping -c 1 -W 1 10.0.2.10"
# A receiver that goes on in the background: it listens, takes one connection, does nothing for so
# many seconds, and answers each piece that it reads with one byte, or none with anything.
RECEIVE = (
    "h2 python3 -c 'import os, socket, time; s = socket.socket(); "
    "s.setsockopt(*{option}); s.bind((str(), 5001)); s.listen(); os.fork() and os._exit(0); "
    "[os.dup2(os.open(os.devnull, 2), n) for n in range(3)]; "
    "c, _ = s.accept(); time.sleep({wait}); "
    "all({answer} for piece in iter(lambda: c.recv(65536), bytes()))'"
)
SMALL, NARROW = "(6, 2, 120)", "(1, 8, 4096)"  # TCP_MAXSEG, SO_RCVBUF
SEND = (
    "trace h1 -- python3 -c 'import socket; c = socket.create_connection((\"{to}\", 5001)); "
    "{send}; c.shutdown(1); c.recv(1)'"
)
ASK = "[(c.sendall(bytes(100)), c.recv(1)) for _ in range(6)]"
EVERY_THIRD = (
    "h2 iptables -A INPUT -p tcp --dport 5001 -m length --length 100:200 "
    "-m statistic --mode nth --every 3 --packet 1 -j DROP"
)

SCENES = (
    Scene("cable-one-subnet", "cable", PING + "192.168.1.2"),
    Scene("cable-two-subnets", "cable,ip2=192.168.2.2/24", PING + "192.168.2.2"),
    Scene("hub", "hub", PING + "10.0.0.2"),
    Scene("switch", "switch", PING + "10.0.0.2"),
    Scene("routed-cold", "routed", PING + "10.0.2.10"),
    Scene("routed-warm", "routed", PING + "10.0.2.10", (WARM,)),
    Scene("web-cold", "web", f"visit {PAGE}"),
    Scene("web-warm", "web", f"visit {PAGE}", (f"client @fetch {PAGE}",)),
    Scene("web-hub", "web --controller hub", f"visit {PAGE}", (f"client @fetch {PAGE}",)),
    Scene("nxdomain", "web", "visit http://no.such.itheima.com/"),
    Scene("refused", "web", "visit http://closed.itheima.com/"),
    Scene("dead-host", "web", "visit http://down.itheima.com/"),
    Scene("ttl-expiry", "routed", "trace h1 -- ping -c 1 -W 1 -t 1 10.0.2.10"),
    Scene(
        "wrong-netmask", "routed", PING + "10.0.2.10",
        (
            "h1 ip address del 10.0.1.10/24 dev h1-eth0",
            "h1 ip address add 10.0.1.10/16 dev h1-eth0",
        ),
    ),
    Scene("missing-gateway", "routed", PING + "10.0.2.10", ("h1 ip route del default",)),
    Scene(
        "missing-gateway-back", "routed", PING + "10.0.2.10", (WARM, "h3 ip route del default")
    ),
    Scene("nat", "routed", PING + "10.0.2.10", (WARM, *NAT)),
    Scene(
        "fragmentation", "routed", "trace h1 -- ping -c 1 -W 1 -M dont -s 1200 10.0.2.10",
        (WARM, "r1 ip link set r1-eth1 mtu 600", "h3 ip link set h3-eth0 mtu 600"),
    ),
    Scene(
        "reply-lost", "routed", "trace h1 -- ping -c 1 -W 1 -M dont -s 1200 10.0.2.10",
        (WARM, "r1 ip link set r1-eth1 mtu 600"),
    ),
    Scene(
        "must-not-fragment", "routed", "trace h1 -- ping -c 1 -W 1 -M do -s 1200 10.0.2.10",
        (WARM, "r1 ip link set r1-eth1 mtu 600"),
    ),
    Scene("controller-killed", "switch", f"trace h1 -- sh -c '{KILL}'"),
    Scene("ipv6", "switch,n=2 --ipv6", PING_6, tuple(f"{host} {SURE}" for host in ("h1", "h2"))),
    # Sent before the addresses are known to be free (RFC 4862 section 5.4): needs a slow machine.
    Scene("ipv6-too-early", "switch,n=2 --ipv6", PING_6),
    # Nobody has that address, so that the broadcast alone goes round and no answer beside it.
    Scene("loop-storm", "loop --controller hub", "trace h1 -- ping -c 1 -W 1 10.0.0.9", frames=500),
    Scene("no-such-page", "web", f"visit {PAGE}nowhere.html", (f"client @fetch {PAGE}",)),
    Scene("no-address", "web", "visit http://v6.itheima.com/"),
    Scene(
        "tcp-full-queue", "switch,n=2", SEND.format(to="10.0.0.2", send="c.sendall(bytes(4200))"),
        (
            "h1 ping -c 1 10.0.0.2", "h2 ping -c 1 10.0.0.1",
            "s1 tc qdisc replace dev s1-eth2 root tbf rate 200kbit burst 1600 limit 1600",
            RECEIVE.format(option=SMALL, wait=0, answer="True"),
        ),
    ),
    Scene(
        "tcp-no-room", "cable", SEND.format(to="192.168.1.2", send="c.sendall(bytes(16000))"),
        (RECEIVE.format(option=NARROW, wait=3, answer="True"),),
    ),
    Scene(
        "tcp-timeouts", "cable", SEND.format(to="192.168.1.2", send=ASK),
        (EVERY_THIRD, RECEIVE.format(option=SMALL, wait=0, answer="c.send(b\"x\")")),
    ),
    Scene("traceroute", "web", "trace client -- traceroute -n -q 1 -N 1 -w 1 10.80.0.80"),
)  # fmt: skip


def hoplab(state: Path, *arguments: str, ok: bool = True) -> None:
    """`hoplab ARGUMENTS` in a state folder of our own."""
    environment = {**os.environ, "XDG_STATE_HOME": str(state), "PYTHONPATH": str(PROJECT)}
    argv = [sys.executable, "-m", "hoplab.cli.main", *arguments]
    result = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    if ok and result.returncode:
        raise SystemExit(f"hoplab {' '.join(arguments)}: {result.stdout}{result.stderr}")


def words(state: Path, line: str) -> list[str]:
    """`HOST -- COMMAND`; @fetch is the lab's own client."""
    host, *command = shlex.split(line)
    if command[0] == "@fetch":
        command[:1] = [sys.executable, str(PROJECT / "apps" / "fetch.py")]
    return [host, "--", *command]


def record(scene: Scene) -> None:
    """One scene, from `up` to the kept files."""
    home = Path(tempfile.mkdtemp(prefix="hoplab-record-"))
    try:
        hoplab(home, "up", *scene.up.split())
        for line in scene.before:
            hoplab(home, "exec", *words(home, line))
        verb, *rest = shlex.split(scene.verb)
        kept = home / "run"
        hoplab(home, verb, "--save", str(kept), *rest, ok=False)
        keep(scene, kept)
    finally:
        hoplab(home, "down", "--all", ok=False)
        shutil.rmtree(home, ignore_errors=True)


def cut(path: Path, frames: int) -> None:
    """Leave the first frames of a capture."""
    capture = pcapng_reader.read(path)
    del capture.observations[frames:]
    kept = {number for number in capture.comments if number <= frames}
    capture.comments = {number: capture.comments[number] for number in kept}
    with open(path, "wb") as file:
        pcapng_writer.write_all(file, capture)


def keep(scene: Scene, kept: Path) -> None:
    """Move what tests read to its place."""
    if scene.frames:
        cut(kept / "capture.pcapng", scene.frames)
    size = (kept / "capture.pcapng").stat().st_size
    if size > LARGEST:
        raise SystemExit(f"{scene.name}: the capture has {size} bytes, more than {LARGEST}")
    place = RUNS / scene.name
    place.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(kept / "capture.pcapng", place / "capture.pcapng")
    lab = json.loads((kept / "lab.json").read_text())
    for key in ("topology_file", "controller_file"):
        if lab.get(key):
            lab[key] = Path(lab[key]).name
    trace = json.loads((kept / "trace.json").read_text())
    head = {key: trace[key] for key in HEAD if key in trace}
    for name, data in (("lab.json", lab), ("trace.json", head)):
        (place / name).write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n")
    print(f"{scene.name}: {size:,} bytes, {trace['outcome']['sentence']}")


def main(names: list[str]) -> None:
    """Record the named scenes, or all."""
    unknown = set(names) - {scene.name for scene in SCENES}
    if unknown:
        raise SystemExit(f"no scene is called {', '.join(sorted(unknown))}")
    for scene in SCENES:
        if not names or scene.name in names:
            record(scene)


if __name__ == "__main__":
    main(sys.argv[1:])
