# SPDX-License-Identifier: Apache-2.0
"""hoplab.decode.packet: each field of each header, by hand and by tshark; never an exception.

The frames are built here by hand, so that neither the decoder nor a library decides what is right.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoplab.capture.observation import Observation, Reception
from hoplab.capture.pcapng_format import InterfaceInfo
from hoplab.capture.pcapng_writer import Writer
from hoplab.decode import dns, http
from hoplab.decode import packet as pk
from tests.unit import netmodel as nm

A, B = bytes.fromhex("020000000100"), bytes.fromhex("0200000a0b0c")
IP_A, IP_B = nm.ip("10.1.0.10"), nm.ip("10.2.0.53")
ALL = b"\xff" * 6


def name(text: str) -> bytes:
    return b"".join(bytes((len(p),)) + p.encode() for p in text.split(".")) + b"\0"


def record(owner: bytes, kind: int, ttl: int, data: bytes, klass: int = 1) -> bytes:
    return owner + struct.pack("!HHIH", kind, klass, ttl, len(data)) + data


QUERY = struct.pack("!6H", 0x1234, 0x0100, 1, 0, 0, 0) + name("www.itheima.com") + b"\0\1\0\1"
POINTER = b"\xc0\x0c"
ANSWER = (
    struct.pack("!6H", 0x1234, 0x8580, 1, 3, 1, 2)
    + name("www.itheima.com")
    + b"\0\1\0\1"
    + record(POINTER, 5, 300, b"\3web\xc0\x10")
    + record(b"\3web\xc0\x10", 1, 60, nm.ip("10.3.0.80"))
    + record(b"\3web\xc0\x10", 28, 61, bytes.fromhex("fd00" + "00" * 13 + "50"))
    + record(b"\xc0\x10", 2, 3600, b"\2ns\xc0\x10")
    + record(b"\2ns\xc0\x10", 16, 9, b'\5hello\3a"b')
    + record(b"\0", 41, 0, b"", klass=1232)
)
HTTP_GET = b"GET /a?b HTTP/1.1\r\nHost: www.itheima.com\r\nUser-Agent: x\r\n\r\n"
HTTP_OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nhello"
SYN_OPTIONS = bytes.fromhex("020405b40402080a0000000100000000" + "01030307")


def tcp(sport: int, dport: int, flags: int, payload: bytes = b"", options: bytes = b"") -> bytes:
    head = nm.tcp(sport, dport, 0x01020304, 0x0A0B0C0D if flags & 0x10 else 0, flags)
    words = (20 + len(options)) // 4
    return head[:12] + bytes((words << 4,)) + head[13:20] + options + payload


def v4(payload: bytes, proto: int = 6, **how: int) -> bytes:
    return nm.eth(B, A, 0x0800, nm.ipv4(IP_A, IP_B, payload, proto=proto, ident=0x4242, **how))


def icmp(kind: int, code: int, rest: bytes, body: bytes) -> bytes:
    value = nm.checksum(bytes((kind, code, 0, 0)) + rest + body)
    return bytes((kind, code)) + value.to_bytes(2, "big") + rest + body


V6_A, V6_B = (
    bytes.fromhex("fe80" + "00" * 13 + "01"),
    bytes.fromhex("ff02" + "00" * 9 + "01ff000002"),
)


def v6(payload: bytes, proto: int, hops: int = 255) -> bytes:
    head = struct.pack("!IHBB", 0x60000000, len(payload), proto, hops) + V6_A + V6_B
    return nm.eth(b"\x33\x33\xff\0\0\2", A, 0x86DD, head + payload)


def icmp6(kind: int, body: bytes) -> bytes:
    message = bytes((kind, 0, 0, 0)) + body
    pseudo = V6_A + V6_B + struct.pack("!II", len(message), 58)
    value = nm.checksum(pseudo + message)
    return message[:2] + value.to_bytes(2, "big") + message[4:]


TARGET = bytes.fromhex("fe80" + "00" * 13 + "02")
FRAMES = {
    "arp": nm.arp(1, A, IP_A, bytes(6), IP_B, ALL) + bytes(18),
    "arp_reply": nm.arp(2, B, IP_B, A, IP_A, A),
    "dns_query": v4(nm.udp(40000, 53, QUERY), 17),
    "dns_answer": v4(nm.udp(53, 40000, ANSWER), 17),
    "dns_tcp": v4(tcp(40001, 53, 0x18, len(QUERY).to_bytes(2, "big") + QUERY)),
    "syn": v4(tcp(40000, 80, 0x02, options=SYN_OPTIONS)),
    "ack_padded": v4(tcp(40000, 80, 0x10)) + bytes(6),
    "fin": v4(tcp(40000, 80, 0x11), ttl=63, frag=0x4000),
    "get": v4(tcp(40000, 80, 0x18, HTTP_GET)),
    "ok": v4(tcp(80, 40000, 0x18, HTTP_OK)),
    "echo": v4(icmp(8, 0, b"\x12\x34\0\7", b"x" * 56), 1),
    "unreachable": v4(
        icmp(3, 1, bytes(4), nm.ipv4(IP_B, IP_A, nm.udp(1000, 2000, b"lost"), ttl=5)), 1
    ),
    "exceeded": v4(icmp(11, 0, bytes(4), v4(tcp(1, 2, 2))[14:42]), 1),
    "too_big": v4(icmp(3, 4, b"\0\0\5\x78", v4(tcp(1, 2, 2))[14:42]), 1),
    "ns": v6(icmp6(135, bytes(4) + TARGET + b"\1\1" + A), 58),
    "ping6": v6(icmp6(128, b"\0\5\0\6hello"), 58, 64),
    "vlan": B + A + b"\x81\0\x20\x64" + v4(nm.udp(1, 2, b"hi"), 17)[12:],
    "fragment": v4(b"z" * 64, 17, frag=0x2000 | 185),
}


def test_arp() -> None:
    p = pk.decode(FRAMES["arp"])
    assert p.eth == pk.Ethernet("ff:ff:ff:ff:ff:ff", "02:00:00:00:01:00", 0x0806, None, 14)
    assert p.arp == pk.Arp(1, "02:00:00:00:01:00", "10.1.0.10", "00:00:00:00:00:00", "10.2.0.53")
    assert p.payload == b"" and p.problem == ""
    assert (p.src, p.dst) == ("10.1.0.10", "10.2.0.53")


def test_tcp_syn_with_options() -> None:
    p = pk.decode(FRAMES["syn"])
    assert p.tcp is not None and p.ipv4 is not None
    assert p.tcp.syn and not p.tcp.ack_flag and not p.tcp.fin and not p.tcp.rst and not p.tcp.psh
    assert (p.tcp.sport, p.tcp.dport, p.tcp.seq, p.tcp.window) == (40000, 80, 0x01020304, 64240)
    assert p.tcp.mss == 1460 and p.tcp.options_length == 20 and p.tcp.header_length == 40
    assert p.tcp.payload_length == 0 and p.payload == b""
    assert (p.ipv4.ttl, p.ipv4.ident, p.ipv4.protocol, p.ipv4.total_length) == (64, 0x4242, 6, 60)


def test_ethernet_padding_is_not_payload() -> None:
    p = pk.decode(FRAMES["ack_padded"])
    assert p.tcp is not None
    assert p.tcp.payload_length == 0 and p.payload == b"" and p.problem == ""
    assert pk.strip_padding(FRAMES["ack_padded"]) == FRAMES["ack_padded"][:54]
    assert pk.strip_padding(FRAMES["arp"]) == FRAMES["arp"][:42]
    assert pk.strip_padding(FRAMES["vlan"] + bytes(14)) == FRAMES["vlan"]
    assert pk.strip_padding(FRAMES["ping6"] + b"\0") == FRAMES["ping6"]
    stp = b"\1\x80\xc2\0\0\0" + A + b"\0\x03" + b"abc"
    assert pk.strip_padding(stp + bytes(40)) == stp


def test_a_cut_capture_keeps_the_true_length() -> None:
    p = pk.decode(FRAMES["get"][:60])
    assert p.tcp is not None
    assert p.tcp.payload_length == len(HTTP_GET) and p.payload == HTTP_GET[:6]
    assert "not in the frame" in p.problem


def test_icmp_errors_quote_their_cause() -> None:
    p = pk.decode(FRAMES["unreachable"])
    q = pk.quoted(p)
    assert p.icmp is not None and p.icmp.error and (p.icmp.type, p.icmp.code) == (3, 1)
    assert q is not None and q.ipv4 is not None and q.udp is not None
    assert (q.ipv4.src, q.ipv4.ttl, q.udp.dport, q.payload) == ("10.2.0.53", 5, 2000, b"lost")
    short = pk.quoted(pk.decode(FRAMES["exceeded"]))
    assert short is not None and short.tcp is None and short.problem
    assert pk.quoted_ports(short) == (1, 2)
    big = pk.decode(FRAMES["too_big"]).icmp
    assert big is not None and big.mtu == 1400
    assert pk.quoted(pk.decode(FRAMES["echo"])) is None


def test_echo() -> None:
    icmp_ = pk.decode(FRAMES["echo"]).icmp
    assert icmp_ is not None and icmp_.echo_request and (icmp_.ident, icmp_.seq) == (0x1234, 7)
    six = pk.decode(FRAMES["ping6"]).icmp
    assert six is not None and (six.version, six.ident, six.seq, six.body) == (6, 5, 6, b"hello")


def test_neighbour_solicitation() -> None:
    p = pk.decode(FRAMES["ns"])
    assert p.ipv6 is not None and p.icmp is not None
    assert (p.ipv6.src, p.ipv6.dst, p.ipv6.hop_limit) == ("fe80::1", "ff02::1:ff00:2", 255)
    assert (p.icmp.type, p.icmp.target, p.icmp.link_address) == (135, "fe80::2", A.hex(":"))


def test_vlan() -> None:
    p = pk.decode(FRAMES["vlan"])
    assert p.eth is not None and (p.eth.vlan, p.eth.type, p.eth.header_length) == (100, 0x0800, 18)
    assert p.udp == pk.Udp(1, 2, 10) and p.payload == b"hi"


def test_a_later_fragment_has_no_layer_4() -> None:
    p = pk.decode(FRAMES["fragment"])
    assert p.ipv4 is not None and p.ipv4.fragment and p.ipv4.flags_mf
    assert p.ipv4.fragment_offset == 1480 and p.udp is None and p.payload == b"z" * 64


def test_ipv6_extension_headers() -> None:
    fragment = b"\x11\0" + struct.pack("!HI", 0 | 1, 77)
    hop_by_hop = b"\x2c\0\1\4\0\0\0\0"
    p = pk.decode(v6(hop_by_hop + fragment + nm.udp(5, 6, b"abc"), 0))
    assert p.ipv6 is not None and p.udp is not None
    assert (p.ipv6.next_header, p.ipv6.protocol, p.ipv6.ident) == (0, 17, 77)
    assert p.ipv6.flags_mf and p.udp.dport == 6 and p.payload == b"abc"


def test_dns_answer() -> None:
    m = dns.read(pk.decode(FRAMES["dns_answer"]))
    assert m is not None and m.problem == ""
    assert (m.id, m.qr, m.opcode, m.aa, m.tc, m.rd, m.ra, m.rcode_text) == (
        0x1234, True, 0, True, False, True, True, "NOERROR",
    )  # fmt: skip
    assert m.questions == (("www.itheima.com", "A"),)
    assert m.answers == (
        ("www.itheima.com", "CNAME", 300, "web.itheima.com"),
        ("web.itheima.com", "A", 60, "10.3.0.80"),
        ("web.itheima.com", "AAAA", 61, "fd00::50"),
    )
    assert m.authority == (("itheima.com", "NS", 3600, "ns.itheima.com"),)
    assert m.additional == (
        ("ns.itheima.com", "TXT", 9, '"hello" "a\\"b"'),
        (".", "OPT", 0, "udp 1232"),
    )


def test_dns_over_tcp_and_elsewhere() -> None:
    m = dns.read(pk.decode(FRAMES["dns_tcp"]))
    assert m is not None and not m.qr and m.questions == (("www.itheima.com", "A"),)
    assert dns.read(pk.decode(FRAMES["vlan"])) is None
    assert dns.read(pk.decode(FRAMES["syn"])) is None


def test_dns_soa_mx_srv_and_unknown() -> None:
    soa = b"\2ns\xc0\x0c\4root\xc0\x0c" + struct.pack("!5I", 2024, 1, 2, 3, 4)
    body = struct.pack("!6H", 1, 0x8183, 1, 4, 0, 0) + name("x.org") + b"\0\6\0\1"
    body += record(POINTER, 6, 5, soa) + record(POINTER, 15, 5, b"\0\x0a\2mx\xc0\x0c")
    body += record(POINTER, 33, 5, b"\0\1\0\2\0\x50" + name("w.x.org"))
    body += record(POINTER, 999, 5, b"\xab\xcd")
    m = dns.parse(body)
    assert m is not None and m.rcode_text == "NXDOMAIN" and m.problem == ""
    assert [a[1:] for a in m.answers] == [
        ("SOA", 5, "ns.x.org root.x.org 2024 1 2 3 4"),
        ("MX", 5, "10 mx.x.org"),
        ("SRV", 5, "1 2 80 w.x.org"),
        ("TYPE999", 5, "\\# 2 abcd"),
    ]


@pytest.mark.parametrize("bad", [b"\xc0\x0c", b"\1a\xc0\x0c", b"\xc0\x10\1a\xc0\x0c", b"\x3fa"])
def test_dns_name_that_never_ends(bad: bytes) -> None:
    m = dns.parse(struct.pack("!6H", 1, 0, 1, 0, 0, 0) + bad + b"\0\1\0\1")
    assert m is not None and m.questions == () and m.problem


def test_dns_keeps_what_stands_before_the_fault() -> None:
    m = dns.parse(ANSWER[:-20])
    assert m is not None and len(m.answers) == 3 and "cut" in m.problem


def test_http() -> None:
    get = http.read(pk.decode(FRAMES["get"]))
    ok = http.read(pk.decode(FRAMES["ok"]))
    assert get is not None and get.request and get.complete
    assert (get.method, get.target, get.version) == ("GET", "/a?b", "HTTP/1.1")
    assert get.host == "www.itheima.com"
    assert ok is not None and not ok.request
    assert (ok.status, ok.reason, ok.content_type, ok.content_length) == (200, "OK", "text/html", 5)
    assert http.read(pk.decode(FRAMES["syn"])) is None
    assert http.parse(b"hello there") is None
    assert http.parse(b"GET / FTP/1.1\r\n") is None
    cut = http.parse(HTTP_GET[:30])
    assert cut is not None and cut.host == "" and not cut.complete
    bare = http.parse(b"HTTP/1.0 404\r\nContent-Length: x\r\n\r\n")
    assert bare is not None and bare.status == 404 and bare.content_length is None


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    p = pk.decode(data)
    pk.quoted(p)
    dns.read(p)
    http.read(p)
    assert data.startswith(pk.strip_padding(data))
    dns.parse(data)
    http.parse(data)
    pk.decode_ip(data)


@given(st.sampled_from(sorted(FRAMES)), st.data())
def test_frames_with_faults(name: str, data: st.DataObject) -> None:
    frame = bytearray(FRAMES[name])
    for _ in range(data.draw(st.integers(1, 4))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(frame[: data.draw(st.integers(0, len(frame)))])
    p = pk.decode(cut)
    assert p.payload in cut
    for part in (p, pk.quoted(p)):
        if part is not None:
            dns.read(part)
            http.read(part)
            assert part.tcp is None or part.tcp.mss is None or part.tcp.mss >= 0


@given(st.binary(max_size=300))
def test_any_dns(data: bytes) -> None:
    m = dns.parse(QUERY[:12] + data)
    assert m is not None
    for counts in (b"\xff\xff" * 4,):
        assert dns.parse(QUERY[:4] + counts + data) is not None


FIELDS = [
    "eth.dst",
    "eth.src",
    "eth.type",
    "vlan.id",
    "arp.opcode",
    "arp.src.hw_mac",
    "arp.src.proto_ipv4",
    "arp.dst.proto_ipv4",
    "ip.src",
    "ip.dst",
    "ip.ttl",
    "ip.id",
    "ip.proto",
    "ip.flags.df",
    "ip.flags.mf",
    "ip.len",
    "ipv6.src",
    "ipv6.dst",
    "ipv6.hlim",
    "icmp.type",
    "icmp.code",
    "icmp.ident",
    "icmp.seq",
    "icmpv6.type",
    "icmpv6.nd.ns.target_address",
    "udp.srcport",
    "udp.dstport",
    "udp.length",
    "tcp.srcport",
    "tcp.dstport",
    "tcp.seq_raw",
    "tcp.ack_raw",
    "tcp.flags",
    "tcp.window_size_value",
    "tcp.len",
    "tcp.options.mss_val",
    "dns.id",
    "dns.qry.name",
    "dns.flags.rcode",
    "dns.a",
    "http.request.method",
    "http.request.uri",
    "http.host",
    "http.response.code",
    "http.content_type",
]


def ours(frame: bytes) -> dict[str, str]:
    """The fields as tshark prints them, from our records; what is absent is ""."""
    p = pk.decode(frame)
    row: dict[str, object] = {}
    if p.eth:
        row |= {"eth.dst": p.eth.dst, "eth.src": p.eth.src, "eth.type": f"0x{p.eth.type:04x}"}
        if p.eth.vlan is not None:
            row["vlan.id"] = p.eth.vlan
            row["eth.type"] = "0x8100"  # tshark shows the outer type here
    if p.arp:
        row |= {
            "arp.opcode": p.arp.op,
            "arp.src.hw_mac": p.arp.sender_mac,
            "arp.src.proto_ipv4": p.arp.sender_ip,
            "arp.dst.proto_ipv4": p.arp.target_ip,
        }
    if p.ipv4:
        row |= {
            "ip.src": p.ipv4.src,
            "ip.dst": p.ipv4.dst,
            "ip.ttl": p.ipv4.ttl,
            "ip.id": f"0x{p.ipv4.ident:04x}",
            "ip.proto": p.ipv4.protocol,
            "ip.flags.df": int(p.ipv4.flags_df),
            "ip.flags.mf": int(p.ipv4.flags_mf),
            "ip.len": p.ipv4.total_length,
        }
    if p.ipv6:
        row |= {"ipv6.src": p.ipv6.src, "ipv6.dst": p.ipv6.dst, "ipv6.hlim": p.ipv6.hop_limit}
    if p.icmp and p.icmp.version == 4:
        row |= {"icmp.type": p.icmp.type, "icmp.code": p.icmp.code}
        if not p.icmp.error:
            row |= {"icmp.ident": p.icmp.ident, "icmp.seq": p.icmp.seq}
    if p.icmp and p.icmp.version == 6:
        row["icmpv6.type"] = p.icmp.type
        if p.icmp.target:
            row["icmpv6.nd.ns.target_address"] = p.icmp.target
    if p.udp:
        row |= {"udp.srcport": p.udp.sport, "udp.dstport": p.udp.dport, "udp.length": p.udp.length}
    if p.tcp:
        row |= {
            "tcp.srcport": p.tcp.sport,
            "tcp.dstport": p.tcp.dport,
            "tcp.seq_raw": p.tcp.seq,
            "tcp.ack_raw": p.tcp.ack,
            "tcp.flags": f"0x{p.tcp.flags:04x}",
            "tcp.window_size_value": p.tcp.window,
            "tcp.len": p.tcp.payload_length,
        }
        if p.tcp.mss is not None:
            row["tcp.options.mss_val"] = p.tcp.mss
    m = dns.read(p)
    if m:
        row |= {"dns.id": f"0x{m.id:04x}", "dns.qry.name": m.questions[0][0]}
        if m.qr:
            row["dns.flags.rcode"] = m.rcode
            row["dns.a"] = ",".join(a[3] for a in m.answers if a[1] == "A")
    h = http.read(p)
    if h and h.request:
        row |= {"http.request.method": h.method, "http.request.uri": h.target, "http.host": h.host}
    elif h:
        row |= {"http.response.code": h.status, "http.content_type": h.content_type}
    return {key: str(row.get(key, "")) for key in FIELDS}


def test_tshark_agrees(tmp_path: Path) -> None:
    tshark = shutil.which("tshark")
    if tshark is None:
        pytest.skip("tshark is not installed")
    path = tmp_path / "frames.pcapng"
    with path.open("wb") as file:
        writer = Writer(file, [InterfaceInfo("a")])
        for n, frame in enumerate(FRAMES.values(), 1):
            writer.write(Observation(n, n * 1000, 0, Reception.HOST, frame, len(frame)))
    command = [
        tshark,
        "-n",
        "-r",
        str(path),
        "-T",
        "fields",
        "-E",
        "separator=|",
        "-E",
        "occurrence=a",
    ]
    for option in ("tcp.desegment_tcp_streams", "tcp.analyze_sequence_numbers", "ip.defragment"):
        command += ["-o", f"{option}:FALSE"]
    for field in FIELDS:
        command += ["-e", field]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [dict(zip(FIELDS, line.split("|"), strict=True)) for line in result.stdout.splitlines()]
    assert len(rows) == len(FRAMES)
    for (name, frame), row in zip(FRAMES.items(), rows, strict=True):
        mine = ours(frame)
        quotes = name in ("unreachable", "exceeded", "too_big")
        for field, value in row.items():
            # In an ICMP error tshark lists the quoted packet's fields behind the outer ones.
            outer = value.split(",")[0] if quotes and field.startswith("ip.") else value
            if quotes and field.startswith(("udp.", "tcp.")):
                continue
            assert mine[field] == outer, (name, field)
