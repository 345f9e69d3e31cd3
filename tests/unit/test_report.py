# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: RUF001
"""The report's parts: nothing from a wire becomes markup, every byte has its field, pictures do not
overlap, and the command line around it."""

from __future__ import annotations

import json
import random
import re
import shutil
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html.parser import HTMLParser
from itertools import combinations, pairwise
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hoplab import runs
from hoplab.capture import pcapng_format, pcapng_writer
from hoplab.capture.observation import Observation, Reception
from hoplab.cli.main import main
from hoplab.follow.wiring import Interface, Node, Wiring, natural
from hoplab.report import cells
from hoplab.report.drawing import drawing
from hoplab.report.fields import changes, checksum, fields
from hoplab.report.folding import Fold, parts
from hoplab.report.language import ENGLISH, code_from, language
from hoplab.report.layout import Picture, arrange
from hoplab.report.markdown import markdown, text
from hoplab.report.markup import Markup, escape, join, tag
from hoplab.report.page import page
from hoplab.story.trip_records import UNRELATED, Trip
from tests.unit import frames
from tests.unit.playground import WEB, wire_up
from tests.unit.scenarios import on_its_way

RUNS = Path(__file__).parent.parent / "data" / "runs"
EVIL = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>&amp;</style>-->]]>\u202e\x00"


class Reader(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.ids: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((name, dict(attributes)))
        self.ids += [value or "" for key, value in attributes if key == "id"]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def read(name: str) -> runs.Run:
    return runs.reopen(RUNS / name)


# --- escaping -------------------------------------------------------------------------------


def test_text_is_escaped_in_content_and_attributes() -> None:
    made = tag("p", EVIL, title=EVIL)
    assert "<script" not in made and "<img" not in made
    shown = EVIL.replace("\x00", "\ufffd").replace("\u202e", "\ufffd")
    assert Reader(made).tags == [("p", {"title": shown})]
    assert join("a<", Markup("<b>"), None, 3, 2.0, ["c"]) == "a&lt;<b>32c"
    assert tag("input", checked=True, disabled=False) == "<input checked>"


@given(st.text())
def test_any_text_comes_back_from_html_and_xml(raw: str) -> None:
    shown = ElementTree.fromstring(f"<p>{escape(raw)}</p>").text or ""
    expected = re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", raw)
    expected = re.sub("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]", "\ufffd", expected)
    # XML itself makes one line end of all kinds (section 2.11).
    assert shown == expected.replace("\r\n", "\n").replace("\r", "\n")


def hostile_run(folder: Path) -> Path:
    """A run in which every name, and every byte that may be text, tries to break out."""
    names = [f"{EVIL}a", f"{EVIL}b"]
    macs = ["02:00:00:00:00:01", "02:00:00:00:00:02"]
    lab = {
        "format": 1,
        "topology": EVIL,
        "controller": EVIL,
        "datapath": EVIL,
        "nodes": [{"name": name, "kind": "host"} for name in names],
        "interfaces": [
            {"name": f"{name}-eth0", "node": name, "mac": mac, "addresses": [f"10.0.0.{place}/24"],
             "peer": f"{names[2 - place]}-eth0"}
            for place, (name, mac) in enumerate(zip(names, macs, strict=True), 1)
        ],
    }  # fmt: skip
    (folder / runs.STATE).write_text(json.dumps(lab))
    head = {"request": {"url": f"http://{EVIL}/", "client": names[0]}, "exit_code": 1,
            "output": EVIL}  # fmt: skip
    (folder / runs.TRACE).write_text(json.dumps(head))
    evil = EVIL.encode()
    get = b"GET /" + evil.replace(b" ", b"") + b" HTTP/1.1\r\nHost: " + evil + b"\r\n\r\n"
    query = frames.dns(7, "<script>.itheima.com")
    sent = [
        frames.ipv4("10.0.0.1", "10.0.0.2", 17, frames.udp(4000, 53, query)),
        frames.ipv4("10.0.0.1", "10.0.0.2", 17, frames.udp(4000, 99, evil)),
        frames.ipv4("10.0.0.1", "10.0.0.2", 6, frames.tcp(4001, 80, 1, 1, 0x18, get)),
    ]
    seen = []
    for place, packet in enumerate(sent):
        data = frames.eth(macs[1], macs[0], 0x0800, packet)
        for port, reception in ((0, Reception.OUTGOING), (1, Reception.HOST)):
            number = 2 * place + port + 1
            seen.append(Observation(number, number * 1000, port, reception, data, len(data)))
    infos = [pcapng_format.InterfaceInfo(f"{name}-eth0") for name in names]
    with open(folder / runs.CAPTURE, "wb") as file:
        writer = pcapng_writer.Writer(file, infos)
        for observed in seen:
            writer.write(observed)
    return folder


@pytest.mark.parametrize("code", ["en", "zh"])
def test_a_hostile_run_cannot_break_out(tmp_path: Path, code: str) -> None:
    run = runs.reopen(hostile_run(tmp_path))
    assert len(run.story.trips) == 3
    tr = language(code)
    made = Reader(page([run], tr))
    assert [name for name, _ in made.tags if name in ("script", "img")] == ["script"]
    assert not [a for _, attributes in made.tags for a in attributes if a.startswith("on")]
    ElementTree.fromstring(drawing([run], tr))
    plain = markdown([run], tr)
    assert "<script" not in plain and "<img" not in plain
    for fence in re.findall("```mermaid\n(.*?)```", plain, re.DOTALL):
        assert not re.search("[<>\"]", re.sub(r'->>|<br>|\("|"\)', "", fence))


def test_markdown_is_escaped() -> None:
    assert text("a|b *c* [d](e) `f` <g> & #1 # h\ni") == (
        r"a\|b \*c\* \[d\](e) \`f\` &lt;g&gt; &amp; #1 \# h i"
    )
    assert text("# no heading").startswith(r"\#")


# --- the page -------------------------------------------------------------------------------


def test_the_page_is_whole() -> None:
    run = read("web-cold")
    source = page([run], ENGLISH)
    made = Reader(source)
    assert len(made.ids) == len(set(made.ids))
    targets = [a["href"] or "" for name, a in made.tags if name == "a"]
    assert targets and all(target.startswith("#") and target[1:] in made.ids for target in targets)
    assert {f"p{trip.number}" for trip in run.story.trips} <= set(made.ids)
    for _, attributes in made.tags:
        assert "style" not in attributes, "the policy forbids it"
        assert not {"src", "srcset", "action"} & set(attributes)
    assert "url(" not in source and "@import" not in source
    whole = "".join(made.texts)
    for step in run.story.steps:
        assert step.heading in whole
        assert all(remark.text in whole for remark in step.remarks)
    classes = [a.get("class") for _, a in made.tags]
    frames_drawn = sum(str(klass).startswith("frame") for klass in classes)
    assert frames_drawn == run.story.summary.frames


def test_a_router_is_shown_field_by_field() -> None:
    run = read("routed-warm")
    request = run.story.trips[0]
    into, out = (run.frames[request.legs[place].sent or 0].data for place in (1, 2))
    changed, same = changes(into, out)
    assert [(change.layer, change.name) for change in changed] == [
        ("Ethernet", "destination"),
        ("Ethernet", "source"),
        ("IPv4", "TTL"),
        ("IPv4", "header checksum"),
    ]
    assert [change.after for change in changed][2] == "63" and "right" in changed[3].after
    assert same == len(fields(into)) - 4


def test_what_the_client_waited_for_is_shown_as_it_said(tmp_path: Path) -> None:
    folder = shutil.copytree(RUNS / "web-cold", tmp_path / "run")
    assert "waterfall" not in page([runs.reopen(folder)], ENGLISH).replace(".waterfall", "")
    request = "  #1   200  |..+-<#>| /\x1b[2J"
    output = ["GET / …", "  on  code  |--9.1 ms|", request, "  . name", "10"]
    head = json.loads((folder / "trace.json").read_text())
    (folder / "trace.json").write_text(json.dumps({**head, "output": "\n".join(output)}))
    run = runs.reopen(folder)
    assert run.waterfall == tuple(output[1:4])
    shown, plain = page([run], ENGLISH), markdown([run], ENGLISH)
    assert "by its own clock" in shown and "|..+-&lt;#&gt;| /" in shown and "\x1b" not in shown
    assert "\n      #1   200  |..+-<#>| /" in plain and "\x1b" not in plain


def test_two_runs_stand_side_by_side() -> None:
    made = Reader(page([read("hub"), read("switch")], ENGLISH))
    assert len(made.ids) == len(set(made.ids)) and "compare" in made.ids
    assert {"a-p1", "b-p1"} <= set(made.ids)
    assert sum(name == "svg" and "topology" in str(a.get("class")) for name, a in made.tags) == 2
    assert "A packet took 4.0 frames with hub and 2.5 with learning_switch" in "".join(made.texts)


def test_the_same_run_gives_the_same_report() -> None:
    first, second = (page([read("web-hub")], language("zh")) for _ in range(2))
    assert first == second


# --- fields ---------------------------------------------------------------------------------


def covers(data: bytes) -> None:
    at = 0
    for part in fields(data):
        assert part.start == at < part.end
        at = part.end
    assert at == len(data)
    names = [(field.layer, field.name) for field in fields(data)]
    assert len(names) == len(set(names))


@given(st.binary(max_size=200))
@example(b"")
def test_any_bytes_have_fields(data: bytes) -> None:
    covers(data)


@settings(max_examples=60)
@given(st.integers(0, 2**32))
def test_broken_frames_have_fields(seed: int) -> None:
    """Real frames with a few bytes changed, or cut."""
    dice = random.Random(seed)
    seen = dice.choice([*read_all().values()])
    data = bytearray(seen.data)
    for _ in range(dice.randrange(4)):
        data[dice.randrange(len(data))] = dice.randrange(256)
    covers(bytes(data[: dice.randrange(1, len(data) + 1)]))


_ALL: dict[tuple[str, int], Observation] = {}


def read_all() -> dict[tuple[str, int], Observation]:
    if not _ALL:
        for name in ("web-cold", "fragmentation", "traceroute", "nxdomain"):
            _ALL.update({(name, n): seen for n, seen in read(name).frames.items()})
    return _ALL


def test_checksums_of_a_real_lab_are_right() -> None:
    for seen in read_all().values():
        covers(seen.data)
        for field in fields(seen.data):
            if field.name == "header checksum":
                assert field.value.endswith("(right)")
    assert checksum(bytes.fromhex("4500003ca58f40004011")) != 0


# --- pictures -------------------------------------------------------------------------------


def overlaps(picture: Picture) -> list[tuple[str, str]]:
    return [
        (a.node, b.node)
        for a, b in combinations(picture.boxes.values(), 2)
        if abs(a.x - b.x) < (a.width + b.width) / 2 and abs(a.y - b.y) < (a.height + b.height) / 2
    ]


def labs() -> list[Wiring]:
    wirings = [read(path.name).wiring for path in sorted(RUNS.iterdir())]
    ring = [("s1", "", "s2", ""), ("s2", "", "s3", ""), ("s3", "", "s1", "")]
    many = [(f"h{i}", f"10.0.0.{i}/24", "s1", "") for i in range(1, 41)]
    chain = [(f"s{i}", "", f"s{i + 1}", "") for i in range(1, 400)]
    twice = [("r1", "10.0.0.1/24", "r2", "10.0.0.2/24"), ("r1", "10.1.0.1/24", "r2", "10.1.0.2/24")]
    apart = [("a", "1.1.1.1/8", "b", "1.1.1.2/8"), ("c", "1.1.1.1/8", "d", "1.1.1.2/8")]
    return [*wirings, *(wire_up(spec) for spec in (ring, many, chain, twice, apart, WEB))]


@pytest.mark.parametrize("wiring", labs(), ids=lambda drawn: f"{drawn.topology}-{len(drawn.nodes)}")
def test_no_box_lies_on_another(wiring: Wiring) -> None:
    for host in ["", *list(wiring.nodes)[:3]]:
        picture = arrange(wiring, host)
        assert overlaps(picture) == []
        assert set(picture.boxes) == set(wiring.nodes)
        for box in picture.boxes.values():
            assert box.x - box.width / 2 >= 0 and box.x + box.width / 2 <= picture.width
            assert box.y - box.height / 2 >= 0 and box.y + box.height / 2 <= picture.height
        for wire in picture.wires:
            for node, x, y in ((wire.left, wire.x1, wire.y1), (wire.right, wire.x2, wire.y2)):
                box = picture.boxes[node]
                assert abs(x - box.x) <= box.width / 2 + 0.1
                assert abs(y - box.y) <= box.height / 2


def test_hosts_of_a_long_chain_and_of_none() -> None:
    lone = Wiring([Node("h1", "host")], [Interface("h1-eth0", "h1", "", (), None)])
    assert arrange(lone).boxes["h1"].x > 0
    assert arrange(Wiring([], [])).boxes == {}


def test_names_are_counted() -> None:
    assert sorted(["h10", "h2", "h1", "s1"], key=natural) == ["h1", "h2", "h10", "s1"]


# --- languages ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "code"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LC_MESSAGES": "zh_TW", "LANG": "en_US"}, "zh"),
        ({"LC_ALL": "", "LANG": "de_DE"}, "en"),
    ],
)
def test_the_locale_decides(environment: dict[str, str], code: str) -> None:
    assert code_from(environment) == code


def test_cells() -> None:
    assert cells.cells("交换机 s1 →") == 11
    assert cells.ljust("中", 4) == "中  " and cells.rjust("中", 4) == "  中"


@given(st.text(alphabet="中文，。（）ab1 -", max_size=80), st.integers(8, 40))
@example(" 。。） ）", 8)
@example("中中中中ab   ，", 8)
def test_wrapping_loses_nothing_and_keeps_the_width(raw: str, width: int) -> None:
    lines = cells.wrap(raw, width, subsequent_indent="  ")
    assert all(cells.cells(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(raw.split())
    # A mark (two cells) may begin a line only where the word before it, with the blanks that follow
    # it, leaves no room for it within the width less the indent (two cells), which is what a word
    # may take on any line.
    rest = raw.lstrip()
    for before, line in pairwise(lines):
        rest = rest[len(before.strip()) :]
        blanks = len(rest) - len(rest.lstrip())
        rest = rest.lstrip()
        if line.strip()[0] in "，。）":
            assert cells.cells(before) + blanks > width - 2 - 2


# --- the command line -----------------------------------------------------------------------


def test_the_verb_writes_beside_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    shutil.copytree(RUNS / "switch", run)
    assert main(["report", str(run), "--lang", "en"]) == 0
    assert capsys.readouterr().out == f"{run / 'report.html'}\n"
    assert main(["report", str(run), "--svg", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["file"] == str(run / "report.svg") and data["form"] == "svg"
    assert data["bytes"] == (run / "report.svg").stat().st_size
    assert main(["report", str(run), str(RUNS / "hub"), "--md", "-o", str(tmp_path / "x.md")]) == 0
    assert (tmp_path / "x.md").read_text().startswith("# ")


def test_the_verb_speaks_the_language_of_the_locale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    file = tmp_path / "x.html"
    assert main(["report", str(RUNS / "hub"), "-o", str(file)]) == 0
    source = file.read_text()
    assert '<html lang="zh-CN">' in source and "集线器" in source
    assert main(["report", str(RUNS / "hub"), "-o", str(file), "--lang", "en"]) == 0
    assert '<html lang="en">' in file.read_text()


def test_the_verb_fails_in_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path / "none")]) == 4
    assert "is no folder" in capsys.readouterr().err
    assert main(["report", str(tmp_path)]) == 4
    assert "lab.json" in capsys.readouterr().err
    assert main(["report", str(RUNS / "hub"), "-o", str(tmp_path / "no" / "x.html")]) == 3
    assert "Next:" in capsys.readouterr().err
    assert main(["report", str(RUNS / "hub"), "-o", "-", "--json"]) == 2


# --- bounded size ---------------------------------------------------------------------------------


def crowd(name: str, packet: int, count: int) -> runs.Run:
    """A run in which one packet came many times."""
    run = runs.reopen(RUNS / name)
    story = run.story
    model = story.trip(packet)
    story.trips = [
        on_its_way(model, number=number) for number in range(1, count + 1)
    ]
    step = story.steps[story.steps_of_trips()[packet]]
    story.steps = [replace(step, trips=list(range(1, count + 1)))]
    story.summary.trips = count
    story.outcome.evidence = [1, count]
    return run


@pytest.mark.parametrize(("packet", "most"), [(1, 1000), (3, 4)])
def test_a_page_of_very_many_packets_is_bounded_and_says_so(packet: int, most: int) -> None:
    """Packets with a cause of their own are cut off, alike ones folded; all are counted."""
    run = crowd("cable-one-subnet", packet, 3000)
    made = page([run], language("en"))
    assert made.count('class="packet ') == most
    (left_out,) = re.findall(r'class="fold">… #(\d+) to #(\d+): ([\d,]+) ', made)
    first, last, count = (int(text.replace(",", "")) for text in left_out)
    assert count == last - first + 1 == 3000 - most
    assert ('href="#p3000"' in made) == (last < 3000) and 'href="#p1"' in made
    assert len(made) < 6_000_000
    in_markdown = markdown([run], language("en"))
    assert len(in_markdown) < 1_000_000 and f"#{first} to #{last}" in in_markdown
    assert len(drawing([run], language("en"))) < 1_000_000


def test_very_many_steps_are_counted() -> None:
    run = runs.reopen(RUNS / "cable-one-subnet")
    run.story.steps = run.story.steps * 500
    for made in (page([run], language("en")), markdown([run], language("en"))):
        assert len(made) < 6_000_000 and "and 940 more steps" in made


def test_a_storm_is_folded_and_counted() -> None:
    run = runs.reopen(RUNS / "loop-storm")
    (trip,) = run.story.trips
    many = [
        on_its_way(trip, number=number)._replace(relation=UNRELATED)
        for number in range(1, 51)
    ]
    folded = parts(many, alike=False)
    assert [part.number if isinstance(part, Trip) else len(part.trips) for part in folded] == [
        1, 49
    ]  # fmt: skip
    assert parts(many[:1], alike=False) == many[:1]
    made = page([run], language("en"))
    assert f"a storm of {trip.frames} frames" in made and "more frames of the storm" in made
    assert made.count("s1 (2/2 ports)") == 1


def test_what_nobody_would_read_is_counted_with_its_losses() -> None:
    """A step of hundreds of packets of which some were lost: told one by one it hides the story."""
    run = runs.reopen(RUNS / "switch")
    ping = next(trip for trip in run.story.trips if trip.kind == "icmp-echo-request")
    lost = on_its_way(ping, ended="s1 dropped it", notes=("a note",))
    few = [on_its_way(lost if n % 3 == 0 else ping, number=n) for n in range(1, 31)]
    assert [trip for trip in parts(few) if isinstance(trip, Trip) and trip.ended]
    many = [on_its_way(lost if n % 3 == 0 else ping, number=n) for n in range(1, 601)]
    first, second, fold, *last = parts(many)
    assert [trip.number for trip in (first, second, *last) if isinstance(trip, Trip)] == [
        1, 2, 599, 600,
    ]  # fmt: skip
    assert isinstance(fold, Fold) and len(fold.trips) == 596
    assert fold.sentence().startswith("#3 to #598: 596 echo requests, ")
    assert fold.sentence().endswith("; 199 of them did not arrive")
    whole = Fold([on_its_way(ping, number=n) for n in range(3, 99)])
    assert "did not arrive" not in whole.sentence()
