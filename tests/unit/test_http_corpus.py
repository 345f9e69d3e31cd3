# SPDX-License-Identifier: Apache-2.0
"""Requests that servers disagree on: our verdicts beside those of nginx.

nginx's verdicts are kept in tests/golden/http_nginx.json, because installing nginx's package
starts a server on the machine. Where an nginx is there (on the PATH, or named by HOPLAB_NGINX) the
long test asks it again; HOPLAB_UPDATE_GOLDEN=1 writes its answers down.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.unit.http_corpus import CASES, DIFFERENCES, SLOW, SLOW_DIFFERENCES, probe
from tests.unit.test_apps_all import eventually, running

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden" / "http_nginx.json"


def site(folder: Path) -> Path:
    """Two files, the same for both servers."""
    folder.mkdir()
    for name in ("index.html", "next.html"):
        (folder / name).write_text(f"<p>{name}</p>", encoding="ascii")
    return folder


@contextmanager
def nginx(folder: Path) -> Iterator[tuple[str, int]]:
    """nginx with its defaults, all its files in FOLDER, on a free port of loopback."""
    program = os.environ.get("HOPLAB_NGINX") or shutil.which("nginx")
    if program is None:
        pytest.skip("nginx is not there: put it on the PATH or name it by HOPLAB_NGINX")
    root = site(folder / "site")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{ access_log off; client_max_body_size 64m; keepalive_timeout 1s;\n"
        f"client_header_timeout 1s; client_body_timeout 1s; lingering_timeout 1s;\n{paths}"
        f"server {{ listen 127.0.0.1:{port}; root {root}; }} }}\n",
        encoding="ascii",
    )
    command = [program, "-p", str(folder), "-c", str(folder / "nginx.conf")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: process.poll() is not None or _listens(port))
        assert process.poll() is None, (folder / "error.log").read_text(encoding="utf-8")
        yield "127.0.0.1", port
    finally:
        process.terminate()
        process.wait(10)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def verdicts_of_nginx() -> dict[str, str]:
    verdicts: dict[str, str] = json.loads(GOLDEN.read_text(encoding="utf-8"))
    return verdicts


def test_ours_beside_nginx(tmp_path: Path) -> None:
    theirs = verdicts_of_nginx()
    assert set(theirs) == set(CASES), "ask nginx again: HOPLAB_UPDATE_GOLDEN=1 and -m long"
    differences = {}
    with running("web_server.py", tmp_path / "log", "--site", str(site(tmp_path / "site"))) as web:
        for name, request in CASES.items():
            verdict = probe((web.address, web.port), request)
            if verdict != theirs[name]:
                differences[name] = f"{verdict} | nginx: {theirs[name]}"
        assert probe((web.address, web.port), CASES["plain"]) == "2xx"
    unexplained = {
        name: verdicts for name, verdicts in differences.items() if name not in DIFFERENCES
    }
    assert not unexplained
    assert set(DIFFERENCES) <= set(differences), "these do not differ any more"
    # What the document shows is this very table.
    text = (ROOT / "docs" / "apps-http.md").read_text(encoding="utf-8")
    for name, why in DIFFERENCES.items():
        ours, _, nginx_ = differences[name].partition(" | nginx: ")
        row = f"| {name} | {ours} | {nginx_} | {why} |"
        assert row in text, f"docs/apps-http.md lacks this row:\n{row}"


@pytest.mark.long
def test_nginx_says_what_was_written_down(tmp_path: Path) -> None:
    with nginx(tmp_path) as address:
        verdicts = {name: probe(address, request) for name, request in CASES.items()}
    if os.environ.get("HOPLAB_UPDATE_GOLDEN"):
        GOLDEN.write_text(json.dumps(verdicts, indent=1) + "\n", encoding="utf-8")
    assert verdicts == verdicts_of_nginx()


@pytest.mark.long
def test_slow_clients_beside_nginx(tmp_path: Path) -> None:
    with nginx(tmp_path) as address:
        theirs = {name: probe(address, raw, patient=True) for name, raw in SLOW.items()}
    options = ["--site", str(tmp_path / "site"), "--idle", "1"]
    with running("web_server.py", tmp_path / "log", *options) as web:
        at = (web.address, web.port)
        ours = {name: probe(at, raw, patient=True) for name, raw in SLOW.items()}
    differences = {name: (ours[name], theirs[name]) for name in SLOW if ours[name] != theirs[name]}
    assert set(differences) == set(SLOW_DIFFERENCES), differences
    text = (ROOT / "docs" / "apps-http.md").read_text(encoding="utf-8")
    for name, why in SLOW_DIFFERENCES.items():
        row = f"| {name}, then silence | {ours[name]} | {theirs[name]} | {why} |"
        assert row in text, f"docs/apps-http.md lacks this row:\n{row}"
