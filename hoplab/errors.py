# SPDX-License-Identifier: Apache-2.0
"""What can go wrong, in the user's words.

Every failure that a user can meet is a `LabError`: one sentence on what happened, one on what to
do next, and an exit code that a script can tell apart. It is raised where the fault is known and
printed once, in `hoplab.cli`, in the user's language. So that it can be translated there, message
and hint are made by `hoplab.sentences`, and a fault that is raised inside of a lab crosses its
socket with template and values (`as_dict`, `sentences.to_plain`). Only the standard library is
imported here.
"""

from __future__ import annotations

import errno
from enum import IntEnum
from os import PathLike
from typing import TypeGuard

from hoplab.sentences import Listing, Sentence, Together, say, sentence_of, term, to_plain


class Exit(IntEnum):
    """Exit codes of the `hoplab` command (`hoplab --help` lists them)."""

    OK = 0
    FAILED = 1  # what was asked did not succeed (pings lost, page not fetched)
    USAGE = 2  # the command line cannot be understood
    BAD_INPUT = 3  # a topology, controller or other file of the user's is wrong
    NO_SUCH = 4  # no lab, host or file of that name
    TAKEN = 5  # the name is in use
    REFUSED = 6  # this machine refuses something a lab needs (`hoplab doctor` says what)
    LAB_DIED = 7  # a part of the lab ended or did not answer in time
    NO_SPACE = 8  # the disk of the run folder is full
    INTERRUPTED = 130  # Ctrl-C, as a shell counts it


class LabError(Exception):
    """A failure told to the user: `message` says what happened, `hint` what to do next."""

    def __init__(
        self, message: str, hint: str = "", code: Exit = Exit.FAILED, detail: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code
        self.detail = detail  # a log's tail or a command's output, shown below the sentence

    def as_dict(self) -> dict[str, object]:
        """The failure as data, for the lab's socket: there `to_plain` keeps the templates of its
        sentences, and `from_plain` makes them whole again."""
        return {
            "error": _clipped(self.message, 2_000),
            "hint": _clipped(self.hint, 2_000),
            "code": int(self.code),
            "detail": _clipped(self.detail, 20_000),
        }

    def as_json(self) -> dict[str, object]:
        """The failure for `--json`: English, which scripts can rely on, and beside it the
        templates and values of which the sentences were made."""
        texts = {"error": self.message, "hint": self.hint}
        made = {
            name: to_plain(_clipped(text, 2_000))
            for name, text in texts.items()
            if isinstance(text, Sentence | Listing | Together)
        }
        return {**self.as_dict(), **({"sentences": made} if made else {})}

    @classmethod
    def from_dict(cls, data: dict[str, object]) -> LabError:
        """The inverse of `as_dict`."""
        return cls(
            _text(data.get("error"), term("unknown failure")),
            _text(data.get("hint")),
            Exit(int(str(data.get("code", 1)))),
            _text(data.get("detail")),
        )


def _text(value: object, default: str = "") -> str:
    """A text as it is, with its template if it has one."""
    return value if isinstance(value, str) else default


def _clipped(text: str, limit: int) -> str:
    """Its beginning and its end, if it is longer than anybody reads."""
    return text if len(text) <= limit else f"{text[: limit // 2]} … {text[-limit // 2 :]}"


_FILES = term("this machine allows the lab no more open files")

# What the machine gives no more of, and how to have more of it.
_LIMITS = {
    errno.EAGAIN: (
        term("this machine allows the lab no more processes"),
        term("see `ulimit -u` and the control group's pids.max"),
    ),
    errno.EMFILE: (_FILES, say("raise the limit: {command}", command="ulimit -n 4096")),
    errno.ENFILE: (
        _FILES,
        say("raise the limit: {command}", command="sudo sysctl -w fs.file-max=1000000"),
    ),
    errno.ENOMEM: (
        term("this machine allows the lab no more memory"),
        term("take a smaller topology, or end other labs"),
    ),
}


def limited(error: BaseException) -> LabError | None:
    """The error to show where the machine gives no more of something; None for another fault."""
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        number = errno.EAGAIN
    if isinstance(error, MemoryError):
        number = errno.ENOMEM
    if number not in _LIMITS:
        return None
    message, hint = _LIMITS[number]
    return LabError(message, hint, Exit.REFUSED)


# What the system says most often, so that it can be said in other languages.
_SYSTEM = {
    errno.EACCES: term("Permission denied"),
    errno.EADDRINUSE: term("Address already in use"),
    errno.EADDRNOTAVAIL: term("Cannot assign requested address"),
    errno.EBUSY: term("Device or resource busy"),
    errno.ECONNREFUSED: term("Connection refused"),
    errno.ECONNRESET: term("Connection reset by peer"),
    errno.EDQUOT: term("Disk quota exceeded"),
    errno.EEXIST: term("File exists"),
    errno.EFBIG: term("File too large"),
    errno.EHOSTUNREACH: term("No route to host"),
    errno.EINVAL: term("Invalid argument"),
    errno.EIO: term("Input/output error"),
    errno.EISDIR: term("Is a directory"),
    errno.ELOOP: term("Too many levels of symbolic links"),
    errno.ENAMETOOLONG: term("File name too long"),
    errno.ENETUNREACH: term("Network is unreachable"),
    errno.ENODEV: term("No such device"),
    errno.ENOENT: term("No such file or directory"),
    errno.ENOEXEC: term("Exec format error"),
    errno.ENOSPC: term("No space left on device"),
    errno.ENOSYS: term("Function not implemented"),
    errno.ENOTDIR: term("Not a directory"),
    errno.EOPNOTSUPP: term("Operation not supported"),
    errno.EPERM: term("Operation not permitted"),
    errno.EPIPE: term("Broken pipe"),
    errno.EROFS: term("Read-only file system"),
    errno.ETIMEDOUT: term("Connection timed out"),
    errno.ETXTBSY: term("Text file busy"),
    errno.E2BIG: term("Argument list too long"),
}


def reason_of(error: BaseException) -> str:
    """What an error says: a sentence where it has one or the system says so often."""
    reason = error.strerror if isinstance(error, OSError) else None
    if isinstance(error, OSError) and reason == _SYSTEM.get(error.errno or 0):
        return _SYSTEM[error.errno or 0]
    return reason or sentence_of(error)


def is_full(error: BaseException) -> TypeGuard[OSError]:
    """Whether a disk has no room, or a user no more of it."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def cannot_write(error: OSError, folder: str | PathLike[str]) -> LabError:
    """The error to show when a run folder cannot be written, or opened for want of something."""
    full = is_full(error)
    return limited(error) or LabError(
        say(
            "the run folder {folder} cannot be written: {reason}",
            folder=folder,
            reason=reason_of(error),
        ),
        term("free some space, or set XDG_STATE_HOME to a folder on another disk")
        if full
        else term("set XDG_STATE_HOME to a folder that you may write"),
        Exit.NO_SPACE if full else Exit.REFUSED,
    )
