# SPDX-License-Identifier: Apache-2.0
"""Submissions as students make them, and as nobody should: of sheet 02, without a network.

What lives here: the making. What must not: expectations on what becomes of them.
"""

from __future__ import annotations

import functools
import io
import json
import stat
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace

from hoplab.capture.observation import Observation, Reception
from hoplab.capture.pcapng_format import InterfaceInfo
from hoplab.capture.pcapng_writer import Writer
from hoplab.classroom import submission
from hoplab.classroom.course import Course, Student
from hoplab.classroom.handed_out import of_student
from hoplab.classroom.marking import sheet_digest
from hoplab.classroom.submission import Submission
from hoplab.sheets import sheet_file
from tests.unit import frames

SHEET = "02-netmask"
MACS = {"h1": "02:00:00:00:01:00", "h2": "02:00:00:00:02:00"}
BROADCAST = "ff:ff:ff:ff:ff:ff"
START_NS = 1_700_000_000_000_000_000
RIGHT = {
    "q-mask": "255.255.255.128", "q-network": "{net}128/25", "q-broadcast": "{net}255",
    "q-hosts": "126", "q-missing": "echo reply", "q-guilty": "h2", "q-twenty": "{wide}32.0/20",
}  # fmt: skip


def course(students: int = 3) -> Course:
    """A course of that many, always the same."""
    return Course("NET101", bytes(range(32)), tuple(f"s{n:04}" for n in range(1, students + 1)))


def capture(net: str, ident: int, *, answered: bool = True) -> bytes:
    """The ping of h1 to h2, as both ends of the cable saw it."""
    one, two = f"{net}130", f"{net}5"
    body = ident.to_bytes(16, "big") * 3
    sent = [
        ("h1", "h2", BROADCAST, 0x0806, frames.arp(1, MACS["h1"], one, "00:00:00:00:00:00", two)),
        ("h2", "h1", MACS["h1"], 0x0806, frames.arp(2, MACS["h2"], two, MACS["h1"], one)),
        ("h1", "h2", MACS["h2"], 0x0800,
         frames.ipv4(one, two, 1, frames.echo(True, ident & 0xFFFF, 1, body))),
        ("h2", "h1", MACS["h1"], 0x0800,
         frames.ipv4(two, one, 1, frames.echo(False, ident & 0xFFFF, 1, body))),
    ]  # fmt: skip
    file = io.BytesIO()
    writer = Writer(file, [
        InterfaceInfo("h1-eth0", mac=MACS["h1"], addresses=(f"{one}/25",)),
        InterfaceInfo("h2-eth0", mac=MACS["h2"], addresses=(f"{two}/25",)),
    ])  # fmt: skip
    number = 0
    for place, (tail, _, target, kind, payload) in enumerate(sent[: 4 if answered else 3]):
        data = frames.eth(target, MACS[tail], kind, payload)
        port = 0 if tail == "h1" else 1
        heard = Reception.BROADCAST if target == BROADCAST else Reception.HOST
        for step, (at, reception) in enumerate(((port, Reception.OUTGOING), (1 - port, heard))):
            number += 1
            t_ns = START_NS + ident * 1_000_000_000 + place * 100_000 + step * 10_000
            writer.write(Observation(number, t_ns, at, reception, data, len(data)))
    return file.getvalue()


def _commands(net: str) -> dict[str, object]:
    """What the checks' commands print on both hosts."""
    checks: dict[str, dict[str, dict[str, object]]] = {
        "cable": {"commands": {}}, "addresses": {"commands": {}}
    }
    for host, last in (("h1", "130"), ("h2", "5")):
        link = [{"ifname": f"{host}-eth0", "operstate": "UP"}]
        address = [{"addr_info": []}, {"addr_info": [{"local": f"{net}{last}", "prefixlen": 24}]}]
        # The sheet knows the addresses by name, and those of the loopback are not asked for.
        address[0] = {"addr_info": [{"local": f"{net}{last}"}]}
        checks["cable"]["commands"][f"{host}: ip -j link"] = {
            "code": 0, "printed": json.dumps(link)
        }  # fmt: skip
        checks["addresses"]["commands"][f"{host}: ip -j -4 address"] = {
            "code": 0, "printed": json.dumps(address)
        }  # fmt: skip
    return dict(checks)


def made(
    held: Course,
    student: str,
    *,
    number: int = 1,
    answered: bool = True,
    answers: Mapping[str, str] | None = None,
) -> Submission:
    """What a student hands in who did it right; answered: or whose ping got no reply."""
    sheet = of_student(sheet_file.find(SHEET), held.student(student))
    net = sheet.varied["10.0.0."]
    texts = {
        name: text.format(net=net, wide=sheet.varied["172.16."]) for name, text in RIGHT.items()
    }
    name, _, arguments = sheet.topology.partition(",")
    lab = {
        "format": 1, "name": sheet.own_name, "topology": name, "arguments": arguments,
        "nodes": [{"name": host, "kind": "host"} for host in MACS],
        "interfaces": [
            {"name": f"{host}-eth0", "ifname": f"{host}-eth0", "node": host, "port": 0,
             "mac": MACS[host], "addresses": [f"{net}{last}/24"], "peer": f"{peer}-eth0"}
            for host, last, peer in (("h1", "130", "h2"), ("h2", "5", "h1"))
        ],
    }  # fmt: skip
    evidence = {"format": 1, "lab": lab, "checks": _commands(net)}
    own = held.student(student)
    return Submission(
        student=student, course=held.name, course_id=held.id, sheet=SHEET,
        sheet_sha256=sheet_digest(sheet), variant=dict(sheet.varied),
        answers={**texts, **(answers or {})},
        verdicts={check: "passed" for check in sheet.checks},
        parts={
            submission.EVIDENCE: json.dumps(evidence).encode(),
            "runs/talks.h1/lab.json": json.dumps(lab).encode(),
            "runs/talks.h1/capture.pcapng": capture(
                net, int.from_bytes(own.seed[:2], "big") + number, answered=answered
            ),
        },
    )  # fmt: skip


def packed(held: Course, student: str, **how: object) -> bytes:
    return submission.pack(made(held, student, **how), held.student(student))  # type: ignore[arg-type]


def repacked(
    data: bytes, change: Callable[[dict[str, bytes]], None], *, mode: int = stat.S_IFREG
) -> bytes:
    """The same zip file with its parts changed, as somebody does with a tool. mode: of what was
    added."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    names = set(parts)
    change(parts)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            kind = stat.S_IFREG if name in names else mode
            info.external_attr = (kind | 0o644) << 16
            archive.writestr(info, content)
    return file.getvalue()


def with_part(whole: Submission, name: str, data: bytes) -> Submission:
    return replace(whole, parts={**whole.parts, name: data})


@functools.cache
def bad(held: Course) -> dict[str, tuple[bytes, str]]:
    """By name: a file of each bad kind, and the word for what is wrong with it."""
    first, second = held.students[:2]
    good = packed(held, first)
    whole = made(held, first)
    signer: Student = held.student(first)

    def put(name: str, content: bytes) -> Callable[[dict[str, bytes]], None]:
        return lambda parts: parts.update({name: content})

    def altered(parts: dict[str, bytes]) -> None:
        parts["submission.json"] = parts["submission.json"].replace(b'"126"', b'"125"')

    def cut(parts: dict[str, bytes]) -> None:
        name = "runs/talks.h1/capture.pcapng"
        parts[name] = parts[name][:-40]

    claimed = replace(made(held, second), student=first)
    foreign = made(held, second)
    stolen = replace(whole, variant=foreign.variant, parts=foreign.parts)
    # Another's runs under one's own variant.
    mixed = replace(whole, parts={**whole.parts, **{
        name: data for name, data in foreign.parts.items() if name.startswith("runs/")
    }})  # fmt: skip
    return {
        "answer-altered": (repacked(good, altered), "altered"),
        "capture-altered": (repacked(good, cut), "altered"),
        "capture-added": (
            repacked(good, put("runs/x.h1/capture.pcapng", b"x")), "altered"
        ),
        "part-missing": (
            repacked(good, lambda parts: parts.pop("runs/talks.h1/lab.json") and None), "altered"
        ),
        "no-signature": (repacked(good, lambda parts: parts.pop("signature") and None), "unsigned"),
        "other-key": (submission.pack(whole, held.student("nobody")), "altered"),
        "signed-by-other": (submission.pack(claimed, held.student(second)), "other student"),
        "other-course": (
            submission.pack(replace(whole, course_id="0" * 16), signer), "other course"
        ),
        "no-such-student": (
            submission.pack(replace(whole, student="nobody"), signer), "no student"
        ),
        "no-such-sheet": (submission.pack(replace(whole, sheet="../../etc"), signer), "no sheet"),
        "other-variant": (submission.pack(stolen, signer), "other variant"),
        "other-runs": (submission.pack(mixed, signer), "other variant"),
        "truncated": (good[: len(good) // 2], "damaged"),
        "empty": (b"", "damaged"),
        "not-a-zip": (b"%PDF-1.7" + b"x" * 500, "damaged"),
        "path": (repacked(good, put("../../evil.sh", b"x")), "path"),
        "absolute-path": (repacked(good, put("/etc/cron.d/x", b"x")), "path"),
        "link-inside": (
            repacked(good, put("runs/y.h1/lab.json", b"/etc/passwd"), mode=stat.S_IFLNK), "link"
        ),
        "bomb": (repacked(good, put("runs/z.h1/capture.pcapng", bytes(65 << 20))), "too large"),
        "many-parts": (
            repacked(good, lambda parts: parts.update(
                {f"runs/c{n}.h1/lab.json": b"" for n in range(500)})), "too large",
        ),
        "lab-is-no-json": (
            submission.pack(with_part(whole, "runs/talks.h1/lab.json", b"{" * 90_000), signer),
            "damaged",
        ),
    }  # fmt: skip
