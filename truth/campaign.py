# SPDX-License-Identifier: Apache-2.0
"""Makes runs of all kinds on real labs, has the oracle judge them, and prints a table.

    make test-truth
    make test-truth ARGS="--runs 200 --seed 1"       as many runs, and which ones
    make test-truth ARGS="--kinds hub,visit --keep"  some kinds; every run is kept
    .venv/bin/python -m truth.campaign --judge DIR …  runs that were kept, judged again

A kind of run makes all its runs in one lab of its own; the seed decides its words. What was judged
stands in test-output/truth/results.jsonl, so the same command goes on where it was stopped
(--fresh begins anew). Ctrl-C ends it after the labs that are up, with the table so far. Runs of
which a statement is false are kept in test-output/truth.

Exit status: 0, or 1 if a statement is false or a run could not be made.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from truth import oracle
from truth.kinds import CHOICES, KINDS, Kind

ROOT = Path(__file__).resolve().parents[1]
OUTPUT = ROOT / "test-output" / "truth"
RESULTS = "results.jsonl"
COMMAND_S = 120  # longer than any command of hoplab's takes here, on a busy machine too


@dataclass
class Judged:
    """What the oracle found in one run. false: what, where, why; unjudged: how many statements of
    each template have no rule. fault: why there is no run to judge."""

    kind: str
    seed: int
    place: int
    command: str
    judged: int = 0
    by_rule: dict[str, int] = field(default_factory=dict)
    false: list[str] = field(default_factory=list)
    unjudged: dict[str, int] = field(default_factory=dict)
    fault: str = ""
    kept: str = ""


def words_of(kind: Kind, seed: int) -> dict[str, str]:
    """The words in braces, as the seed chooses them; the same for the same seed."""
    draw = random.Random(f"{kind.name} {seed}")
    choices = {**CHOICES, **kind.choices}
    return {name: draw.choice(choices[name]) for name in sorted(choices)}


def filled(line: str, words: dict[str, str]) -> str:
    line = re.sub(r"\{(\w+)\}", lambda match: words.get(match[1], match[0]), line)
    return line.replace("HERE", shlex.quote(str(Path(__file__).resolve().parent)))


class Lab:
    """A lab under a name of its own, by the command line of this checkout."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.beside: list[subprocess.Popen[bytes]] = []
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("HOPLAB_")}
        self.env.update(
            XDG_STATE_HOME=str(home / "state"), LC_ALL="C.UTF-8", PYTHONPATH=str(ROOT)
        )
        if "HOPLAB_PATIENCE" in os.environ:
            self.env["HOPLAB_PATIENCE"] = os.environ["HOPLAB_PATIENCE"]

    def hoplab(self, words: list[str]) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-m", "hoplab.cli.main", *words],
            cwd=self.home, env=self.env, stdin=subprocess.DEVNULL, capture_output=True,
            timeout=COMMAND_S, start_new_session=True,
        )  # fmt: skip

    def start(self, words: list[str], after_s: str) -> None:
        line = shlex.join([sys.executable, "-m", "hoplab.cli.main", *words])
        process = subprocess.Popen(
            ["sh", "-c", f"sleep {after_s}; exec {line}"],
            cwd=self.home, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        self.beside.append(process)

    def on_host(self, line: str) -> list[str]:
        """The arguments of hoplab for a line that begins with a host, or with '!' and a verb."""
        if line.startswith("!"):
            return shlex.split(line[1:])
        host, command = line.split(" ", 1)
        return ["exec", host, "--", *shlex.split(command)]

    def down(self) -> None:
        self.hoplab(["down"])
        for process in self.beside:
            try:
                process.wait(timeout=COMMAND_S)
            except subprocess.TimeoutExpired:
                process.kill()


def made(kind: Kind, seed: int, home: Path) -> Iterator[tuple[int, str, Path, str]]:
    """Makes the runs of a kind: place, command, folder, and what went wrong, "" for nothing."""
    words = words_of(kind, seed)
    lab = Lab(home)
    if not kind.up:
        yield from compared(kind, words, lab)
        return
    up = lab.hoplab(["up", *shlex.split(filled(kind.up, words))])
    if up.returncode:
        yield 0, kind.up, home, "up: " + up.stderr.decode(errors="replace")[-300:]
        return
    try:
        for line in kind.before:
            line = filled(line, words)
            if line.startswith("&"):
                lab.start(lab.on_host(line[1:]), "0")
            else:
                lab.hoplab(lab.on_host(line))
        for place, run in enumerate(kind.runs):
            line = filled(run, words)
            folder = home / f"run-{place}"
            verb, rest = ("visit", line[5:]) if line.startswith("visit") else ("trace", line)
            for other in kind.beside:
                after, _, other = other[1:].partition(" ") if other[0] == "+" else ("0", "", other)
                lab.start(lab.on_host(filled(other, words)), after)
            arguments = [verb, "--save", str(folder), "--json", *shlex.split(rest)]
            done = lab.hoplab(arguments)
            fault = ""
            if not (folder / "trace.json").exists():
                fault = f"exit {done.returncode}: " + done.stderr.decode(errors="replace")[-300:]
            yield place, line, folder, fault
    finally:
        lab.down()


def compared(kind: Kind, words: dict[str, str], lab: Lab) -> Iterator[tuple[int, str, Path, str]]:
    """The runs of `trace --compare`, which brings up labs by itself: one for each controller."""
    place = 0
    for run in kind.runs:
        line = filled(run, words)
        folder = lab.home / f"compared-{place}"
        done = lab.hoplab(["trace", "--save", str(folder), "--json", *shlex.split(line)])
        traces = sorted(folder.glob("*/trace.json"))
        if not traces:
            said = done.stderr.decode(errors="replace")[-300:]
            yield place, line, folder, f"exit {done.returncode}: {said}"
        for trace in traces:
            yield place, line, trace.parent, ""
            place += 1


def session(kind: Kind, seed: int, keep: bool) -> list[Judged]:
    """All runs of a kind, made and judged."""
    results = []
    home = Path(tempfile.mkdtemp(prefix="truth-"))
    try:
        for place, command, folder, fault in made(kind, seed, home):
            result = Judged(kind.name, seed, place, command, fault=fault)
            if not fault:
                judge(result, folder)
            if folder != home and folder.exists() and (keep or result.false or result.fault):
                kept = OUTPUT / f"{kind.name}-{seed}-{place}"
                shutil.rmtree(kept, ignore_errors=True)
                shutil.copytree(folder, kept)
                result.kept = str(kept)
            results.append(result)
    except Exception:
        results.append(Judged(kind.name, seed, -1, "", fault=traceback.format_exc()[-1500:]))
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return results


def judge(result: Judged, folder: Path) -> None:
    """Fills in what the oracle says of a run folder."""
    try:
        verdict = oracle.judge(folder)
    except Exception:
        result.fault = "the oracle failed: " + traceback.format_exc()[-1500:]
        return
    result.by_rule = dict(verdict.judged)
    result.judged = sum(verdict.judged.values())
    result.false = verdict.false
    result.unjudged = dict(verdict.unjudged)


# ------------------------------------------------------------------------------------- the table


def table(results: list[Judged], rules: bool) -> str:
    """What was judged, by kind, and what was not."""
    lines = [f"{'kind':<24}{'runs':>6}{'judged':>10}{'false':>7}{'unjudged':>10}"]
    kinds: dict[str, list[Judged]] = {}
    for result in results:
        kinds.setdefault(result.kind, []).append(result)
    for name, runs in sorted(kinds.items()):
        lines.append(_row(name, runs))
    lines.append(_row("all", results))
    unjudged: Counter[str] = Counter()
    by_rule: Counter[str] = Counter()
    for result in results:
        unjudged.update(result.unjudged)
        by_rule.update(result.by_rule)
    if unjudged:
        lines += ["", "no rule for:"]
        lines += [f"{count:>8}  {template}" for template, count in unjudged.most_common()]
    if rules:
        lines += ["", "judged, by rule:"]
        lines += [f"{count:>8}  {rule}" for rule, count in by_rule.most_common()]
    for result in results:
        where = result.kept or f"{result.kind} seed {result.seed} run {result.place}"
        lines += [f"FALSE  {where}: {text}" for text in result.false[:20]]
        if result.fault:
            lines.append(f"FAULT  {where}: {result.command}: {result.fault}")
    return "\n".join(lines)


def _row(name: str, results: list[Judged]) -> str:
    runs = sum(not result.fault for result in results)
    judged = sum(result.judged for result in results)
    false = sum(len(result.false) for result in results)
    unjudged = sum(sum(result.unjudged.values()) for result in results)
    return f"{name:<24}{runs:>6,}{judged:>10,}{false:>7,}{unjudged:>10,}"


# ------------------------------------------------------------------------------------ the command


def sessions(names: list[str], seed: int, runs: int) -> list[tuple[Kind, int]]:
    """Which kinds with which seeds, until there are so many runs: each kind once, and again."""
    kinds = [kind for kind in KINDS if not names or kind.name in names]
    chosen: list[tuple[Kind, int]] = []
    while kinds and runs > 0:
        for kind in kinds:
            if runs > 0:
                chosen.append((kind, seed))
                runs -= len(kind.runs)
        seed += 1
    return chosen


def earlier(path: Path) -> list[Judged]:
    """What was judged before the campaign was stopped."""
    if not path.exists():
        return []
    return [Judged(**json.loads(line)) for line in path.read_text().splitlines()]


def campaign(options: argparse.Namespace) -> list[Judged]:
    """Makes and judges; what is there already is left as it is."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    path = OUTPUT / RESULTS
    if options.fresh:
        path.unlink(missing_ok=True)
    chosen = sessions(options.kinds.split(",") if options.kinds else [], options.seed, options.runs)
    wanted = {(kind.name, seed) for kind, seed in chosen}
    results = [result for result in earlier(path) if (result.kind, result.seed) in wanted]
    there = {(result.kind, result.seed) for result in results}
    todo = [(kind, seed) for kind, seed in chosen if (kind.name, seed) not in there]
    began = time.monotonic()
    # A worker lets its lab end in order: Ctrl-C is for whoever collects the results.
    pool = ProcessPoolExecutor(
        options.jobs, initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN)
    )
    waiting: set[Future[list[Judged]]] = set()
    try:
        with path.open("a") as file:
            while todo or waiting:
                while todo and len(waiting) < options.jobs:
                    waiting.add(pool.submit(session, *todo.pop(0), options.keep))
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    _note(future.result(), results, file)
                _progress(results, len(todo) + len(waiting), time.monotonic() - began)
    except KeyboardInterrupt:
        print("\nended by Ctrl-C, once the labs that are up are done", file=sys.stderr)
        with path.open("a") as file:
            for future in waiting:
                _note(future.result(), results, file)
    finally:
        pool.shutdown()
    print(file=sys.stderr)
    return results


def _note(judged: list[Judged], results: list[Judged], file: Any) -> None:
    for result in judged:
        results.append(result)
        file.write(json.dumps(asdict(result)) + "\n")
    file.flush()


def _progress(results: list[Judged], left: int, seconds: float) -> None:
    false = sum(len(result.false) for result in results)
    judged = sum(result.judged for result in results)
    text = f"{len(results)} runs, {judged:,} statements, {false} false, {left} labs to go"
    end = "\r" if sys.stderr.isatty() else "\n"
    print(f"{text}, {seconds:.0f} s   ", end=end, file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="make test-truth", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--runs", type=int, default=100, help="at least so many (default: 100)")
    parser.add_argument("--seed", type=int, default=1, help="of the first round (default: 1)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 2, help="labs at once")
    parser.add_argument("--kinds", default="", help="only these, with commas between them")
    parser.add_argument("--keep", action="store_true", help="keep every run")
    parser.add_argument("--fresh", action="store_true", help="judge anew what was judged before")
    parser.add_argument("--rules", action="store_true", help="also how often each rule judged")
    parser.add_argument("--list", action="store_true", help="name the kinds, and do no more")
    parser.add_argument("--judge", nargs="+", metavar="DIR", help="judge these runs, make none")
    options = parser.parse_args()
    if options.list:
        for kind in KINDS:
            print(f"{kind.name:<24}{kind.up}: " + "; ".join(kind.runs))
        return 0
    if options.judge:
        results = []
        for place, folder in enumerate(options.judge):
            results.append(Judged(Path(folder).name, 0, place, "", kept=folder))
            judge(results[-1], Path(folder))
    else:
        results = campaign(options)
    print(table(results, options.rules))
    return int(any(result.false or result.fault for result in results))


if __name__ == "__main__":
    sys.exit(main())
