# SPDX-License-Identifier: Apache-2.0
"""Many slow clients and large uploads: the server keeps answering, and its memory stays bounded.

What is measured is the server's own resident memory (VmRSS, VmHWM of proc(5)). The default test
is small; the long one has 1,000 slow connections and uploads of 64 MiB.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import socket
import threading
from pathlib import Path

import pytest

from tests.unit.test_apps_all import APPS, Running, eventually, running

SERVER = """
import hashlib, sys
sys.path.insert(0, {apps!r})
import web_server
from protocols import web_site
site = web_site.Site({site!r})
@site.route("/up", "PUT")
def up(request):
    whole = hashlib.sha256()
    with request.open() as file:
        while piece := file.read(65536):
            whole.update(piece)
    return whole.hexdigest()
sys.exit(web_server.main(handle=site))
"""


def memory(pid: int, name: str) -> int:
    """KiB of the process: VmRSS now, VmHWM at the most so far."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    match = re.search(rf"{name}:\s+(\d+) kB", text)
    assert match is not None
    return int(match[1])


def ask(web: Running, head: bytes, body: bytes = b"", times: int = 1) -> bytes:
    """The whole answer; BODY is sent so many times."""
    with socket.create_connection((web.address, web.port), timeout=120) as sock:
        sock.sendall(head)
        answer = b""
        try:
            for _ in range(times if body else 0):
                sock.sendall(body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has said no and closed
        while more := sock.recv(65536):
            answer += more
        return answer


GET = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
# A third sends nothing, a third half a head, a third half a body.
SLOW = [
    b"",
    b"GET / HTTP/1.1\r\nHost: a\r\nX: ",
    b"PUT /up HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx",
]


def load(tmp_path: Path, clients: int, uploads: int, mebibytes: int, at_most_mib: int) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text("<h1>here</h1>", encoding="ascii")
    script = tmp_path / "server.py"
    script.write_text(SERVER.format(apps=str(APPS), site=str(site)), encoding="utf-8")
    piece = bytes(range(256)) * 256
    times = mebibytes * 16
    right = hashlib.sha256(piece * times).hexdigest().encode()
    with contextlib.ExitStack() as stack:
        web = stack.enter_context(running(str(script), tmp_path / "log"))
        assert ask(web, GET).endswith(b"here</h1>")
        first = memory(web.process.pid, "VmRSS")
        for number in range(clients):
            sock = stack.enter_context(
                socket.create_connection((web.address, web.port), timeout=60)
            )
            sock.sendall(SLOW[number % 3])
        assert ask(web, GET).endswith(b"here</h1>")
        size = b"Connection: close\r\nContent-Length: %d\r\n\r\n" % (len(piece) * times)
        answers: list[bytes] = []

        def put(path: bytes) -> None:
            answers.append(
                ask(web, b"PUT %b HTTP/1.1\r\nHost: a\r\n%b" % (path, size), piece, times)
            )

        threads = [
            threading.Thread(target=put, args=(path,), daemon=True)
            for path in [b"/up"] * uploads + [b"/nobody"] * uploads
        ]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            assert ask(web, GET).endswith(b"here</h1>")
        assert sum(answer.endswith(right) for answer in answers) == uploads
        assert sum(b" 405 " in answer[:20] for answer in answers) == uploads
        most = memory(web.process.pid, "VmHWM")
        assert most - first < at_most_mib * 1024, f"{first:,} KiB, then {most:,}"
        print(f"{clients} slow clients, {2 * uploads} uploads: {first:,} KiB, at most {most:,}")
    # The connections are gone, and so is what they cost.


def test_slow_clients_and_uploads(tmp_path: Path) -> None:
    load(tmp_path, clients=120, uploads=2, mebibytes=8, at_most_mib=12)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_thousand_slow_clients_and_uploads_of_64_mib(tmp_path: Path) -> None:
    load(tmp_path, clients=1000, uploads=4, mebibytes=64, at_most_mib=24)


@pytest.mark.long
def test_slow_clients_are_ended_and_cost_nothing_afterwards(tmp_path: Path) -> None:
    with running("web_server.py", tmp_path / "log", "--idle", "2") as web:
        ask(web, GET)
        for _ in range(5):
            with contextlib.ExitStack() as stack:
                held = []
                for number in range(600):
                    sock = socket.create_connection((web.address, web.port), timeout=60)
                    held.append(stack.enter_context(sock))
                    sock.sendall(SLOW[number % 2])
                for sock in held:
                    while sock.recv(4096):
                        pass
            eventually(lambda: len(list(Path(f"/proc/{web.process.pid}/fd").iterdir())) < 30)
        assert memory(web.process.pid, "VmRSS") < 60 * 1024


def test_a_client_that_does_not_read_costs_little(tmp_path: Path) -> None:
    """It asks again and again for a large file and reads nothing."""
    with open(tmp_path / "big.bin", "wb") as file:
        file.truncate(64 << 20)
    with running("web_server.py", tmp_path / "log", "--site", str(tmp_path)) as web:
        (tmp_path / "index.html").write_text("x" * 60_000, encoding="ascii")
        ask(web, GET)
        first = memory(web.process.pid, "VmRSS")
        with contextlib.ExitStack() as stack:
            for path in (b"/big.bin", b"/") * 10:
                sock = stack.enter_context(socket.create_connection((web.address, web.port)))
                sock.settimeout(0.2)
                try:
                    for _ in range(200):
                        sock.sendall(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path * 50)
                except TimeoutError:
                    pass  # it reads no more either
            assert ask(web, GET).count(b"200 OK") == 1
            assert memory(web.process.pid, "VmHWM") - first < 40 * 1024
