# SPDX-License-Identifier: Apache-2.0
"""YAML as its authors mean it.

What lives here: reading a file of ours or of a stranger's into dicts, lists, texts and numbers, and
nothing else. What must not: what the file is about.

YAML 1.1 takes `no` for False, 12:30 for 750, 02:00:00:00:01:00 for a number when its digits allow
it, and a key that stands twice for the last one. None of that is meant where people write about
networks: here true and false are truth values, plain decimal numbers are numbers, and all else is
text. A key that stands twice is an error.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from hoplab.errors import Exit, LabError
from hoplab.sentences import say, term

LARGEST = 1 << 20  # bytes
_DEEPEST = 40
_RESOLVERS = (
    ("tag:yaml.org,2002:bool", r"^(?:true|True|false|False)$", "tTfF"),
    ("tag:yaml.org,2002:int", r"^[-+]?(?:0|[1-9][0-9]*)$", "-+0123456789"),
    ("tag:yaml.org,2002:float", r"^[-+]?(?:[0-9]+\.[0-9]+)$", "-+0123456789"),
    ("tag:yaml.org,2002:null", r"^(?:~|null|)$", "~n"),
)


class NotYaml(LabError):
    """A file that cannot be read as YAML (or JSON, which is YAML)."""

    def __init__(self, file: object, reason: str) -> None:
        super().__init__(
            say("{file}: {reason}", file=str(file), reason=reason),
            term("docs/sheets.md has the format of a sheet"),
            Exit.BAD_INPUT,
        )


def read_file(path: Path) -> Any:
    """What a file holds. Raises LabError."""
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= LARGEST else b""
    except OSError as error:
        raise LabError(
            say("{file} cannot be read: {reason}", file=str(path), reason=error.strerror),
            "", Exit.NO_SUCH,
        ) from error  # fmt: skip
    if size > LARGEST:
        raise NotYaml(path, say("it is larger than {n:,} bytes", n=LARGEST))
    return read_text(data, path)


def read_text(data: bytes | str, name: object) -> Any:
    """What such a text holds. name: of the file, for errors. Raises LabError."""
    try:
        import yaml
    except ImportError:
        raise LabError(
            term("what is written in YAML needs the package PyYAML"),
            say("install it: {command}", command="pip install pyyaml"),
            Exit.REFUSED,
        ) from None
    if isinstance(data, bytes):
        try:
            data = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise NotYaml(name, term("it is not in UTF-8")) from error
    try:
        return yaml.load(data, Loader=_loader())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 0
        reason = say("line {line}: {problem}", line=line, problem=error.problem or error.context)
        raise NotYaml(name, reason) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise NotYaml(name, str(error)) from error


_made: Any = None


def _loader() -> Any:
    """The loader's class, made when it is needed first: `hoplab --help` needs no YAML."""
    global _made
    if _made is not None:
        return _made
    import re

    import yaml

    class Loader(yaml.SafeLoader):
        """SafeLoader with the rules above. No aliases: a few lines of them make gigabytes."""

        yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                event = self.peek_event()
                raise yaml.composer.ComposerError(
                    None, None, term("aliases (*name) are not taken"), event.start_mark
                )
            self.depth = getattr(self, "depth", 0) + 1
            if self.depth > _DEEPEST:
                raise yaml.composer.ComposerError(
                    None, None, term("it is too deep"), self.peek_event().start_mark
                )
            node = super().compose_node(parent, index)
            self.depth -= 1
            return node

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen = set()
            for key_node, _ in node.value:
                key = self.construct_object(key_node, deep=True)
                if isinstance(key, dict | list) or key in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None,
                        say("the key {key} stands here twice, or is none", key=repr(key)),
                        key_node.start_mark,
                    )  # fmt: skip
                seen.add(key)
            return super().construct_mapping(node, deep)

    for tag, pattern, first in _RESOLVERS:
        Loader.add_implicit_resolver(tag, re.compile(pattern), list(first))
    Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile("^$"), [""])
    _made = Loader
    return Loader
