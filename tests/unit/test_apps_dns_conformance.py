# SPDX-License-Identifier: Apache-2.0
"""Our server, BIND's named and NSD on the same zones, answer by answer, as dig prints them.

Each difference must have a reason in REASONS below, and docs/apps.md shows the table that is made
here: HOPLAB_UPDATE_GOLDEN=1 writes it. Both peers run by hand, with a folder and a port of their
own; that their packages are installed (bind9, nsd) is all they need.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.conftest import need
from tests.unit.test_apps_all import end, eventually, running

pytestmark = pytest.mark.long

DOCS = Path(__file__).resolve().parents[2] / "docs" / "apps.md"
ZONES = {
    "conf.lab": r"""
$ORIGIN conf.lab.
$TTL 3600
@ IN SOA ns1 host\.master 7 3600 900 604800 300
@ NS ns1
@ NS ns2.other.lab.
@ A 10.0.0.1
@ MX 10 mail
@ MX 20 mail.other.lab.
@ TXT "v=spf1 -all"
@ CAA 0 issue "ca.lab"
ns1 A 10.0.0.2
ns1 AAAA fd00::2
mail A 10.0.0.3
mail 60 AAAA fd00::3
www 60 CNAME web
web A 10.0.0.4
web A 10.0.0.5
six AAAA fd00::6
chain1 CNAME chain2
chain2 CNAME chain3
chain3 CNAME web
gone CNAME nobody
out CNAME www.elsewhere.test.
over CNAME www.other.lab.
into CNAME host.kid
far CNAME host.away
loop1 CNAME loop2
loop2 CNAME loop1
_http._tcp SRV 0 5 80 web
_far._tcp SRV 0 5 80 www.elsewhere.test.
a.b.deep A 10.0.0.7
*.wild A 10.0.0.8
*.wild MX 5 mail
real.wild TXT "here"
*.wcname CNAME web
sub.*.odd A 10.0.0.9
ptr PTR web
text TXT "one" "two words" "semi;colon"
host HINFO "PC" "Linux"
new TYPE65280 \# 4 0a000001
kid NS ns.kid
ns.kid A 10.0.0.10
away NS ns1.away
away NS ns.elsewhere.test.
ns1.away A 10.0.0.11
ns1.away AAAA fd00::11
signed NS ns1
signed DS 1 8 2 0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF
odd\.dot A 10.0.0.12
"""
    + "".join(f'big TXT "{n:03}{"x" * 150}"\n' for n in range(12)),
    "kid.conf.lab": """
$ORIGIN kid.conf.lab.
$TTL 60
@ IN SOA ns me 1 2 3 4 5
@ NS ns
ns A 10.0.0.10
host A 10.0.1.1
""",
    "other.lab": """
$ORIGIN other.lab.
$TTL 60
@ IN SOA ns2 me 1 2 3 4 5
@ NS ns2
ns2 A 10.0.2.1
mail A 10.0.2.2
www A 10.0.2.3
""",
}
NAMES = """
conf.lab CONF.lab ns1.conf.lab mail.conf.lab www.conf.lab wWw.Conf.LAB web.conf.lab six.conf.lab
chain1.conf.lab chain3.conf.lab gone.conf.lab out.conf.lab over.conf.lab into.conf.lab far.conf.lab
loop1.conf.lab _http._tcp.conf.lab _far._tcp.conf.lab _tcp.conf.lab deep.conf.lab b.deep.conf.lab
a.b.deep.conf.lab x.b.deep.conf.lab wild.conf.lab any.wild.conf.lab two.any.wild.conf.lab
real.wild.conf.lab x.real.wild.conf.lab *.wild.conf.lab any.wcname.conf.lab odd.conf.lab
x.odd.conf.lab *.odd.conf.lab sub.*.odd.conf.lab ptr.conf.lab text.conf.lab host.conf.lab
new.conf.lab kid.conf.lab host.kid.conf.lab nobody.kid.conf.lab away.conf.lab host.away.conf.lab
ns1.away.conf.lab signed.conf.lab x.signed.conf.lab odd\\.dot.conf.lab nobody.conf.lab
a.nobody.conf.lab x.web.conf.lab ns2.other.lab other.lab www.other.lab lab . elsewhere.test
""".split()
TYPES = "A AAAA NS SOA MX TXT CNAME SRV CAA DS PTR TYPE65280".split()
ODD = """
+noedns +ignore big.conf.lab TXT
+bufsize=512 +ignore big.conf.lab TXT
+bufsize=1232 +ignore big.conf.lab TXT
+bufsize=65000 +ignore big.conf.lab TXT
+tcp big.conf.lab TXT
+tcp conf.lab MX
+tcp nobody.conf.lab A
+noedns www.conf.lab A
+dnssec www.conf.lab A
+rec www.conf.lab A
+notcp conf.lab ANY
+tcp conf.lab ANY
+notcp wild.conf.lab ANY
+notcp nobody.conf.lab ANY
+tcp any.wild.conf.lab ANY
+notcp kid.conf.lab ANY
+notcp away.conf.lab ANY
+edns=1 +noednsneg www.conf.lab A
+ednsopt=65001:00ff www.conf.lab A
+opcode=STATUS www.conf.lab A
+opcode=UPDATE www.conf.lab A
www.conf.lab TYPE0
www.conf.lab TYPE41
www.conf.lab TYPE128
www.conf.lab TYPE253
www.conf.lab TYPE254
www.conf.lab TYPE65535
www.conf.lab -c CH A
www.conf.lab -c HS A
+cdflag www.conf.lab A
+adflag www.conf.lab A
+zflag www.conf.lab A
conf.lab AXFR
""".strip().splitlines()


@dataclass(frozen=True)
class Answer:
    """What dig printed of one answer, without what differs from run to run."""

    status: str
    flags: str
    edns: str
    answer: tuple[str, ...]
    authority: tuple[str, ...]
    additional: tuple[str, ...]


def read(text: str) -> Answer:
    status = re.search(r"status: (\w+)", text)
    flags = re.search(r"flags: ([a-z ]*);", text)
    edns = re.search(r"; EDNS: version: (\d+), flags:([^;]*);", text)
    sections: dict[str, list[str]] = {}
    section = ""
    for line in text.splitlines():
        if match := re.match(r";; (\w+) SECTION:", line):
            section = match[1]
        elif line and not line.startswith(";") and section:
            sections.setdefault(section, []).append(" ".join(line.split()))
    rows = [tuple(sorted(sections.get(n, []))) for n in ("ANSWER", "AUTHORITY", "ADDITIONAL")]
    return Answer(
        status[1] if status else "none",
        flags[1] if flags else "",
        f"{edns[1]}{edns[2]}" if edns else "",
        *rows,
    )


def ask_all(port: int, questions: list[str], folder: Path) -> list[Answer]:
    """One dig for all questions."""
    lines = [
        f"@127.0.0.1 -p {port} +tries=1 +time=3 +nocookie +norec +noadflag {q}" for q in questions
    ]
    # In a batch dig passes over +tcp and +notcp.
    batch = [n for n, line in enumerate(lines) if "tcp" not in line]
    file = folder / f"{port}.batch"
    file.write_text("".join(lines[n] + "\n" for n in batch))
    # Each answer begins with a line that repeats the command.
    parts = re.split(r"^; <<>> DiG [^\n]*\n", dig("-f", str(file)), flags=re.MULTILINE)[1:]
    assert len(parts) == len(batch)
    answers = dict(zip(batch, parts, strict=True))
    return [read(answers.get(n) or dig(*line.split())) for n, line in enumerate(lines)]


def dig(*words: str) -> str:
    result = subprocess.run(
        [need("dig"), *words], capture_output=True, text=True, timeout=170, check=False
    )
    return result.stdout


@contextmanager
def daemon(command: list[str], port: int, log: Path) -> Iterator[None]:
    """A peer in the foreground until the block ends."""

    def listens() -> bool:
        assert process.poll() is None, log.read_text(errors="replace")[-2000:]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.2)
            sock.connect(("127.0.0.1", port))
            try:
                sock.send(bytes.fromhex("1234000000010000000000000000010001"))
                return bool(sock.recv(512))
            except OSError:
                return False

    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
        try:
            eventually(listens, 20)
            yield
        finally:
            end(process)


def free_port() -> int:
    with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))
        udp.bind(("127.0.0.1", tcp.getsockname()[1]))
        return int(tcp.getsockname()[1])


def named(folder: Path, port: int) -> list[str]:
    zones = "".join(f'zone "{n}" {{ type primary; file "{folder}/{n}.zone"; }};\n' for n in ZONES)
    (folder / "named.conf").write_text(
        f'options {{ directory "{folder}"; listen-on port {port} {{ 127.0.0.1; }};\n'
        "listen-on-v6 { none; }; recursion no; minimal-responses no-auth; minimal-any yes;\n"
        "allow-transfer { none; }; notify no; pid-file none; session-keyfile none;\n"
        "check-names primary ignore; max-udp-size 1232; edns-udp-size 1232; };\n"
        f"controls {{ }};\n{zones}"
    )
    return [need("named"), "-g", "-n", "1", "-c", str(folder / "named.conf")]


def nsd(folder: Path, port: int) -> list[str]:
    zones = "".join(f'zone:\n name: "{n}"\n zonefile: "{folder}/{n}.zone"\n' for n in ZONES)
    (folder / "nsd.conf").write_text(
        f'server:\n ip-address: 127.0.0.1@{port}\n username: ""\n chroot: ""\n database: ""\n'
        f' zonesdir: "{folder}"\n pidfile: "{folder}/nsd.pid"\n xfrdfile: "{folder}/xfrd"\n'
        f' xfrdir: "{folder}"\n zonelistfile: "{folder}/zone.list"\n server-count: 1\n'
        " minimal-responses: yes\n refuse-any: yes\n ipv4-edns-size: 1232\n rrl-ratelimit: 0\n"
        f"remote-control:\n control-enable: no\n{zones}"
    )
    return [need("nsd"), "-d", "-c", str(folder / "nsd.conf")]


Reason = tuple[str, Callable[[str, Answer, Answer], bool]]


def small(answer: Answer) -> Answer:
    """In small letters."""
    rows = (answer.answer, answer.authority, answer.additional)
    return Answer(
        answer.status, answer.flags, answer.edns, *(tuple(sorted(map(str.lower, r))) for r in rows)
    )


def kind(question: str) -> str:
    return question.split()[-1]


META = ("TYPE0", "TYPE41", "TYPE128", "TYPE253", "TYPE254")
# peer -> reasons: why an answer differs, and which differences that explains. First match counts.
REASONS: dict[str, list[Reason]] = {
    "named": [
        (
            "capital letters: ours answers in those of the question, named in those of its file",
            lambda q, ours, theirs: small(ours) == small(theirs),
        ),
        (
            "a denial of a SOA: named sends its SOA with TTL 0, ours with that of RFC 2308",
            lambda q, ours, theirs: (
                kind(q) == "SOA"
                and replace(
                    theirs,
                    authority=tuple(
                        each.replace(" 0 IN SOA", f" {ours.authority[0].split()[1]} IN SOA")
                        for each in theirs.authority
                    ),
                )
                == ours
            ),
        ),
        (
            "CNAMEs in a circle: named adds SERVFAIL to the chain, ours leaves it to the resolver",
            lambda q, ours, theirs: (
                q.startswith("loop1.") and replace(theirs, status="NOERROR") == ours
            ),
        ),
        (
            "a referral to a server with a name of the parent zone: ours adds its addresses",
            lambda q, ours, theirs: (
                "signed." in q and not theirs.additional and replace(ours, additional=()) == theirs
            ),
        ),
        (
            "too long for UDP: both set TC; named sends a part, ours nothing (RFC 2181 section 9)",
            lambda q, ours, theirs: (
                "tc" in ours.flags and not ours.answer and replace(theirs, answer=()) == ours
            ),
        ),
        (
            "UPDATE: named says FORMERR to what dig sends, ours NOTIMP to all of them",
            lambda q, ours, theirs: (
                "UPDATE" in q and (ours.status, theirs.status) == ("NOTIMP", "FORMERR")
            ),
        ),
        (
            "types that no record has: ours FORMERR or NOTIMP, named sometimes NOERROR or FORMERR",
            lambda q, ours, theirs: kind(q) in META and ours.status in ("FORMERR", "NOTIMP"),
        ),
    ],
    "nsd": [
        (
            "addresses that help: NSD was told to be brief, ours adds them",
            lambda q, ours, theirs: (
                not theirs.additional and replace(ours, additional=()) == theirs
            ),
        ),
        (
            "a CNAME into another zone of the same server: NSD follows it, named and ours do not",
            lambda q, ours, theirs: (
                q.split(".")[0] in ("over", "into")
                and set(ours.answer) <= set(theirs.answer)
                and not ours.authority
            ),
        ),
        (
            "ANY by TCP: NSD gives one set there too, named and ours all",
            lambda q, ours, theirs: (
                q.startswith("+tcp") and kind(q) == "ANY" and set(theirs.answer) < set(ours.answer)
            ),
        ),
        (
            "other opcodes: NOTIMP by both; ours has EDNS if the query had (RFC 6891 section 7)",
            lambda q, ours, theirs: "opcode" in q and replace(ours, edns="") == theirs,
        ),
        (
            "types that no record has: ours FORMERR or NOTIMP, NSD looks for them",
            lambda q, ours, theirs: kind(q) in META and ours.status in ("FORMERR", "NOTIMP"),
        ),
        (
            "the CD bit: ours copies it (RFC 4035 section 3.1.6)",
            lambda q, ours, theirs: "+cdflag" in q and replace(ours, flags=theirs.flags) == theirs,
        ),
    ],
}


@pytest.mark.parametrize("peer", ["named", "nsd"])
def test_answers_are_those_of(peer: str, tmp_path: Path) -> None:
    questions = [f"{name} {kind}" for name in NAMES for kind in TYPES] + ODD
    for name, text in ZONES.items():
        (tmp_path / f"{name}.zone").write_text(text)
    options = [word for n in ZONES for word in ("--zone", str(tmp_path / f"{n}.zone"))]
    port = free_port()
    command = {"named": named, "nsd": nsd}[peer](tmp_path, port)
    with ExitStack() as stack:
        stack.enter_context(daemon(command, port, tmp_path / "peer.log"))
        ours = stack.enter_context(running("dns_server.py", tmp_path / "log", *options))
        theirs_all = ask_all(port, questions, tmp_path)
        ours_all = ask_all(ours.port, questions, tmp_path)
    counts: Counter[str] = Counter()
    unexplained = []
    for question, mine, theirs in zip(questions, ours_all, theirs_all, strict=True):
        if mine == theirs:
            counts["the same"] += 1
            continue
        for reason, explains in REASONS[peer]:
            if explains(question, mine, theirs):
                counts[reason] += 1
                break
        else:
            unexplained.append(f"{question}\n  ours   {mine}\n  theirs {theirs}")
    assert not unexplained, f"{len(unexplained)}\n" + "\n".join(unexplained)
    check_table(peer, len(questions), counts)


def check_table(peer: str, asked: int, counts: Counter[str]) -> None:
    """The table in the docs is the one of this run."""
    begin, end = f"<!-- {peer}: begin -->\n", f"<!-- {peer}: end -->\n"
    rows = [f"| the same | {counts['the same']} of {asked} |"]
    rows += [f"| {reason} | {counts[reason]} |" for reason, _ in REASONS[peer] if counts[reason]]
    table = "\n".join([f"| difference from {peer} | answers |", "|---|---|", *rows]) + "\n"
    text = DOCS.read_text(encoding="utf-8")
    before, after = text.partition(begin)[0], text.partition(end)[2]
    wanted = before + begin + table + end + after
    if os.environ.get("HOPLAB_UPDATE_GOLDEN"):
        DOCS.write_text(wanted, encoding="utf-8")
    assert DOCS.read_text(encoding="utf-8") == wanted
