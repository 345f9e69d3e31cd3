# SPDX-License-Identifier: Apache-2.0
"""The web server, judged by curl; its parser and its loop by themselves."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "apps"))

import web_server

from tests.unit.test_apps_all import APPS, Running, eventually, need, running

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
    with running("web_server.py", tmp_path_factory.mktemp("log") / "log", *options) as it:
        yield it


@pytest.fixture(scope="module")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running("web_server.py", tmp_path_factory.mktemp("log") / "log") as it:
        yield it


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
    status, headers, got = get(server, path)
    assert (status, headers["content-type"], got) == (200, kind, body)
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


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "BREW"])
def test_other_methods_are_not_implemented(server: Running, method: str) -> None:
    assert get(server, "-X", method, "/")[0] == 501


def test_post_gets_its_answer_although_the_body_is_not_read(server: Running, site: Path) -> None:
    status, headers, _ = get(server, "--data-binary", f"@{site}/big.bin", "-H", "Expect:", "/")
    assert (status, headers["connection"]) == (501, "close")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
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
    got, headers, body = split(talk(server, request_))
    assert (got, headers["connection"]) == (status, "close")
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
        b"GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n",
    ],
)
def test_what_is_right_though_rare(server: Running, request_: bytes) -> None:
    status, _, body = split(talk(server, request_))
    assert (status, body) == (200, b"<h1>home</h1>")


def test_http_1_0_keep_alive(server: Running) -> None:
    one = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    answer = talk(server, one + b"GET / HTTP/1.0\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200 OK") == 2 and answer.count(b"keep-alive") == 1


def test_pipelined_requests_are_answered_in_order(server: Running) -> None:
    paths = [b"/", b"/sub/", b"/nothing"]
    requests = [b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path for path in paths]
    requests[-1] = requests[-1][:-2] + b"Connection: close\r\n\r\n"
    answer = talk(server, b"".join(requests))
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"200", b"200", b"404"]


def test_idle_connections_are_closed(site: Path, tmp_path: Path) -> None:
    options = ["--site", str(site), "--idle", "0.2"]
    with running("web_server.py", tmp_path / "log", *options) as it:
        assert talk(it, b"") == b""
        assert split(talk(it, b"GET / HT"))[0] == 408


def test_access_log(server: Running) -> None:
    get(server, "/sub/page.html?logged")
    line = '127.0.0.1 "GET /sub/page.html?logged HTTP/1.1" 200 4'
    eventually(lambda: any(line in text for text in server.lines))


# ---- by itself -------------------------------------------------------------------------------


class Recorder:
    """Stands in for a connection: gives REQUEST piece by piece, keeps each send."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)
        self.sends: list[bytes] = []
        self.shut = False

    def setsockopt(self, *args: int) -> None:
        assert args == (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def settimeout(self, seconds: float) -> None:
        assert seconds > 0

    def recv(self, size: int) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""

    def sendall(self, data: bytes) -> None:
        self.sends.append(data)

    def shutdown(self, how: int) -> None:
        assert how == socket.SHUT_WR
        self.shut = True


def converse(site: web_server.Site, *pieces: bytes) -> list[bytes]:
    recorder = Recorder(*pieces)
    web_server.converse(recorder, "peer", site, lambda text: None, 5.0)  # type: ignore[arg-type]
    return recorder.sends


def test_head_and_body_leave_in_one_send(site: Path) -> None:
    request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    [sent] = converse(web_server.Site(str(site)), request)
    assert sent.startswith(b"HTTP/1.1 200 OK\r\n") and sent.endswith(b"<h1>home</h1>")
    first = converse(web_server.Site(str(site)), request.replace(b"/ ", b"/big.bin "))[0]
    assert first.startswith(b"HTTP/1.1 200 OK\r\n") and len(first) > 60000


def test_head_sends_no_body(site: Path) -> None:
    for path in (b"/", b"/big.bin", b"/nothing"):
        [sent] = converse(web_server.Site(str(site)), b"HEAD %s HTTP/1.1\r\nHost: a\r\n\r\n" % path)
        assert sent.endswith(b"\r\n\r\n") and sent.count(b"\r\n\r\n") == 1


def test_what_is_left_of_a_body_is_read_before_closing(site: Path) -> None:
    # Closing with unread bytes would reset the connection, perhaps before the answer is read.
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"
    recorder = Recorder(head, b"1234", b"56789")
    site_ = web_server.Site(str(site))
    web_server.converse(recorder, "peer", site_, lambda text: None, 5.0)  # type: ignore[arg-type]
    assert split(recorder.sends[0])[0] == 501
    assert recorder.shut and recorder.pieces == []


def test_file_that_shrinks_ends_the_connection(site: Path) -> None:
    class Shrunk(web_server.Site):
        def respond(self, request: web_server.Request) -> web_server.Response:
            return web_server.Response(200, [], str(site / "index.html"), 1000)

    sends = converse(Shrunk(str(site)), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 2)
    assert len(sends) == 1


def test_respond_can_be_overridden_and_may_have_faults(site: Path) -> None:
    class Clock(web_server.Site):
        def respond(self, request: web_server.Request) -> web_server.Response:
            if request.path == "/clock":
                return web_server.Response(200, [("Content-Type", "text/plain")], b"noon")
            raise ZeroDivisionError

    sends = converse(
        Clock(str(site)),
        b"GET /clock HTTP/1.1\r\nHost: a\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n",
    )
    assert [split(sent)[0] for sent in sends] == [200, 500]
    assert split(sends[0])[2] == b"noon"


def test_dates_in_all_three_forms() -> None:
    for text in (
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    ):
        assert web_server.parse_http_date(text) == 784111777
    assert web_server.http_date(784111777) == "Sun, 06 Nov 1994 08:49:37 GMT"


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
    assert web_server.decode_path(target) == path


@settings(deadline=None)  # the machine may be busy
@given(target=st.text("/.%2eEfF\\ab?#", max_size=30))
def test_no_target_leads_out_of_the_site(site: Path, target: str) -> None:
    try:
        path = web_server.decode_path("/" + target)
    except web_server.BadRequest:
        return
    assert path.startswith("/") and ".." not in path.split("/")
    found = web_server.Site(str(site)).find(path)
    if not isinstance(found, web_server.Response):
        assert found[0].startswith(f"{os.path.realpath(site)}/")


@settings(deadline=None)  # the machine may be busy
@given(pieces=st.lists(st.binary(max_size=200), max_size=8))
def test_any_bytes_are_refused_or_wait(pieces: list[bytes]) -> None:
    reader = web_server.RequestReader()
    try:
        for piece in pieces:
            reader.feed(piece)
            while request := reader.next():
                assert request.headers.get("host") is not None or request.version == (1, 0)
    except web_server.BadRequest as bad:
        assert bad.status in web_server.REASONS


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
    for sent in converse(web_server.Site(str(site)), *(piece for piece in pieces if piece)):
        assert split(sent)[0] in web_server.REASONS


@settings(deadline=None)  # the machine may be busy
@given(sizes=st.lists(st.integers(1, 30), max_size=20))
def test_requests_do_not_depend_on_how_bytes_arrive(sizes: list[int]) -> None:
    reader = web_server.RequestReader()
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
