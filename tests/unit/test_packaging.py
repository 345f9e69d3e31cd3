# SPDX-License-Identifier: Apache-2.0
"""Installing hoplab: the wheel, the editable install, the installer's promises.

Everything is done on a copy of the tree in a path with spaces, and leaves the checkout alone.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from hoplab import __version__, content, wait
from hoplab.cli.parser import build_parser
from hoplab.errors import Exit, LabError

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ("hoplab", "topologies", "controllers", "apps", "labs", "scripts")

# Run by the Python of the installed copy, in an empty folder.
ASK = """
import json
from hoplab import __version__, content
kinds = ["topologies", "controllers", "apps"]
print(json.dumps({
    "version": __version__,
    "from": content.__file__,
    "names": {kind: content.names(kind) for kind in kinds},
    "files": {kind: str(content.find(kind, content.names(kind)[0])) for kind in kinds},
    "data": sorted(str(p.relative_to(content.folder("apps")))
                   for p in content.folder("apps").rglob("*")
                   if p.is_file() and p.suffix not in (".py", ".pyc")),
}))
"""


def run(*command: str | Path, cwd: Path, **env: str) -> str:
    result = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **env},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    return result.stdout


def copy_tree(where: Path) -> Path:
    tree = where / "a tree" / "hop lab"
    tree.mkdir(parents=True)
    for name in SHIPPED:
        if (ROOT / name).is_dir():
            leave_out = shutil.ignore_patterns("__pycache__", "*.egg-info", ".*_cache")
            shutil.copytree(ROOT / name, tree / name, ignore=leave_out)
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy2(path, tree)
    return tree


def new_venv(where: Path) -> Path:
    """A fresh Python that has nothing, not even pip (which would take seconds to unpack)."""
    run(sys.executable, "-m", "venv", "--without-pip", where, cwd=where.parent)
    return where / "bin" / "python"


def pip_install(python: Path, *packages: str | Path, cwd: Path, **env: str) -> None:
    """Into that Python, by our pip."""
    # `pip --python` came with pip 22.3; before it, the fresh Python needs a pip of its own.
    major, minor = (int(number) for number in version("pip").split(".")[:2])
    if (major, minor) >= (22, 3):
        pip: list[str | Path] = [sys.executable, "-m", "pip", "--python", python]
    else:
        run(python, "-m", "ensurepip", cwd=cwd)
        pip = [python, "-m", "pip"]
    run(*pip, "install", *packages, cwd=cwd, **env)


def borrowed_setuptools(folder: Path) -> str:
    """A path on which a fresh Python finds this one's setuptools and nothing else."""
    import setuptools

    folder.mkdir()
    site = Path(setuptools.__file__).resolve().parents[1]
    for path in (*site.glob("setuptools*"), site / "pkg_resources", site / "_distutils_hack"):
        if path.exists():
            (folder / path.name).symlink_to(path)
    return str(folder)


def ask(python: Path, empty: Path) -> dict[str, object]:
    empty.mkdir()
    answer: dict[str, object] = json.loads(run(python, "-c", ASK, cwd=empty))
    return answer


def expected_data() -> list[str]:
    apps = ROOT / "apps"
    return sorted(
        str(path.relative_to(apps))
        for path in apps.rglob("*")
        if path.is_file()
        and path.suffix not in (".py", ".pyc")
        and not any(part.startswith(".") for part in path.relative_to(apps).parts)
    )


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_tree(tmp_path_factory.mktemp("packaging"))


@pytest.fixture(scope="module")
def wheel(tree: Path) -> Path:
    # The source archive, and from what it holds the wheel.
    run(sys.executable, "-m", "build", "--no-isolation", ".", cwd=tree)
    (made,) = (tree / "dist").glob("*.whl")
    return made


def test_the_wheel_holds_engine_and_content_inside_one_package(wheel: Path) -> None:
    assert wheel.name == f"hoplab-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = [name for name in names if name.endswith("/METADATA")]
        text = archive.read(metadata).decode()
        (entries,) = [name for name in names if name.endswith("/entry_points.txt")]
        assert "hoplab = hoplab.cli.main:main" in archive.read(entries).decode()
        assert "[pytest11]\nhoplab = hoplab.api.pytest_plugin" in archive.read(entries).decode()
    tops = {name.split("/")[0] for name in names}
    ours_alone = f"hoplab-{__version__}"
    assert tops == {"hoplab", f"{ours_alone}.dist-info", f"{ours_alone}.data"}
    assert f"{ours_alone}.data/data/share/man/man1/hoplab.1" in names
    for kind in ("topologies", "controllers", "apps"):
        ours = {f"hoplab/{path.relative_to(ROOT)}" for path in (ROOT / kind).rglob("*.py")}
        assert ours and ours <= set(names)
    for path in (ROOT / "hoplab").rglob("*"):
        parts = path.relative_to(ROOT).parts
        if path.is_file() and not any(p == "__pycache__" or p.startswith(".") for p in parts):
            assert path.relative_to(ROOT).as_posix() in names
    assert not [name for name in names if "__pycache__" in name or "/." in name]
    assert any(name.endswith("LICENSE") for name in names)
    assert "Apache-2.0" in text and "Requires-Python: >=3.10" in text
    required = [line for line in text.splitlines() if line.startswith("Requires-Dist: ryu")]
    assert all("extra" in line for line in required), "ryu must not be a hard requirement"


def test_the_installed_wheel_finds_its_files(wheel: Path, tmp_path: Path) -> None:
    python = new_venv(tmp_path / "wheel env")
    pip_install(python, "--no-deps", "--no-index", wheel, cwd=tmp_path)
    answer = ask(python, tmp_path / "empty")
    assert answer["version"] == __version__
    assert str(answer["from"]).startswith(str(tmp_path))
    for kind in ("topologies", "controllers", "apps"):
        assert answer["names"][kind] == content.names(kind)  # type: ignore[index, arg-type]
        assert answer["files"][kind].startswith(str(tmp_path))  # type: ignore[index]
    assert answer["data"] == expected_data()
    command = tmp_path / "wheel env" / "bin" / "hoplab"
    assert run(command, "--version", cwd=tmp_path) == f"hoplab {__version__}\n"
    assert "learning_switch" in run(command, "path", "--list", cwd=tmp_path)
    program = run(command, "path", "web_server", cwd=tmp_path).strip()
    assert run(python, program, "--help", cwd=tmp_path).startswith("usage: web_server.py")
    page = tmp_path / "wheel env" / "share" / "man" / "man1" / "hoplab.1"
    assert "hoplab swap" in page.read_text()


def test_the_source_archive_holds_what_the_installer_needs(wheel: Path) -> None:
    with tarfile.open(wheel.parent / f"hoplab-{__version__}.tar.gz") as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    kept = ("*.sh", "*.py", "requirements*.txt", "LICENSE", "Makefile")
    folders = (wheel.parents[1], wheel.parents[1] / "scripts")
    for path in (path for folder in folders for kind in kept for path in folder.glob(kind)):
        assert path.relative_to(wheel.parents[1]).as_posix() in names
    assert "build-constraints.txt" in names and "topologies/web.py" in names


# ---- what is made from the parser ---------------------------------------------------------------


def test_the_manual_page_names_every_verb_and_option(tmp_path: Path) -> None:
    page = tmp_path / "hoplab.1"
    run(sys.executable, ROOT / "scripts" / "make_man.py", page, cwd=tmp_path)
    text = page.read_text().replace("\\-", "-")
    (verbs,) = [a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction)]
    for name, verb in verbs.choices.items():
        assert f".SS \"hoplab {name}" in text
        for option in (option for action in verb._actions for option in action.option_strings):
            assert option in text or option in ("-h", "--help"), f"{name} {option}"


def test_man_renders_the_page_without_a_complaint(tmp_path: Path) -> None:
    groff = shutil.which("groff")
    if groff is None or not Path("/usr/share/groff/current/tmac/an.tmac").exists():
        pytest.skip("groff with the macros of man(7) is not installed (apt: groff)")
    page = tmp_path / "hoplab.1"
    run(sys.executable, ROOT / "scripts" / "make_man.py", page, cwd=tmp_path)
    result = subprocess.run(
        [groff, "-ww", "-man", "-Tutf8", "-P-c", page], capture_output=True, text=True
    )
    assert (result.returncode, result.stderr) == (0, "")
    plain = re.sub(".\b", "", result.stdout)
    assert "hoplab up web" in plain and "--datapath {auto,kernel,user}" in plain


HOPLAB = [sys.executable, "-m", "hoplab.cli.main"]


def completing(shell: str, folder: Path) -> tuple[Path, dict[str, str]]:
    """The completion script of a shell, in a folder of its own, and what hoplab is run with."""
    env = {"PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(folder / "state")}
    script = folder / "script"
    script.write_text(run(*HOPLAB, "completion", shell, cwd=folder, **env))
    return script, env


def things(folder: Path) -> None:
    """Something to complete: my-run/, frames.pcapng, mine.py and dir/own.py."""
    for name in ("my-run", "dir"):
        (folder / name).mkdir()
    for name in ("mine.py", "dir/own.py", "frames.pcapng"):
        (folder / name).write_text("")


# What each shell offers after `hoplab up --datapath `, asked of the shell itself.
SHELLS = {
    "bash": (
        'source {script}; COMP_WORDS=(hoplab up --datapath ""); COMP_CWORD=3; '
        '_shtab_hoplab hoplab "" --datapath; printf "%s\\n" "${{COMPREPLY[@]}}"'
    ),
    "fish": "source {script}; complete -C 'hoplab up --datapath '",
    "zsh": "zsh -n {script} && grep -o 'auto kernel user' {script} | tr ' ' '\\n'",
    "tcsh": "tcsh -f -c 'source {script}' && grep -o 'auto kernel user' {script} | tr ' ' '\\n'",
}


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_completes(shell: str, tmp_path: Path) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    script, _ = completing(shell, tmp_path)
    asking = program if shell in ("bash", "fish") else "sh"
    offered = run(asking, "-c", SHELLS[shell].format(script=script), cwd=tmp_path,
                  HOME=str(tmp_path))  # fmt: skip
    assert {line.split("\t")[0] for line in offered.splitlines()} >= {"auto", "kernel", "user"}


def test_bash_completes_what_there_is_now(tmp_path: Path) -> None:
    """Names of ours and files of the user's, asked of the command itself."""
    script, paths = completing("bash", tmp_path)
    (tmp_path / "mine.py").write_text("")
    command = f"hoplab() {{ {shlex.join(HOPLAB)} \"$@\"; }}; source {script}; "
    for line, offered in (
        ("up ", {"web", "switch", "./mine.py"}),
        ("up we", {"web", "web_openflow"}),
        ("swap ", {"hub", "learning_switch", "./mine.py"}),
        ("path f", {"firewall", "fetch"}),
        ("exec --name ", set()),
    ):
        words = ["hoplab", *line.split(" ")]
        ask = (
            f"COMP_WORDS=({' '.join(w or chr(34) * 2 for w in words)}); "
            f"COMP_CWORD={len(words) - 1}; "
            f"_shtab_hoplab hoplab {words[-1] or chr(34) * 2} {words[-2]}; "
            'printf "%s\\n" "${COMPREPLY[@]}"'
        )
        printed = set(run("bash", "-c", command + ask, cwd=tmp_path, **paths).split())
        assert offered <= printed, (line, printed)


# What TAB makes of a line, in a folder with `things`.
TYPED = {
    "hoplab report my": "hoplab report my-run/",
    "hoplab visit --save my": "hoplab visit --save my-run/",
    "hoplab capture -w fr": "hoplab capture -w frames.pcapng ",
    "hoplab exec h1 -- cat fr": "hoplab exec h1 -- cat frames.pcapng ",
    "hoplab up dir/o": "hoplab up dir/own.py ",
    "hoplab up web_": "hoplab up web_openflow ",
    "hoplab swap le": "hoplab swap learning_switch ",
}
SOURCE = {
    "bash": "source ./script; PS1=",
    "zsh": "fpath=($PWD/functions $fpath); autoload -U compinit; compinit -u -D; PS1=",
}


@pytest.mark.parametrize("shell", SOURCE)
def test_what_a_tab_types(shell: str, tmp_path: Path) -> None:
    """In a terminal; and hoplab is asked for words once at most, where words may stand."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    script, env = completing(shell, tmp_path)
    things(tmp_path)
    for folder in ("functions", "bin"):
        (tmp_path / folder).mkdir()
    shutil.copy(script, tmp_path / "functions" / "_hoplab")
    stub = tmp_path / "bin" / "hoplab"
    stub.write_text(f'#!/bin/sh\necho x >>"{tmp_path}/calls"\nexec {shlex.join(HOPLAB)} "$@"\n')
    stub.chmod(0o755)
    env |= {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "TERM": "dumb"}
    plain = [program, "--norc" if shell == "bash" else "-f", "-i"]
    terminal = subprocess.Popen(
        [sys.executable, "-c", "import pty, sys; pty.spawn(sys.argv[1:])", *plain],
        cwd=tmp_path, env={**os.environ, **env},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert terminal.stdin is not None and terminal.stdout is not None
    os.set_blocking(terminal.stdout.fileno(), False)

    def type_until(keys: str, expected: str) -> None:
        printed = ""

        def look() -> bool:
            nonlocal printed
            assert terminal.stdout is not None
            printed += (terminal.stdout.read() or b"").decode(errors="replace")
            return expected in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", printed)

        assert terminal.stdin is not None
        terminal.stdin.write(keys.encode())
        terminal.stdin.flush()
        try:
            wait.until(look, f"{expected!r}", within_s=20)
        except LabError as error:
            raise AssertionError(f"{error}: {printed!r}") from None

    try:
        type_until(f"{SOURCE[shell]}; echo re''ady\r", "ready")
        for line, becomes in TYPED.items():
            type_until(f"{line}\t", becomes)
            type_until("\x15echo cl''ean\r", "clean")
        asked = (tmp_path / "calls").read_text().count("x")
        assert asked <= 3, f"{asked} times for lines of which three have a word of ours"
    finally:
        terminal.kill()
        terminal.communicate()


def test_fish_completes_files_and_words(tmp_path: Path) -> None:
    program = shutil.which("fish")
    if program is None:
        pytest.skip("fish is not installed")
    _, env = completing("fish", tmp_path)
    things(tmp_path)
    function = f"function hoplab; {shlex.join(HOPLAB)} $argv; end; source script; "
    for line, becomes in TYPED.items():
        result = run(program, "-c", f"{function}complete -C '{line}'", cwd=tmp_path, **env)
        offered = {each.split("\t")[0] for each in result.splitlines()}
        assert becomes.strip().rpartition(" ")[2] in offered, (line, offered)


# ---- the bill of materials ----------------------------------------------------------------------


def test_the_bill_of_materials_names_what_is_needed_and_its_licences() -> None:
    bill = json.loads(run(sys.executable, ROOT / "scripts" / "make_sbom.py", cwd=ROOT))
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    parts = {part["name"]: part for part in bill["components"]}
    refs = [part["bom-ref"] for part in bill["components"]]
    assert len(refs) == len(set(refs))
    # Ryu is a need of the extra alone, msgpack one of Ryu's: found all the same.
    for name in ("ryu", "eventlet", "greenlet", "msgpack", "mininet", "openvswitch-switch"):
        assert parts[name]["version"] in parts[name]["purl"]
        assert parts[name]["licenses"][0]["license"]["name"]
    for name in ("dnspython", "h11", "starlette", "uvicorn", "wsproto"):
        assert parts[name]["version"] == version(name)
    assert not {"pytest", "ruff"} & set(parts), "these are tools of the tests"


def test_a_vendored_file_that_nobody_listed_is_an_error(tmp_path: Path) -> None:
    vendored = runpy.run_path(str(ROOT / "scripts" / "make_sbom.py"))["vendored"]
    folder = tmp_path / "web" / "vendor"
    folder.mkdir(parents=True)
    (folder / "x.js").write_text("")
    with pytest.raises(SystemExit, match=r"x.js is not listed in vendor.json"):
        list(vendored(tmp_path))
    entry = {"name": "x", "version": "1.2", "licence": "MIT", "files": ["x.js"]}
    (folder / "vendor.json").write_text(json.dumps([entry]))
    (part,) = vendored(tmp_path)
    assert part["purl"] == "pkg:generic/x@1.2"
    assert part["licenses"] == [{"license": {"name": "MIT"}}]


def test_the_editable_install_finds_the_checkouts_files(tmp_path: Path) -> None:
    tree = copy_tree(tmp_path)
    venv = tmp_path / "edit env"
    python = new_venv(venv)
    pip_install(
        python,
        *("--no-deps", "--no-index", "--no-build-isolation", "--use-pep517", "-e", tree),
        cwd=tmp_path,
        PYTHONPATH=borrowed_setuptools(tmp_path / "borrowed"),
    )
    answer = ask(python, tmp_path / "empty")
    assert str(answer["from"]).startswith(str(tree))
    for kind in ("topologies", "controllers", "apps"):
        assert answer["files"][kind].startswith(str(tree / kind))  # type: ignore[index]
    assert answer["data"] == expected_data()


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_plain_pip_installs_the_wheel_with_what_it_requires(wheel: Path, tmp_path: Path) -> None:
    """With the newest pip, in an environment that has nothing; fetches from the network."""
    python = new_venv(tmp_path / "env")
    run(python, "-m", "ensurepip", cwd=tmp_path)
    run(python, "-m", "pip", "install", "--upgrade", "pip", cwd=tmp_path)
    run(python, "-m", "pip", "install", wheel, cwd=tmp_path)
    assert ask(python, tmp_path / "empty")["version"] == __version__


def test_the_chinese_readme_has_the_commands_and_links_of_the_english() -> None:
    """So that a new command or a renamed page is translated too."""

    def parts(name: str) -> list[str]:
        text = (ROOT / name).read_text(encoding="utf-8")
        # The beginning of a story is in the language of each.
        text = re.sub(r"^    client .*?^(?=\S)", "", text, flags=re.MULTILINE | re.DOTALL)
        commands = re.findall(r"^    (\S.*?)(?:  +#.*)?$", text, re.MULTILINE)
        rows = re.findall(r"^\| (`[^|]+`) \|", text, re.MULTILINE)
        links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "README." not in link]
        assert all((ROOT / link.partition("#")[0]).exists() for link in links), links
        # A picture or a page may have a Chinese twin.
        return sorted([*commands, *rows, *(link.replace(".zh.", ".") for link in links)])

    assert parts("README.md") == parts("README.zh.md")


# ---- content ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["topologies", "controllers", "apps"])
def test_every_listed_name_is_a_file(kind: content.Kind) -> None:
    assert content.names(kind)
    for name in content.names(kind):
        assert content.find(kind, name) == ROOT / kind / f"{name}.py"


def test_helpers_are_not_listed() -> None:
    assert "nodes" not in content.names("topologies")


def test_a_path_is_the_users_own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "my net.py"
    mine.write_text("")
    assert content.find("topologies", str(mine)) == mine
    monkeypatch.chdir(tmp_path)
    assert content.find("topologies", "my net.py") == mine
    assert content.find("topologies", "./my net.py") == mine
    monkeypatch.setenv("HOME", str(tmp_path))
    assert content.find("controllers", "~/my net.py") == mine


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("learning_swich", "did you mean learning_switch?"),
        ("nothing_like_it", "hoplab has: datapath_learning, fast_switch"),
        ("./hub.py", "did you mean hub?"),
        ("", "hoplab has: datapath_learning, fast_switch"),
    ],
)
def test_an_unknown_name_is_answered_with_the_known(
    name: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LabError) as caught:
        content.find("controllers", name)
    assert caught.value.code == Exit.NO_SUCH
    assert hint in caught.value.hint


def test_a_bare_name_that_is_a_file_here_gets_the_right_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("")
    with pytest.raises(LabError) as caught:
        content.find("controllers", "mine")
    assert caught.value.hint == "for your own file say ./mine.py"
    with pytest.raises(LabError, match="is a folder"):
        content.find("controllers", f"{tmp_path}/")


# ---- the installer ------------------------------------------------------------------------------


def test_the_version_stands_in_one_place() -> None:
    for path in [*ROOT.glob("*.py"), *ROOT.glob("*.toml"), *(ROOT / "scripts").iterdir()]:
        assert __version__ not in path.read_text(encoding="utf-8"), path


def test_a_dry_run_says_and_does_nothing(tmp_path: Path) -> None:
    tree = copy_tree(tmp_path)
    printed = run("scripts/install.sh", "--dry-run", "--with-tests", cwd=tree)
    assert "dry run: nothing was done" in printed and ".venv: ryu 4.34" in printed
    assert not (tree / ".venv").exists()


def test_the_installer_lists_its_packages() -> None:
    listed = run(ROOT / "scripts" / "install.sh", "--list", cwd=ROOT).split()
    assert {"mininet", "openvswitch-switch"} <= set(listed) and "tshark" not in listed
    with_tests = run(ROOT / "scripts" / "install.sh", "--list", "--with-tests", cwd=ROOT).split()
    assert set(with_tests) > set(listed) and "tshark" in with_tests
    with_frr = run(ROOT / "scripts" / "install.sh", "--list", "--with-frr", cwd=ROOT).split()
    assert with_frr == [*listed, "frr"]


def test_a_folder_that_is_no_bundle_for_this_machine_is_refused(tmp_path: Path) -> None:
    def refused() -> str:
        result = subprocess.run(
            [ROOT / "scripts" / "install.sh", "--dry-run", "--from", tmp_path],
            capture_output=True, text=True,
        )  # fmt: skip
        assert result.returncode, result.stdout
        return result.stderr

    assert "is no bundle" in refused()
    (tmp_path / "made-for").write_text("plan-9 mips\n")
    assert "made for plan-9 mips" in refused() and "make bundle" in refused()


def test_an_unknown_option_is_refused() -> None:
    result = subprocess.run(
        [ROOT / "scripts" / "install.sh", "--tests"], capture_output=True, text=True
    )
    assert result.returncode == 2 and "--with-tests" in result.stderr


def fake_debian(tmp_path: Path, sudo: bool = False) -> Path:
    """A PATH where no package is installed and apt-get only writes down what it was asked."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("bash", "cat", "cut", "dirname", "env", "flock", "mkdir", "readlink", "sed",
                 "sha256sum", "tail", "find", "rm", "mv", "grep", "sleep", "id"):  # fmt: skip
        program = shutil.which(name)
        assert program is not None
        (tools / name).symlink_to(program)
    (tools / "dpkg-query").write_text("#!/bin/sh\nexit 1\n")
    (tools / "apt-get").write_text(f'#!/bin/sh\necho "$@" >> "{tmp_path}/apt"\nexit 1\n')
    (tools / "apt-cache").write_text("#!/bin/sh\nexit 0\n")
    for path in tools.iterdir():
        if not path.is_symlink():
            path.chmod(0o755)
    return tools


def installer(
    tree: Path, tools: Path, as_nobody: bool = False, **env: str
) -> subprocess.CompletedProcess[str]:
    command = ["/bin/bash", str(tree / "scripts" / "install.sh")]
    if as_nobody:
        prefix = ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        command = [*prefix, *command]
    return subprocess.run(
        command, env={"PATH": str(tools), "HOME": "/", **env}, capture_output=True, text=True
    )


def test_without_root_the_line_to_run_is_printed() -> None:
    # Not in pytest's own folder, into which no other user can look.
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        tree = copy_tree(place)
        tools = fake_debian(place)
        as_nobody = os.geteuid() == 0
        if as_nobody:
            place.chmod(0o755)
            for path in (tree, *tree.rglob("*")):
                os.chown(path, 65534, 65534)
        result = installer(tree, tools, as_nobody)
        asked = (place / "apt").exists()
    assert result.returncode == 6, result
    line = "as root: apt-get update && apt-get install -y --no-install-recommends mininet openvsw"
    assert line in result.stderr
    assert not asked


@pytest.mark.skipif(os.geteuid() != 0, reason="asks a pretended apt-get as root")
def test_a_failing_step_shows_its_log_and_its_command(tmp_path: Path) -> None:
    tree = copy_tree(tmp_path)
    result = installer(tree, fake_debian(tmp_path))
    assert result.returncode == 1
    assert "openvswitch-switch starts a service of its own" in result.stdout
    assert "The end of " in result.stderr
    assert "this command failed with exit code 1" in result.stderr
    asked = (tmp_path / "apt").read_text().splitlines()
    assert asked[0] == "update"
    options = r"(-o \S+ )+"
    assert re.fullmatch(rf"install -y --no-install-recommends {options}mininet .*", asked[1])
    assert "--force-confold" in asked[1]  # dpkg would ask, where nobody sees it
    assert "it goes on from here" in result.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="asks a pretended apt-get as root")
def test_apt_is_told_of_the_proxy_and_asked_again_while_its_lists_are_locked(
    tmp_path: Path,
) -> None:
    tree, tools = copy_tree(tmp_path), fake_debian(tmp_path)
    (tools / "apt-get").write_text(
        f'#!/bin/sh\necho "$1 $http_proxy" >> "{tmp_path}/apt"\n'
        f'test "$1" = update || exit 1\ntest -e "{tmp_path}/asked" && exit 0\n'
        f'true > "{tmp_path}/asked"\n'
        'echo "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 7 (apt-get)"\n'
        "exit 100\n"
    )
    # As sudo does it, which hands no proxy on.
    (tools / "env").unlink()
    (tools / "env").write_text('#!/bin/sh\nexec /usr/bin/env -i PATH="$PATH" "$@"\n')
    (tools / "env").chmod(0o755)
    proxy = "http://me:secret@proxy.school:3128"
    result = installer(tree, tools, http_proxy=proxy)
    assert (tmp_path / "apt").read_text().splitlines() == [
        f"update {proxy}", f"update {proxy}", f"install {proxy}",
    ]  # fmt: skip
    assert "going on with the package lists" not in result.stdout
    assert "secret" not in result.stdout + result.stderr + (tree / ".venv/install.log").read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a folder that is root's")
def test_a_venv_that_root_made_is_told_as_such() -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        tree, tools = copy_tree(place), fake_debian(place)
        place.chmod(0o755)
        for path in (tree, *tree.rglob("*")):
            os.chown(path, 65534, 65534)
        (tree / ".venv").mkdir()
        result = installer(tree, tools, as_nobody=True)
    assert result.returncode == 1
    assert ".venv cannot be written" in result.stderr and "sudo chown -R" in result.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="asks a pretended dpkg-query as root")
@pytest.mark.parametrize(
    ("setting", "printed"),
    [
        ({"PYTHONHOME": "/nonexistent"}, "installing ryu"),
        pytest.param(
            {"PIP_CONFIG_FILE": "{}/pip.conf"}, "install.target='/tmp/x'", marks=pytest.mark.long
        ),
    ],
)
def test_settings_that_lead_elsewhere(
    tmp_path: Path, setting: dict[str, str], printed: str
) -> None:
    tree, tools = copy_tree(tmp_path), fake_debian(tmp_path)
    (tools / "dpkg-query").write_text("#!/bin/sh\nshift 3\nfor n; do echo $n installed; done\n")
    (tmp_path / "pip.conf").write_text("[install]\ntarget = /tmp/x\n")
    env = {name: value.format(tmp_path) for name, value in setting.items()}
    result = installer(tree, tools, PIP_NO_INDEX="1", **env)
    assert result.returncode == 1 and printed in result.stdout + result.stderr, result


def test_line_ends_stay_as_they_are_on_windows(tmp_path: Path) -> None:
    """Git for Windows makes CRLF of them unless told otherwise, and bash reads the CR."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("this is no checkout of git, or git is not installed")
    plain = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    crlf = ("-c", "core.autocrlf=true", "-c", f"safe.directory={ROOT}/.git")
    run(git, *crlf, "clone", "-q", "--depth=1", f"file://{ROOT}", "clone", cwd=tmp_path, **plain)
    assert b"\r" not in (tmp_path / "clone" / "scripts" / "install.sh").read_bytes()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_installer_in_a_path_with_spaces(tmp_path: Path) -> None:
    """For real; fetches from the network. The second run does nothing."""
    tree = copy_tree(tmp_path)
    run("scripts/install.sh", cwd=tree)
    python = tree / ".venv" / "bin" / "python"
    printed = run(python, "-c", "import ryu, hoplab; print(ryu.version, hoplab.__file__)",
               cwd=tmp_path)  # fmt: skip
    assert printed.split(maxsplit=1)[0] == "4.34" and str(tree) in printed
    log = (tree / ".venv" / "install.log").stat().st_mtime_ns
    assert run("scripts/install.sh", cwd=tree) == "install: everything is in place\n"
    assert (tree / ".venv" / "install.log").stat().st_mtime_ns == log
    shutil.rmtree(tree / ".venv" / "lib")  # as if it had been stopped half-way
    (tree / ".venv" / ".stamp-run").unlink()
    run("scripts/install.sh", cwd=tree)
    run(python, "-c", "import ryu, hoplab", cwd=tmp_path)
    moved = tree.rename(tree.with_name("moved here"))
    run("scripts/install.sh", cwd=moved)
    run("/bin/bash", "-c", ". .venv/bin/activate && hoplab --version", cwd=moved)
    assert str(moved) in (moved / ".venv" / "bin" / "activate").read_text()
