# SPDX-License-Identifier: Apache-2.0
"""CONTRIBUTING's table "To add a …": each of its rows is walked in a copy of the tree.

What is added touches no file that its row does not name, and works: it is listed, run or told.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hoplab import content

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("hoplab", "topologies", "controllers", "apps", "labs", "bench", "scripts")
TOYS = (
    "tests/unit/fake_table.py", "tests/unit/frames.py", "tests/unit/playground.py",
    "tests/unit/toynet.py", "tests/net/test_guided_labs.py", "tests/net/printed_pages.py",
    "tests/unit/test_sheet_pages.py", "tests/unit/test_typography.py",
)  # fmt: skip
LICENCE = "# SPDX-License-Identifier: Apache-2.0\n"
CATALOGUE = "hoplab/locale/zh/LC_MESSAGES/hoplab.po"


def rows() -> dict[str, tuple[list[str], list[str]]]:
    """What can be added -> the files to touch, and those of the tests, as the table has them."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text[text.index("## To add a") :].split("\n## ")[0]
    cells = [line.strip("|").split(" | ") for line in table.splitlines() if line.startswith("| ")]
    paths = re.compile(r"`([\w./-]+\.\w+)`")
    return {
        name.strip(): (paths.findall(files), paths.findall(tests))
        for name, files, tests in cells[1:]
    }


ROWS = rows()


class Tree:
    """A copy of the tree. Only files that the row names may be changed or added in it."""

    def __init__(self, folder: Path, row: str) -> None:
        self.folder = folder
        named = ROWS[row][0]
        self.allowed = [
            re.escape(path).replace("NAME", r"[\w-]+").replace("NUMBER", r"\d+") for path in named
        ]
        for name in COPIED:
            leave_out = shutil.ignore_patterns("__pycache__", "*.mo")
            shutil.copytree(ROOT / name, folder / name, ignore=leave_out)
        for name in ("Makefile", *TOYS):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
        (folder / "tests" / "__init__.py").touch()  # or another package of that name would win

    def _may_touch(self, path: str) -> Path:
        assert any(re.fullmatch(pattern, path) for pattern in self.allowed), f"{path}: not named"
        return self.folder / path

    def write(self, path: str, text: str) -> None:
        """A new file."""
        file = self._may_touch(path)
        assert not file.exists()
        file.write_text(text, encoding="utf-8")

    def insert(self, path: str, after: str, text: str) -> None:
        """Text behind the first place that a pattern matches."""
        file = self._may_touch(path)
        old = file.read_text(encoding="utf-8")
        place = re.search(after, old, re.MULTILINE)
        assert place is not None, (path, after)
        file.write_text(old[: place.end()] + text + old[place.end() :], encoding="utf-8")

    def run(self, *words: str, code: int | None = 0) -> str:
        """A command's output, the copy's hoplab first on the path of Python."""
        result = subprocess.run(
            words, cwd=self.folder, text=True, capture_output=True, timeout=60,
            env={**os.environ, "PYTHONPATH": str(self.folder),
                 "XDG_STATE_HOME": str(self.folder / "state"), "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
        assert code in (None, result.returncode), result.stdout + result.stderr
        return result.stdout

    def python(self, *words: str, code: int | None = 0) -> str:
        return self.run(sys.executable, *words, code=code)

    def hoplab(self, *words: str, code: int | None = 0) -> str:
        return self.python("-m", "hoplab.cli.main", *words, code=code)

    def story(self, port: int, payload: str = "hello") -> str:
        """The story of one UDP datagram from a to b, in English and in Chinese."""
        return self.python("-c", TELL, str(port), payload)

    def translate(self, catalogue: str, english: str, translated: str) -> None:
        """What a translator does: fills in an empty msgstr."""
        self.insert(catalogue, rf'^msgid "{re.escape(english)}"\nmsgstr "', translated)
        self.python("scripts/messages.py", "compile")


TELL = """
import sys
from hoplab.report.language import language
from hoplab.report.terminal import render
from tests.unit.playground import CABLE, Playground, wire_up
net = Playground(wire_up(CABLE))
net.warm()
net.udp("192.168.1.1", 40000, "192.168.1.2", int(sys.argv[1]), sys.argv[2].encode())
for code in ("en", "zh"):
    print(render(net.story(host="a", command="x"), tr=language(code), detail="full"))
"""


def add_topology(tree: Tree) -> None:
    old = (ROOT / "topologies" / "hub.py").read_text(encoding="utf-8")
    tree.write("topologies/pair.py", old.replace('{"hub": HubTopo}', '{"pair": HubTopo}'))
    assert tree.hoplab("path", "pair").strip() == str(tree.folder / "topologies" / "pair.py")
    assert "pair" in tree.hoplab("completion", "--words", "topologies").split()
    load = "from pathlib import Path; from hoplab.network.topofile import load_topo\n"
    load += "print(load_topo(Path('topologies/pair.py'), 'n=2').hosts())"
    assert tree.python("-c", load) == "['h1', 'h2']\n"


def add_controller(tree: Tree) -> None:
    old = (ROOT / "controllers" / "hub.py").read_text(encoding="utf-8")
    tree.write("controllers/repeater.py", old.replace("class Hub(", "class Repeater("))
    assert tree.hoplab("path", "repeater").strip().endswith("controllers/repeater.py")
    assert "repeater" in tree.hoplab("completion", "--words", "controllers").split()
    rig = "from tests.unit import fake_table as table; rig = table.start(sys.argv[1])\n"
    rig += "switch = rig.connect(table.FakeSwitch()); print(len(switch.flows))"
    assert tree.python("-c", f"import sys; {rig}", "repeater") == "1\n"


def add_app(tree: Tree) -> None:
    parser = "argparse.ArgumentParser(prog='ntp_server.py', description=__doc__)"
    program = f"import argparse\n\nif __name__ == '__main__':\n    {parser}.parse_args()\n"
    tree.write("apps/ntp_server.py", f'{LICENCE}"""Says what time it is."""\n\n{program}')
    tree.insert("topologies/nodes.py", r"\Z", "\n\nclass Clock(Computer):\n    pass\n")
    assert "Says what time it is." in tree.python("apps/ntp_server.py", "--help")
    assert "ntp_server" in tree.hoplab("path", "--list")


def add_decoder(tree: Tree) -> None:
    body = 'def read(data: bytes) -> bool:\n    """Whether it asks."""\n    return data == b"?"\n'
    tree.write("hoplab/decode/clock.py", f'{LICENCE}"""What time is it?"""\n\n{body}')
    titles = "hoplab/story/titles.py"
    tree.insert(titles, r"^from hoplab\.decode import .*\n", "from hoplab.decode import clock\n")
    tree.insert(
        titles,
        r'^def describe\(.*\n    """.*"""\n',
        "    if packet.udp is not None and clock.read(packet.payload):\n"
        '        return "clock-question", term("what time is it?")\n',
    )
    tree.insert(
        titles, r"^_COUNTED\b.*\{\n",
        '    "clock-question": lambda n: number_of("{n} time asked", "{n} times asked", n),\n',
    )  # fmt: skip
    story = tree.story(123, "?")
    assert "what time is it?" in story and "1 time asked" in story


def add_sentence(tree: Tree) -> None:
    # Any module of the engine may say one.
    tree.allowed.append("hoplab/story/titles.py")
    tree.insert(
        "hoplab/story/titles.py",
        r'^def describe\(.*\n    """.*"""\n',
        "    if packet.udp is not None and packet.udp.dport == 9:\n"
        '        return "udp", say("port {port} throws away what comes", port=9)\n',
    )
    tree.python("scripts/messages.py", "update")
    english = "port {port} throws away what comes"
    tree.translate(CATALOGUE, english, "端口 {port} 丢弃收到的一切")
    story = tree.story(9)
    assert "port 9 throws away what comes" in story and "端口 9 丢弃收到的一切" in story


def add_language(tree: Tree) -> None:
    before = {path for path in tree.folder.rglob("*") if path.is_file()}
    tree.python("scripts/messages.py", "new", "xx")
    catalogue = "hoplab/locale/xx/LC_MESSAGES/hoplab.po"
    of_programs = "apps/protocols/locale/xx/LC_MESSAGES/apps.po"
    added = {path for path in tree.folder.rglob("*") if path.is_file()} - before
    sources = {path for path in added if path.suffix not in (".mo", ".pyc")}
    assert sources == {tree.folder / catalogue, tree.folder / of_programs}
    tree.translate(catalogue, "ARP reply: {ip} is at {mac}", "{mac} xyzzy {ip}")
    run = str(ROOT / "tests" / "data" / "runs" / "switch")
    page = tree.hoplab("report", run, "--md", "--lang", "xx", "-o", "-")
    assert re.search(r"[0-9a-f:]{17} xyzzy 10\.0\.0\.2", page)
    assert "{en,xx,zh}" in tree.hoplab("report", "--help")


def add_verb(tree: Tree) -> None:
    verb = 'def greet(arguments: object) -> int:\n    print("good day")\n    return 0\n'
    tree.write("hoplab/cli/verbs_greet.py", f'{LICENCE}"""The verb `greet`."""\n\n{verb}')
    words = '"greet", "say good day", "hoplab greet", "verbs_greet"'
    tree.insert(
        "hoplab/cli/options_labs.py", r"(?=^def add_doctor\()",
        f"def add_greet(verbs: Any) -> None:\n    add_verb(verbs, {words})\n\n\n",
    )  # fmt: skip
    adder = '    "greet": options_labs.add_greet,\n'
    tree.insert("hoplab/cli/parser.py", r"^_ADDERS\b.*\{\n", adder)
    assert "say good day" in tree.hoplab("--help")
    assert tree.hoplab("greet") == "good day\n"
    assert "greet" in tree.hoplab("completion", "bash")


def add_step(tree: Tree) -> None:
    steps = "hoplab/story/steps.py"
    tree.insert(steps, r"^HEADINGS\b.*\{\n", '    "time": "Time: what the clock says",\n')
    tree.insert(steps, r"^LESSONS\b.*\{\n", '    "time": "One host asks another for the time.",\n')
    tree.insert(steps, r"^STEPS_OF_KINDS\b[^}]*", ', "udp": "time"')
    story = tree.story(123)
    assert "Time: what the clock says" in story and "asks another for the time" in story
    assert "UDP: datagrams" not in story


def add_lab_sheet(tree: Tree) -> None:
    (tree.folder / "labs" / "90-again").mkdir()
    for old in (ROOT / "labs" / "01-cable").iterdir():
        text = old.read_text(encoding="utf-8").replace("01-cable", "90-again")
        tree.write(f"labs/90-again/{old.name}", re.sub(r"\b01\b", "90", text))
    for page in ("README.md", "README.zh.md"):
        tree.insert(f"labs/{page}", r"^\|---.*\n", f"| [90](90-again/{page}) | 30 | again |\n")
    assert "90-again" in tree.hoplab("lab", "list")
    every = "from hoplab.sheets import sheet_file as f, solutions as s; "
    every += "print(*s.load(next(x for x in f.folders() if x.name == '90-again')).right)"
    assert "ip address add" in tree.python("-c", every)
    pages = ("tests/unit/test_sheet_pages.py", "-k", "90-again or links")
    judged = tree.python("-m", "pytest", "-q", "-p", "no:cacheprovider", *pages)
    assert re.search(r"^\d+ passed", judged, re.MULTILINE)


def add_short_lab(tree: Tree) -> None:
    number = 1 + sum(name[0].isdigit() for name in content.names("labs"))
    page = "# Lab: who is there\n\n```sh\nhoplab up --replace hub\n```\n"
    tree.write(f"labs/{number}-who-is-there.md", page)
    tree.insert("labs/README.md", r"^\|---.*\n", f"| [x]({number}-who-is-there.md) | who |\n")
    check = "import sys; from pathlib import Path; import tests.net.test_guided_labs as t\n"
    check += "t.LABS = Path('labs').absolute(); t.PAGES = sorted(\n"
    check += "    (p.name for p in t.LABS.glob('[0-9]*.md')), key=t.number)\n"
    check += "t.test_the_pages_are_read_as_they_are_meant()\n"
    check += "print([s.commands for s in t.steps((t.LABS / t.PAGES[-1]).read_text())])"
    assert tree.python("-c", check) == "[['hoplab up --replace hub']]\n"


def add_doctor_check(tree: Tree) -> None:
    checks = "hoplab/doctor/checks.py"
    moon = 'def _moon() -> Check:\n    return Check("the moon", "full", True)\n\n\n'
    tree.insert(checks, r"(?=^def examine\()", moon)
    tree.insert(checks, r"^def examine\((?:.*\n)+?    return \[", "_moon(), ")
    result = tree.hoplab("doctor", code=None)
    assert re.search(r"^ok +the moon +full$", result, re.MULTILINE)


def add_fault(tree: Tree) -> None:
    kind = '    Kind("moon", term("the moon"), lambda network: iter(())),\n'
    tree.insert("hoplab/faults/kinds.py", r"^KINDS: .*\n", kind)
    check = "from hoplab.faults.kinds import KINDS; print(KINDS[0].name)"
    assert tree.python("-c", check) == "moon\n"


def add_benchmark(tree: Tree) -> None:
    tree.write("bench/clock.py", f'{LICENCE}"""How fast a clock is."""\n')
    assert "bench/clock.py" in tree.run("make", "-n", "--old-file=install-tests", "bench")


ADD: dict[str, Callable[[Tree], None]] = {
    "topology": add_topology,
    "controller": add_controller,
    "app": add_app,
    "decoder": add_decoder,
    "sentence": add_sentence,
    "language": add_language,
    "verb": add_verb,
    "step of a story": add_step,
    "fault": add_fault,
    "lab sheet": add_lab_sheet,
    "short lab": add_short_lab,
    "doctor check": add_doctor_check,
    "benchmark": add_benchmark,
}


def test_every_row_is_walked() -> None:
    assert list(ROWS) == list(ADD)


@pytest.mark.parametrize("row", ADD)
def test_a_row_names_what_is_there(row: str) -> None:
    files, tests = ROWS[row]
    assert files and tests
    for path in (*files, *tests):
        real = ROOT / path.split("NAME")[0].split("NUMBER")[0]
        assert real.exists() or real.parent.is_dir(), path
    assert all((ROOT / path).is_file() for path in tests)


@pytest.mark.parametrize("row", ADD)
def test_it_is_added_as_its_row_says(row: str, tmp_path: Path) -> None:
    ADD[row](Tree(tmp_path, row))


@pytest.mark.parametrize("name", ["README.md", "README.zh.md"])
def test_the_readme_names_every_folder_and_what_is_in_it(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    table = [line for line in text.splitlines() if re.match(r"\| `[\w/.]+`.* \| ", line)]
    folders = {path for line in table for path in re.findall(r"`([a-z]+)/", line.split(" | ")[0])}
    there = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name.isalpha()}
    # What builds and tests leave behind is no part of it.
    assert folders == there - {"build", "dist", "bundle"}
    (topologies,) = [line for line in table if line.startswith("| `topologies/`")]
    shown = re.findall(r"`(\w+)`", topologies.split("FILE")[0])
    assert set(content.names("topologies")) <= set(shown)
