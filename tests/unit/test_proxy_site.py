# SPDX-License-Identifier: Apache-2.0
"""One server of the lab at the loopback address itself, for programs that know of no proxy."""

from __future__ import annotations

import argparse
import base64
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from hoplab import ryu_apps
from hoplab.browser.origins import Origin
from hoplab.cli.verbs_open_controller import is_page
from hoplab.control import process
from tests.unit.test_apps_fetch import Script, answer
from tests.unit.test_proxy import Lab


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Script({"/stats/switches": answer(b"[1]", b"application/json")}) as script:
        made = Lab(script)
        yield made
        made.proxy.close()


def password(lab: Lab) -> str:
    token = base64.b64encode(f"hoplab:{lab.proxy.names.token}".encode()).decode()
    return f"Authorization: Basic {token}"


def test_the_site_is_reached_with_its_password_alone(lab: Lab) -> None:
    names = lab.proxy.names
    assert names.as_site == f"http://hoplab:{names.token}@127.0.0.1:{names.port}"
    here = f"127.0.0.1:{names.port}"
    assert b" 421 " in lab.get(here, "/stats/switches", password(lab)).split(b"\r\n")[0]
    names.site = Origin("controller")
    refused = lab.get(here, "/stats/switches")
    assert b" 401 " in refused.split(b"\r\n")[0] and b"WWW-Authenticate: Basic" in refused
    assert b" 401 " in lab.get(here, "/stats/switches", "Authorization: Basic aG9wOng=")
    assert lab.asked == []
    assert lab.get(here, "/stats/switches", password(lab)).endswith(b"\r\n\r\n[1]")
    assert lab.asked == [("controller", 80)]
    # The password is ours: the server does not get it.
    assert "authorization" not in lab.script.heads[0].lower()


@pytest.mark.parametrize(
    ("value", "page"),
    [(None, False), ("", True), ("/", True), ("/stats/switches", True), ("hub", False),
     ("./app.py", False)],
)  # fmt: skip
def test_a_path_is_a_page_and_all_else_is_to_be_put_in_charge(
    value: str | None, page: bool, tmp_path: Path
) -> None:
    assert is_page(value) == page
    (tmp_path / "app.py").touch()
    assert not is_page(f"{tmp_path}/app.py")


def test_a_controllers_ports_are_its_own_beside_openflows() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as web,
        socket.create_server(("127.0.0.1", 0)) as openflow,
    ):
        controller = process.Controller(ryu_apps.NO_APPS, openflow.getsockname()[1], Path())
        assert controller.web_ports() == []
        controller.process = argparse.Namespace(pid=os.getpid())  # type: ignore[assignment]
        assert web.getsockname()[1] in controller.web_ports()
        assert openflow.getsockname()[1] not in controller.web_ports()
