# SPDX-License-Identifier: Apache-2.0
"""`hoplab open` on a real lab: curl and a browser outside, every frame inside captured."""

from __future__ import annotations

import inspect
import json
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import need
from tests.unit.test_apps_all import eventually
from tests.unit.test_proxy import echo_websocket
from tests.web.browser import Browser, chromium

pytestmark = pytest.mark.net


def where_from(process: Any) -> dict[str, Any]:
    """What `hoplab open --json` says first."""
    lines: list[str] = []
    while "}\n" not in lines:
        lines.append(process.stdout.readline())
        assert lines[-1], process.stderr.read()
    where: dict[str, Any] = json.loads("".join(lines))
    return where


def test_a_site_in_the_users_own_browser(anybody: Any, tmp_path: Path) -> None:
    process = anybody.popen("open", "--json", "--save", "clicks", "--topology", "web,tls=1")
    where = where_from(process)
    assert where["host"] == "client"
    curl = [need("curl"), "-sS", "--max-time", "30"]
    # With TLS: spoken by the proxy, or by curl through it, which then checks for itself.
    by_name = where["url"].replace("itheima.com.", "itheima.com.s443.")
    through = ["-x", where["proxy"], "--cacert", where["ca"], "https://www.itheima.com/"]
    for words in ([by_name], through):
        page = subprocess.run([*curl, *words], capture_output=True, text=True, timeout=60).stdout
        assert "<title>Networks you can take apart</title>" in page
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
    hellos = [title for title in titles if "ClientHello: I want www.itheima.com" in title]
    assert len(hellos) == 2
    assert (anybody.home / "clicks" / "capture.pcapng").stat().st_size > 1000


def test_a_port_of_the_users_choice(hoplab: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as occupier:
        port = str(occupier.getsockname()[1])
        refused = hoplab("open", "--topology", "web", "--port", port, code=5)
        assert f"port {port} of 127.0.0.1 cannot be listened to: Address already" in refused.err
        assert "leave --port out" in refused.err
    process = hoplab.popen("open", "--json", "--port", port)
    assert where_from(process)["url"].endswith(f".localhost:{port}/")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    wrong = hoplab("open", "--port", "65536", code=2)
    assert "65536 is no port: give 1 to 65535" in wrong.err


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
    remarks = [remark["code"] for step in story["steps"] for remark in step["remarks"]]
    assert "http-1.0" in remarks
    out = hoplab("visit", "--all", "--detail", "brief").out
    for path in ("/", "/style.css", "/network.png", "/favicon.ico"):
        assert any(line.rstrip().endswith(f"| {path}") for line in out.splitlines()), out


@pytest.mark.long
def test_https_and_a_websocket_in_a_browser(hoplab: Any, tmp_path: Path) -> None:
    if chromium() is None:
        pytest.skip("chromium is not installed")
    hoplab("up", "web,tls=1")
    script = "import base64, hashlib, re, socket\n" + inspect.getsource(echo_websocket)
    script += "server = socket.create_server(('', 8081)); print('ready', flush=True)\n"
    script += "echo_websocket(server.accept()[0])\n"
    server = hoplab.popen("exec", "www", "--", "python3", "-c", script)
    assert server.stdout.readline() == "ready\n", server.stderr.read()
    process = hoplab.popen("open", "--json", "--save", "clicks", "https://www.itheima.com/")
    where = where_from(process)
    assert ".s443." in where["url"]
    with Browser(tmp_path / "profile") as browser:
        shown = browser.open(where["url"])
        assert shown.run("document.title") == "Networks you can take apart"
        assert shown.run("document.images[0].naturalWidth") > 0
        assert all(url.startswith(where["url"]) for url in shown.requests)
        shown.picture(tmp_path / "page.png")
        socket_url = where["url"].replace("http:", "ws:").replace(".s443.", ".p8081.")
        shown.run(
            f"window.heard = []; window.ws = new WebSocket({socket_url!r});"
            "ws.onmessage = e => heard.push(e.data); ws.onclose = e => heard.push('closed')"
        )
        eventually(lambda: shown.run("heard.length") == 1)
        assert shown.run("heard[0]") == "hello"
        # What the browser masks comes back masked, which is an error that it tells by closing.
        shown.run("ws.send('x')")
        eventually(lambda: shown.run("heard[1]") == "closed")
    server.wait(30)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "WebSocket closed" in err
    titles = [trip["title"] for trip in json.loads(out)["trips"]]
    assert any("TLS ClientHello: I want www.itheima.com" in title for title in titles)
    assert any("GET /" in title for title in titles)  # the handshake of the WebSocket
    hoplab("down")


def test_several_requests_are_told_as_several(hoplab: Any) -> None:
    """The verdict is about all of them, whichever came last: no command ends with a status here."""
    curl = [need("curl"), "-s", "--max-time", "30", "-o", "/dev/null"]
    site = "http://www.itheima.com"

    def outcome(*urls: str) -> Any:
        process = hoplab.popen("open", "--json", "--no-browser")
        proxy = where_from(process)["proxy"]
        for url in urls:
            subprocess.run([*curl, "-x", proxy, url], timeout=60, check=True)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        story = json.loads(out)
        assert story["exit_code"] is None
        return story["outcome"]

    hoplab("up", "web")
    bad = outcome(f"{site}/", f"{site}/nothing", f"{site}/", "http://closed.itheima.com/")
    assert bad["sentence"] == (
        "3 HTTP requests, 2 of them answered without an error. Nobody on idle listens on TCP port "
        "80."
    )
    assert bad["ok"] is False and bad["why"] == [
        "`ss -lntu` on idle shows no socket.",
        "www answered 404 to the request for /nothing.",
        "No connection to idle, port 80, was opened.",
    ]
    good = outcome(f"{site}/", f"{site}/")
    assert good["ok"] and good["sentence"].startswith("2 HTTP requests, 2 of them answered")
