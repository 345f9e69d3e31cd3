# SPDX-License-Identifier: Apache-2.0
"""The web server, judged by curl; its parser and its loop by themselves."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "apps"))

import web_server
from protocols import http1, service, web_site

from tests.conftest import need
from tests.unit.test_apps_all import APPS, Running, eventually, run_app, running

SITE = APPS / "site"
BIG = bytes(range(256)) * 4096  # 1 MiB: more than one send


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that can go wrong, and a secret beside it."""
    top = tmp_path_factory.mktemp("web")
    folder = top / "site"
    (folder / "sub").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / "index.html").write_text("<h1>home</h1>", encoding="utf-8")
    (folder / "sub" / "index.html").write_text("<h1>sub</h1>", encoding="utf-8")
    (folder / "sub" / "page.html").write_text("page", encoding="utf-8")
    (folder / "a name.txt").write_text("空格", encoding="utf-8")
    (folder / "中文.txt").write_text("你好", encoding="utf-8")
    (folder / "big.bin").write_bytes(BIG)
    (folder / "zero.txt").write_bytes(b"")
    (folder / "photo.PNG").write_bytes(b"\x89PNG")
    (folder / "x.svg").write_text("<svg/>", encoding="utf-8")
    (folder / ".hidden").write_text("TOP-5ECRET", encoding="utf-8")
    os.mkfifo(folder / "pipe")
    (top / "secret").write_text("TOP-5ECRET", encoding="utf-8")
    (top / "site-secret").write_text("TOP-5ECRET", encoding="utf-8")
    (folder / "escape").symlink_to(top / "secret")
    (folder / "sibling").symlink_to(top / "site-secret")
    (folder / "out").symlink_to(top)
    (folder / "inside.html").symlink_to("index.html")
    return folder


@pytest.fixture(scope="module")
def server(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    options = ["--site", str(site), "--idle", "5"]
    with running("web_server.py", tmp_path_factory.mktemp("log") / "log", *options) as web:
        yield web


@pytest.fixture(scope="module")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running("web_server.py", tmp_path_factory.mktemp("log") / "log") as web:
        yield web


def curl(server: Running, *args: str) -> bytes:
    """curl's stdout. A path becomes a URL of the server."""
    words = [
        f"http://{server.address}:{server.port}{arg}" if arg.startswith("/") else arg
        for arg in args
    ]
    command = [need("curl"), "-sS", "--noproxy", "*", "--max-time", "20", *words]
    result = subprocess.run(command, capture_output=True, timeout=30, check=False)
    assert result.returncode == 0, result.stderr.decode()
    return result.stdout


def split(raw: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers (lower case) and body of one response."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    fields = (line.partition(": ") for line in lines)
    return int(first.split()[1]), {name.lower(): value for name, _, value in fields}, body


def get(server: Running, *args: str) -> tuple[int, dict[str, str], bytes]:
    return split(curl(server, "-i", *args))


def talk(server: Running, data: bytes) -> bytes:
    """Send DATA, then read until the server closes."""
    with socket.create_connection((server.address, server.port), timeout=10) as sock:
        sock.sendall(data)
        answer = b""
        while more := sock.recv(65536):
            answer += more
        return answer


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/style.css", "text/css; charset=utf-8"),
        ("/network.png", "image/png"),
        ("/favicon.ico", "image/x-icon"),
        ("/courses.html?a=1", "text/html; charset=utf-8"),
    ],
)
def test_bundled_site(bundled: Running, path: str, kind: str) -> None:
    status, headers, body = get(bundled, path)
    assert (status, headers["content-type"]) == (200, kind)
    name = path.partition("?")[0].strip("/") or "index.html"
    assert body == (SITE / name).read_bytes()
    assert headers["content-length"] == str(len(body))


def test_bundled_pages_link_to_what_is_there_and_to_nothing_outside(bundled: Running) -> None:
    pages = sorted(SITE.glob("*.html"))
    assert len(pages) >= 3 and (SITE / "index.html").stat().st_size < 4096
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert re.search("[\u4e00-\u9fff]", text)
        links = re.findall(r'(?:href|src)="([^"]+)"', text)
        assert len(links) > 4
        for link in links:
            assert not re.match(r"[a-z]+:|/", link), link
            status, _, _ = get(bundled, f"/{link}")
            assert status == (404 if link == "no-such-page.html" else 200)


def test_image_is_a_whole_png() -> None:
    import struct
    import zlib

    data = (SITE / "network.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    position, kinds = 8, []
    while position < len(data):
        size = struct.unpack_from("!I", data, position)[0]
        chunk = data[position + 4 : position + 8 + size]
        kinds.append(chunk[:4])
        assert struct.unpack_from("!I", data, position + 8 + size)[0] == zlib.crc32(chunk)
        position += size + 12
    assert kinds[0] == b"IHDR" and kinds[-1] == b"IEND"


@pytest.mark.parametrize(
    ("path", "kind", "body"),
    [
        ("/a%20name.txt", "text/plain; charset=utf-8", "空格".encode()),
        ("/%E4%B8%AD%E6%96%87.txt", "text/plain; charset=utf-8", "你好".encode()),
        ("/photo.PNG", "image/png", b"\x89PNG"),
        ("/x.svg", "image/svg+xml", b"<svg/>"),
        ("/big.bin", "application/octet-stream", BIG),
        ("/zero.txt", "text/plain; charset=utf-8", b""),
        ("/sub/", "text/html; charset=utf-8", b"<h1>sub</h1>"),
        ("/inside.html", "text/html; charset=utf-8", b"<h1>home</h1>"),
    ],
)
def test_files(server: Running, path: str, kind: str, body: bytes) -> None:
    status, headers, content = get(server, path)
    assert (status, headers["content-type"], content) == (200, kind, body)
    assert headers["content-length"] == str(len(body))


@pytest.mark.parametrize("path", ["/", "/big.bin", "/nothing"])
def test_head_is_get_without_the_body(server: Running, path: str) -> None:
    status, headers, body = split(curl(server, "--head", path))
    get_status, get_headers, _ = get(server, path)
    assert body == b""
    headers["date"] = get_headers["date"]
    assert (status, headers) == (get_status, get_headers)


def test_one_connection_carries_many_requests(server: Running) -> None:
    paths = ["/", "/nothing", "/big.bin", "/zero.txt", "/sub"]
    options = [word for path in paths for word in ("-o", "/dev/null", path)]
    form = "%{num_connects} %{http_code}\n"
    # -o /dev/null is a word, not a path of the server.
    words = [f"http://{server.address}:{server.port}{w}" if w in paths else w for w in options]
    command = [need("curl"), "-sS", "--noproxy", "*", "--max-time", "20", "-w", form, *words]
    out = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    assert out.splitlines() == ["1 200", "0 404", "0 200", "0 200", "0 301"]


def test_folder_without_slash_moves(server: Running) -> None:
    status, headers, _ = get(server, "/sub")
    assert (status, headers["location"]) == (301, "/sub/")
    assert curl(server, "-L", "/sub") == b"<h1>sub</h1>"


def test_not_modified(server: Running) -> None:
    _, headers, _ = get(server, "/")
    stamp = headers["last-modified"]
    status, headers, body = get(server, "-H", f"If-Modified-Since: {stamp}", "/")
    assert (status, body) == (304, b"") and headers["last-modified"] == stamp
    for value in ("Thu, 01 Jan 1970 00:00:00 GMT", "yesterday", ""):
        assert get(server, "-H", f"If-Modified-Since: {value}", "/")[0] == 200
    # curl's own idea of the date:
    assert get(server, "-z", "1 Jan 2100", "/")[0] == 304
    assert get(server, "-z", "1 Jan 1990", "/")[0] == 200
    both = ["-H", f"If-Modified-Since: {stamp}", "-H", 'If-None-Match: "x"']
    assert get(server, *both, "/")[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/../secret",
        "/..%2fsecret",
        "/%2e%2e/secret",
        "/sub/../../secret",
        "//../secret",
        "/../site-secret",
        "/escape",
        "/sibling",
        "/out/secret",
        "/.hidden",
        "/sub/..%2f.hidden",
        "/pipe",
        "/empty/",
        "/index.html/",
        "/" + "x" * 300,
        "/a\\..\\secret",
    ],
)
def test_not_found(server: Running, path: str) -> None:
    status, headers, body = get(server, "--path-as-is", path)
    assert status == 404 and b"TOP-5ECRET" not in body
    assert headers["content-type"] == "text/html; charset=utf-8" and len(body) < 600


def test_error_page_escapes_what_was_asked(server: Running) -> None:
    body = get(server, "/%3Cscript%3E&amp;")[2]
    assert b"<script>" not in body and b"&lt;script>&amp;amp;" in body


@pytest.mark.parametrize(
    ("method", "status"),
    [("POST", 405), ("PUT", 405), ("DELETE", 405), ("TRACE", 405), ("OPTIONS", 204), ("BREW", 501)],
)
def test_other_methods(server: Running, method: str, status: int) -> None:
    code, headers, _ = get(server, "-X", method, "/")
    assert code == status
    assert headers.get("allow") == (None if status == 501 else "GET, HEAD, OPTIONS")


def test_post_gets_its_answer_although_the_body_is_not_read(server: Running, site: Path) -> None:
    status, headers, _ = get(server, "--data-binary", f"@{site}/big.bin", "-H", "Expect:", "/")
    assert (status, headers["connection"]) == (405, "close")
    # A small one is read, and the connection goes on.
    post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
    answer = talk(server, post + b"GET / HTTP/1.0\r\n\r\n")
    assert [status for status, _, _ in responses(answer)] == [405, 200]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),  # RFC 9110 section 4.2.1
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1x\r\nHost: a\r\n\r\n", 400),
        (b"GET nowhere HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
        ),
        (b"\x16\x03\x01\x02\x00\n\n", 400),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"GET /" + b"a" * 9000, 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20000, 431),
    ],
)
def test_malformed_requests_are_refused_and_closed(
    server: Running, request_: bytes, status: int
) -> None:
    code, headers, body = split(talk(server, request_))
    assert (code, headers["connection"]) == (status, "close")
    assert headers["content-length"] == str(len(body))


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a:80\r\nCONNECTION: x, Close\r\n\r\n",
        b"\r\nGET / HTTP/1.0\n\n",
        b"GET http://other.lab/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET http://other.lab HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: [fd00::80]:80\r\nConnection: close\r\n\r\n",
    ],
)
def test_what_is_right_though_rare(server: Running, request_: bytes) -> None:
    status, _, body = split(talk(server, request_))
    assert (status, body) == (200, b"<h1>home</h1>")


def test_http_1_0_keep_alive(server: Running) -> None:
    kept_alive = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    answer = talk(server, kept_alive + b"GET / HTTP/1.0\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200 OK") == 2 and answer.count(b"keep-alive") == 1


def test_pipelined_requests_are_answered_in_order(server: Running) -> None:
    paths = [b"/", b"/sub/", b"/nothing"]
    requests = [b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path for path in paths]
    requests[-1] = requests[-1][:-2] + b"Connection: close\r\n\r\n"
    answer = talk(server, b"".join(requests))
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"200", b"200", b"404"]


def test_many_pipelined_requests_with_and_without_functions() -> None:
    raw = b"GET /below/a HTTP/1.1\r\nHost: a\r\n\r\nGET /none HTTP/1.1\r\nHost: a\r\n\r\n" * 30
    assert [status for status, _, _ in responses(converse(echo(), raw))] == [200, 404] * 30


def test_a_large_body_lies_in_a_file() -> None:
    app = web_site.Site()

    @app.route("/size", "PUT")
    def size(request: http1.Request) -> object:
        with request.open() as file:
            return f"{type(file).__name__} {len(file.read())}"

    head = b"PUT /size HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
    for count, kind in ((10, b"BytesIO 10"), (3 << 20, b"BufferedRandom 3145728")):
        body = [bytes(min(65536, count))] * max(1, count // 65536)
        [(status, _, answer)] = responses(converse(app, head % count, *body))
        assert (status, answer) == (200, kind)


def test_idle_connections_are_closed(site: Path, tmp_path: Path) -> None:
    options = ["--site", str(site), "--idle", "0.2"]
    with running("web_server.py", tmp_path / "log", *options) as web:
        assert talk(web, b"") == b""
        assert split(talk(web, b"GET / HT"))[0] == 408


def test_access_log(server: Running) -> None:
    get(server, "/sub/page.html?logged")
    line = '127.0.0.1 "GET /sub/page.html?logged HTTP/1.1" 200 4'
    eventually(lambda: any(line in text for text in server.lines))


# ---- by itself -------------------------------------------------------------------------------


def converse(app: web_server.App, *pieces: bytes, **options: object) -> bytes:
    """What a client gets that sends PIECES, each after the loop has seen the one before."""
    server = web_server.Server(app, **options)  # type: ignore[arg-type]
    ours, theirs = socket.socketpair()
    server.adopt(theirs, "peer")
    ours.setblocking(False)
    answer = b""
    left = [*pieces, b""]
    deadline = time.monotonic() + 20
    with ours:
        while server.connections:
            assert time.monotonic() < deadline, answer
            if left and not (piece := left.pop(0)):
                ours.shutdown(socket.SHUT_WR)
            elif left:
                try:
                    ours.sendall(piece)
                except BrokenPipeError:
                    left.clear()
            server.turn()
            while data := _read(ours):
                answer += data
        while data := _read(ours):
            answer += data
    return answer


def _read(sock: socket.socket) -> bytes:
    try:
        return sock.recv(1 << 20)
    except (BlockingIOError, ConnectionResetError):
        return b""


def responses(raw: bytes) -> list[tuple[int, dict[str, str], bytes]]:
    """Every response in RAW, chunks joined, 100 Continue included; none may be incomplete."""
    parsed = []
    while raw:
        status, headers, rest = split(raw)
        if status < 200 or status in (204, 304):
            body, raw = b"", rest
        elif headers.get("transfer-encoding") == "chunked":
            chunks = http1.Chunks()
            body, raw = chunks.take(rest)
            assert chunks.done
        else:
            size = int(headers["content-length"])
            assert len(rest) >= size
            body, raw = rest[:size], rest[size:]
        parsed.append((status, headers, body))
    return parsed


def ask(app: web_server.App, head: bytes, *pieces: bytes) -> tuple[int, dict[str, str], bytes]:
    """The one response to a request whose head begins with HEAD."""
    [response] = responses(converse(app, head + b"\r\nHost: a\r\n\r\n", *pieces))
    return response


def echo() -> web_site.Site:
    """A site without files: what is posted comes back."""
    app = web_site.Site()

    @app.route("/echo", "POST")
    def back(request: http1.Request) -> object:
        return request.body

    @app.route("/count")
    def count(request: http1.Request) -> object:
        return (f"{i}\n" for i in range(3))

    @app.route("/below/*")
    def below(request: http1.Request) -> object:
        return f"{request.path}?{request.query}"

    @app.route("/faulty")
    def faulty(request: http1.Request) -> object:
        raise ZeroDivisionError

    @app.route("/half")
    def half(request: http1.Request) -> object:
        yield b"half"
        raise ZeroDivisionError

    return app


def test_head_and_body_leave_in_one_segment(server: Running) -> None:
    with socket.create_connection((server.address, server.port), timeout=10) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        data = sock.recv(65536)
    assert data.startswith(b"HTTP/1.1 200 OK\r\n") and data.endswith(b"<h1>home</h1>")


def test_head_sends_no_body(site: Path) -> None:
    for path in (b"/", b"/big.bin", b"/nothing"):
        sent = converse(web_site.Site(str(site)), b"HEAD %s HTTP/1.1\r\nHost: a\r\n\r\n" % path)
        assert sent.endswith(b"\r\n\r\n") and sent.count(b"\r\n\r\n") == 1


def test_what_is_left_of_a_body_is_read_before_closing(server: Running) -> None:
    # Closing with unread bytes would reset the connection, perhaps before the answer is read.
    body = bytes(4 << 20)
    with socket.create_connection((server.address, server.port), timeout=20) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body))
        sock.sendall(body)
        answer = b""
        while more := sock.recv(65536):
            answer += more
    assert split(answer)[0] == 405


def test_file_that_shrinks_ends_the_connection(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"short")

    class Shrunk(web_site.Site):
        def handle(self, request: http1.Request) -> http1.Response:
            content = http1.OpenFile(os.open(file, os.O_RDONLY))
            return http1.Response(200, [], http1.FilePart(content, 0, 1000))

    sent = converse(Shrunk(str(tmp_path)), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 2)
    assert sent.count(b"HTTP/1.1") == 1 and sent.endswith(b"short")


def test_routes_and_what_they_give() -> None:
    app = echo()
    assert ask(app, b"GET /below/x/y?z HTTP/1.1")[2] == b"/below/x/y?z"
    status, headers, body = ask(app, b"GET /count HTTP/1.1")
    assert (status, headers["transfer-encoding"], body) == (200, "chunked", b"0\n1\n2\n")
    assert ask(app, b"GET /none HTTP/1.1")[0] == 404
    assert ask(app, b"GET /faulty HTTP/1.1")[0] == 500
    assert ask(app, b"DELETE /echo HTTP/1.1")[1]["allow"] == "OPTIONS, POST"
    status, headers, _ = ask(app, b"OPTIONS /count HTTP/1.1")
    assert (status, headers["allow"]) == (204, "GET, HEAD, OPTIONS")
    # A client of HTTP/1.0 knows no chunks: the end of the connection is the end of the body.
    old = converse(app, b"GET /count HTTP/1.0\r\n\r\n")
    assert old.startswith(b"HTTP/1.0 200") and old.endswith(b"\r\n\r\n0\n1\n2\n")
    # A fault in the middle must not look like the end.
    assert not converse(app, b"GET /half HTTP/1.1\r\nHost: a\r\n\r\n").endswith(b"0\r\n\r\n")


def test_bodies_with_length_and_in_chunks_and_the_next_request() -> None:
    with_length = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
    in_chunks = (
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nX: y\r\n\r\n"
    )
    raw = (with_length + in_chunks) * 2
    for size in (len(raw), 50, 7):
        pieces = [raw[at : at + size] for at in range(0, len(raw), size)]
        answers = responses(converse(echo(), *pieces))
        assert [(status, body) for status, _, body in answers] == [(200, b"hello")] * 4


def test_expect_100_continue(server: Running) -> None:
    head = b"POST /echo HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5"
    answers = responses(converse(echo(), head + b"\r\nHost: a\r\n\r\n", b"hello"))
    assert [status for status, _, _ in answers] == [100, 200]
    assert ask(echo(), head.replace(b"100-continue", b"tea"))[0] == 417
    assert ask(echo(), head.replace(b"/echo", b"/none"))[0] == 404  # and no 100 before it
    # curl waits for the 100 with a body of more than 1 MiB, or when told to.
    status, headers, _ = get(server, "-d", "x", "-H", "Expect: 100-continue", "/")
    assert (status, headers["connection"]) == (405, "close")


def test_bodies_that_are_refused() -> None:
    head = b"POST /echo HTTP/1.1\r\nHost: a\r\n"
    too_long = head + b"Content-Length: 11\r\n\r\n"
    in_chunks = head + b"Transfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n"
    for raw in (too_long, in_chunks):
        [(status, headers, _)] = responses(converse(echo(), raw, max_body=10))
        assert (status, headers["connection"]) == (413, "close")
    [(status, _, _)] = responses(converse(echo(), head + b"\r\n"))
    assert status == 411


def test_ranges(site: Path) -> None:
    app = web_site.Site(str(site))

    def part(value: str, path: str = "/sub/page.html", more: str = "") -> tuple[object, ...]:
        text = f"GET {path} HTTP/1.1\r\nRange: {value}{more}".encode()
        status, headers, body = ask(app, text)
        return status, headers.get("content-range"), body

    assert part("bytes=1-2") == (206, "bytes 1-2/4", b"ag")
    assert part("bytes=1-") == (206, "bytes 1-3/4", b"age")
    assert part("bytes=-1") == (206, "bytes 3-3/4", b"e")
    assert part("bytes=-9") == (206, "bytes 0-3/4", b"page")
    assert part("bytes=2-99") == (206, "bytes 2-3/4", b"ge")
    for none in ("bytes=4-", "bytes=9-10", "bytes=-0"):
        status, span, _ = part(none)
        assert (status, span) == (416, "bytes */4")
    for whole in ("bytes=2-1", "bytes=0-0,2-2", "lines=0-1", "bytes=", "bytes=-", "bytes=a-b"):
        assert part(whole) == (200, None, b"page")
    assert part("bytes=65536-65539", "/big.bin")[2] == BIG[65536:65540]
    headers = ask(app, b"GET /sub/page.html HTTP/1.1")[1]
    etag, stamp = headers["etag"], headers["last-modified"]
    for guard, status in ((etag, 206), ('"x"', 200), (stamp, 206), (f"W/{etag}", 200)):
        assert part("bytes=1-2", more=f"\r\nIf-Range: {guard}")[0] == status


def test_conditions(site: Path) -> None:
    app = web_site.Site(str(site))
    etag = ask(app, b"GET / HTTP/1.1")[1]["etag"]

    def status(*lines: str, method: str = "GET") -> int:
        return ask(app, "\r\n".join([f"{method} / HTTP/1.1", *lines]).encode())[0]

    assert status(f"If-None-Match: {etag}") == 304
    assert status(f"If-None-Match: {etag}", method="HEAD") == 304
    assert status(f'If-None-Match: "x", W/{etag}') == 304
    assert status("If-None-Match: *") == 304
    assert status('If-None-Match: "x"') == 200
    assert status(f"If-Match: {etag}") == 200
    assert status("If-Match: *") == 200
    assert status('If-Match: "x"') == status(f"If-Match: W/{etag}") == 412
    assert status("If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT") == 412
    # The order of RFC 9110 section 13.2.2: a tag says more than a date.
    stamp = "Fri, 01 Jan 2100 00:00:00 GMT"
    assert status('If-None-Match: "x"', f"If-Modified-Since: {stamp}") == 200


def test_files_that_are_packed_already(tmp_path: Path) -> None:
    import gzip

    page, packed = tmp_path / "p.html", tmp_path / "p.html.gz"
    page.write_text("<p>" + "long " * 100, encoding="ascii")
    packed.write_bytes(gzip.compress(page.read_bytes()))
    app = web_site.Site(str(tmp_path))

    def get_(accepts: str) -> tuple[int, dict[str, str], bytes]:
        return ask(app, f"GET /p.html HTTP/1.1\r\nAccept-Encoding: {accepts}".encode())

    for accepts in ("gzip", "br, gzip;q=0.5", "*"):
        status, headers, body = get_(accepts)
        assert (status, headers["content-encoding"]) == (200, "gzip")
        assert headers["content-type"].startswith("text/html")
        assert gzip.decompress(body) == page.read_bytes()
    etags = {headers["etag"]}
    for accepts in ("", "br", "gzip;q=0", "gzip; q=0.000, *"):
        status, headers, body = get_(accepts)
        assert "content-encoding" not in headers and body == page.read_bytes()
        assert headers["vary"] == "Accept-Encoding"
    assert headers["etag"] not in etags
    assert "content-encoding" not in ask(app, b"GET /p.html.gz HTTP/1.1")[1]
    os.utime(packed, (1, 1))  # packed from something older
    assert "content-encoding" not in get_("gzip")[1]


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    app = web_site.Site(str(tmp_path))
    for text in ("one", "two!", "three"):
        (tmp_path / "f.txt").write_text(text, encoding="ascii")
        assert ask(app, b"GET /f.txt HTTP/1.1")[2] == text.encode()
    (tmp_path / "f.txt").unlink()
    assert ask(app, b"GET /f.txt HTTP/1.1")[0] == 404
    (tmp_path / "f.txt").symlink_to("/etc/passwd")  # it was inside, and now leads out
    assert ask(app, b"GET /f.txt HTTP/1.1")[0] == 404


def test_answers_share_an_open_large_file_for_one_turn_and_none_keeps_it(tmp_path: Path) -> None:
    app = web_site.Site(str(tmp_path))
    large = tmp_path / "large.bin"
    whole, part = b"GET /large.bin HTTP/1.1\r\nHost: a\r\n", b"Range: bytes=-3\r\n"
    opened = set(os.listdir("/proc/self/fd"))
    for size in (300_000, 200_001):
        content = os.urandom(size)
        large.write_bytes(content)
        asked = whole + b"\r\n" + whole + part + b"\r\n" + whole + b"\r\n"
        bodies = [body for _, _, body in responses(converse(app, asked))]
        assert bodies == [content, content[-3:], content]
    app.new_turn()
    for name in set(os.listdir("/proc/self/fd")) - opened:
        with suppress(FileNotFoundError):  # the descriptor of the listing itself
            assert os.readlink(f"/proc/self/fd/{name}") != str(large)


def test_a_head_with_a_line_that_never_came_is_not_kept() -> None:
    reader = http1.RequestReader()
    http1.RequestReader._known_heads.clear()
    for number in range(3):
        reader.feed(b"GET / HTTP/1.1\r\nHost: a\r\nX-Once: kept-%d\r\n\r\n" % number)
        request = reader.next()
        assert request is not None and request.headers["x-once"] == f"kept-{number}"
    assert not http1.RequestReader._known_heads
    heads = []
    for _ in range(3):
        reader.feed(b"GET / HTTP/1.1\r\nHost: a\r\nX-Once: kept-0\r\n\r\n")
        heads.append(reader.next())
    assert heads[1] is heads[2]


def test_virtual_hosts(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "index.html").write_text(name, encoding="ascii")
    wishes = [f"www.a.lab={tmp_path}/a", f"www.b.lab={tmp_path}/b"]
    app = web_server.sites(wishes)
    for host, body in (("www.b.lab", b"b"), ("WWW.B.LAB.:8080", b"b"), ("www.a.lab", b"a")):
        raw = converse(app, f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert split(raw)[2] == body
    assert split(converse(app, b"GET http://www.b.lab/ HTTP/1.1\r\nHost: x\r\n\r\n"))[2] == b"b"
    assert split(converse(app, b"GET / HTTP/1.1\r\nHost: other\r\n\r\n"))[2] == b"a"


@pytest.mark.parametrize("name", ["close", "common", "combined"])
def test_log_formats(name: str, tmp_path: Path) -> None:
    form = "short" if name == "close" else name
    with open(tmp_path / "log", "ab") as file:
        log = service.Log(file.fileno())
        access = web_server.AccessLog(log, form)
        head = b'GET /a"b HTTP/1.1\r\nHost: a\r\nUser-Agent: x"y\r\n\r\n'
        converse(echo(), head, b"nonsense\r\n\r\n", access=access, log=log)
        log.write()
    first, second = (tmp_path / "log").read_text().splitlines()
    stamp = r"\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]"
    start = r"\d\d:\d\d:\d\d\.\d{3} peer" if form == "short" else rf"peer - - {stamp}"
    line = rf'{start} "GET /a\\"b HTTP/1.1" 404 \d+'
    assert re.fullmatch(line + (r' "-" "x\\"y"' if name == "combined" else ""), first)
    assert '"-" 400 ' in second


def test_lines_of_a_log(tmp_path: Path) -> None:
    with open(tmp_path / "log", "ab") as file:
        log = service.Log(file.fileno())
        log.gather("a\nb")
        log.gather("common", timed=False)
        log("at once")
        assert (tmp_path / "log").read_text().endswith(" at once\n")
        log.write()
        log.write()
    clock = r"\d\d:\d\d:\d\d\.\d{3}"
    wanted = rf"{clock} at once\n{clock} a\\x0ab\ncommon\n"
    assert re.fullmatch(wanted, (tmp_path / "log").read_text())
    service.Log(None)("nobody reads it")


def test_files_are_looked_at_again_in_each_turn(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    site = web_site.Site(str(tmp_path))
    request = http1.parse_head(b"GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n")
    site.handle(request)  # now it is in memory
    assert site.handle(request).body == b"old"
    (tmp_path / "a.txt").write_text("newer")
    site.new_turn()
    assert site.handle(request).body == b"newer"
    # As the loop does it.
    head = b"GET /a.txt HTTP/1.1\r\nHost: a\r\n\r\n"
    assert converse(site, head, head).count(b"newer") == 2
    (tmp_path / "a.txt").write_text("newest")
    assert split(converse(site, head))[2] == b"newest"


@pytest.mark.parametrize("module", [web_server, web_site], ids=["handle", "routes"])
def test_the_example_in_the_docstring_runs(module: ModuleType, tmp_path: Path) -> None:
    text = (module.__doc__ or "").split("\n\n    import time")[1].split("\n\nRules")[0]
    code = textwrap.dedent("    import time" + text.split("\n\nFiles are")[0])
    script = tmp_path / "mine.py"
    start = f"import sys\nsys.path.insert(0, {str(APPS)!r})\n"
    script.write_text(start + code.replace("apps/site", str(SITE)), encoding="utf-8")
    with running(str(script), tmp_path / "log") as web:
        assert re.fullmatch(rb"\w{3} \w{3} +\d+ [\d:]+ \d{4}", get(web, "/clock")[2])
        assert get(web, "/")[2] == (SITE / "index.html").read_bytes()
        if module is web_site:
            assert get(web, "-d", "shout", "/shout")[2] == b"SHOUT"


def test_your_function_may_think_while_others_are_served() -> None:
    gate = threading.Event()
    ours: list[socket.socket] = []

    def handle(request: http1.Request) -> object:
        assert gate.wait(20)
        return request.path

    server = web_server.Server(web_server.Plain(handle))
    for path in (b"/1", b"/2"):
        client, theirs = socket.socketpair()
        server.adopt(theirs, "peer")
        client.sendall(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path)
        client.settimeout(20)
        ours.append(client)
    while any(c.state != "thinking" for c in server.connections.values()):
        server.turn()
    gate.set()
    while any(c.state == "thinking" for c in server.connections.values()):
        server.turn()
    assert [split(client.recv(65536))[2] for client in ours] == [b"/1", b"/2"]
    for client in ours:
        client.close()


def test_sigterm_finishes_what_is_being_served(site: Path, tmp_path: Path) -> None:
    options = ["--site", str(site)]
    big = site / "huge.bin"
    with open(big, "wb") as file:
        file.truncate(32 << 20)
    try:
        with running("web_server.py", tmp_path / "log", *options) as web:
            idle = socket.create_connection((web.address, web.port), timeout=20)
            busy = socket.create_connection((web.address, web.port), timeout=20)
            busy.sendall(b"GET /huge.bin HTTP/1.1\r\nHost: a\r\n\r\n")
            count = len(busy.recv(1000))
            web.process.send_signal(signal.SIGTERM)
            assert idle.recv(1) == b""  # it has nothing to lose
            assert web.process.poll() is None
            while more := busy.recv(1 << 20):
                count += len(more)
            assert count > 32 << 20
            idle.close()
            busy.close()
            web.process.wait(10)
            assert web.process.returncode == 0
            web.process.poll = lambda: None  # type: ignore[method-assign]
    finally:
        big.unlink()


def test_tls_with_the_labs_authority(site: Path, tmp_path: Path) -> None:
    need("openssl")
    folder, keylog = tmp_path / "ca", tmp_path / "keys"
    options = ["--site", str(site), "--tls", "www.a.lab", "--tls", "127.0.0.1"]
    options += ["--tls-ca", str(folder), "--keylog", str(keylog)]
    with running("web_server.py", tmp_path / "log", *options) as web:
        at = f"{web.address}:{web.port}"
        base = [need("curl"), "-sS", "--noproxy", "*", "--max-time", "20"]
        trusting = [*base, "--cacert", str(folder / "ca.pem")]
        named = [*trusting, "--connect-to", f"www.a.lab:443:{at}"]
        urls = ["https://www.a.lab/", "https://www.a.lab/big.bin", "https://www.a.lab/sub/"]
        out = subprocess.run([*named, *urls], capture_output=True, timeout=60, check=True).stdout
        assert out == b"<h1>home</h1>" + BIG + b"<h1>sub</h1>"
        subprocess.run([*trusting, f"https://{at}/"], capture_output=True, timeout=60, check=True)
        # A body, a body that nobody wants, and one without trust in the authority.
        post = [*named, "--data-binary", f"@{site}/big.bin", "-H", "Expect:", urls[0]]
        posted = subprocess.run(post, capture_output=True, timeout=60, check=True)
        assert b"405 Method Not Allowed" in posted.stdout
        wrong = subprocess.run([*base, f"https://{at}/"], capture_output=True, timeout=60)
        assert wrong.returncode == 60
        # Plain text to it, half a handshake, and our own client.
        try:
            assert b"200" not in talk(web, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        except ConnectionResetError:
            pass
        result = run_app("fetch.py", f"https://{at}/", "--cacert", str(folder / "ca.pem"))
        assert result.returncode == 0, result.stderr
        assert "TLSv1.3" in result.stdout and "hoplab lab authority" in result.stdout
        result = run_app("fetch.py", f"https://{at}/")
        assert result.returncode == 60 and "--cacert" in result.stderr
        named_wrong = f"https://localhost:{web.port}/"
        result = run_app("fetch.py", named_wrong, "--cacert", str(folder / "ca.pem"))
        assert result.returncode == 60 and "mismatch" in result.stderr
    assert "CLIENT_TRAFFIC_SECRET_0" in keylog.read_text(encoding="ascii")
    assert (folder / "ca.key").stat().st_mode & 0o077 == 0


def test_fetch_of_https_from_a_plain_server_is_35(server: Running) -> None:
    result = run_app("fetch.py", f"https://{server.address}:{server.port}/")
    assert result.returncode == 35 and "Does this port speak TLS?" in result.stderr


def status_line(raw: bytes) -> bytes:
    return raw.partition(b"\r\n")[0]


def test_variants(site: Path) -> None:
    app = web_site.Site(str(site))
    requests = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 2

    def variant(name: str) -> bytes:
        return converse(app, requests, variant=web_server.VARIANTS[name])

    old = variant("http1.0")
    assert old.count(b"HTTP/1.0 200 OK") == 1 and b"Content-Length" not in old
    assert old.endswith(b"\r\n\r\n<h1>home</h1>")
    closing = variant("no-keep-alive")
    assert closing.count(b"200 OK") == 1 and b"Connection: close" in closing
    assert [body for _, _, body in responses(variant("slow"))] == [b"<h1>home</h1>"] * 2
    broken = variant("reset")
    assert b"Content-Length: 13" in broken and broken.endswith(b"\r\n\r\n<h1>ho")


def test_dates_in_all_three_forms() -> None:
    for text in (
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    ):
        assert http1.parse_http_date(text) == 784111777
    assert http1.http_date(784111777) == "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/", "/"),
        ("/a/./b/../c", "/a/c"),
        ("/..", "/"),
        ("//x", "/x"),
        ("/a/", "/a/"),
        ("/a/..", "/"),
        ("/a/.", "/a/"),
        ("/%41?b=%zz#c", "/A"),
    ],
)
def test_paths(target: str, path: str) -> None:
    assert http1.decode_path(target) == path


@settings(deadline=None)  # the machine may be busy
@given(target=st.text("/.%2eEfF\\ab?#", max_size=30))
def test_no_target_leads_out_of_the_site(site: Path, target: str) -> None:
    try:
        path = http1.decode_path("/" + target)
    except http1.BadRequest:
        return
    assert path.startswith("/") and ".." not in path.split("/")
    page = web_site.Site(str(site))._find(path, False)
    if not isinstance(page, http1.Response):
        assert os.path.realpath(page.name).startswith(f"{os.path.realpath(site)}/")


@settings(deadline=None)  # the machine may be busy
@given(pieces=st.lists(st.binary(max_size=200), max_size=8))
def test_any_bytes_are_refused_or_wait(pieces: list[bytes]) -> None:
    reader = http1.RequestReader()
    try:
        for piece in pieces:
            reader.feed(piece)
            while request := reader.next():
                assert request.headers.get("host") is not None or request.version == (1, 0)
    except http1.BadRequest as bad:
        assert bad.status in http1.REASONS


REQUEST = (
    b"GET /a%20b?c HTTP/1.1\r\nHost: www.itheima.com\r\nAccept: */*\r\nAccept: text/html\r\n\r\n"
)


@settings(deadline=None)  # the machine may be busy
@given(
    edits=st.lists(st.tuples(st.integers(0, 90), st.integers(0, 255)), max_size=5),
    sizes=st.lists(st.integers(1, 30), max_size=20),
)
def test_damaged_requests_never_crash_the_loop(
    site: Path, edits: list[tuple[int, int]], sizes: list[int]
) -> None:
    data = bytearray(REQUEST)
    for position, value in edits:
        data[position % len(data)] = value
    pieces = []
    for size in sizes:
        pieces.append(bytes(data[:size]))
        del data[:size]
    pieces.append(bytes(data))
    sent = converse(web_site.Site(str(site)), *(piece for piece in pieces if piece))
    if sent:
        assert split(sent)[0] in http1.REASONS


@settings(deadline=None)  # the machine may be busy
@given(sizes=st.lists(st.integers(1, 30), max_size=20))
def test_requests_do_not_depend_on_how_bytes_arrive(sizes: list[int]) -> None:
    reader = http1.RequestReader()
    data = REQUEST * 2
    requests = []
    for size in [*sizes, len(data)]:
        reader.feed(data[:size])
        data = data[size:]
        while request := reader.next():
            requests.append(request)
    assert len(requests) == 2 and requests[0] == requests[1]
    assert requests[0].path == "/a b" and requests[0].headers["accept"] == "*/*, text/html"


def test_live_server_survives_noise(server: Running) -> None:
    noise = [os.urandom(n) for n in (1, 10, 100, 1000, 30000)]
    threads = [threading.Thread(target=_shout, args=(server, data)) for data in noise]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    start = time.monotonic()
    assert get(server, "/")[0] == 200 and time.monotonic() - start < 5


def _shout(server: Running, data: bytes) -> None:
    with socket.create_connection((server.address, server.port), timeout=5) as sock:
        sock.sendall(data)
