# SPDX-License-Identifier: Apache-2.0
"""Scripts in the manner of those that people put online: each works under `hoplab run` as it
stands, or a line says why not and what to do; and `hoplab up` takes those that are a Topo.

Each script in tests/data/scripts says in its first lines what is to come of it: `kind`; `words` on
its command line; what is `type`d, with | between lines; what its output is `expect`ed to have, or
what hoplab `says` in a line of its own where it cannot work on some machines; and `up`, the words
after `hoplab up`. While it is at its end, held there by `HOLD`, another terminal traces it.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hoplab import wait
from hoplab.capture import pcapng_reader
from tests.conftest import PROJECT, World

pytestmark = pytest.mark.net

SCRIPTS = PROJECT / "tests" / "data" / "scripts"
# The most different ones, each for what others have, too.
EVERY_TIME = (
    "miniedit_export", "linux_router", "host_moves", "user_switch", "results_in_tmp", "python2",
)  # fmt: skip
# May send no frame at all: where the machine lacks a program, or the kernel has no VLANs (8021q).
NOT_SHOWN = ("python2", "quagga_rip", "pox_controller_class", "xterm", "vlan_hosts")


@dataclass(frozen=True)
class Script:
    """A script, and what its first lines say of it."""

    path: Path
    kind: str = ""
    words: str = ""
    type: str = ""
    expect: str = ""
    says: str = ""
    up: str = ""


def read(name: str) -> Script:
    path = SCRIPTS / f"{name}.py"
    fields = dict(re.findall(r"^# (kind|words|type|expect|says|up): (.*)$", path.read_text(), re.M))
    return Script(path, **fields)


def within_s() -> int:
    """How long a script may take: twenty switches with RSTP take half a minute on busy cores."""
    return int(120 * wait.patience())


def verdict(world: World, script: Script) -> tuple[str, int]:
    """'works', 'says why' or 'no' with what was printed; and how many frames were seen."""
    typed = "".join(f"{line}\n" for line in script.type.split("|") if line)
    run = world.home / script.path.stem  # a whole run: what `hoplab report` tells of
    argv = ["/usr/bin/timeout", "-k", "5", str(within_s()), "/usr/bin/python3", str(script.path)]
    ended = world(
        "run", "--save", str(run), "--", *argv, *shlex.split(script.words),
        code=None, input=typed, timeout=within_s() + 60,
    )  # fmt: skip
    text = ended.out + ended.err
    frames = 0
    if (run / "lab.json").exists():
        nodes = {node["name"] for node in json.loads((run / "lab.json").read_text())["nodes"]}
        capture = pcapng_reader.read(run / "capture.pcapng")
        frames = len(capture.observations)
        assert nodes, "a lab without anything in it"
    ours = "\n".join(line for line in ended.err.splitlines() if line.startswith("hoplab: "))
    if script.says and re.search(script.says, ours):
        return "says why", frames
    works = bool(script.expect) and re.search(script.expect, text) and "Traceback" not in text
    if works and ended.code == 0:
        return "works", frames
    lines = [line for line in text.splitlines() if line.strip()]
    return f"no ({ended.code}): {' / '.join(lines[-4:])[-300:]}", frames


@pytest.mark.parametrize("name", EVERY_TIME)
def test_a_script_that_people_wrote(hoplab: World, name: str) -> None:
    script = read(name)
    judged, frames = verdict(hoplab, script)
    assert not judged.startswith("no"), judged
    assert frames or name in NOT_SHOWN


def brought_up(world: World, script: Script) -> str:
    """What `up` makes of it: 'up and traced', or its words."""
    words = [w.replace("./", f"{SCRIPTS}/", 1) for w in shlex.split(script.up)]
    ended = world("up", "--replace", *words, code=None)
    if ended.code:
        text = ended.err.strip().splitlines()
        return "says why" if "Next:" in ended.err else f"no: {text[-1:]}"
    proposed = re.search(r"hoplab (trace \S+ -- ping -c 1 \S+?)(;|$)", ended.out, re.M)
    if proposed is None:
        return f"no trace proposed: {ended.out}"
    story = world(*shlex.split(proposed[1]), code=None).out
    world("down")
    return "up, traced" if "Every line is read from captured frames" in story else f"no: {story}"


# Runs a script, and has its network wait before it ends until somebody has traced it.
HOLD = """
import os, runpy, sys, time
import mininet.net, mininet.node
def held(ending):
    def wait_and_end(self, *arguments, **named):
        if not os.path.exists('held'):
            open('held', 'w').close()
            while not os.path.exists('go'):
                time.sleep(0.05)
        return ending(self, *arguments, **named)
    return wait_and_end
mininet.net.Mininet.stop = held(mininet.net.Mininet.stop)
mininet.node.Host.terminate = held(mininet.node.Host.terminate)
sys.argv = sys.argv[1:]
sys.path[0] = os.path.dirname(sys.argv[0])
runpy.run_path(sys.argv[0], run_name='__main__')
"""


def traced(world: World, script: Script) -> str:
    """What another terminal makes of the script's lab: 'traced', 'none' where it has no network at
    its end, or its words."""
    for name in ("held", "go"):
        (world.home / name).unlink(missing_ok=True)
    (world.home / "hold.py").write_text(HOLD)
    argv = ["/usr/bin/timeout", "-k", "5", str(within_s()), "/usr/bin/python3", "hold.py"]
    argv.append(str(script.path))
    running = world.popen(
        "run", "--name", "corpus", "--", *argv, *shlex.split(script.words),
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert running.stdin is not None
    running.stdin.write("".join(f"{line}\n" for line in script.type.split("|") if line))
    running.stdin.close()
    running.stdin = None
    while not (world.home / "held").exists() and running.poll() is None:
        time.sleep(0.1)
    story = traced_now(world) if running.poll() is None else "none"
    (world.home / "go").touch()
    running.communicate(timeout=within_s() + 60)
    return story


def traced_now(world: World) -> str:
    listed = world("ls", "corpus", "--json", code=None)
    if listed.code:
        return f"no: {listed.err}"
    addressed = [
        (node["name"], interface["addresses"][0].partition("/")[0])
        for node in listed.json["hosts"]
        for interface in node["interfaces"]
        if interface["addresses"]
    ]
    if not addressed:
        return "no host"
    host, address = addressed[0][0], addressed[-1][1]
    words = [host, "--", "ping", "-c", "1", "-W", "2", address]
    told = world("trace", "--name", "corpus", *words, code=None)
    return "traced" if "from captured frames" in told.out else f"no: {told.out}{told.err}"


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_the_whole_corpus(anybody: World, capsys: Any) -> None:
    rows, failed = [], []
    for path in sorted(SCRIPTS.glob("*.py")):
        script = read(path.stem)
        run, frames, outside, up = "-", 0, "-", "-"
        try:
            run, frames = verdict(anybody, script)
            outside = traced(anybody, script)
            up = brought_up(anybody, script) if script.up else "-"
        except AssertionError as error:  # so that the others are tried, too
            up = f"no: {str(error)[-300:]}"
            anybody("down", "--all", code=None)
        rows.append(f"| {path.stem} | {script.kind} | {run} | {frames} | {outside} | {up} |")
        with capsys.disabled():
            print(rows[-1], flush=True)
        if any(each.startswith("no:") for each in (run, outside, up)) or run.startswith("no"):
            failed.append(path.stem)
        if not frames and path.stem not in NOT_SHOWN:
            failed.append(f"{path.stem}: no frames")
    assert len(rows) >= 60 and not failed, failed
