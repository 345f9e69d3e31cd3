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


def test_https_is_told_as_far_as_it_can_be_seen(hoplab: Any) -> None:
    up = ["--topology", "web,tls=1", "--json"]
    story = hoplab("visit", "https://www.itheima.com/", *up).json
    assert story["outcome"]["code"] == "sealed" and story["outcome"]["ok"]
    titles = [trip["title"] for trip in story["trips"]]
    assert "TLS ClientHello: I want www.itheima.com, up to TLS 1.3" in titles
    assert not any("HTTP" in title for title in titles)
    curl = ["curl", "-sS", "--cacert", "/run/hoplab-ca/ca.pem", "-o", "/dev/null"]
    wide = ["-w", "%{http_code}", "https://www.itheima.com/", "https://10.80.0.80/"]
    assert hoplab("exec", "client", "--", *curl, *wide, "-o", "/dev/null").out == "200200"


def test_a_server_that_closes_and_a_page_with_all_it_shows(hoplab: Any) -> None:
    up = ["--topology", "web,variant=http1.0"]
    story = hoplab("visit", *up, "--json").json
    assert story["outcome"]["ok"] and story["outcome"]["bytes"] == 1499
    said = [remark["code"] for step in story["steps"] for remark in step["remarks"]]
    assert "http-1.0" in said
    out = hoplab("visit", "--all", "--detail", "brief").out
    for path in ("/", "/style.css", "/network.png", "/favicon.ico"):
        assert any(line.rstrip().endswith(f"| {path}") for line in out.splitlines()), out
