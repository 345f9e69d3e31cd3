# SPDX-License-Identifier: Apache-2.0
"""The AppArmor profile: what it is attached to, and that AppArmor's own parser takes it."""

from __future__ import annotations

import re
import subprocess
import sysconfig
from pathlib import Path

import pytest

from hoplab import programs
from hoplab.cli.main import main
from hoplab.doctor import apparmor, checks
from hoplab.errors import LabError
from hoplab.kernel import refusals

PATHS = [
    "/home/learner/hoplab/.venv/bin/hoplab",
    '/home/a b/{c}[d]*^/x"y\\z,@{HOME}/hoplab',
    "/home/ü/课程/#1/hoplab",
]


@pytest.fixture
def scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder where this Python keeps its commands."""
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    return tmp_path


def test_it_is_attached_to_the_file_behind_all_links(
    scripts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real = scripts / "real"
    real.touch()
    (scripts / "hoplab").symlink_to(real)
    assert main(["doctor", "--apparmor-profile"]) == 0
    text = capsys.readouterr().out
    assert f'\nprofile hoplab "{real}" flags=(unconfined) {{\n' in text
    assert text.count("userns,") == 1 and "abi <abi/4.0>," in text


def test_without_a_launcher_there_is_nothing_to_attach_it_to(
    scripts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--apparmor-profile"]) == 6
    assert "scripts/install.sh" in capsys.readouterr().err


@pytest.mark.parametrize("path", ["/home/a\nb/hoplab", "/home/who?/hoplab"])
def test_a_path_that_no_profile_can_name_is_refused(path: str) -> None:
    with pytest.raises(LabError, match="no profile can name"):
        apparmor.profile(Path(path))


@pytest.mark.parametrize("path", PATHS)
def test_the_parser_takes_it(path: str, tmp_path: Path) -> None:
    parser = programs.find("apparmor_parser")
    if parser is None or not Path("/etc/apparmor.d/abi/4.0").exists():
        pytest.skip("AppArmor 4 is not installed (Ubuntu 23.10 or later, Debian 13: apparmor)")
    file = tmp_path / "hoplab"
    file.write_text(apparmor.profile(Path(path)))
    # -Q, -K: nothing is loaded into the kernel, nothing is kept. -D tells the names of files.
    result = subprocess.run([parser, "-Q", "-K", "-D", "rule-exprs", file], capture_output=True)
    assert result.returncode == 0, result.stderr
    rule = re.search(rb"^rule: (.*)  ->  ", result.stdout + result.stderr, re.MULTILINE)
    assert rule is not None
    assert re.sub(rb"\\(.)", rb"\1", rule[1]).decode() == path  # nothing of it is a pattern


@pytest.mark.parametrize("installed", [True, False])
def test_doctor_offers_it_before_the_setting_for_everybody(scripts: Path, installed: bool) -> None:
    if installed:
        (scripts / "hoplab").touch()
    sysctl = f"sudo sysctl -w {refusals.APPARMOR}=0"
    check = checks._apparmor(refusals.Refusal(f"{refusals.APPARMOR} is 1", sysctl))
    assert not check.good
    if installed:
        assert check.fix == apparmor.install_line(scripts / "hoplab")
        assert str(scripts / "hoplab") in check.finding
    else:
        assert check.fix == sysctl
