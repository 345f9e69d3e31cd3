# SPDX-License-Identifier: Apache-2.0
"""The client: against our web server and against servers that misbehave; its parser by itself."""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "apps"))

import fetch
from protocols import fetch_exchange
from protocols.fetch_errors import EXIT_RECEIVE, FetchError
from protocols.fetch_exchange import Fetch
from protocols.fetch_response import ResponseReader
from protocols.fetch_session import Session
from protocols.fetch_url import Url, parse_url, shown_by

from tests.unit.test_apps_all import APPS, Running, eventually, run_app, running

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running("web_server.py", tmp_path_factory.mktemp("log") / "log") as web_server:
        yield web_server


class Fake:
    """A server for one connection that answers every request head with the same bytes.

    What the client sent is in `got`. `then`: close, wait (for the client), reset.
    """

    def __init__(self, listener: socket.socket, answer: bytes, then: str) -> None:
        self.port = listener.getsockname()[1]
        self.got = b""
        self.closed_by_client = False
        self._listener = listener
        self._answer = answer
        self._then = then

    def work(self) -> None:
        conn, _ = self._listener.accept()
        with conn:
            conn.settimeout(10)
            while not self.got.endswith(b"\r\n\r\n"):
                data = conn.recv(4096)
                if not data:
                    return
                self.got += data
            conn.sendall(self._answer)
            if self._then == "reset":
                conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif self._then == "wait":
                try:
                    self.closed_by_client = conn.recv(1) == b""
                except OSError:
                    self.closed_by_client = True


@contextmanager
def fake(answer: bytes, then: str = "wait") -> Iterator[Fake]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        fake_server = Fake(listener, answer, then)
        thread = threading.Thread(target=fake_server.work)
        thread.start()
        yield fake_server
        thread.join(15)
        assert not thread.is_alive()


def test_a_page_step_by_step(server: Running) -> None:
    result = run_app("fetch.py", f"http://127.0.0.1:{server.port}/")
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    steps = [re.fullmatch(r" *([0-9.]+) ms  (.+?)  +(.*)", line) for line in lines[:-1]]
    assert [step and step[2] for step in steps] == [
        "resolve",
        "connect",
        "request",
        "response",
        "close",
    ]
    size = (APPS / "site" / "index.html").stat().st_size
    assert f"200 OK, text/html; charset=utf-8, {size} bytes" in lines[3]
    assert "we closed, then the server" in lines[4]
    assert lines[5].endswith("ms  in all")


def test_what_goes_out() -> None:
    with fake(OK + b"Content-Length: 0\r\n\r\n") as fake_server:
        result = run_app("fetch.py", f"http://127.0.0.1:{fake_server.port}/a b/中?q#frag")
    assert result.returncode == 0
    assert fake_server.got == (
        b"GET /a%20b/%E4%B8%AD?q HTTP/1.1\r\n"
        + f"Host: 127.0.0.1:{fake_server.port}\r\n".encode()
        + b"User-Agent: hoplab-fetch\r\nAccept: */*\r\nConnection: keep-alive\r\n\r\n"
    )
    assert fake_server.closed_by_client


def test_json(server: Running) -> None:
    result = run_app("fetch.py", f"http://localhost:{server.port}/nothing", "--json")
    assert result.returncode == 1 and result.stderr == ""
    report = json.loads(result.stdout)
    assert report["exit_code"] == 1 and report["status"] == 404
    assert report["address"] == "127.0.0.1" and report["port"] == server.port
    assert report["local"][0] == "127.0.0.1" and report["local"][1] > 0
    assert int(report["headers"]["Content-Length"]) == report["bytes"] > 0
    assert [step["step"] for step in report["steps"]] == [
        "resolve",
        "connect",
        "request",
        "response",
        "close",
    ]
    assert report["steps"][-1]["ms"] < 5000, "nothing to wait for but the server's FIN"
    assert sum(step["ms"] for step in report["steps"]) <= report["ms"]


def test_output(server: Running, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{server.port}/network.png"
    image = (APPS / "site" / "network.png").read_bytes()
    target = tmp_path / "image"
    target.write_bytes(b"x" * 100_000)
    assert run_app("fetch.py", url, "--output", str(target)).returncode == 0
    assert target.read_bytes() == image
    command = [sys.executable, str(APPS / "fetch.py"), url, "--output", "-"]
    result = subprocess.run(command, capture_output=True, timeout=30, check=False)
    assert result.stdout == image and b"200 OK" in result.stderr
    assert run_app("fetch.py", url, "--output", "/nonexistent/x").returncode == 23


def test_failed_fetch_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "old"
    target.write_text("old", encoding="ascii")
    with fake(b"", then="close") as fake_server:
        url = f"http://127.0.0.1:{fake_server.port}/"
        assert run_app("fetch.py", url, "--output", str(target)).returncode == 52
    assert target.read_text(encoding="ascii") == "old"


def test_head(server: Running) -> None:
    result = run_app("fetch.py", f"http://127.0.0.1:{server.port}/", "--head")
    assert result.returncode == 0 and "HEAD /" in result.stdout and " 0 bytes" in result.stdout
    eventually(lambda: any('"HEAD / HTTP/1.1" 200' in line for line in server.lines))


@pytest.mark.parametrize(
    ("answer", "then", "code", "sentence"),
    [
        (b"", "close", 52, "without a complete response"),
        (b"HTTP/1.1 200", "close", 52, "without a complete response"),
        (b"SSH-2.0-x\r\n\r\n", "close", 8, "does not begin with HTTP/1.1"),
        (b"hello\n", "close", 8, "does not begin with HTTP/1.1"),
        (b"HTTP/2\n", "close", 8, "does not begin with HTTP/1.1"),
        (b"SSH", "wait", 8, "does not begin with HTTP/1.1"),
        (OK + b"nonsense\r\n\r\n", "close", 8, "without a colon"),
        (OK + b"Content-Length: 10\r\n\r\n12345", "close", 18, "after 5 bytes"),
        (OK + b"Content-Length: x\r\n\r\n", "close", 8, "Content-Length"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", "close", 8, "without a size"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n", "close", 8, "longer"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "close", 18, "after 3 bytes"),
        (
            OK + b"Content-Length: 10\r\n\r\n12345",
            "reset",
            56,
            "the connection broke: Connection reset",
        ),
    ],
)
def test_servers_that_misbehave(answer: bytes, then: str, code: int, sentence: str) -> None:
    with fake(answer, then) as fake_server:
        result = run_app("fetch.py", f"http://127.0.0.1:{fake_server.port}/")
    assert result.returncode == code and sentence in result.stderr
    assert "Next:" in result.stderr and "Traceback" not in result.stderr


def test_server_that_stays_silent_is_a_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        result = run_app("fetch.py", url, "--timeout", "0.3")
    assert result.returncode == 28 and "within 0.3 s" in result.stderr


def test_server_that_closes_first_is_told() -> None:
    with fake(OK + b"\r\nuntil the end", then="close") as fake_server:
        result = run_app("fetch.py", f"http://127.0.0.1:{fake_server.port}/")
    assert result.returncode == 0
    assert "13 bytes" in result.stdout and "the server closed first" in result.stdout


def test_server_that_does_not_close_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_exchange, "CLOSE_WAIT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = parse_url(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        fetching = Fetch(url)
        with fetching._connect(["127.0.0.1"]) as sock:
            fetching._close(sock)
    assert "had not closed after 0.1 s" in str(fetching.steps[-1]["text"])


def test_closed_port_is_7() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    result = run_app("fetch.py", f"http://127.0.0.1:{port}/")
    assert result.returncode == 7
    assert f"127.0.0.1 port {port}: connection refused" in result.stderr


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (OSError(errno.EHOSTUNREACH, "x"), 7, "no route to host"),
        (OSError(errno.ENETUNREACH, "x"), 7, "network unreachable"),
        (OSError(errno.EACCES, "Permission denied"), 7, "Permission denied"),
        (TimeoutError(), 28, "no connection to"),
        (TimeoutError(errno.ETIMEDOUT, "x"), 28, "no connection to"),
    ],
)
def test_connect_errors(error: OSError, code: int, sentence: str) -> None:
    fetching = Fetch(parse_url("http://10.80.0.99/"))
    failure = fetching._connect_error("10.80.0.99", error)
    assert failure.code == code and sentence in str(failure) and failure.hint


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (socket.EAI_NONAME, "there is no name"),
        (socket.EAI_AGAIN, "no name server could tell"),
        (-5, "has no IPv4 address"),
    ],
)
def test_name_errors_are_6(
    number: int,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def getaddrinfo(*args: object) -> None:
        if number != socket.EAI_NODATA:
            assert args[2] == socket.AF_INET, "one question: A, not AAAA"
        raise socket.gaierror(number, "x")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert fetch.main(["http://no.such.lab/"]) == 6
    assert sentence in capsys.readouterr().err


def test_name_server_that_stays_silent_is_28(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args: release.wait(10))
    try:
        assert fetch.main(["http://no.such.lab/", "--timeout", "0.1"]) == 28
    finally:
        release.set()


def test_next_address_when_one_refuses(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [(0, 0, 0, "", (address, 0)) for address in ("127.255.1.1", "127.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args: entries)
    assert fetch.main([f"http://www.lab:{server.port}/"]) == 0


@pytest.mark.parametrize(
    "url",
    [
        "www.itheima.com",
        "ftp://www.itheima.com/",
        "ftp://a/",
        "http://",
        "http:///path",
        "http://a:b/",
        "http://a:0/",
        "http://a:65536/",
        "http://user@a/",
        "http://[::1/",
        "http://a b/",
        "http://" + "ü" * 70 + "/",
    ],
)
def test_bad_urls_are_2(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch.main([url]) == 2
    assert "Next: " in capsys.readouterr().err


@pytest.mark.parametrize("value", ["0", "-1", "x", "inf", "nan"])
def test_bad_timeouts_are_2(value: str) -> None:
    with pytest.raises(SystemExit) as caught:
        fetch.main(["http://a/", f"--timeout={value}"])
    assert caught.value.code == 2


@pytest.mark.parametrize(
    ("url", "expected", "authority"),
    [
        ("http://a", ("a", 80, "/"), "a"),
        ("HTTP://a:80/", ("a", 80, "/"), "a"),
        ("http://a:/x", ("a", 80, "/x"), "a"),
        ("http://a:8080?q", ("a", 8080, "/?q"), "a:8080"),
        ("http://[fd00::80]/", ("fd00::80", 80, "/"), "[fd00::80]"),
        ("http://例子.测试/", ("xn--fsqu00a.xn--0zwm56d", 80, "/"), "xn--fsqu00a.xn--0zwm56d"),
        ("http://a/\r\nX: y", ("a", 80, "/%0D%0AX:%20y"), "a"),
    ],
)
def test_good_urls(url: str, expected: tuple[str, int, str], authority: str) -> None:
    parsed = parse_url(url)
    assert tuple(parsed)[:3] == expected and parsed.authority == authority


def test_control_characters_do_not_reach_the_terminal() -> None:
    with fake(b"HTTP/1.1 200 \x1b[31mred\r\nContent-Length: 0\r\n\r\n") as fake_server:
        result = run_app("fetch.py", f"http://127.0.0.1:{fake_server.port}/")
    assert "\x1b" not in result.stdout and "\\x1b[31mred" in result.stdout


# ---- several fetches -------------------------------------------------------------------------


class Script:
    """A server that answers the heads it gets by path. `heads` is what came, `opened` counts its
    connections. A path whose answer is None: the connection is closed without one."""

    def __init__(self, answers: dict[str, bytes | None]) -> None:
        self.answers = answers
        self.heads: list[str] = []
        self.opened = 0
        self.then_closes: set[str] = set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            self.opened += 1
            threading.Thread(target=self._talk, args=(conn,), daemon=True).start()

    def _talk(self, conn: socket.socket) -> None:
        buffer = b""
        with conn:
            while True:
                while b"\r\n\r\n" not in buffer:
                    data = conn.recv(4096)
                    if not data:
                        return
                    buffer += data
                head, _, buffer = buffer.partition(b"\r\n\r\n")
                path = head.split()[1].decode()
                self.heads.append(path)
                answer = self.answers.get(path)
                if answer is None:
                    return
                conn.sendall(answer)
                if path in self.then_closes:
                    return

    def __enter__(self) -> Script:
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.close()

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.port}{path}"


def answer(body: bytes, kind: bytes = b"text/html", more: bytes = b"") -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n%b\r\n"
    return head % (kind, len(body), more) + body


def moved(to: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 3\r\n\r\nold".encode()


def test_redirects_are_followed_on_the_same_connection(tmp_path: Path) -> None:
    target = tmp_path / "page"
    answers = {"/": moved("a/b?c"), "/a/b?c": moved("../end"), "/end": answer(b"here")}
    with Script(answers) as script:
        result = run_app("fetch.py", script.url(), "--output", str(target))
        assert result.returncode == 0 and script.opened == 1
        assert script.heads == ["/", "/a/b?c", "/end"]
        assert target.read_bytes() == b"here"
        assert result.stdout.count("connect ") == 1 and result.stdout.count("request ") == 3
        report = json.loads(run_app("fetch.py", script.url(), "--json").stdout)
        assert report["status"] == 200 and len(report["fetches"]) == 3
        first = json.loads(
            run_app("fetch.py", script.url(), "--json", "--max-redirects", "0").stdout
        )
        assert first["status"] == 302


def test_redirects_without_end_are_47() -> None:
    with Script({"/": moved("/x"), "/x": moved("/")}) as script:
        result = run_app("fetch.py", script.url(), "--max-redirects", "3")
    assert result.returncode == 47 and len(script.heads) == 4 and "Next:" in result.stderr


def test_a_redirect_that_leads_nowhere() -> None:
    with Script({"/": moved("ftp://x/")}) as script:
        result = run_app("fetch.py", script.url())
    assert result.returncode == 2 and "ftp://" in result.stderr


PAGE = b"""<!doctype html><link rel="stylesheet" href="s.css"><link rel=icon href="i.ico">
<link rel="next" href="other.html"><img src="p.png"><img src="p.png"><img src="data:,x">
<script src=/j.js></script><a href="not-this.html">x</a>"""


def test_a_page_with_all_it_shows() -> None:
    answers: dict[str, bytes | None] = {
        "/d/": answer(PAGE),
        "/d/s.css": answer(b"@import 't.css'; a { background: url( \"bg.png\") }", b"text/css"),
        "/d/t.css": answer(b"", b"text/css"),
        "/d/bg.png": answer(b"bg", b"image/png"),
        "/d/i.ico": answer(b"i", b"image/x-icon"),
        "/d/p.png": answer(b"p", b"image/png"),
        "/j.js": answer(b"j", b"text/javascript"),
    }
    with Script(answers) as script:
        result = run_app("fetch.py", script.url("/d/"), "--all", "--connections", "2")
        assert (result.returncode, result.stderr) == (0, "")
        assert sorted(script.heads) == sorted(answers) and script.opened <= 2
        rows = re.findall(r"^ +([12])  +200 +[0-9,]+  \|(.{40})\| (\S+)$", result.stdout, re.M)
        assert sorted(path for _, _, path in rows) == sorted(answers)
        assert all("#" in bar for _, bar, _ in rows)
        report = json.loads(run_app("fetch.py", script.url("/d/"), "--all", "--json").stdout)
        assert {exchange["status"] for exchange in report["fetches"]} == {200}
        for exchange in report["fetches"]:
            moments = list(exchange["at_ms"].values())
            assert moments == sorted(moments)
        answers["/d/p.png"] = None
        del answers["/j.js"]
        result = run_app("fetch.py", script.url("/d/"), "--all")
        assert result.returncode == 52 and "fail" in result.stdout and "/j.js" in result.stdout


def test_a_connection_that_the_server_closed_while_idle_is_replaced() -> None:
    with Script({"/": answer(b"1"), "/gone": None}) as script:
        made: list[Fetch] = []

        def make(url: Url) -> Fetch:
            made.append(Fetch(url, timeout_s=10))
            return made[-1]

        session = Session(make)
        url = parse_url(script.url())
        link = session.get(url).link
        assert link is not None
        link.sock.shutdown(socket.SHUT_RDWR)  # as if the server had
        again = session.get(url)
        assert again.reader.status == 200 and script.opened == 2 and len(session.fetches) == 2
        with pytest.raises(FetchError):  # but not for ever
            session.get(parse_url(script.url("/gone")))
        session.end()


def test_what_a_page_shows() -> None:
    base = parse_url("http://a/b/c.html")
    urls = shown_by('<img src="../x.png"><img src="//b/y.png"><img src="ftp://c/">', base)
    assert [str(url) for url in urls] == ["http://a/x.png", "http://b/y.png"]


# ---- by itself -------------------------------------------------------------------------------

RESPONSES = [
    (OK + b"Content-Length: 5\r\n\r\nhello", b"hello", 200),
    (OK + b"Content-Length: 5, 5\r\n\r\nhello", b"hello", 200),
    (OK + b"Content-Length: 0\r\n\r\n", b"", 200),
    (OK + b"\r\nuntil the end", b"until the end", 200),
    (b"HTTP/1.1 204 No Content\r\n\r\n", b"", 204),
    (b"HTTP/1.0 404\nContent-Length: 2\n\nno", b"no", 404),
    (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n"
        + OK
        + b"Content-Length: 2\r\n\r\nok",
        b"ok",
        200,
    ),
    (
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA ; x=y\r\n, world...\r\n"
        b"0\r\nTrailer: x\r\n\r\n",
        b"hello, world...",
        200,
    ),
]


@pytest.mark.parametrize(("raw", "body", "status"), RESPONSES)
@settings(deadline=None)  # the machine may be busy
@given(sizes=st.lists(st.integers(1, 20), max_size=30))
def test_responses_do_not_depend_on_how_bytes_arrive(
    raw: bytes, body: bytes, status: int, sizes: list[int]
) -> None:
    written = bytearray()
    reader = ResponseReader(sink=written.extend)
    for size in sizes:
        if raw:
            reader.feed(raw[:size])
            raw = raw[size:]
    reader.feed(raw)
    if reader.state != "done":
        assert reader.state == "close"
        reader.end()
    assert (bytes(written), reader.status, reader.received) == (body, status, len(body))


@settings(deadline=None)  # the machine may be busy
@given(
    number=st.integers(0, len(RESPONSES) - 1),
    edits=st.lists(st.tuples(st.integers(0, 120), st.integers(0, 255)), max_size=5),
    size=st.integers(1, 60),
)
def test_damaged_responses_are_a_sentence(
    number: int, edits: list[tuple[int, int]], size: int
) -> None:
    data = bytearray(RESPONSES[number][0])
    for position, value in edits:
        data[position % len(data)] = value
    reader = ResponseReader()
    try:
        while data and reader.state != "done":
            reader.feed(bytes(data[:size]))
            del data[:size]
        if reader.state != "done":
            reader.end()
    except FetchError as error:
        assert error.code in (8, 18, 52) and error.hint


@settings(deadline=None)  # the machine may be busy
@given(data=st.binary(max_size=300), size=st.integers(1, 60))
def test_any_bytes_are_a_response_or_a_sentence(data: bytes, size: int) -> None:
    reader = ResponseReader()
    try:
        for start in range(0, len(data), size):
            reader.feed(data[start : start + size])
        reader.end()
    except FetchError as error:
        assert str(error) and error.hint
    else:
        assert reader.state == "done" and 100 <= reader.status <= 999


def test_response_to_head_has_no_body() -> None:
    reader = ResponseReader("HEAD")
    reader.feed(OK + b"Content-Length: 5\r\n\r\n")
    assert reader.state == "done" and reader.received == 0


def test_a_full_disk_is_23() -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full on this machine")
    with fake(OK + b"Content-Length: 5\r\n\r\nhello") as fake_server:
        result = run_app(
            "fetch.py", f"http://127.0.0.1:{fake_server.port}/", "--output", "/dev/full"
        )
    assert result.returncode == 23 and "No space left" in result.stderr


def test_plain_http_to_the_port_of_https() -> None:
    exchange = Fetch(parse_url("http://www.a.lab:443/"))
    broken = exchange._broken(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))
    assert "try https://www.a.lab/" in broken.hint and broken.code == EXIT_RECEIVE
