# SPDX-License-Identifier: Apache-2.0
"""Who may ask the server of `hoplab web`: the guard, asked as a browser, a stranger and a page of
somebody else's would ask; and the real server, at a socket."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hoplab.cli.main import main
from hoplab.errors import Exit
from hoplab.live.guard import Guard, policy
from hoplab.live.server import PORT, Server, listening, serve
from hoplab.report.language import language
from tests.web.socket_client import SocketClient

TOKEN, VIEW = "the-token", "only-looking"
BEARER = {"authorization": f"Bearer {TOKEN}"}
LOOKING = {"authorization": f"Bearer {VIEW}"}


async def _inner(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"inside"})


def asked(path: str, method: str = "GET", **headers: str) -> list[Any]:
    """What the guard sends to whoever asks so. A header's name with _ instead of -."""
    head = {"host": "127.0.0.1:8643"} | {
        name.replace("_", "-"): text for name, text in headers.items()
    }
    scope: dict[str, Any] = {
        "type": "http", "method": method, "path": path,
        "headers": [(name.encode(), text.encode()) for name, text in head.items()],
    }  # fmt: skip
    return _through(scope)


def _through(scope: dict[str, Any]) -> list[Any]:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    spoken = [language("en"), language("zh")]
    guard = Guard(_inner, TOKEN, VIEW, ["lab.example"], spoken)
    asyncio.run(guard(scope, receive, send))
    return sent


def status(path: str, method: str = "GET", **headers: str) -> int:
    return int(asked(path, method, **headers)[0]["status"])


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:8643", "localhost:9999", "LOCALHOST", "[::1]:8643", "127.0.0.2", "lab.example:80"],
)
def test_a_name_of_this_machines_loopback_is_answered_at_any_port(host: str) -> None:
    assert status("/api/runs", host=host, **BEARER) == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8643", "127.0.0.1.evil.example", "localhost.evil.example",
     "127.0.0.1@evil.example", "10.0.0.1", "", "[::2]", "127.0.0.1:8643:1"],
)  # fmt: skip
def test_any_other_name_is_refused_even_with_the_token(host: str) -> None:
    assert status("/api/runs", host=host, **BEARER) == 403
    assert status("/", host=host) == 403


@pytest.mark.parametrize("origin", ["http://127.0.0.1:9", "https://127.0.0.1:8643", "null",
                                    "http://evil.example", "http://localhost:8643"])  # fmt: skip
def test_a_page_of_another_origin_is_refused(origin: str) -> None:
    assert status("/api/runs", origin=origin, **BEARER) == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_comes_from_another_site_is_refused(site: str) -> None:
    assert status("/api/runs", sec_fetch_site=site, **BEARER) == 403
    assert status("/", sec_fetch_site=site) == 403


def test_its_own_page_is_answered() -> None:
    own = {"origin": "http://127.0.0.1:8643", "sec_fetch_site": "same-origin"}
    assert status("/api/runs", **own, **BEARER) == 200
    assert status("/", sec_fetch_site="none") == 200


@pytest.mark.parametrize(
    "headers",
    [{}, {"authorization": "Bearer wrong"}, {"authorization": "Bearer"}, {"authorization": TOKEN},
     {"authorization": f"Basic {TOKEN}"}, {"cookie": f"token={TOKEN}"},
     {"authorization": f"Bearer {TOKEN}x"}],
)  # fmt: skip
def test_without_the_token_nothing_is_told(headers: dict[str, str]) -> None:
    assert status("/api/runs", **headers) == 403
    assert status("/api/runs/0123456789ab/scene", **headers) == 403


def test_the_shell_and_its_files_hold_no_secret_and_need_no_token() -> None:
    assert status("/") == status("/static/live.js") == status("/words.json") == 200


def test_whoever_may_only_look_removes_nothing() -> None:
    assert status("/api/runs", **LOOKING) == 200
    assert status("/api/runs/0123456789ab", "DELETE", **LOOKING) == 403
    assert status("/api/runs/0123456789ab", "DELETE", **BEARER) == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "OPTIONS", "CONNECT", "TRACE"])
def test_no_form_and_no_other_method_reaches_it(method: str) -> None:
    assert status("/api/runs", method, **BEARER) == 403


def test_every_answer_bears_the_policy_and_no_cookie() -> None:
    nonces = set()
    for path, headers in (("/", {}), ("/api/runs", {}), ("/api/runs", BEARER)):
        head = dict(asked(path, **headers)[0]["headers"])
        policy_text = head[b"content-security-policy"].decode()
        nonce = policy_text.partition("'nonce-")[2].partition("'")[0]
        assert policy_text == policy(nonce)
        nonces.add(nonce)
        assert b"set-cookie" not in head
        assert head[b"cache-control"] == b"no-store"
    assert len(nonces) == 3
    assert "unsafe" not in policy("n")


def test_a_refusal_says_why_in_every_language() -> None:
    body = json.loads(asked("/api/runs")[1]["body"])
    assert "hoplab web" in body["error"]["en"]
    assert body["error"]["zh"] != body["error"]["en"]


@pytest.mark.parametrize(
    ("offers", "headers", "taken"),
    [
        (["hoplab.v1", f"token.{TOKEN}"], {}, True),
        (["hoplab.v1", f"token.{VIEW}"], {}, True),
        (["hoplab.v1", "token.wrong"], {}, False),
        (["hoplab.v1"], {}, False),
        ([], BEARER, False),
        (["hoplab.v1", f"token.{TOKEN}"], {"origin": "http://evil.example"}, False),
        (["hoplab.v1", f"token.{TOKEN}"], {"host": "evil.example"}, False),
        (["hoplab.v1", f"token.{TOKEN}"], {"sec-fetch-site": "cross-site"}, False),
    ],
)
def test_a_websocket_proves_itself_by_its_subprotocol(
    offers: list[str], headers: dict[str, str], taken: bool
) -> None:
    head = {"host": "localhost:8643", **headers}
    sent = _through({
        "type": "websocket", "path": "/ws", "subprotocols": offers,
        "headers": [(name.encode(), text.encode()) for name, text in head.items()],
    })  # fmt: skip
    assert sent[0]["type"] == ("websocket.accept" if taken else "websocket.close")


# ------------------------------------------------------------------ the real server


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, int]]:
    """A server at a port of its own, in a thread; it ends with the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        server, ready, ends = Server(), threading.Event(), []
        sock = listening("127.0.0.1", None)
        thread = threading.Thread(
            target=serve, args=(server, sock, ready.set), kwargs={"hand": ends.append}
        )
        thread.start()
        assert ready.wait(30)
        yield server, sock.getsockname()[1]
        ends[0]()
        thread.join(30)
        sock.close()


def reply(port: int, request: str) -> tuple[int, dict[str, str], bytes]:
    """The answer to a request as it stands."""
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        sock.sendall(request.encode())
        raw = b""
        while piece := sock.recv(1 << 16):
            raw += piece
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): text.strip() for name, _, text in
               (line.partition(":") for line in lines)}  # fmt: skip
    return int(first.split()[1]), headers, body


def get(port: int, path: str, *lines: str, host: str = "localhost") -> tuple[int, Any, bytes]:
    head = "\r\n".join([f"GET {path} HTTP/1.1", f"Host: {host}", "Connection: close", *lines])
    return reply(port, f"{head}\r\n\r\n")


def test_the_server_at_a_socket_refuses_and_answers(served: tuple[Server, int]) -> None:
    server, port = served
    bearer = f"Authorization: Bearer {server.token}"
    assert get(port, "/api/runs")[0] == 403
    assert get(port, "/api/runs", bearer, host="evil.example")[0] == 403
    assert get(port, "/api/runs", bearer, "Origin: http://127.0.0.1:9")[0] == 403
    code, headers, body = get(port, "/api/runs", bearer, host="localhost:9999")
    assert code == 200 and isinstance(json.loads(body)["runs"], list)
    assert "set-cookie" not in headers and "server" not in headers
    assert "script-src 'self'" in headers["content-security-policy"]
    code, headers, body = get(port, "/words.json")
    assert code == 200 and len(json.loads(body)["words"]["play"]) == 2


@pytest.mark.parametrize("name", ["../server.py", "%2e%2e/server.py", "..%2fserver.py", "none.js",
                                  "vendor/../../server.py", "/etc/passwd", "x.py"])  # fmt: skip
def test_it_gives_no_file_but_its_own(served: tuple[Server, int], name: str) -> None:
    assert get(served[1], f"/static/{name}")[0] == 404


def test_a_websocket_says_hello_to_its_page_alone(served: tuple[Server, int]) -> None:
    server, port = served
    with SocketClient(port, server.token) as page:
        hello = page.until("hello")
        assert hello["view"] is False and hello["version"] == 1
        assert page.until("labs")["labs"] == []
        page.send(type="watch", lab="none")
        assert "none" in page.until("trouble")["sentence"]["en"]
        page.send(type="no such thing")
        assert page.until("trouble")["sentence"]["zh"]
    with SocketClient(port, server.view) as page:
        assert page.until("hello")["view"] is True
    for token, headers in (
        ("wrong", {}),
        (server.token, {"Origin": "http://evil.example"}),
        (server.token, {"Host": "evil.example"}),
    ):
        with SocketClient(port, token, headers) as page:
            assert page.refused() == 403


def test_the_next_free_port_is_taken_and_one_asked_for_is_not(served: tuple[Server, int]) -> None:
    taken = served[1]
    with pytest.raises(OSError):
        listening("127.0.0.1", taken)
    with listening("127.0.0.1", None) as sock:
        assert sock.getsockname()[1] >= PORT
        assert sock.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize(("words", "code"), [
    (["--address", "0.0.0.0"], Exit.REFUSED),
    (["--address", "nowhere"], Exit.USAGE),
    (["no-such-lab"], Exit.NO_SUCH),
])  # fmt: skip
def test_an_address_that_others_reach_wants_a_name(
    words: list[str], code: Exit, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert main(["web", *words]) == code
