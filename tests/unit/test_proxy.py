# SPDX-License-Identifier: Apache-2.0
"""The proxy of `hoplab open` in front of a server on loopback, and the gate's two ends."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hoplab import gate
from hoplab.proxy import Proxy, _with_links
from tests.unit.test_apps_all import need
from tests.unit.test_apps_fetch import Script, answer


class Lab:
    """A proxy whose lab is one scripted server, whatever the name; `asked` is where to."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: list[tuple[str, int]] = []
        self.said: list[str] = []
        self.proxy = Proxy(self.connect, self.said.append)
        threading.Thread(target=self.proxy.serve, daemon=True).start()

    def connect(self, host: str, port: int) -> socket.socket:
        if host == "closed.lab":
            raise gate.Refused("closed.lab port 80: Connection refused")
        self.asked.append((host, port))
        return socket.create_connection(("127.0.0.1", self.script.port), timeout=10)

    def talk(self, raw: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.proxy.port), timeout=10) as sock:
            sock.sendall(raw)
            sock.shutdown(socket.SHUT_WR)
            got = b""
            while more := sock.recv(65536):
                got += more
            return got

    def get(self, host: str, target: str = "/", *lines: str) -> bytes:
        head = [f"GET {target} HTTP/1.1", f"Host: {host}", *lines, "Connection: close", "", ""]
        return self.talk("\r\n".join(head).encode())


LINKS = (
    b'<a href="http://www.b.lab/x">b</a><img src=//c.lab:8080/y.png><a href="/z">z</a>'
    b"<p>http://text.lab/ stays</p>"
)


@pytest.fixture
def lab() -> Iterator[Lab]:
    moved = (
        b"HTTP/1.1 302 Found\r\nLocation: http://www.b.lab/?q=http://c.lab/\r\n"
        b"Set-Cookie: a=b; Domain=itheima.com; Path=/\r\nContent-Length: 0\r\n\r\n"
    )
    chunked = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n"
        b"Strict-Transport-Security: max-age=1\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )
    short = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 9\r\n\r\nabc"
    script: dict[str, bytes | None] = {
        "/": answer(LINKS),
        "/plain": answer(LINKS, b"text/plain"),
        "/moved": moved,
        "/chunked": chunked,
        "/silent": None,
        "/short": short,
    }
    with Script(script) as it:
        it.then_closes = {"/short"}
        found = Lab(it)
        yield found
        found.proxy.close()


def test_a_site_by_name(lab: Lab) -> None:
    token, port = lab.proxy.token, lab.proxy.port
    assert lab.proxy.url("http://www.a.lab/") == f"http://www.a.lab.{token}.localhost:{port}/"
    got = lab.get(lab.proxy.outside("www.a.lab"))
    head, _, body = got.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK") and f"Content-Length: {len(body)}".encode() in head
    here = f".{token}.localhost:{port}".encode()
    assert b'href="http://www.b.lab%b/x"' % here in body
    assert b"src=http://c.lab.p8080%b/y.png" % here in body
    assert b'href="/z"' in body and b"http://text.lab/ stays" in body
    assert b"Content-Security-Policy: default-src 'self' http://*" + here in head
    assert b"Referrer-Policy: same-origin" in head
    # What is no page passes as it is, and a label of its own names another port.
    got = lab.get(lab.proxy.outside("10.80.0.80", 8080), "/plain")
    assert got.endswith(LINKS)
    assert lab.asked == [("www.a.lab", 80), ("10.80.0.80", 8080)]
    assert lab.said[0] == f"GET http://www.a.lab/ 200 {len(LINKS)} bytes"


def test_redirects_and_cookies_stay_in_the_lab(lab: Lab) -> None:
    got = lab.get(lab.proxy.outside("www.a.lab"), "/moved").decode()
    assert f"Location: http://{lab.proxy.outside('www.b.lab')}/?q=http://c.lab/" in got
    assert "Set-Cookie: a=b; Path=/\r\n" in got


def test_chunks_are_passed_on_as_they_come(lab: Lab) -> None:
    got = lab.get(lab.proxy.outside("a"), "/chunked")
    assert b"Transfer-Encoding: chunked" in got and b"Strict-Transport" not in got
    assert got.endswith(b"\r\n\r\n5\r\nabcde\r\n0\r\n\r\n")


def test_nobody_without_the_token(lab: Lab) -> None:
    token, port = lab.proxy.token, lab.proxy.port
    for host in (
        f"127.0.0.1:{port}", f"localhost:{port}", f"www.a.lab.localhost:{port}", "evil.example",
        f"www.a.lab.{'0' * 16}.localhost:{port}", f"{token}.localhost:{port}",
        f"www.a.lab.{token}.localhost.evil.example", f"www.a.lab.{token[:-1]}.localhost:{port}",
    ):  # fmt: skip
        assert lab.get(host).startswith(b"HTTP/1.1 421"), host
    for way in ("GET http://www.a.lab/ HTTP/1.1", "CONNECT www.a.lab:443 HTTP/1.1"):
        for line in ("X: y", "Proxy-Authorization: Basic aG9wbGFiOng=", f"Authorization: {token}"):
            raw = f"{way}\r\nHost: www.a.lab\r\n{line}\r\n\r\n".encode()
            assert lab.talk(raw).startswith(b"HTTP/1.1 407")
    assert lab.asked == [] and lab.script.heads == []
    assert lab.proxy._listener.getsockname()[0] == "127.0.0.1"


def test_what_goes_wrong_is_a_page(lab: Lab) -> None:
    assert b"closed.lab port 80: Connection refused" in lab.get(lab.proxy.outside("closed.lab"))
    assert lab.get(lab.proxy.outside("a"), "/silent").startswith(b"HTTP/1.1 502")
    # Half a picture is half a picture: the browser must see that the rest is missing.
    assert lab.get(lab.proxy.outside("a"), "/short").endswith(b"\r\n\r\nabc")
    assert lab.talk(b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400")


def test_what_the_server_is_sent(lab: Lab) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        lab.script.port = listener.getsockname()[1]
        host = lab.proxy.outside("www.a.lab")
        raw = (
            f"POST /form HTTP/1.1\r\nHost: {host}\r\nReferer: http://{host}/page\r\n"
            "Accept-Encoding: gzip\r\nConnection: x-secret\r\nX-Secret: 1\r\nCookie: a=b\r\n"
            "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
        ).encode()
        client = threading.Thread(target=lab.talk, args=(raw,), daemon=True)
        client.start()
        conn, _ = listener.accept()
        with conn:
            conn.settimeout(10)
            got = b""
            while not got.endswith(b"hi"):
                got += conn.recv(4096)
            conn.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        client.join(10)
    assert got == (
        b"POST /form HTTP/1.1\r\nHost: www.a.lab\r\nReferer: http://www.a.lab/page\r\n"
        b"Cookie: a=b\r\nContent-Length: 2\r\n\r\nhi"
    )


def test_as_a_proxy_for_curl(lab: Lab) -> None:
    command = [need("curl"), "-sS", "--max-time", "20", "-x", lab.proxy.as_proxy]
    urls = ["http://www.a.lab/plain", "http://www.b.lab:8080/plain"]
    out = subprocess.run([*command, *urls], capture_output=True, timeout=30, check=True).stdout
    assert out == LINKS * 2  # nothing is rewritten
    assert lab.asked == [("www.a.lab", 80), ("www.b.lab", 8080)]
    tunnel = [*command, "--proxytunnel", "http://www.c.lab/plain"]
    out = subprocess.run(tunnel, capture_output=True, timeout=30, check=True).stdout
    assert out == LINKS and lab.asked[-1] == ("www.c.lab", 80)


def test_one_connection_of_the_browser_uses_one_of_the_lab(lab: Lab) -> None:
    host = lab.proxy.outside("a")
    raw = f"GET /plain HTTP/1.1\r\nHost: {host}\r\n\r\n".encode() * 3
    assert lab.talk(raw).count(b"200 OK") == 3
    assert len(lab.asked) == 1


def test_links_of_every_kind() -> None:
    def outside(host: str, port: int) -> str:
        return f"[{host}:{port}]"

    for text, turned in (
        (b"http://a.lab/x", b"http://[a.lab:80]/x"),
        (b"/x", b"/x"),
        (b'<a href = "HTTP://A.lab">', b'<a href = "http://[a.lab:80]">'),
        (b"<form action='//a.lab:81/f'>", b"<form action='http://[a.lab:81]/f'>"),
        (b"url(http://a.lab/x)", b"url(http://[a.lab:80]/x)"),
        (b'@import "//a.lab/x.css";', b'@import "http://[a.lab:80]/x.css";'),
        (b'<a data-href="x" title="http://a.lab/">', b'<a data-href="x" title="http://a.lab/">'),
        (b'<a href="https://a.lab/">', b'<a href="https://a.lab/">'),
    ):
        assert _with_links(text, outside) == turned


def test_the_gate_hands_out_connected_sockets() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    program = str(Path(gate.__file__))
    process = subprocess.Popen([sys.executable, "-I", program], stdin=theirs)
    theirs.close()
    found = gate.Gate(ours)
    try:
        with Script({"/": answer(b"through")}) as it:
            with found.connect("127.0.0.1", it.port) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
                assert b"through" in sock.recv(4096)
            for host, port in (("no-such-name.invalid", 80), ("127.0.0.1", 1)):
                with pytest.raises(gate.Refused, match=re.escape(f"{host} port {port}: ")):
                    found.connect(host, port)
    finally:
        ours.shutdown(socket.SHUT_RDWR)
        assert process.wait(10) == 0
    with pytest.raises(gate.Refused):
        found.connect("127.0.0.1", 1)
