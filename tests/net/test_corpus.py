# SPDX-License-Identifier: Apache-2.0
"""Scripts in the manner of those that people put online: each works under `hoplab run` as it
stands, or a line says why not and what to do; and `hoplab up` takes those that are a Topo.

Each script in tests/data/scripts says in its first lines what is to come of it: `kind`; `words` on
its command line; what is `type`d, with | between lines; what its output is `expect`ed to have, or
what `says` why it cannot work on some machines; and `up`, the words after `hoplab up`.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hoplab.capture import pcapng_reader
from tests.conftest import PROJECT, World

pytestmark = pytest.mark.net

SCRIPTS = PROJECT / "tests" / "data" / "scripts"
# The most different ones, each for what others have, too.
EVERY_TIME = (
    "miniedit_export", "linux_router", "host_moves", "user_switch", "results_in_tmp", "python2",
)  # fmt: skip
NOT_SHOWN = ("python2", "quagga_rip", "pox_controller_class", "xterm")  # may send no frame at all


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


def verdict(world: World, script: Script, within_s: int = 120) -> tuple[str, int]:
    """'works', 'says why' or 'no' with what was printed; and how many frames were seen."""
    typed = "".join(f"{line}\n" for line in script.type.split("|") if line)
    run = world.home / script.path.stem  # a whole run: what `hoplab report` tells of
    argv = ["/usr/bin/timeout", "-k", "5", str(within_s), "/usr/bin/python3", str(script.path)]
    ended = world(
        "run", "--save", str(run), "--", *argv, *shlex.split(script.words),
        code=None, input=typed, timeout=within_s + 60,
    )  # fmt: skip
    text = ended.out + ended.err
    frames = 0
    if (run / "lab.json").exists():
        nodes = {node["name"] for node in json.loads((run / "lab.json").read_text())["nodes"]}
        capture = pcapng_reader.read(run / "capture.pcapng")
        frames = len(capture.observations)
        assert nodes, "a lab without anything in it"
    if script.says and re.search(script.says, text):
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


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_whole_corpus(hoplab: World, capsys: Any) -> None:
    rows, failed = [], []
    for path in sorted(SCRIPTS.glob("*.py")):
        script = read(path.stem)
        run, frames = verdict(hoplab, script)
        up = brought_up(hoplab, script) if script.up else "-"
        rows.append(f"| {path.stem} | {script.kind} | {run} | {frames} | {up} |")
        with capsys.disabled():
            print(rows[-1], flush=True)
        if run.startswith("no") or up.startswith("no"):
            failed.append(path.stem)
        if not frames and path.stem not in NOT_SHOWN:
            failed.append(f"{path.stem}: no frames")
    assert len(rows) >= 60 and not failed, failed
