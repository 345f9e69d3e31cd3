# SPDX-License-Identifier: Apache-2.0
"""The virtual machine's and the containers' files, as far as they can be checked without them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from hoplab.browser.proxy import PORT
from hoplab.live.server import PORT as WEB_PORT

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.long
def test_vagrant_takes_the_file(tmp_path: Path) -> None:
    vagrant = shutil.which("vagrant")
    if vagrant is None:
        pytest.skip("vagrant is not installed (apt: vagrant)")
    result = subprocess.run(
        [vagrant, "validate", "--ignore-provider"],
        cwd=ROOT / "vagrant",
        env={**os.environ, "VAGRANT_HOME": str(tmp_path), "VAGRANT_DOTFILE_PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0 and "validated successfully" in result.stdout, result


def test_the_machine_is_made_by_the_installer_and_opens_two_ports_on_loopback() -> None:
    text = (ROOT / "vagrant" / "Vagrantfile").read_text()
    assert 'path: "provision.sh"' in text
    assert "forwarded_port" not in text and "public_network" not in text
    for port in (PORT, WEB_PORT):
        assert f'"-L", "127.0.0.1:{port}:127.0.0.1:{port}"' in text
    for provider in ("virtualbox", "libvirt", "qemu"):
        assert f'provider "{provider}"' in text
    assert '"$checkout/scripts/install.sh" "$@"' in (ROOT / "vagrant/provision.sh").read_text()


@pytest.mark.parametrize("script", ["vagrant/provision.sh", "scripts/make_bundle.sh",
                                    "tests/machines/root.sh", "tests/machines/bare.sh",
                                    "tests/machines/vm.sh",
                                    "tests/machines/apparmor.sh"])  # fmt: skip
def test_bash_takes_the_script(script: str) -> None:
    result = subprocess.run(["bash", "-n", ROOT / script], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    assert os.access(ROOT / script, os.X_OK)


def test_the_containers_ask_for_what_the_document_says_and_no_more() -> None:
    document = (ROOT / "docs" / "install.md").read_text()
    settings = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    docker = re.search(r"docker run (.*?) hoplab\n", document, re.DOTALL)
    assert docker is not None
    asked = set(docker[1].replace("--device ", "--device=").replace("opt ", "opt=").split())
    assert asked - {"-it", "--rm", "\\"} == set(settings["runArgs"])
    texts = document + (ROOT / "Containerfile").read_text() + json.dumps(settings)
    assert not re.search(r"run[^`\n]*--privileged|--cap-add", texts)
    containerfile = (ROOT / "Containerfile").read_text()
    assert "scripts/install.sh" in containerfile
    # The last word on the user is that it is an ordinary one.
    assert re.findall(r"^USER (\w+)$", containerfile, re.MULTILINE) == [settings["remoteUser"]]
