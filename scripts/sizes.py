# SPDX-License-Identifier: Apache-2.0
"""How big the engine is, and how it is named: `scripts/sizes.py [REVISION]`.

Prints the figures of the work tree, and beside them those of an earlier revision of git:

- modules and their lines; functions and their lines;
- cyclomatic complexity (McCabe 1976): one, and one for each branch, loop, handler, comprehension
  and further operand of `and` or `or`; the functions above 15 are listed;
- assigned names, and how many of them are pronouns or participles that say nothing of what they
  hold.

    scripts/sizes.py                    hoplab/ as it is
    scripts/sizes.py HEAD~100           beside what it was
    scripts/sizes.py --names HEAD       and which empty names there are, by number
"""

from __future__ import annotations

import argparse
import ast
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("hoplab", "apps", "controllers", "topologies")
LIMIT = 15
EMPTY_NAMES = frozenset(
    "one two told said says known found other others given came got done it that this these those "
    "thing things stuff what which who whom whose something anything everything nothing".split()
)
_BRANCHES = (
    ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.comprehension,
    ast.match_case,
)  # fmt: skip
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


@dataclass
class Sizes:
    """What was counted. modules, functions: lines of each. complex_: place to complexity."""

    modules: list[int] = field(default_factory=list)
    functions: list[int] = field(default_factory=list)
    complex_: dict[str, int] = field(default_factory=dict)
    names: Counter[str] = field(default_factory=Counter)

    @property
    def empty(self) -> dict[str, int]:
        """The empty names, most frequent first."""
        return {name: n for name, n in self.names.most_common() if name in EMPTY_NAMES}

    def rows(self) -> dict[str, str]:
        """Label to figure."""
        functions = sorted(self.functions)
        share = sum(self.empty.values()) / max(1, self.names.total())
        return {
            "modules": f"{len(self.modules):,}",
            "lines of a module, median": f"{statistics.median(self.modules):,.0f}",
            "lines of a module, largest": f"{max(self.modules):,}",
            "functions": f"{len(functions):,}",
            "lines of a function, median": f"{statistics.median(functions):,.0f}",
            "lines of a function, 90th percentile": f"{functions[len(functions) * 9 // 10]:,}",
            f"functions of complexity above {LIMIT}": f"{len(self.above):,}",
            "complexity, largest": f"{max(self.complex_.values()):,}",
            "names assigned": f"{self.names.total():,}",
            "names that say nothing": f"{share:.2%}",
        }

    @property
    def above(self) -> dict[str, int]:
        """Functions above the limit, worst first."""
        ranked = sorted(self.complex_.items(), key=lambda item: -item[1])
        return {place: value for place, value in ranked if value > LIMIT}


def complexity(function: ast.AST) -> int:
    """One, and one for each way to branch; functions inside count for themselves."""
    total = 1
    stack = list(ast.iter_child_nodes(function))
    while stack:
        node = stack.pop()
        if isinstance(node, _SCOPES):
            continue
        total += isinstance(node, _BRANCHES)
        if isinstance(node, ast.BoolOp):
            total += len(node.values) - 1
        stack.extend(ast.iter_child_nodes(node))
    return total


def assigned(tree: ast.AST) -> Iterator[str]:
    """Every name that is bound: variables, parameters, loop variables."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg


def measure(files: dict[str, str]) -> Sizes:
    """The sizes of these files, path to source."""
    sizes = Sizes()
    for path, source in files.items():
        tree = ast.parse(source, path)
        sizes.modules.append(source.count("\n"))
        sizes.names.update(assigned(tree))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                sizes.functions.append((node.end_lineno or node.lineno) - node.lineno + 1)
                sizes.complex_[f"{path}:{node.lineno} {node.name}"] = complexity(node)
    return sizes


def work_tree(folders: tuple[str, ...]) -> dict[str, str]:
    """The modules as they are now."""
    return {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
    }


def revision(name: str, folders: tuple[str, ...]) -> dict[str, str]:
    """The modules as they were. Raises CalledProcessError for what is no revision."""
    listing = _git("ls-tree", "-r", "--name-only", name, "--", *folders)
    paths = [path for path in listing.split("\n") if path.endswith(".py")]
    return {path: _git("show", f"{name}:{path}") for path in paths}


def _git(*words: str) -> str:
    command = ["git", "-C", str(ROOT), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("revision", nargs="?", help="of git, to stand beside")
    parser.add_argument("--names", action="store_true", help="list the names that say nothing")
    parser.add_argument("--all", action="store_true", help="apps, controllers, topologies as well")
    arguments = parser.parse_args()
    folders = FOLDERS if arguments.all else FOLDERS[:1]
    columns = {"now": measure(work_tree(folders))}
    if arguments.revision:
        try:
            columns[arguments.revision] = measure(revision(arguments.revision, folders))
        except subprocess.CalledProcessError as error:
            print(f"sizes: {error.stderr.strip()}", file=sys.stderr)
            return 2
    print(" " * 40 + "".join(f"{head:>14}" for head in columns))
    for label in columns["now"].rows():
        print(f"{label:40}" + "".join(f"{sizes.rows()[label]:>14}" for sizes in columns.values()))
    now = columns["now"]
    for place, value in now.above.items():
        print(f"complexity {value:3}  {place}")
    if arguments.names:
        print(", ".join(f"{name} {n}" for name, n in now.empty.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
