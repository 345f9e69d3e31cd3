# SPDX-License-Identifier: Apache-2.0
"""Programs that the whole world uses, on the hosts of `web`: dig, curl, Chromium, traceroute.

They know nothing of us, so what they say of the lab's DNS and web servers is the judgement that
counts. One lab serves all tests of this file; none of them changes it. Each test skips, naming the
program, where that is not installed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PROJECT, Done, World, need

pytestmark = pytest.mark.net

SITE = PROJECT / "apps" / "site"
ROOT, COM, NS = "10.53.0.2", "10.53.0.3", "10.53.0.4"
# What keeps Chromium from anything but the page: no sandbox of its own (it would want namespaces
# inside ours), no machine-wide services, no calls home, TCP alone.
CHROMIUM = (
    "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
).split()


@pytest.fixture(scope="module")
def web() -> Iterator[World]:
    """A world with `web` up."""
    world = World(Path(tempfile.mkdtemp(prefix="hoplab-test-")))
    try:
        world("up", "web")
        yield world
    finally:
        world.close()
        shutil.rmtree(world.home, ignore_errors=True)


On = Callable[..., Done]


@pytest.fixture(scope="module")
def on_client(web: World) -> On:
    """`on_client("dig", ...)`: a program on the host `client`."""

    def run(*command: str, code: int = 0) -> Done:
        return web("exec", "client", "--", *command, code=code)

    return run


# ------------------------------------------------------------------------------------------ dig


@dataclass(frozen=True)
class Answer:
    """What dig saw: the header's status and flags, and the records of each section."""

    status: str
    flags: frozenset[str]
    sections: dict[str, list[tuple[str, str, str]]]  # name -> (owner, type, data)

    def section(self, name: str) -> list[tuple[str, str, str]]:
        """The records of a section as (owner, type, data), sorted; its TTLs are left out."""
        return sorted(self.sections.get(name, []))


def parse(text: str) -> Answer:
    """dig's own output, taken apart."""
    head = re.search(r"status: (\w+), id: \d+\n;; flags: ([a-z ]*);", text)
    assert head, text
    sections: dict[str, list[tuple[str, str, str]]] = {}
    current = ""
    for line in text.splitlines():
        title = re.match(r";; (\w+) SECTION:", line)
        if title:
            current = title[1].lower()
        elif line and not line.startswith(";"):
            owner, _, _, kind, data = line.split(None, 4)
            sections.setdefault(current, []).append((owner, kind, data))
    return Answer(head[1], frozenset(head[2].split()), sections)


@pytest.fixture(scope="module")
def dig(on_client: On) -> Callable[..., Answer]:
    """`dig("www.itheima.com", "AAAA")` on the client, taken apart."""
    need("dig")

    def ask(*words: str) -> Answer:
        return parse(on_client("dig", "+time=5", *words).out)

    return ask


class TestDig:
    def test_the_resolver_finds_an_address(self, dig: Any) -> None:
        answer = dig("www.itheima.com")
        assert answer.status == "NOERROR"
        assert answer.flags == {"qr", "rd", "ra"}  # recursion wanted and available; not authority
        assert answer.section("answer") == [("www.itheima.com.", "A", "10.80.0.80")]

    @pytest.mark.parametrize(
        "server, zone, name, address",
        [
            (ROOT, "com.", "a.gtld.lab.", COM),
            (COM, "itheima.com.", "ns1.itheima.com.", NS),
        ],
        ids=["root", "com"],
    )
    def test_on_the_way_down_each_server_points_to_the_next(
        self, dig: Any, server: str, zone: str, name: str, address: str
    ) -> None:
        answer = dig("+norec", f"@{server}", "www.itheima.com")
        assert answer.status == "NOERROR"
        assert answer.flags == {"qr"}  # a referral is no authoritative answer (RFC 1034, 4.3.2)
        assert answer.section("answer") == []
        assert answer.section("authority") == [(zone, "NS", name)]
        assert answer.section("additional") == [(name, "A", address)]

    def test_the_last_one_is_the_authority(self, dig: Any) -> None:
        answer = dig("+norec", f"@{NS}", "www.itheima.com")
        assert answer.flags == {"qr", "aa"}
        assert answer.section("answer") == [("www.itheima.com.", "A", "10.80.0.80")]

    def test_an_authority_offers_no_recursion(self, dig: Any) -> None:
        assert "ra" not in dig(f"@{NS}", "www.itheima.com").flags

    def test_trace_walks_from_the_root_to_the_answer(self, on_client: On) -> None:
        need("dig")
        # dig asks the resolver for the root's servers, then walks itself.
        text = on_client("dig", "+trace", "+nodnssec", "www.itheima.com").out
        servers = re.findall(r"from (\S+?)#53\(", text)
        assert servers == ["10.53.0.53", ROOT, COM, NS]
        assert re.search(r"^www\.itheima\.com\.\s+300\s+IN\s+A\s+10\.80\.0\.80$", text, re.M)

    @pytest.mark.parametrize("server", [(), (f"@{NS}", "+norec")], ids=["resolver", "ns"])
    def test_a_name_without_that_type_of_record(self, dig: Any, server: tuple[str]) -> None:
        answer = dig(*server, "www.itheima.com", "AAAA")
        assert answer.status == "NOERROR" and answer.section("answer") == []
        ((owner, kind, data),) = answer.section("authority")  # NODATA (RFC 2308, 2.2)
        assert (owner, kind) == ("itheima.com.", "SOA") and data.startswith("ns1.itheima.com. ")

    @pytest.mark.parametrize("server", [(), (f"@{NS}", "+norec")], ids=["resolver", "ns"])
    def test_a_name_that_does_not_exist(self, dig: Any, server: tuple[str]) -> None:
        answer = dig(*server, "nobody.itheima.com")
        assert answer.status == "NXDOMAIN" and answer.section("answer") == []
        assert [record[:2] for record in answer.section("authority")] == [("itheima.com.", "SOA")]

    def test_a_server_asked_about_another_zone_refuses(self, dig: Any) -> None:
        answer = dig("+norec", f"@{NS}", "www.example.org")
        assert answer.status == "REFUSED" and answer.section("answer") == []

    @pytest.mark.parametrize("server", [(), (f"@{NS}", "+norec")], ids=["resolver", "ns"])
    def test_an_alias_comes_with_its_target(self, dig: Any, server: tuple[str]) -> None:
        assert dig(*server, "blog.itheima.com").section("answer") == [
            ("blog.itheima.com.", "CNAME", "www.itheima.com."),
            ("www.itheima.com.", "A", "10.80.0.80"),
        ]

    def test_from_address_to_name(self, dig: Any) -> None:
        answer = dig("-x", "10.80.0.80")
        assert answer.section("answer") == [("80.0.80.10.in-addr.arpa.", "PTR", "www.itheima.com.")]

    @pytest.mark.parametrize("server", ["10.53.0.53", ROOT, COM, NS])
    def test_all_servers_speak_tcp(self, on_client: On, server: str) -> None:
        need("dig")
        text = on_client("dig", "+tcp", f"@{server}", "www.itheima.com").out
        assert f"SERVER: {server}#53({server}) (TCP)" in text
        assert parse(text).status == "NOERROR"


MANY = "many.itheima.com."
ADDRESSES = [f"10.99.0.{i}" for i in range(1, 101)]  # 100 records of 16 octets


@pytest.fixture(scope="module")
def server(web: World) -> Iterator[str]:
    """`@ADDRESS` of a name server on `idle` that knows a name with more addresses than fit into a
    small datagram."""
    need("dig")
    zone = web.home / "many.zone"
    zone.write_text(
        f"$ORIGIN {MANY}\n$TTL 60\n@ IN SOA ns hostmaster 1 2 3 4 5\n@ IN NS ns\n"
        "ns IN A 10.80.0.81\n" + "".join(f"@ IN A {each}\n" for each in ADDRESSES)
    )
    app = str(PROJECT / "apps" / "dns_server.py")
    argv = [sys.executable, app, "--zone", str(zone), "--background"]
    started = web("exec", "idle", "--", *argv).out  # it returns when the server listens
    yield "@10.80.0.81"
    (pid,) = re.findall(r"\(pid (\d+)\)", started)  # as the lab counts
    web("exec", "idle", "--", "kill", pid)


class TestLongAnswers:
    def test_too_long_for_udp_is_cut_and_marked(self, dig: Any, server: str) -> None:
        answer = dig("+norec", "+ignore", "+bufsize=512", server, MANY)
        assert "tc" in answer.flags and answer.status == "NOERROR"
        assert len(answer.section("answer")) < len(ADDRESSES)

    def test_without_edns_the_limit_is_512(self, on_client: On, server: str) -> None:
        text = on_client("dig", "+noedns", "+norec", "+ignore", server, MANY).out
        assert "tc" in parse(text).flags
        size = re.search(r"MSG SIZE  rcvd: (\d+)", text)
        assert size and int(size[1]) <= 512  # RFC 1035, 4.2.1

    def test_a_datagram_is_never_so_long_that_it_would_be_cut_into_fragments(
        self, on_client: On, server: str
    ) -> None:
        text = on_client("dig", "+norec", "+ignore", "+bufsize=4096", server, MANY).out
        size = re.search(r"MSG SIZE  rcvd: (\d+)", text)
        assert "tc" in parse(text).flags
        assert size and int(size[1]) <= 1472  # what one Ethernet frame carries over IPv4 and UDP

    def test_dig_then_asks_again_over_tcp_and_gets_all(self, on_client: On, server: str) -> None:
        text = on_client("dig", "+norec", "+bufsize=512", server, MANY).out
        assert "Truncated, retrying in TCP mode" in text
        addresses = [data for _, _, data in parse(text).section("answer")]
        assert sorted(addresses) == sorted(ADDRESSES)


# ----------------------------------------------------------------------------------------- curl


TYPES = {
    "/": "text/html; charset=utf-8",
    "/courses.html": "text/html; charset=utf-8",
    "/style.css": "text/css; charset=utf-8",
    "/network.png": "image/png",
    "/favicon.ico": "image/x-icon",
}


def served(path: str) -> bytes:
    """The file that a path of the site means."""
    return (SITE / ("index.html" if path == "/" else path[1:])).read_bytes()


class TestCurl:
    @pytest.fixture(autouse=True)
    def _curl(self) -> None:
        need("curl")

    @pytest.mark.parametrize("path", TYPES)
    def test_each_file_comes_whole_with_its_type_and_length(
        self, web: World, on_client: On, path: str
    ) -> None:
        body, head = web.home / "body", web.home / "head"
        url = f"http://www.itheima.com{path}"
        on_client("curl", "-sS", "-o", str(body), "-D", str(head), url)
        lines = head.read_text().splitlines()
        fields = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:] if line)}
        assert lines[0] == "HTTP/1.1 200 OK"
        assert body.read_bytes() == served(path)
        assert fields["content-type"] == TYPES[path]
        assert fields["content-length"] == str(len(served(path)))
        assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT", fields["date"])

    def test_two_urls_on_one_connection(self, on_client: On) -> None:
        fetched = on_client(
            "curl", "-sS", "-v", "-o", "/dev/null", "-o", "/dev/null",
            "-w", r"%{num_connects} %{local_port}\n",
            "http://www.itheima.com/", "http://www.itheima.com/style.css",
        )  # fmt: skip
        (first, port), (second, again) = (line.split() for line in fetched.out.splitlines())
        assert (first, second) == ("1", "0") and port == again
        assert "Re-using existing connection" in fetched.err

    def test_head_is_the_same_without_the_body(self, on_client: On) -> None:
        url = "http://www.itheima.com/network.png"
        wanted = ["-o", "/dev/null", "-w", "%{http_code} %{content_type} %{size_download}"]
        assert on_client("curl", "-sS", "-I", *wanted, url).out == "200 image/png 0"
        length = f"Content-Length: {len(served('/network.png'))}"
        assert length in on_client("curl", "-sS", "-I", url).out.splitlines()

    def test_a_page_that_is_not_there(self, on_client: On) -> None:
        url = "http://www.itheima.com/no-such-page.html"
        fetched = on_client("curl", "-sS", "-w", r"\n%{http_code} %{content_type}", url)
        assert fetched.out.splitlines()[-1] == "404 text/html; charset=utf-8"
        assert "<" in fetched.out  # it says so in a page, not only in a number
        assert on_client("curl", "-sSf", url, code=22).err.startswith("curl: (22)")

    def test_what_is_unchanged_is_not_sent_again(self, web: World, on_client: On) -> None:
        url = "http://www.itheima.com/style.css"
        copy = str(web.home / "copy.css")
        on_client("curl", "-sS", "-R", "-o", copy, url)
        status = ["-o", "/dev/null", "-w", "%{http_code} %{size_download}"]
        assert on_client("curl", "-sS", "-z", copy, *status, url).out == "304 0"

    def test_http_1_0(self, on_client: On) -> None:
        fetched = on_client("curl", "-sS", "-0", "-i", "http://www.itheima.com/style.css")
        assert fetched.out.startswith("HTTP/1.1 200 OK")
        assert fetched.out.endswith(served("/style.css").decode())

    @pytest.mark.parametrize(
        "url, code",
        [
            ("http://nobody.itheima.com/", 6),  # could not resolve
            ("http://closed.itheima.com/", 7),  # refused
        ],
    )
    def test_failures_have_curls_own_codes(self, on_client: On, url: str, code: int) -> None:
        assert on_client("curl", "-sS", url, code=code).err.startswith(f"curl: ({code})")


# ------------------------------------------------------------------------------------- traceroute


@pytest.mark.parametrize("probe", [[], ["-I"], ["-T", "-p", "80"]], ids=["udp", "icmp", "tcp"])
def test_traceroute_sees_every_router(on_client: On, probe: list[str]) -> None:
    need("traceroute")
    # Left alone it calls a probe lost that takes three times as long as another one to the same
    # hop, which a busy machine brings about when an answer takes 0.1 ms; -w 5 waits for all.
    command = ["traceroute", "-n", "-w", "5", *probe, "10.80.0.80"]
    lines = on_client(*command).out.splitlines()[1:]
    assert [line.split()[1] for line in lines] == ["10.1.0.1", "10.12.0.2", "10.80.0.80"]
    assert not any("*" in line for line in lines)


# --------------------------------------------------------------------------------------- Chromium


class Page(HTMLParser):
    """What a DOM dump says: title, text of the heading, picture, links."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, str] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags:
            tag = self.tags[-1][0]
            self.text[tag] = self.text.get(tag, "") + data


class TestChromium:
    @pytest.fixture()
    def browser(self, web: World) -> Iterator[list[str]]:
        """The beginning of its command line, with a profile folder that nobody has used."""
        program = need("chromium")
        profile = Path(tempfile.mkdtemp(prefix="profile-", dir=web.home))
        yield [program, *CHROMIUM, f"--user-data-dir={profile}"]
        shutil.rmtree(profile, ignore_errors=True)

    def test_it_shows_the_page_and_loads_what_the_page_names(
        self, web: World, browser: list[str]
    ) -> None:
        url = "http://www.itheima.com/"
        story = web("trace", "--json", "client", "--", *browser, "--dump-dom", url).json
        assert story["exit_code"] == 0
        page = Page(story["output"])
        assert page.text["title"].strip() == "Networks you can take apart"
        assert page.text["h1"].startswith("You have arrived. 欢迎")
        assert ("link", {"rel": "stylesheet", "href": "style.css"}) in page.tags
        assert [a["src"] for tag, a in page.tags if tag == "img"] == ["network.png"]
        asked = [trip["title"] for trip in story["trips"] if trip["kind"] == "http-request"]
        for path in ("/", "/style.css", "/network.png"):
            assert any(f"GET {path}" in title for title in asked), (path, asked)

    def test_it_paints_the_page(self, web: World, browser: list[str]) -> None:
        picture = web.home / "page.png"
        url = "http://www.itheima.com/"
        command = [*browser, "--window-size=1000,800", f"--screenshot={picture}", url]
        web("exec", "client", "--", *command)
        data = picture.read_bytes()
        assert data[:8] == b"\x89PNG\r\n\x1a\n"
        assert struct.unpack_from("!II", data, 16) == (1000, 800)
        assert len(data) > 20_000, "an empty page compresses to a few thousand bytes"
        if keep := os.environ.get("HOPLAB_KEEP_PICTURE"):  # for people who want to look
            shutil.copyfile(picture, keep)


def test_the_lab_is_as_it_was(web: World) -> None:
    """The peers left nothing running and broke nothing."""
    assert json.loads(web("ls", "--json").out)[0]["events"] == []
    assert web("pingall", "--json").json["lost"] == []
