# SPDX-License-Identifier: Apache-2.0
"""`trace --compare`: the same commands under one controller after the other, figures side by side.

Each controller gets a lab of its own, brought up for it and ended after it, so that all begin
alike: nothing has been asked, learned or sent. A lab that is up already is left alone.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hoplab import content, ryu_apps
from hoplab.cli import output, verbs_lab
from hoplab.cli.run_folder import save_folder
from hoplab.client import interrupts, up_down
from hoplab.client.together import Command, Together, record_all
from hoplab.errors import Exit, LabError, cannot_write
from hoplab.nearest import did_you_mean
from hoplab.outfile import unwritable
from hoplab.sentences import listed, say, term, together
from hoplab.story import same_start

DEFAULT_TOPOLOGY = "switch,rate=10M"
# Of the transfers that are made without commands: what a cable carries in 0.8 s, within bounds.
AT_RATE_S, LEAST_BYTES, MOST_BYTES = 0.8, 20_000, 4_000_000
MOST_LINES = 4  # of what a command printed that failed; --json has all
_COLON = re.compile("[:：]")  # noqa: RUF001  # the wide one comes easily from a Chinese keyboard
EXAMPLE = "hoplab trace --compare hub,learning_switch -- h1: ping -c 3 10.0.0.2 + h3: ping …"


@dataclass(frozen=True)
class Trial:
    """One controller's turn: its name, the run folder, how the commands ended, what the lab was."""

    name: str
    folder: Path
    together: Together
    state: dict[str, Any]


def compare(arguments: argparse.Namespace) -> int:
    wished = _wished(arguments)
    commands = [*_servers(arguments.serve), *_commands(arguments)]
    with _folders(arguments.save, [name for name, _ in wished]) as folders:
        trials = [
            _record(arguments, name, controller, commands, folder)
            for (name, controller), folder in zip(wished, folders, strict=True)
        ]
        sides, data = _read_all(arguments, trials)
    return _tell(arguments, trials, sides, data)


# ------------------------------------------------------------------------ what is asked for


def _wished(arguments: argparse.Namespace) -> list[tuple[str, str]]:
    """(what to call it, as --controller takes it) for each side. Raises LabError."""
    for option, value in (("--live", arguments.live), ("--controller", arguments.controller)):
        if value:
            raise LabError(
                say("--compare and {option} exclude each other", option=option),
                say(
                    "leave out {option}: --compare names the controllers, and tells when all is "
                    "done",
                    option=option,
                ),
                Exit.USAGE,
            )
    controllers = [part.strip() for part in arguments.compare.split(",") if part.strip()]
    if len(controllers) < 2:
        raise LabError(
            say(
                "--compare {controllers} names one controller, and it takes two",
                controllers=arguments.compare,
            ),
            say(
                "like this: {command}; several that run together are joined by +, as in {example}",
                command=_right_form(arguments, controllers),
                example="two_table_switch+monitor",
            ),
            Exit.USAGE,
        )
    wished: list[tuple[str, str]] = []
    for text in controllers:
        together = text.replace("+", ",")
        name = "+".join(app.short for app in ryu_apps.find(together).apps)
        taken = {name for name, _ in wished}
        number = 2
        while (called := name if name not in taken else f"{name}-{number}") in taken:
            number += 1
        wished.append((called, together))
    return wished


def _right_form(arguments: argparse.Namespace, controllers: Sequence[str]) -> str:
    """The command line that is likely meant where --compare did not get two controllers: blanks
    stand between them, or none are named at all."""
    words = [arguments.host, *arguments.command] if arguments.host else list(arguments.command)
    words = [*controllers, *(word for word in words if word != "--")]
    named = []
    while words and _is_controller(words[0].strip(",")):
        named.append(words.pop(0).strip(","))
    if len(named) < 2:
        other = "learning_switch" if named != ["learning_switch"] else "hub"
        named = [*(named or ["hub"]), other]
    line = f"hoplab trace --compare {shlex.quote(','.join(named))}"
    return f"{line} -- {shlex.join(words)}" if words else line


def _is_controller(text: str) -> bool:
    try:
        return bool(ryu_apps.find(text.replace("+", ",")).apps)
    except LabError:
        return False


def _commands(arguments: argparse.Namespace) -> list[Command]:
    """The commands on the command line, none if there are none. Raises LabError."""
    words = [*([arguments.host] if arguments.host else []), *arguments.command]
    if words[:1] == ["--"]:
        del words[0]
    if not words:
        return []
    groups: list[list[str]] = [[]]
    for word in words:
        if word == "+":
            groups.append([])
        else:
            groups[-1].append(word)
    groups = [_parted(group) for group in groups]
    first = [*groups[0], "", ""]
    if len(groups) == 1 and not _COLON.search(first[0]) and not _COLON.fullmatch(first[1]):
        # As `trace` itself takes it.
        host, *argv = groups[0]
        return [_command(host, argv[1:] if argv[:1] == ["--"] else argv)]
    return [_group(group) for group in groups]


def _parted(words: list[str]) -> list[str]:
    """The words of one command; one that was given whole, in quotes, is parted."""
    if len(words) == 1 and " " in words[0]:
        with contextlib.suppress(ValueError):  # a quote that is left open
            return shlex.split(words[0])
    return words


def _servers(texts: Sequence[str]) -> list[Command]:
    """What `--serve 'h2: iperf -s'` asks for. Raises LabError."""
    servers = []
    for text in texts:
        try:
            words = shlex.split(text)
        except ValueError as error:
            raise LabError(
                say("--serve {text}: a quote is left open, or a \\ ends it", text=text),
                term("close the quotes"),
                Exit.USAGE,
            ) from error
        command = _group(words)
        servers.append(Command(command.host, command.argv, serves=True))
    return servers


def _group(words: Sequence[str]) -> Command:
    """'h1: ping -c 1 10.0.0.2'. Raises LabError."""
    if not words:
        raise LabError(
            term("a command is missing before or after a +"),
            say(
                "each is HOST: COMMAND, as in {example}; a + of the command's own goes into "
                "quotes: {quoted}",
                example=EXAMPLE,
                quoted="sh -c 'expr 1 + 1'",
            ),
            Exit.USAGE,
        )
    if len(words) > 1 and _COLON.fullmatch(words[1]):
        words = [f"{words[0]}:", *words[2:]]
    host, *rest = _COLON.split(words[0], maxsplit=1)
    if not rest or not host:
        raise LabError(
            say("{command} does not say on which host", command=shlex.join(words)),
            say("begin with the host and a colon: {example}", example=EXAMPLE),
            Exit.USAGE,
        )
    return _command(host, [*filter(None, rest), *words[1:]])


def _command(host: str, argv: Sequence[str]) -> Command:
    if not argv:
        raise LabError(
            say("no command was given for {host}", host=host),
            say("like this: {example}", example=EXAMPLE),
            Exit.USAGE,
        )
    return Command(host, tuple(argv))


def _transfers(state: dict[str, Any]) -> list[Command]:
    """Two pairs of hosts at once, or the one that there is: a transfer by TCP in each. Raises
    LabError."""
    addresses: dict[str, str] = {}
    kinds = {node["name"]: node["kind"] for node in state["nodes"]}
    for interface in state["interfaces"]:
        plain = [each for each in interface["addresses"] if ":" not in each]
        if plain and kinds[interface["node"]] == "host":
            addresses.setdefault(interface["node"], plain[0].split("/")[0])
    hosts = list(addresses)[:4]
    if len(hosts) < 2:
        topology = state["topology"]
        raise LabError(
            say("the topology {topology} has no two hosts with addresses", topology=topology),
            say("say what to run: {example}", example=EXAMPLE),
            Exit.USAGE,
        )
    pairs = list(zip(hosts[::2], hosts[1::2], strict=False))  # a third one only listens
    rates = [each["rate"] for each in state["interfaces"] if each.get("rate")]
    count = MOST_BYTES
    if rates:
        count = round(max(LEAST_BYTES, min(MOST_BYTES, min(rates) * AT_RATE_S / 8)))
    program = (sys.executable, str(content.folder("apps") / "transfer.py"))
    servers = [Command(receiver, (*program, "receive"), serves=True) for _, receiver in pairs]
    senders = [
        Command(sender, (*program, "send", addresses[receiver], "--bytes", str(count)))
        for sender, receiver in pairs
    ]
    return [*servers, *senders]


# --------------------------------------------------------------------------- one trial


@contextlib.contextmanager
def _folders(save: str | None, names: Sequence[str]) -> Iterator[list[Path]]:
    """A run folder for each trial: in the one that --save names, else for as long as they are
    needed. Raises LabError."""
    if save is None:
        with tempfile.TemporaryDirectory(prefix="hoplab-compare-") as place:
            yield _made(Path(place), names)
        return
    try:
        kept = save_folder(save)
        assert kept is not None
    except OSError as error:
        raise unwritable(error, error.filename or save, "--save") from error
    whole = False
    try:
        yield _made(kept, names)
        whole = True
    finally:
        if not whole:  # all of it or nothing
            shutil.rmtree(kept, ignore_errors=True)


def _made(place: Path, names: Sequence[str]) -> list[Path]:
    folders = [place / name for name in names]
    try:
        for folder in folders:
            folder.mkdir()
    except OSError as error:
        raise cannot_write(error, place) from error
    return folders


def _record(
    arguments: argparse.Namespace,
    name: str,
    controller: str,
    commands: Sequence[Command],
    folder: Path,
) -> Trial:
    """Bring a lab up, run the commands in it, and end it. Raises LabError."""
    wish = argparse.Namespace(**{**vars(arguments), "controller": controller})
    lab = arguments.name or f"compare-{os.getpid()}"
    topology = arguments.topology or DEFAULT_TOPOLOGY
    quiet = arguments.json
    handle = verbs_lab.bring_up(wish, topology, lab, capture=True, quiet=quiet)
    try:
        interrupts.release_interrupts()
        state = handle.state()
        if state["controller"] is None:
            raise LabError(
                say(
                    "the topology {topology} has no switch, hence no controller to compare",
                    topology=state["topology"],
                ),
                say("take one with a switch: {option}", option="--topology switch,rate=10M"),
                Exit.BAD_INPUT,
            )
        _check_hosts(commands, state)
        with output.Progress(quiet) as progress:
            progress(say("capturing with {controller}", controller=name))
            together = record_all(handle, commands or _transfers(state), folder, arguments.timeout)
    finally:
        interrupts.hold_interrupts()
        up_down.down(handle)
        interrupts.release_interrupts()
    return Trial(name, folder, together, state)


def _check_hosts(commands: Sequence[Command], state: dict[str, Any]) -> None:
    """Raises LabError for a command on a node that there is not: it may be no node's name."""
    nodes = [node["name"] for node in state["nodes"]]
    for command in commands:
        if command.host not in nodes:
            raise LabError(
                say("this lab has no host {host}", host=command.host),
                together(
                    did_you_mean(command.host, nodes),
                    say(
                        "it has: {names}; begin with one of them and a colon: {example}",
                        names=listed(nodes, most=40),
                        example=EXAMPLE,
                    ),
                ),
                Exit.NO_SUCH,
            )


# ------------------------------------------------------------------------------ the telling


def _read_all(
    arguments: argparse.Namespace, trials: Sequence[Trial]
) -> tuple[list[same_start.Side], list[dict[str, Any]]]:
    """The sides as their frames tell them, and the same as data."""
    sides, data = [], []
    with output.Progress(arguments.json) as progress:
        for trial in trials:
            progress(say("reading what was captured with {controller}", controller=trial.name))
            side, story = _read(trial)
            sides.append(side)
            data.append(story)
    return sides, data


def _tell(
    arguments: argparse.Namespace,
    trials: Sequence[Trial],
    sides: Sequence[same_start.Side],
    data: Sequence[dict[str, Any]],
) -> int:
    from hoplab.report import comparison

    differences = same_start.all_differences(sides)
    failed = any(each.failed for trial in trials for each in trial.together.ended)
    code = Exit.FAILED if failed else Exit.OK
    if arguments.json:
        output.print_json(_as_json(arguments, trials, sides, data, differences))
        return code
    state = trials[0].state
    topology = verbs_lab.summary(state)["topology"]
    place = say(
        "topology {topology} | datapath {datapath}",
        topology=topology,
        datapath=state["datapath"],
    )
    print(
        comparison.render(
            [(side.name, side.story.summary) for side in sides],
            [_short(str(each.command)) for each in trials[0].together.ended],
            output.tr(place),
            differences,
            same_start.failed_in_all(sides),
            distorted=same_start.distorted(sides),
            width=output.terminal_width(),
            color=output.colour_wanted(),
            ascii=not output.is_utf8(),
            brief=arguments.detail == "brief",
            tr=output.spoken(),
        ),
        end="",
    )
    for trial in trials:
        _tell_failures(trial)
    if arguments.save is not None:
        folders = [shlex.quote(_shortest(trial.folder)) for trial in trials]
        kept = say("kept in {folders}", folders=listed(folders))
        page = say(
            "side by side as a page: {command}",
            command=f"hoplab report {' '.join(folders[:2])}",
        )
        print(f"\n  {output.tr(kept)}\n  {output.tr(page)}")
    return code


def _tell_failures(trial: Trial) -> None:
    """What commands that failed had to say, and what the capture may lack."""
    for each in trial.together.ended:
        if each.failed and each.output.strip():
            heading = say(
                "with {controller} {host} printed:", controller=trial.name, host=each.command.host
            )
            last = each.output.strip().splitlines()[-MOST_LINES:]
            lines = "".join(f"\n    {line}".rstrip(" ") for line in last)
            print(f"  {output.tr(heading)}{lines}")
    if not trial.together.run.quiet:
        note = say(
            "note: with {controller} the network was not quiet at the end: frames may miss",
            controller=trial.name,
        )
        print(f"  {output.tr(note)}")


def _read(trial: Trial) -> tuple[same_start.Side, dict[str, Any]]:
    """The side as frames tell it, and its story as data, which is kept beside the capture. Raises
    LabError."""
    from hoplab import runs
    from hoplab.client import recording
    from hoplab.follow.passages import to_plain
    from hoplab.replay.explain import Explainer
    from hoplab.report import as_json

    ended = sorted(trial.together.ended, key=lambda each: each.command.serves)
    host = ended[0].command.host
    command = " + ".join(_short(str(each.command)) for each in ended).partition(": ")[2]
    complaints = "\n".join(each.output for each in ended if each.failed)
    code = next((each.code for each in ended if each.failed), 0)
    alone = ended[0] if len(ended) == 1 else None  # one exit status says nothing of several
    run = runs.read(
        trial.folder,
        host=host,
        command=command,
        client_report=runs.complaint(complaints, code),
        exit_code=alone.code if alone else None,
        late=alone.late if alone else False,
        explain=Explainer(),
    )
    data = {
        **as_json.to_dict(run.story),
        "exit_code": alone.code if alone else None,
        "output": complaints,
        "timed_out": any(each.late for each in ended),
        "began_ns": trial.together.began_ns,
        "commands": [
            {
                "host": each.command.host,
                "command": _short(shlex.join(each.command.argv)),
                "serves": each.command.serves,
                "exit_code": each.code,
                "timed_out": each.late,
                "stopped": each.stopped,
                "output": each.output,
            }
            for each in ended
        ],
    }
    if run.passages:
        data["switches"] = to_plain(run.passages)
    text = json.dumps(data, indent=1, ensure_ascii=False)
    try:
        (trial.folder / recording.TRACE).write_bytes(text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise cannot_write(error, trial.folder) from error
    failed = runs.failures(data)
    side = same_start.Side(trial.name, run.wiring, run.story, trial.together.began_ns, failed)
    return side, data


def _as_json(
    arguments: argparse.Namespace,
    trials: Sequence[Trial],
    sides: Sequence[same_start.Side],
    data: Sequence[dict[str, Any]],
    differences: Sequence[str],
) -> dict[str, Any]:
    from hoplab.story import costs

    state = trials[0].state
    return {
        "format": 1,
        "topology": verbs_lab.summary(state)["topology"],
        "datapath": state["datapath"],
        "alike": not differences,
        "differences": list(differences),
        "distorted": same_start.distorted(sides),
        "sentences": costs.sentences([(side.name, side.story.summary) for side in sides]),
        "sides": [
            {
                "name": trial.name,
                "controller": trial.state["controller"],
                "run": str(trial.folder) if arguments.save is not None else None,
                "began_ns": trial.together.began_ns,
                "quiet": trial.together.run.quiet,
                "commands": each["commands"],
                "summary": each["summary"],
                "fidelity": each["fidelity"],
            }
            for trial, each in zip(trials, data, strict=True)
        ],
    }


def _short(text: str) -> str:
    """A command as a reader knows it: without the way to our own Python and apps."""
    return text.replace(f"{sys.executable} ", "").replace(f"{content.folder('apps')}/", "")


def _shortest(folder: Path) -> str:
    return min(os.path.relpath(folder), str(folder), key=len)
