# SPDX-License-Identifier: Apache-2.0
"""`hoplab open` on a real lab: curl and a browser outside, every frame inside captured."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import need
from tests.web.browser import Browser, chromium

pytestmark = pytest.mark.net


def test_a_site_in_the_users_own_browser(anybody: Any, tmp_path: Path) -> None:
    process = anybody.popen("open", "--json", "--save", "clicks")
    lines = []
    while "}\n" not in lines:
        lines.append(process.stdout.readline())
        assert lines[-1], process.stderr.read()
    where = json.loads("".join(lines))
    assert where["host"] == "client"
    curl = [need("curl"), "-sS", "--max-time", "30"]
    page = subprocess.run(
        [*curl, "-x", where["proxy"], "http://www.itheima.com/"],
        capture_output=True, text=True, timeout=60, check=True,
    ).stdout  # fmt: skip
    assert "<title>Networks you can take apart</title>" in page
    refused = subprocess.run(
        [*curl, "-o", "/dev/null", "-w", "%{http_code}", where["url"].replace("www", "closed", 1)],
        capture_output=True, text=True, timeout=60, check=True,
    ).stdout  # fmt: skip
    assert refused == "502"
    if chromium() is not None:
        with Browser(tmp_path / "profile") as browser:
            shown = browser.open(where["url"])
            assert shown.run("document.title") == "Networks you can take apart"
            assert shown.run("document.images[0].naturalWidth") > 0
            assert shown.complaints == []
            assert all(url.startswith(where["url"]) for url in shown.requests)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    story = json.loads(out)
    titles = [trip["title"] for trip in story["trips"]]
    assert sum("HTTP GET / (Host: www.itheima.com)" in title for title in titles) >= 1
    if chromium() is not None:
        assert any("HTTP GET /style.css" in title for title in titles)
    assert any("TCP RST" in title for title in titles)  # closed.itheima.com
    assert (anybody.home / "clicks" / "capture.pcapng").stat().st_size > 1000
