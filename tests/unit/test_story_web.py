# SPDX-License-Identifier: Apache-2.0
"""Stories of servers that behave differently, and of TLS with hellos that real TLS made."""

from __future__ import annotations

import ssl
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoplab.decode import tls
from hoplab.story.records import Story
from tests.conftest import need
from tests.unit.frames import ACK, PSH
from tests.unit.playground import Talk
from tests.unit.scenarios import CLIENT, GET, NAME, URL, WWW, resolve_cached, web
from tests.unit.test_apps_all import APPS
from tests.unit.test_runs import untranslated

sys.path.insert(0, str(APPS))


def told(*spoken: tuple[str, bytes], port: int = 80, url: str = URL, failed: str = "") -> Story:
    """The story of a connection on which client ("c") and server ("s") say these bytes."""
    net = web(warm=True)
    resolve_cached(net)
    talk = Talk(net, CLIENT, WWW, dport=port)
    talk.open()
    for speaker, data in spoken:
        for at in range(0, len(data), 1448):
            talk.say(speaker, PSH | ACK, data[at : at + 1448])
            talk.say("s" if speaker == "c" else "c", ACK)
    talk.close_four()
    return net.story(url, said=failed)


def remarks(story: Story, key: str) -> dict[str, str]:
    return {r.code: r.text for step in story.steps if step.key == key for r in step.remarks}


def test_how_a_server_answers_is_remarked() -> None:
    old = told(("c", GET), ("s", b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<p>x"))
    assert "the end of the connection is the end of the page" in remarks(old, "http")["http-1.0"]
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx"
    closing = told(("c", GET), ("s", head))
    assert "another handshake" in remarks(closing, "http")["http-close"]
    usual = told(("c", GET), ("s", head.replace(b"Connection: close\r\n", b"")))
    assert not {"http-1.0", "http-close", "http-slow"} & set(remarks(usual, "http"))
    for story in (old, closing):
        assert untranslated(story) == set()


def handshake(folder: Path, trusts: bool = True) -> list[tuple[str, bytes]]:
    """What real TLS says: both hellos, then a sealed request and a sealed answer; or an alert."""
    from protocols import certificates

    pem, key = certificates.certificate(str(folder), [NAME])
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem, key)
    client = ssl.create_default_context(cafile=str(folder / "ca.pem") if trusts else None)
    pipes = [ssl.MemoryBIO(), ssl.MemoryBIO()]  # to the client, to the server
    ends = {
        "c": client.wrap_bio(pipes[0], pipes[1], server_hostname=NAME),
        "s": server.wrap_bio(pipes[1], pipes[0], server_side=True),
    }
    spoken = []
    for speaker in "cscs":
        try:
            ends[speaker].do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLCertVerificationError:
            return [*spoken, (speaker, pipes[1].read())]
        data = pipes[1 if speaker == "c" else 0].read()
        spoken.append((speaker, data))
        pipes[1 if speaker == "c" else 0].write(data)
    ends["c"].write(GET)
    spoken.append(("c", pipes[1].read()))
    ends["s"].write(b"HTTP/1.1 200 OK\r\n\r\nsecret words")
    spoken.append(("s", pipes[0].read()))
    return spoken


def test_tls_is_told_as_far_as_it_can_be_seen(tmp_path: Path) -> None:
    need("openssl")
    spoken = handshake(tmp_path)
    story = told(*spoken, port=443, url=f"https://{NAME}/secret")
    assert story.outcome.ok and story.outcome.code == "sealed"
    assert "spoke TLS 1.3" in story.outcome.sentence
    [step] = [step for step in story.steps if step.key == "tls"]
    words = {mapping.textbook: mapping.real for mapping in step.mapping}
    assert words["ClientHello"] == f"client asks for www by the name {NAME}"
    assert words["ServerHello"].startswith("www chooses TLS 1.3 with ")
    titles = [trip.title for trip in story.trips]
    assert f"TLS ClientHello: I want {NAME}, up to TLS 1.3" in titles
    assert any(title.startswith("TLS sealed records, ") for title in titles)
    assert "cannot be seen here" in remarks(story, "http")["http-sealed"]
    keys = [step.key for step in story.steps]
    assert keys.index("tls") < keys.index("http") < keys.index("close")
    assert untranslated(story) == set()
    # The client could read it, and was not content.
    failed = told(*spoken, port=443, url=f"https://{NAME}/", failed="fetch: 404")
    assert not failed.outcome.ok and untranslated(failed) <= {"fetch: 404"}
    # It broke off after the hello: an untrusted certificate, say.
    short = told(*spoken[:2], port=443, url=f"https://{NAME}/")
    assert short.outcome.code == "tls-failed" and untranslated(short) == set()


def test_an_alert_that_is_not_sealed_is_read(tmp_path: Path) -> None:
    need("openssl")
    spoken = handshake(tmp_path, trusts=False)
    story = told(*spoken, port=443, url=f"https://{NAME}/")
    assert (story.outcome.ok, story.outcome.code, story.outcome.where) == (
        False, "tls-failed", "client",
    )  # fmt: skip
    assert "not sealed: unknown CA." in story.outcome.sentence
    assert "does not accept the certificate that www showed" in story.outcome.why[0]
    assert any(trip.title == "TLS alert: unknown CA" for trip in story.trips)
    [step] = [step for step in story.steps if step.key == "tls"]
    assert next(row.real for row in step.mapping if row.textbook == "sealed").startswith("0 bytes")
    assert "http-sealed" not in remarks(story, "http")
    assert untranslated(story) == set()


def test_plain_http_where_tls_was_spoken(tmp_path: Path) -> None:
    need("openssl")
    [hello, *_] = handshake(tmp_path)
    answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
    story = told(hello, ("s", answer), port=80, url=f"https://{NAME}:80/")
    assert story.outcome.code == "tls-failed"
    assert story.outcome.sentence == "client began with TLS, and www answered in plain HTTP."
    assert "http-sealed" not in remarks(story, "http") and untranslated(story) == set()


RECORDS = [
    (23, bytes(40)), (20, b"\1"), (22, bytes(200)), (23, bytes(3)), (21, b"\2\x2a"), (23, b"x"),
]  # fmt: skip


@given(st.lists(st.integers(0, 240), max_size=9))
def test_records_are_the_same_however_they_are_cut(cuts: list[int]) -> None:
    whole = b"".join(bytes([kind, 3, 3, 0, len(body)]) + body for kind, body in RECORDS)
    records, at = tls.Records(), 0
    for size in [*cuts, len(whole)]:
        records.take(whole[at : at + size])
        at = min(len(whole), at + size)
    assert (records.sealed, records.alert) == (40 + 3 + 1 + 3 * 5, "bad certificate")


@given(st.lists(st.tuples(st.binary(max_size=40), st.integers(0, 90)), max_size=9))
def test_any_bytes_are_records_or_none(pieces: list[tuple[bytes, int]]) -> None:
    records = tls.Records()
    for data, missing in pieces:
        records.take(data, missing)
    assert 0 <= records.sealed <= sum(len(data) + missing for data, missing in pieces) + 5


def test_bytes_that_nobody_captured_count_as_what_they_are_in() -> None:
    records = tls.Records()
    records.take(b"\x17\3\3\0\x20" + bytes(8), missing=24)
    records.take(b"\x14\3\3\0\1\1")
    assert records.sealed == 5 + 32


def test_hellos_cut_short_are_read_as_far_as_they_are() -> None:
    context = ssl.create_default_context()
    out = ssl.MemoryBIO()
    half = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=NAME)
    with pytest.raises(ssl.SSLWantReadError):
        half.do_handshake()
    hello = out.read()
    record = tls.parse(hello)
    assert record is not None
    assert (record.what, record.server_name, record.version) == ("client-hello", NAME, "TLS 1.3")
    for size in range(len(hello)):
        cut = tls.parse(hello[:size])
        assert cut is None or cut.server_name in ("", NAME) or NAME.startswith(cut.server_name)


@given(st.binary(max_size=80), st.integers(0, 255))
def test_any_bytes_are_no_tls_or_some(data: bytes, first: int) -> None:
    record = tls.parse(bytes([first, 3, 3]) + data)
    assert record is None or record.length == len(data) + 3
    for text in (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"SSH-2.0-x"):
        assert tls.parse(text + data) is None
