# SPDX-License-Identifier: Apache-2.0
"""Certificates that TLS 1.2 shows in the open, ciphers by name, and alerts in words."""

from __future__ import annotations

import re
import ssl
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoplab.decode import tls, x509
from hoplab.story.records import Story
from tests.conftest import need
from tests.unit.frames import ACK, PSH
from tests.unit.playground import Talk
from tests.unit.scenarios import CLIENT, GET, NAME, URL, WWW, resolve_cached, web
from tests.unit.test_runs import untranslated

DAY_NS = 86_400_000_000_000
NAMES = "DNS:www.itheima.com,DNS:*.alt.test,IP:10.0.0.2"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority, what it signed, and what signed itself."""
    openssl, folder = need("openssl"), tmp_path_factory.mktemp("certificates")

    def run(*words: str) -> None:
        subprocess.run([openssl, *words], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    run("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=A test CA")
    run("req", "-x509", *key, "-keyout", "self.key", "-out", "self.pem", "-days", "10",
        "-subj", "/CN=ignored", "-addext", f"subjectAltName={NAMES}")  # fmt: skip
    run("req", "-x509", *key, "-keyout", "named.key", "-out", "named.pem", "-days", "9000",
        "-subj", "/O=Only an organisation")  # fmt: skip
    run("req", *key, "-keyout", "signed.key", "-out", "signed.csr", "-subj", f"/CN={NAME}")
    (folder / "names").write_text(f"subjectAltName={NAMES}\n")
    run("x509", "-req", "-in", "signed.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "30",
        "-CAcreateserial", "-out", "signed.pem", "-extfile", "names")  # fmt: skip
    return folder


def der(folder: Path, name: str) -> bytes:
    return ssl.PEM_cert_to_DER_cert((folder / f"{name}.pem").read_text())


def test_a_certificate_is_read_as_openssl_does(made: Path) -> None:
    for name in ("ca", "self", "named", "signed"):
        certificate = x509.parse(der(made, name))
        assert certificate is not None
        text = subprocess.run(
            ["openssl", "x509", "-in", made / f"{name}.pem", "-noout", "-dates", "-text"],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        begins = re.search(r"notBefore=(.*)", text)
        ends = re.search(r"notAfter=(.*)", text)
        assert begins and certificate.not_before == ssl.cert_time_to_seconds(begins[1])
        assert ends and certificate.not_after == ssl.cert_time_to_seconds(ends[1])
        assert certificate.self_signed == (name != "signed")
    names = ("www.itheima.com", "*.alt.test", "10.0.0.2")
    signed, own = x509.parse(der(made, "signed")), x509.parse(der(made, "self"))
    assert signed is not None and (signed.names, signed.issuer) == (names, "A test CA")
    assert own is not None and own.names == names
    named = x509.parse(der(made, "named"))
    assert named is not None and named.names == ("Only an organisation",)


@given(st.integers(0, 700), st.integers(0, 255), st.integers(0, 700))
def test_whatever_the_bytes(place: int, value: int, size: int) -> None:
    data = bytearray(SAMPLE)
    data[place % len(data)] = value
    x509.parse(bytes(data[:size]))


SAMPLE = bytes.fromhex(
    "3082011a3081c2a003020102021412345678123456781234567812345678123456300a06082a8648ce3d0403023010"
    "310e300c06035504030c05782e7465301e170d3233313131343232313332305a170d3333313131313232313332305a"
    "3010310e300c06035504030c05782e746530593013"
)


def speak(folder: Path, name: str, *, trusts: str = "", wants: str = NAME) -> list[
    tuple[str, bytes]
]:  # fmt: skip
    """What real TLS 1.2 says, up to the first sealed words or an alert."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    client = ssl.create_default_context(cafile=str(folder / trusts) if trusts else None)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    pipes = [ssl.MemoryBIO(), ssl.MemoryBIO()]  # to the client, to the server
    ends = {
        "c": client.wrap_bio(pipes[0], pipes[1], server_hostname=wants),
        "s": server.wrap_bio(pipes[1], pipes[0], server_side=True),
    }
    spoken = []
    for speaker in "cscs":
        out = pipes[1 if speaker == "c" else 0]
        try:
            ends[speaker].do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLCertVerificationError:
            return [*spoken, (speaker, out.read())]
        data = out.read()
        spoken.append((speaker, data))
        out.write(data)
    ends["c"].write(GET)
    spoken.append(("c", pipes[1].read()))
    ends["s"].write(b"HTTP/1.1 200 OK\r\n\r\n")
    return [*spoken, ("s", pipes[0].read())]


def told(spoken: list[tuple[str, bytes]], days: float | None = None, piece: int = 600) -> Story:
    """The story of it, so many days after the certificate began; in pieces of so many bytes."""
    net = web(warm=True)
    if days is not None:
        net.now_ns = BEGINS_NS[0] + int(days * DAY_NS)
    resolve_cached(net)
    talk = Talk(net, CLIENT, WWW, dport=443)
    talk.open()
    for speaker, data in spoken:
        for at in range(0, len(data), piece):
            talk.say(speaker, PSH | ACK, data[at : at + piece])
            talk.say("s" if speaker == "c" else "c", ACK)
    talk.close_four()
    story = net.story(URL.replace("http:", "https:"))
    assert untranslated(story) == set()
    return story


BEGINS_NS = [0]


@pytest.fixture(autouse=True)
def _begins(made: Path) -> None:
    certificate = x509.parse(der(made, "signed"))
    assert certificate is not None and certificate.not_before is not None
    BEGINS_NS[0] = certificate.not_before * 1_000_000_000


def rows(story: Story) -> dict[str, str]:
    return {
        line.textbook: line.real for step in story.steps if step.key == "tls"
        for line in step.mapping
    }  # fmt: skip


@pytest.mark.parametrize("piece", [250, 600, 1448])
def test_tls_1_2_shows_its_cipher_and_certificate(made: Path, piece: int) -> None:
    story = told(speak(made, "signed", trusts="ca.pem"), days=1, piece=piece)
    assert story.outcome.ok and story.outcome.code == "sealed"
    assert rows(story)["ServerHello"].startswith("www chooses TLS 1.2 with ECDHE-ECDSA-")
    assert rows(story)["Certificate"].startswith(
        "www shows a certificate for www.itheima.com, *.alt.test, 10.0.0.2, signed by A test CA, "
    )


def why(story: Story) -> list[str]:
    assert story.outcome.code == "tls-failed" and story.outcome.where == "client"
    return [reason.partition(", until")[0] for reason in story.outcome.why]


def test_a_refused_certificate_says_itself_why(made: Path) -> None:
    shows = "www shows a certificate for www.itheima.com, *.alt.test, 10.0.0.2, signed by "
    unknown = why(told(speak(made, "signed"), days=1))
    assert unknown == [f"{shows}A test CA", "client does not trust A test CA.",
                       "Nothing was asked for."]  # fmt: skip
    alone = why(told(speak(made, "self"), days=1))
    assert alone[0] == f"{shows}itself" and "anybody can sign for himself" in alone[1]
    misnamed = why(told(speak(made, "signed", trusts="ca.pem", wants="www.other.test"), days=1))
    assert misnamed[1] == "client asked for www.other.test, which is not among these."
    # A star stands for one label.
    starred = why(told(speak(made, "signed", wants="a.alt.test"), days=1))
    assert starred[1] == "client does not trust A test CA."
    late = why(told(speak(made, "signed"), days=31))
    assert late[1].startswith("It was out of date by then, ")
    early = why(told(speak(made, "signed"), days=-3))
    assert early[1].startswith("It is good from ")


@pytest.mark.parametrize(
    ("code", "from_client", "words"),
    [
        (40, False, "They have no cipher, no key exchange or no kind of certificate in common."),
        (70, False, "They have no version of TLS in common."),
        (112, False, f"www has no site by the name {NAME}."),
        (116, False, "www wants a certificate of client that it can accept."),
        (51, True, "What www sent does not fit the key that they agreed on."),
        (50, False, "www could not make sense of what client sent."),
        (80, False, "www failed for a reason of its own."),
        (71, False, "What client offers is too weak for www."),
        (120, False, "They have no protocol in common to speak inside TLS (ALPN)."),
    ],
)
def test_alerts_in_words(made: Path, code: int, from_client: bool, words: str) -> None:
    hello = speak(made, "signed")[0]
    alert = ("c" if from_client else "s", bytes((21, 3, 3, 0, 2, 2, code)))
    story = told([hello, alert], days=1)
    assert story.outcome.code == "tls-failed" and story.outcome.why[0] == words


def test_ciphers_are_named_as_openssl_does() -> None:
    openssl = need("openssl")
    listing = subprocess.run(
        [openssl, "ciphers", "-V", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    theirs = {
        int(code.replace("0x", "").replace(",", ""), 16): name
        for code, _, name, version, *_ in (line.split() for line in listing.splitlines())
        if version != "TLSv1.3"
    }
    ours = {code: name for code, name in tls._CIPHERS.items() if code >> 8 != 0x13}
    shared = {code: name for code, name in ours.items() if code in theirs}
    assert len(shared) > 20 and shared == {code: theirs[code] for code in shared}


def test_a_client_hello_in_several_segments_is_one(made: Path) -> None:
    """Wherever it is cut, even before it can be known as one."""
    spoken = speak(made, "signed", trusts="ca.pem")
    hello = spoken[0][1]
    whole = told(spoken, days=1, piece=1448)
    for cuts in ([3], [5], [6], [40], [len(hello) - 1], [4, 30], [100, 200], [60, 61]):
        ends = [0, *cuts, len(hello)]
        parts = [("c", hello[a:b]) for a, b in pairwise(ends)]
        story = told([*parts, *spoken[1:]], days=1, piece=1448)
        assert rows(story) == rows(whole) and story.outcome.code == "sealed", cuts
        sent = [trip for trip in story.trips if trip.packet.payload and trip.packet.tcp]
        titles = [trip.title for trip in sent[: len(parts)]]
        last = f"the rest of the TLS ClientHello: I want {NAME}, up to TLS 1.2"
        assert titles[-1] == last, cuts
        if cuts[0] > 5:
            assert titles[0] == f"TLS ClientHello, its first {cuts[0]} bytes"
        kinds = [trip.kind for trip in sent[: len(parts)]]
        assert kinds.count("tls-client-hello") == (cuts[0] > 5)


def test_what_begins_like_a_client_hello_and_is_none(made: Path) -> None:
    story = told([("c", b"\x16\x03\x01"), ("c", b"GET / no TLS")], piece=1448)
    assert story.outcome.code != "sealed" and not any("TLS" in trip.title for trip in story.trips)
