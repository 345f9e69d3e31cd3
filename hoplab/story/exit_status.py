# SPDX-License-Identifier: Apache-2.0
"""What the exit status of a command says, in words.

What lives here: the statuses that programs document, and which program of a command line may have
given one. What must not: frames; what the wire shows of the same command is `outcome.py`'s.

A status that no table here has is told as a number. Which program it came from is told where the
command line leaves no choice: a shell's script gives the status of the last program that ran.

>>> ExitStatus(6, "sh -c 'ping -c 1 10.0.0.2; curl http://nosuch/'").sentence
'curl ended with 6: it could not resolve the name of the host.'
"""

from __future__ import annotations

import shlex
import signal
from dataclasses import dataclass

from hoplab.sentences import Sentence, say, term

# By the manual pages of the programs. "" stands for whatever program: these are the shell's.
WORDS: dict[str, dict[int, Sentence]] = {
    "": {
        126: term("the program cannot be executed"),
        127: term("no such program was found"),
    },
    "arping": {2: term("it could not do what it was asked")},
    "cmp": {1: term("the files differ"), 2: term("it had trouble")},
    "curl": {
        1: term("it does not support this protocol, or may not use it"),
        2: term("it could not start"),
        3: term("the URL is malformed"),
        4: term("it was built without this feature"),
        5: term("it could not resolve the name of the proxy"),
        6: term("it could not resolve the name of the host"),
        7: term("it could not connect to the host"),
        8: term("it could not make sense of the server's answer"),
        9: term("the server denied access"),
        16: term("HTTP/2 failed in its framing"),
        18: term("only a part of the content came"),
        22: term("the server answered with a status of 400 or above"),
        23: term("it could not write what came"),
        26: term("it could not read what it was to send"),
        27: term("it had not enough memory"),
        28: term("its time limit was reached"),
        33: term("the server does not serve the range that was asked for"),
        35: term("TLS could not be agreed on"),
        43: term("it failed inside"),
        45: term("it could not use the interface that was asked for"),
        47: term("there were too many redirects"),
        48: term("it does not know an option"),
        49: term("a telnet option is malformed"),
        52: term("the server answered nothing at all"),
        53: term("the engine for TLS was not found"),
        55: term("it could not send"),
        56: term("it could not receive"),
        58: term("there is a problem with the client's own certificate"),
        59: term("the cipher for TLS could not be used"),
        60: term("it does not trust the server's certificate"),
        61: term("it does not know the encoding of the content"),
        63: term("the content is larger than allowed"),
        67: term("the server did not accept the login"),
        77: term("it could not read the certificates that it is to trust"),
        78: term("what the URL names does not exist"),
        92: term("a stream of HTTP/2 failed"),
        95: term("HTTP/3 failed"),
        96: term("QUIC could not connect"),
        97: term("the proxy's handshake failed"),
    },
    "diff": {1: term("the files differ"), 2: term("it had trouble")},
    "dig": {
        1: term("it was used wrongly"),
        8: term("it could not open the batch file"),
        9: term("no reply came from the server"),
        10: term("it failed inside"),
    },
    "false": {1: term("that is its task")},
    "fping": {
        1: term("some hosts were not reached"),
        2: term("some names have no address"),
        3: term("it was used wrongly"),
        4: term("a system call failed"),
    },
    "getent": {1: term("it was used wrongly"), 2: term("nothing was found for the key")},
    "grep": {1: term("no line matched"), 2: term("it had trouble")},
    "ip": {1: term("its command line is wrong"), 2: term("the kernel said no")},
    "ping": {
        1: term("no reply came, or too few of them in time"),
        2: term("it failed for another reason than a missing reply"),
    },
    "ssh": {255: term("ssh itself failed")},
    "timeout": {
        125: term("timeout itself failed"),
        126: term("the program cannot be executed"),
        127: term("no such program was found"),
    },
    "wget": {
        1: term("it failed for a reason that has no number"),
        2: term("its command line or settings are wrong"),
        3: term("it could not read or write a file"),
        4: term("the network failed"),
        5: term("TLS failed"),
        6: term("the server did not accept the login"),
        7: term("the protocol was broken"),
        8: term("the server answered with an error"),
    },
}
# The lab's own client has curl's numbers, but for these.
WORDS["fetch"] = {
    **WORDS["curl"],
    1: term("a server answered with a status of 400 or above"),
    2: term("its command line or the URL is wrong"),
    8: term("the answer was no HTTP"),
}
for _alias, _program in (("ping6", "ping"), ("egrep", "grep"), ("fgrep", "grep")):
    WORDS[_alias] = WORDS[_program]

_TIMED_OUT = 124  # of timeout(1)

# Programs that run another one and give its status; their options that take a word of their own.
_RUNNERS: dict[str, frozenset[str]] = {
    "chrt": frozenset(),
    "command": frozenset(),
    "env": frozenset({"-u", "-C", "-S"}),
    "exec": frozenset({"-a"}),
    "ionice": frozenset({"-c", "-n"}),
    "nice": frozenset({"-n"}),
    "nohup": frozenset(),
    "setsid": frozenset(),
    "stdbuf": frozenset({"-i", "-o", "-e"}),
    "sudo": frozenset({"-u", "-g", "-C"}),
    "time": frozenset({"-f", "-o"}),
    "timeout": frozenset({"-s", "-k", "--signal", "--kill-after"}),
    "unbuffer": frozenset(),
}
_SHELLS = frozenset({"ash", "bash", "busybox", "dash", "ksh", "sh", "zsh"})
# Where a script has one of these, nobody can tell from its text which program was the last.
_PUZZLES = frozenset(
    ("!", "[[", "{", "}", "case", "coproc", "do", "done", "elif", "else", "esac", "exit", "fi",
     "for", "function", "if", "kill", "return", "select", "then", "trap", "until", "wait", "while")
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """How a command ended, as far as it is known.

    code: its exit status, 128 + N when signal N ended it; None if it is not known. command: the
    command line. late: it had not ended in time, and was ended. complaint: what it printed when it
    failed, "" for one that did not; proof of a failure, too, where the code is not known.
    interrupted: somebody pressed Ctrl-C; with whatever status it then ended (ping: 0 or 1), that
    is not how it would have ended.
    """

    code: int | None = None
    command: str = ""
    late: bool = False
    complaint: str = ""
    interrupted: bool = False

    @property
    def program(self) -> str:
        """The program that gave the status, "" where that is not sure."""
        return self._source()[0]

    @property
    def cut_short(self) -> bool:
        """Somebody ended it from outside, as was meant: by Ctrl-C, or by a time limit of the
        command line's own. That is neither success nor failure of the command."""
        if self.late:
            return False
        return self.interrupted or self.code == 128 + signal.SIGINT or self._timed_out

    @property
    def ok(self) -> bool | None:
        """Whether the command itself says that it did what it was asked; None if it does not say,
        because it was ended before, or its status is not known."""
        if self.cut_short:
            return None
        if self.code is None:
            return False if self.complaint else None
        return self.code == 0 and not self.late

    @property
    def sentence(self) -> Sentence:
        """The status in words."""
        code = self.code
        if self.late:
            return say("The command had not ended in time and was ended.")
        if self.interrupted:
            return say("The command was interrupted.")
        if code is None:
            return say("The command did not succeed.")
        if self._timed_out:
            return say("timeout ended the command when its time was up (exit status 124).")
        if code == 128 + signal.SIGINT:
            return say("The command was interrupted (SIGINT).")
        return _of_program(self.program, code)

    @property
    def _timed_out(self) -> bool:
        return self.code == _TIMED_OUT and self._source()[1]

    def _source(self) -> tuple[str, bool]:
        """The program that gave the status, and whether timeout(1) ran it."""
        try:
            sources = _sources(shlex.split(self.command), self.code == 0)
        except ValueError:
            return "", False
        sources = list(dict.fromkeys(sources))
        if len(sources) > 1 and self.code:
            sources = [
                (program, timed)
                for program, timed in sources
                if self.code in WORDS.get(program, {}) or (timed and self.code == _TIMED_OUT)
            ]
        return sources[0] if len(sources) == 1 else ("", False)


def _of_program(program: str, code: int) -> Sentence:
    """What the status says that a program ended with, "" for one that is not known."""
    if program and code == 0:
        return say("{program} ended with 0: by its own word it succeeded.", program=program)
    if code == 0:
        return say("The command ended with 0: by its own word it succeeded.")
    reason = WORDS.get(program, {}).get(code)
    if reason and program:
        return say(
            "{program} ended with {code}: {reason}.", program=program, code=code, reason=reason
        )
    reason = WORDS[""].get(code)  # a shell says so of a program that never ran
    if reason:
        return say("The command ended with {code}: {reason}.", code=code, reason=reason)
    if code > 128 and code - 128 in set(signal.Signals):
        number = code - 128
        return say(
            "The command was ended by {signal} (signal {number}).",
            signal=signal.Signals(number).name, number=number,
        )  # fmt: skip
    if program:
        return say("{program} ended with exit status {code}.", program=program, code=code)
    return say("The command ended with exit status {code}.", code=code)


def _sources(argv: list[str], good: bool, timed: bool = False) -> list[tuple[str, bool]]:
    """The programs that can have given the status of a command line, each with whether timeout(1)
    ran it; none where that cannot be told. good: the status is 0."""
    while argv:
        name = argv[0].rpartition("/")[2]
        if "=" in argv[0] and argv[0].partition("=")[0].isidentifier():
            argv = argv[1:]
        elif name in _RUNNERS:
            timed = timed or name == "timeout"
            argv = _behind_options(argv[1:], _RUNNERS[name])
            if name in ("timeout", "chrt"):
                argv = argv[1:]  # the time, or the priority
        elif name in _SHELLS:
            return _of_shell(argv[1:], good, timed)
        elif name[:1] in ("$", "`", ""):
            return []
        else:
            return [(name, timed)]
    return []


def _behind_options(argv: list[str], with_word: frozenset[str]) -> list[str]:
    at = 0
    while at < len(argv) and argv[at].startswith("-"):
        at += 2 if argv[at] in with_word else 1
    return argv[at:]


def _of_shell(argv: list[str], good: bool, timed: bool) -> list[tuple[str, bool]]:
    """`argv` without the shell's own name: its script given by -c, or a file that nobody reads."""
    strict = False
    for place, word in enumerate(argv):
        if word == "sh":  # busybox sh
            continue
        if not word.startswith("-"):
            return []
        if not word.startswith("--"):
            strict = strict or "e" in word
            if "c" in word:
                words = (word for word in argv[place + 1 :] if not word.startswith("-"))
                return _of_script(next(words, ""), good, timed, strict)
    return []


def _of_script(script: str, good: bool, timed: bool, strict: bool) -> list[tuple[str, bool]]:
    """The programs whose status may be the script's: the last one, and those that it depends on.

    strict: `set -e`, under which any of them ends the script.
    """
    commands = _commands(script)
    options = [word for _, words in commands if words[0] == "set" for word in words[1:]]
    strict = strict or any(word.startswith("-") and "e" in word for word in options)
    any_of_pipe = "pipefail" in options  # with it, any part of a pipeline gives the status
    candidates: list[tuple[str, bool]] = []
    piped_on = False  # what stands before a pipe gives no status
    for before, words in reversed(commands):
        if not piped_on or any_of_pipe:
            sources = _sources(words, good, timed)
            if not sources:
                return []
            candidates += sources
        piped_on = before in ("|", "|&")
        # Behind `||` a failure before it is forgotten; behind `;` anything is.
        if not (strict or piped_on or before == "&&" or (before == "||" and good)):
            break
    return candidates


def _commands(script: str) -> list[tuple[str, list[str]]]:
    """The commands of a script, each as the sign that stands before it, and its words; [] where
    the script has something that only a shell can tell the course of."""
    lexer = shlex.shlex(script, posix=True, punctuation_chars=";&|()<>\n")
    lexer.whitespace, lexer.commenters, lexer.whitespace_split = " \t\r", "", True
    commands: list[tuple[str, list[str]]] = []
    before, words, redirected = ";", list[str](), False
    for token in [*lexer, ";"]:
        if redirected:
            redirected = False
        elif token[0] in "()" or "`" in token or (not words and token in _PUZZLES):
            return []
        elif token[0] in "<>":
            redirected = True
            if words and words[-1].isdigit():
                words.pop()  # the descriptor of 2>file
        elif set(token) <= set(";&|\n"):
            if words:
                commands.append((before, words))
            before, words = (before if not words else token.replace("\n", "") or ";"), []
            if token == "&":
                return []  # which of them ends last is not known
        else:
            words.append(token)
    return commands
