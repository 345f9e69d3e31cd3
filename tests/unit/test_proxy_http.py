# SPDX-License-Identifier: Apache-2.0
"""What the proxy of `hoplab open` takes for HTTP, on either side, and what it says of the rest."""

from __future__ import annotations

import argparse
import socket
import threading
from collections.abc import Iterator

import pytest

from hoplab.browser.carrier import MAX_BODY
from hoplab.browser.http_peer import MAX_HEAD
from hoplab.browser.origins import Origin
from hoplab.cli import verbs_open
from hoplab.errors import LabError
from tests.unit.test_apps_fetch import Script, answer
from tests.unit.test_proxy import Lab


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Script({"/": answer(b"page", b"text/plain")}) as script:
        made = Lab(script)
        yield made
        made.proxy.close()


def host(lab: Lab) -> str:
    return lab.proxy.names.outside(Origin("www.a.lab"))


ASKED: list[tuple[bytes, int]] = [
    (b"GET / HTTP/1.1\r\nHost: HERE\r\n\r\n", 200),
    (b"GET / HTTP/1.0\r\nHost: HERE\r\n\r\n", 200),
    (b"GET / HTTP/1.1\nHost: HERE\n\n", 200),  # lines may end in LF alone (RFC 9112, 2.2)
    (b"get / HTTP/1.1\r\nHost: HERE\r\n\r\n", 200),  # whatever it is, the lab's server decides
    (b"GET / HTTP/1.0\r\n\r\n", 421),
    (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: HERE\r\nHost: HERE\r\n\r\n", 400),
    (b"GET / HTTP/2.0\r\nHost: HERE\r\n\r\n", 505),
    (b"GET /\xe4 HTTP/1.1\r\nHost: HERE\r\n\r\n", 400),
    (b"GET /a b HTTP/1.1\r\nHost: HERE\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost : HERE\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: HERE\r\nX: a\0b\r\n\r\n", 400),
    (b"\r\nGET / HTTP/1.1\r\nHost: HERE\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: HERE\r\nContent-Length: 3\r\n\r\nab", 400),
    (b"POST / HTTP/1.1\r\nHost: HERE\r\nContent-Length: -3\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: HERE\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: HERE\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
    (b"POST / HTTP/1.1\r\nHost: HERE\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 400),
    (b"GET / HTTP/1.1\r\nX: ".ljust(MAX_HEAD + 1, b"x"), 431),
]


@pytest.mark.parametrize(("raw", "status"), ASKED)
def test_what_a_browser_may_say(lab: Lab, raw: bytes, status: int) -> None:
    request = raw.replace(b"HERE", host(lab).encode())
    with socket.create_connection(("127.0.0.1", lab.proxy.names.port), timeout=10) as sock:
        sock.sendall(request)
        sock.shutdown(socket.SHUT_WR)
        head = sock.recv(4096)
    assert head.startswith(b"HTTP/1.1 %d " % status), head


ANSWERED: list[tuple[bytes, bytes]] = [
    # What is passed on: the end of the answer that the browser gets.
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", b"\r\n\r\nab"),
    (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nab", b"\r\n\r\nab"),
    (b"HTTP/1.0 200 OK\r\n\r\nab", b"\r\n\r\n2\r\nab\r\n0\r\n\r\n"),  # to the connection's end
    (b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", b"\r\n\r\n"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nab", b"\r\n\r\nab"),
    # Chunks win over a length.
    (
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\nab\r\n0\r\n\r\n",
        b"\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    ),
    # What is no HTTP/1.1 is said to be none.
    (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"the server sent what is no HTTP/1.1: "),
    (b"HTTP/1.1 200 OK\r\nX : 1\r\n\r\n", b"the server sent what is no HTTP/1.1: "),
    (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", b"the server sent what is no HTTP/1.1: "),
    (b"HTTP/1.1 200 OK\r\nContent-Le", b"the server closed the connection without a complete"),
    (b"", b"the server closed the connection without a complete response"),
]


@pytest.mark.parametrize(("raw", "ending"), ANSWERED)
def test_what_a_server_may_say(lab: Lab, raw: bytes, ending: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        lab.script.port = listener.getsockname()[1]

        def serve() -> None:
            with listener.accept()[0] as conn:
                conn.recv(65536)
                conn.sendall(raw)

        server = threading.Thread(target=serve, daemon=True)
        server.start()
        response = lab.get(host(lab))
        server.join(10)
    passed_on = ending.startswith(b"\r\n")
    assert response.startswith(b"HTTP/1.1 2") == passed_on, response
    assert response.endswith(ending) if passed_on else ending in response, response


def test_a_cookies_domain_is_cut_out_and_no_blank_is_left(lab: Lab) -> None:
    lab.script.answers["/c"] = (
        b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b ; Domain=a.lab\r\nSet-Cookie: c=d\r\n"
        b"Content-Length: 0\r\n\r\n"
    )
    response = lab.get(host(lab), "/c")
    assert b"Set-Cookie: a=b\r\nSet-Cookie: c=d\r\n" in response


def test_a_browser_that_waits_for_a_word_before_it_sends_its_body(lab: Lab) -> None:
    lab.script.answers["/form"] = answer(b"done", b"text/plain")
    head = f"POST /form HTTP/1.1\r\nHost: {host(lab)}\r\nExpect: 100-continue\r\n"
    with socket.create_connection(("127.0.0.1", lab.proxy.names.port), timeout=10) as sock:
        sock.sendall(f"{head}Content-Length: 2\r\nConnection: close\r\n\r\n".encode())
        assert sock.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"ab")
        response = b""
        while more := sock.recv(4096):
            response += more
    assert response.startswith(b"HTTP/1.1 200 OK") and response.endswith(b"done")


def test_a_body_that_is_too_large(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hoplab.browser.carrier.MAX_BODY", 10)
    raw = f"POST / HTTP/1.1\r\nHost: {host(lab)}\r\nContent-Length: {MAX_BODY}\r\n\r\n{'x' * 99}"
    assert lab.talk(raw.encode()).startswith(b"HTTP/1.1 413 ")
    assert lab.script.heads == []


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verbs_open, "find_spec", lambda name: None)
    with pytest.raises(LabError, match="needs the package h11") as refused:
        verbs_open.open_(argparse.Namespace())
    assert refused.value.hint
