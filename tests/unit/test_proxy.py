# SPDX-License-Identifier: Apache-2.0
"""The proxy of `hoplab open` in front of a server on loopback, and the gate's two ends."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hoplab import wait
from hoplab.browser import host_sockets, proxy, tunnel
from hoplab.browser.carrier import MAX_TUNNELS
from hoplab.browser.origins import Origin, with_links
from hoplab.browser.proxy import Proxy
from tests.conftest import need
from tests.unit.test_apps_fetch import Script, answer


class Lab:
    """A proxy whose lab is one scripted server, whatever the name; `asked` is where to."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: list[tuple[str, int]] = []
        self.secure: list[str] = []  # the hosts that TLS was wanted to
        self.said: list[str] = []
        self.proxy = Proxy(self.connect, self.said.append)
        threading.Thread(target=self.proxy.serve, daemon=True).start()

    def connect(self, host: str, port: int, secure: bool) -> socket.socket:
        if host == "closed.lab":
            raise host_sockets.Refused("closed.lab port 80: Connection refused")
        self.asked.append((host, port))
        if secure:
            self.secure.append(host)
        return socket.create_connection(("127.0.0.1", self.script.port), timeout=10)

    def talk(self, raw: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.proxy.names.port), timeout=10) as sock:
            sock.sendall(raw)
            sock.shutdown(socket.SHUT_WR)
            response = b""
            while more := sock.recv(65536):
                response += more
            return response

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
    with Script(script) as web:
        web.then_closes = {"/short"}
        site = Lab(web)
        yield site
        site.proxy.close()


def test_a_site_by_name(lab: Lab) -> None:
    token, port = lab.proxy.names.token, lab.proxy.names.port
    assert lab.proxy.names.url("http://www.a.lab/") == f"http://www.a.lab.{token}.localhost:{port}/"
    response = lab.get(lab.proxy.names.outside(Origin("www.a.lab")))
    head, _, body = response.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK") and f"Content-Length: {len(body)}".encode() in head
    here = f".{token}.localhost:{port}".encode()
    assert b'href="http://www.b.lab%b/x"' % here in body
    assert b"src=http://c.lab.p8080%b/y.png" % here in body
    assert b'href="/z"' in body and b"http://text.lab/ stays" in body
    assert b"Content-Security-Policy: default-src 'self' http://*" + here in head
    assert b"Referrer-Policy: same-origin" in head
    # What is no page passes as it is, and a label of its own names another port.
    response = lab.get(lab.proxy.names.outside(Origin("10.80.0.80", 8080)), "/plain")
    assert response.endswith(LINKS)
    assert lab.asked == [("www.a.lab", 80), ("10.80.0.80", 8080)]
    wait.until(lambda: lab.said, "the request to be told of", within_s=10)
    assert lab.said[0] == f"GET http://www.a.lab/ 200 {len(LINKS)} bytes"


def test_redirects_and_cookies_stay_in_the_lab(lab: Lab) -> None:
    text = lab.get(lab.proxy.names.outside(Origin("www.a.lab")), "/moved").decode()
    elsewhere = lab.proxy.names.outside(Origin("www.b.lab"))
    assert f"Location: http://{elsewhere}/?q=http://c.lab/" in text
    assert "Set-Cookie: a=b; Path=/\r\n" in text


def test_chunks_are_passed_on_as_they_come(lab: Lab) -> None:
    response = lab.get(lab.proxy.names.outside(Origin("a")), "/chunked")
    assert b"Transfer-Encoding: chunked" in response and b"Strict-Transport" not in response
    assert response.endswith(b"\r\n\r\n5\r\nabcde\r\n0\r\n\r\n")


def test_nobody_without_the_token(lab: Lab) -> None:
    token, port = lab.proxy.names.token, lab.proxy.names.port
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
    assert b"closed.lab port 80: Connection refused" in lab.get(
        lab.proxy.names.outside(Origin("closed.lab"))
    )
    assert lab.get(lab.proxy.names.outside(Origin("a")), "/silent").startswith(b"HTTP/1.1 502")
    # Half a picture is half a picture: the browser must see that the rest is missing.
    assert lab.get(lab.proxy.names.outside(Origin("a")), "/short").endswith(b"\r\n\r\nabc")
    assert lab.talk(b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400")


def test_what_the_server_is_sent(lab: Lab) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        lab.script.port = listener.getsockname()[1]
        host = lab.proxy.names.outside(Origin("www.a.lab"))
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
            request = b""
            while not request.endswith(b"hi"):
                request += conn.recv(4096)
            conn.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        client.join(10)
    assert request == (
        b"POST /form HTTP/1.1\r\nHost: www.a.lab\r\nReferer: http://www.a.lab/page\r\n"
        b"Cookie: a=b\r\nContent-Length: 2\r\n\r\nhi"
    )


def test_as_a_proxy_for_curl(lab: Lab) -> None:
    command = [need("curl"), "-sS", "--max-time", "20", "-x", lab.proxy.names.as_proxy]
    urls = ["http://www.a.lab/plain", "http://www.b.lab:8080/plain"]
    out = subprocess.run([*command, *urls], capture_output=True, timeout=30, check=True).stdout
    assert out == LINKS * 2  # nothing is rewritten
    assert lab.asked == [("www.a.lab", 80), ("www.b.lab", 8080)]
    tunnel = [*command, "--proxytunnel", "http://www.c.lab/plain"]
    out = subprocess.run(tunnel, capture_output=True, timeout=30, check=True).stdout
    assert out == LINKS and lab.asked[-1] == ("www.c.lab", 80)


def test_one_connection_of_the_browser_uses_one_of_the_lab(lab: Lab) -> None:
    host = lab.proxy.names.outside(Origin("a"))
    raw = f"GET /plain HTTP/1.1\r\nHost: {host}\r\n\r\n".encode() * 3
    assert lab.talk(raw).count(b"200 OK") == 3
    assert len(lab.asked) == 1


def test_a_kept_connection_that_has_closed_meanwhile(lab: Lab) -> None:
    """A GET is sent again on a new one. What must not be sent twice has one of its own at once."""
    lab.script.answers |= {"/once": answer(b"once"), "/buy": answer(b"bought")}
    lab.script.then_closes.add("/once")
    host = lab.proxy.names.outside(Origin("a"))
    get = f"GET /once HTTP/1.1\r\nHost: {host}\r\n\r\n"
    post = f"POST /buy HTTP/1.1\r\nHost: {host}\r\nContent-Length: 3\r\n\r\nabc"
    responses = lab.talk((get + get + post).encode())
    assert responses.count(b"200 OK") == 3 and responses.endswith(b"bought")
    assert lab.script.heads == ["/once", "/once", "/buy"]


def test_a_post_is_never_sent_twice(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 9110, 9.2.2: not where the server closes, and not where it takes long."""
    host = lab.proxy.names.outside(Origin("a"))
    get = f"GET /plain HTTP/1.1\r\nHost: {host}\r\n\r\n"
    post = f"POST /silent HTTP/1.1\r\nHost: {host}\r\nContent-Length: 3\r\n\r\nabc"
    assert b" 502 " in lab.talk((get + post).encode())
    assert lab.script.heads == ["/plain", "/silent"]


def test_too_many_connections_are_no_end(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody on the machine may open some; whoever has the token is served again afterwards."""
    places = threading.BoundedSemaphore(2)
    monkeypatch.setattr(lab.proxy, "_places", places)
    idle = [socket.create_connection(("127.0.0.1", lab.proxy.names.port)) for _ in range(2)]
    wait.until(lambda: places._value == 0, "both to be taken", within_s=10)
    with socket.create_connection(("127.0.0.1", lab.proxy.names.port), timeout=10) as third:
        assert third.recv(1) == b""
    for connection in idle:
        connection.close()
    wait.until(lambda: places._value == 2, "the places to be free", within_s=10)
    assert b"200 OK" in lab.get(lab.proxy.names.outside(Origin("a")))
    wait.until(lambda: places._value == 2, "the last to leave", within_s=10)


def test_no_more_descriptors_is_no_end(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    real, faults = lab.proxy._listener, [errno.EMFILE, errno.ECONNABORTED]

    class Full:
        def accept(self) -> tuple[socket.socket, Any]:
            if faults:
                raise OSError(faults.pop(), "not now")
            return real.accept()

        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

    monkeypatch.setattr(lab.proxy, "_listener", Full())
    host = lab.proxy.names.outside(Origin("a"))
    for _ in range(3):  # the first may be taken by the real one
        assert b"200 OK" in lab.get(host)
    assert faults == []


def test_links_of_every_kind() -> None:
    def outside(origin: Origin) -> str:
        return f"[{origin.host}:{origin.port}{'s' if origin.secure else ''}]"

    for text, turned in (
        (b"http://a.lab/x", b"http://[a.lab:80]/x"),
        (b"/x", b"/x"),
        (b'<a href = "HTTP://A.lab">', b'<a href = "http://[a.lab:80]">'),
        (b"<form action='//a.lab:81/f'>", b"<form action='http://[a.lab:81]/f'>"),
        (b"url(http://a.lab/x)", b"url(http://[a.lab:80]/x)"),
        (b'@import "//a.lab/x.css";', b'@import "http://[a.lab:80]/x.css";'),
        (b'<a data-href="x" title="http://a.lab/">', b'<a data-href="x" title="http://a.lab/">'),
        (b'<a href="https://a.lab/">', b'<a href="http://[a.lab:443s]/">'),
        (b'<a href="https://a.lab:80/">', b'<a href="http://[a.lab:80s]/">'),
        (b'<meta content="0; url=http://a.lab/">', b'<meta content="0; url=http://[a.lab:80]/">'),
        (b"<a href='ftp://a.lab/'>", b"<a href='ftp://a.lab/'>"),
    ):
        assert with_links(text, outside) == turned
    assert with_links(b"src=//a.lab/x", outside, secure=True) == b"src=http://[a.lab:443s]/x"
    assert with_links(b"http://a.lab/", outside, secure=True) == b"http://[a.lab:80]/"


def test_the_gate_hands_out_connected_sockets() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    program = str(Path(host_sockets.__file__))
    process = subprocess.Popen([sys.executable, "-I", program], stdin=theirs)
    theirs.close()
    gate = host_sockets.Gate(ours)
    try:
        with Script({"/": answer(b"through")}) as script:
            with gate.connect("127.0.0.1", script.port) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
                assert b"through" in sock.recv(4096)
            for host, port in (("no-such-name.invalid", 80), ("127.0.0.1", 1)):
                with pytest.raises(host_sockets.Refused, match=re.escape(f"{host} port {port}: ")):
                    gate.connect(host, port)
    finally:
        ours.shutdown(socket.SHUT_RDWR)
        assert process.wait(10) == 0
    with pytest.raises(host_sockets.Refused):
        gate.connect("127.0.0.1", 1)


# ---- https -------------------------------------------------------------------------------------


def test_https_sites_by_name(lab: Lab) -> None:
    token, port = lab.proxy.names.token, lab.proxy.names.port
    secure = f"www.a.lab.s443.{token}.localhost:{port}"
    assert lab.proxy.names.url("https://www.a.lab") == f"http://{secure}/"
    assert lab.proxy.names.url("https://www.a.lab:8443/x?y") == (
        f"http://www.a.lab.s8443.{token}.localhost:{port}/x?y"
    )
    assert lab.proxy.names.url("https://a:80/").startswith("http://a.s80.")
    for url in ("ftp://a/", "https://a:b/", "https:///", "https://[::1]/"):
        with pytest.raises(ValueError, match=re.escape(url)):
            lab.proxy.names.url(url)
    # What is asked, where it goes, and what the server is told about who asks.
    response = lab.get(secure, "/", f"Origin: http://{secure}")
    assert response.startswith(b"HTTP/1.1 200 OK") and lab.secure == ["www.a.lab"]
    assert lab.asked == [("www.a.lab", 443)]
    # A link without a scheme is one to https from here.
    assert f"src=http://c.lab.s8080.{token}.localhost:{port}/y.png".encode() in response
    assert f'href="http://www.b.lab.{token}.localhost:{port}/x"'.encode() in response
    wait.until(lambda: lab.said, "the request to be told of", within_s=10)
    assert lab.said[0].startswith("GET https://www.a.lab/ 200")
    # A name that ends as a label of ours does is no label.
    for origin in (Origin("www.p80"), Origin("x.s443", 443, True), Origin("a.s1", 80)):
        assert lab.proxy.names.inside(lab.proxy.names.outside(origin).rpartition(":")[0]) == origin


class Inside(threading.Thread):
    """The other end of a gate: whatever the host, it connects to one port; PEM is what to trust."""

    def __init__(self, channel: socket.socket, port: int, pem: str | None) -> None:
        super().__init__(daemon=True)
        self.channel, self.port, self.pem = channel, port, pem
        self.start()

    def run(self) -> None:
        while True:
            try:
                data = self.channel.recv(4096)
            except OSError:
                return
            if not data:
                return
            wish = json.loads(data)
            if "trusted" in wish:
                self.channel.send(json.dumps({"id": wish["id"], "pem": self.pem}).encode())
            else:
                with socket.create_connection(("127.0.0.1", self.port)) as sock:
                    answer = json.dumps({"id": wish["id"]}).encode()
                    socket.send_fds(self.channel, [answer], [sock.fileno()])


def serve_tls(context: ssl.SSLContext, talk: Callable[[ssl.SSLSocket], Any]) -> int:
    """A TLS server on a port of its own, which ends with the test."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            conn, _ = listener.accept()
            conn.settimeout(10)
            try:
                with context.wrap_socket(conn, server_side=True) as secured:
                    talk(secured)
            except OSError:
                continue

    threading.Thread(target=serve, daemon=True).start()
    return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, str]:
    """A server's side of TLS for www.a.lab, and the authority that signed it."""
    need("openssl")
    folder = tmp_path_factory.mktemp("ca")
    program = str(Path(__file__).resolve().parents[2] / "apps" / "lab_ca.py")
    command = [sys.executable, program, "--folder", str(folder), "www.a.lab"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "www.a.lab.pem", folder / "www.a.lab.key")
    return context, (folder / "ca.pem").read_text()


def test_the_gate_checks_certificates(certificate: tuple[ssl.SSLContext, str]) -> None:
    context, pem = certificate
    port = serve_tls(context, lambda sock: sock.sendall(sock.recv(100)))
    plain = socket.create_server(("127.0.0.1", 0))

    def answer_in_plain_text() -> None:
        with plain.accept()[0] as conn:
            conn.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            conn.recv(4096)

    for host, trusted, where, error in (
        ("www.a.lab", pem, port, None),
        ("www.b.lab", pem, port, "port 443: its certificate is not to be trusted: Hostname mis"),
        ("www.a.lab", None, port, "port 443: the lab has no certificate authority to trust"),
        ("www.a.lab", pem, plain.getsockname()[1], "port 443: no TLS: "),
    ):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, theirs:
            inside = Inside(theirs, where, trusted)
            gate = host_sockets.Gate(ours)
            if error is None:
                with gate.connect(host, 443, secure=True) as sock:
                    sock.sendall(b"hello")
                    assert sock.recv(100) == b"hello"
                assert gate.trusted() == pem
            else:
                if where != port:
                    threading.Thread(target=answer_in_plain_text, daemon=True).start()
                with pytest.raises(host_sockets.Refused, match=re.escape(error)):
                    gate.connect(host, 443, secure=True)
            ours.shutdown(socket.SHUT_RDWR)
            inside.join(10)


# ---- WebSocket and tunnels ---------------------------------------------------------------------


def echo_websocket(conn: socket.socket) -> str:
    """A server that agrees to an upgrade (RFC 6455 section 4.2.2) and sends back all it gets, but
    for the masking: its first frame goes out together with the 101. Gives the request's head."""
    request = b""
    while b"\r\n\r\n" not in request:
        request += conn.recv(4096)
    head, _, rest = request.partition(b"\r\n\r\n")
    key = re.search(rb"(?i)sec-websocket-key: *(\S+)", head)
    assert key is not None, head
    digest = hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    conn.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n\x81\x05hello"
    )
    while rest or (rest := conn.recv(4096)):
        conn.sendall(rest)
        rest = b""
    return head.decode()


def upgrade(lab: Lab, origin: Origin, more: str = "") -> tuple[socket.socket, bytes, bytes]:
    """A browser's side of the handshake: (connection, head of the answer, what came after it)."""
    host = lab.proxy.names.outside(origin)
    sock = socket.create_connection(("127.0.0.1", lab.proxy.names.port), timeout=10)
    sock.sendall(
        (
            f"GET /chat HTTP/1.1\r\nHost: {host}\r\nConnection: keep-alive, Upgrade\r\n"
            f"Upgrade: websocket\r\nOrigin: http://{host}\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n{more}"
        ).encode()
    )
    response = b""
    while b"\r\n\r\n" not in response:
        data = sock.recv(4096)
        assert data, response
        response += data
    head, _, rest = response.partition(b"\r\n\r\n")
    return sock, head, rest


def exactly(sock: socket.socket, count: int, received: bytes = b"") -> bytes:
    while len(received) < count:
        data = sock.recv(65536)
        assert data, received[-100:]
        received += data
    return received


def test_a_websocket_goes_through(lab: Lab) -> None:
    heads = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        lab.script.port = listener.getsockname()[1]

        def serve() -> None:
            with listener.accept()[0] as conn:
                heads.append(echo_websocket(conn))

        server = threading.Thread(target=serve, daemon=True)
        server.start()
        # The client's first frame comes with its request, before it has seen the answer.
        sock, head, received = upgrade(lab, Origin("www.a.lab", 443, True), more="early")
        with sock:
            assert head.startswith(b"HTTP/1.1 101 Switching Protocols")
            assert b"\r\nUpgrade: websocket" in head and b"\r\nConnection: Upgrade" in head
            assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
            assert exactly(sock, 12, received) == b"\x81\x05helloearly"
            sock.sendall(b"x" * 300_000)
            assert exactly(sock, 300_000) == b"x" * 300_000
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(1) == b""
        server.join(10)
    assert lab.secure == ["www.a.lab"]
    assert "Origin: https://www.a.lab\r\n" in heads[0] + "\r\n"
    assert "Connection: Upgrade\r\nUpgrade: websocket" in heads[0]
    closed = "WebSocket closed, 300,005 bytes sent, 300,012 received"
    wait.until(lambda: lab.said[-1].endswith(closed), f"{closed!r} to be said", within_s=10)


def test_an_upgrade_that_nobody_wants(lab: Lab) -> None:
    # The server knows of no upgrade: its page is passed on as any other.
    lab.script.answers["/chat"] = answer(b"no chat", b"text/plain")
    sock, head, received = upgrade(lab, Origin("www.a.lab"))
    with sock:
        assert head.startswith(b"HTTP/1.1 200 OK") and exactly(sock, 7, received) == b"no chat"
    # A 101 that was not asked for.
    lab.script.answers["/x"] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nabc"
    assert lab.get(lab.proxy.names.outside(Origin("a")), "/x").startswith(b"HTTP/1.1 502")


def test_tunnels_are_limited(lab: Lab) -> None:
    for _ in range(MAX_TUNNELS):
        assert lab.proxy.tunnels.acquire(blocking=False)
    token = base64.b64encode(f"hoplab:{lab.proxy.names.token}".encode()).decode()
    raw = f"CONNECT a.lab:443 HTTP/1.1\r\nProxy-Authorization: Basic {token}\r\n\r\n"
    # CONNECT without a Host is refused as any HTTP/1.1 request would be.
    assert lab.talk(raw.encode()).startswith(b"HTTP/1.1 400")
    raw = raw.replace("\r\n", "\r\nHost: a.lab:443\r\n", 1)
    assert lab.talk(raw.encode()).startswith(b"HTTP/1.1 503")
    lab.proxy.tunnels.release()
    raw += "GET /plain HTTP/1.1\r\nHost: a\r\n\r\n"  # sent without waiting for the 200
    assert lab.talk(raw.encode()).startswith(b"HTTP/1.1 200 Connected\r\n\r\nHTTP/1.1 200 OK")


def carried(
    near: socket.socket, far: socket.socket, **options: Any
) -> tuple[threading.Thread, list[Any]]:
    """`tunnel.carry` in a thread, and its result when it has one."""
    results: list[Any] = []

    def work() -> None:
        with near, far:
            results.append(tunnel.carry(near, far, **options))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread, results


def test_a_tunnel_whose_ends_send_before_they_read() -> None:
    (left, near), (far, right) = socket.socketpair(), socket.socketpair()
    thread, results = carried(near, far)
    data = bytes(range(256)) * 8192  # much more than sockets hold
    senders = [threading.Thread(target=end.sendall, args=(data,)) for end in (left, right)]
    for sender in senders:
        sender.start()
    for end in (left, right):
        assert exactly(end, len(data)) == data
    for sender in senders:
        sender.join(10)
    # One side ends and still hears the other.
    left.shutdown(socket.SHUT_WR)
    assert right.recv(1) == b""
    right.sendall(b"bye")
    assert left.recv(10) == b"bye"
    right.close()
    assert left.recv(1) == b""
    thread.join(10)
    assert results == [(len(data), len(data) + 3)]


def test_a_tunnel_into_tls_and_one_that_is_silent(
    certificate: tuple[ssl.SSLContext, str],
) -> None:
    context, pem = certificate
    data = bytes(range(256)) * 4096

    def talk(sock: ssl.SSLSocket) -> None:
        sock.sendall(data)
        received = 0
        while received < len(data):
            received += len(sock.recv(65536))
        sock.sendall(b"all")

    trusting = ssl.create_default_context(cadata=pem)
    port = serve_tls(context, talk)
    raw = socket.create_connection(("127.0.0.1", port), timeout=10)
    left, near = socket.socketpair()
    thread, results = carried(near, trusting.wrap_socket(raw, server_hostname="www.a.lab"))
    sender = threading.Thread(target=left.sendall, args=(data,))
    sender.start()
    assert exactly(left, len(data) + 3) == data + b"all"
    sender.join(10)
    assert left.recv(1) == b""
    thread.join(10)
    assert results == [(len(data), len(data) + 3)]
    (left, near), (far, right) = socket.socketpair(), socket.socketpair()
    thread, results = carried(near, far, quiet_s=0.05)
    assert left.recv(1) == right.recv(1) == b""
    thread.join(10)
    assert results == [(0, 0)]


def test_the_usual_port_or_a_free_one_or_the_one_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as occupier:
        taken = occupier.getsockname()[1]
        monkeypatch.setattr(proxy, "PORT", taken)
        proxy_elsewhere = Proxy(lambda *where: occupier)
        assert proxy_elsewhere.names.port != taken
        proxy_elsewhere.close()
        with pytest.raises(OSError, match="already in use"):
            Proxy(lambda *where: occupier, port=taken)
