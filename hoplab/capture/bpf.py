# SPDX-License-Identifier: Apache-2.0
"""Filters: which frames the kernel hands to a packet socket at all (classic BPF, socket(7)).

A program is a list of instructions (code, jump if true, jump if false, number) as linux/filter.h
has them. `compile` makes one from tcpdump's language with libpcap, where that is installed; a
program can travel as text (`to_text`), so that who compiles need not be who listens.
"""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import re
import socket
import struct
from collections.abc import Sequence
from typing import Any

from hoplab.errors import Exit, LabError
from hoplab.sentences import say, term

Program = Sequence[tuple[int, int, int, int]]

SO_ATTACH_FILTER = 26
WHOLE = 1 << 18  # what a program answers to say "all of the frame"
LONGEST = 4096  # instructions, BPF_MAXINSNS
_instruction = struct.Struct("=HBBI")
_DLT_EN10MB = 1
_NETMASK_UNKNOWN = 0xFFFFFFFF


class _Program(ctypes.Structure):
    """struct bpf_program of libpcap, and struct sock_fprog of the kernel: a count, a pointer."""

    _fields_ = [("length", ctypes.c_uint), ("instructions", ctypes.c_void_p)]


class _SocketProgram(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p)]


def _libpcap() -> Any:
    names = ("libpcap.so.0.8", "libpcap.so.1", "libpcap.so")
    installed = ctypes.util.find_library("pcap")
    for name in (*((installed,) if installed else ()), *names):
        with contextlib.suppress(OSError):
            return ctypes.CDLL(name)
    raise LabError(
        term("a filter needs libpcap, which is not installed"),
        term(
            "install it (Debian, Ubuntu: sudo apt-get install libpcap0.8), or capture without "
            "--filter and filter in Wireshark"
        ),
        Exit.REFUSED,
    )


def compile(expression: str) -> list[tuple[int, int, int, int]]:
    """A filter in tcpdump's language (pcap-filter(7)) as a program. Raises LabError."""
    if "\0" in expression:
        raise LabError(term("a filter has no zero bytes"), term("see man pcap-filter"), Exit.USAGE)
    if re.search(r"\bvlan\b", expression):
        # pcap-filter(7) knows that of live captures, and this is compiled for none.
        raise LabError(
            term("a filter cannot ask for VLANs: the kernel takes the tags out before it asks one"),
            term("capture without --filter, and filter in Wireshark"),
            Exit.USAGE,
        )
    pcap = _libpcap()
    pcap.pcap_open_dead.restype = ctypes.c_void_p
    pcap.pcap_geterr.restype = ctypes.c_char_p
    pcap.pcap_geterr.argtypes = [ctypes.c_void_p]
    pcap.pcap_close.argtypes = [ctypes.c_void_p]
    pcap.pcap_compile.argtypes = [
        ctypes.c_void_p, ctypes.POINTER(_Program), ctypes.c_char_p, ctypes.c_int, ctypes.c_uint32,
    ]  # fmt: skip
    pcap.pcap_freecode.argtypes = [ctypes.POINTER(_Program)]
    handle = pcap.pcap_open_dead(_DLT_EN10MB, WHOLE)
    if not handle:
        raise LabError(
            term("libpcap does not start"), term("capture without --filter"), Exit.REFUSED
        )
    made = _Program()
    try:
        text = expression.encode("utf-8", "surrogateescape")
        if pcap.pcap_compile(handle, ctypes.byref(made), text, 1, _NETMASK_UNKNOWN):
            reason = (pcap.pcap_geterr(handle) or b"").decode(errors="replace")
            raise LabError(
                say(
                    "the filter {filter!r} cannot be understood: {reason}",
                    filter=expression,
                    reason=reason,
                ),
                term("see man pcap-filter; for example --filter 'arp or icmp', 'tcp port 80'"),
                Exit.USAGE,
            )
        size = made.length * _instruction.size
        raw = ctypes.string_at(made.instructions, size) if size else b""
        pcap.pcap_freecode(ctypes.byref(made))
    finally:
        pcap.pcap_close(handle)
    return [(code, yes, no, k) for code, yes, no, k in _instruction.iter_unpack(raw)]


def attach(sock: socket.socket, program: Program) -> None:
    """From now on only frames that the program takes reach the socket. Raises OSError if the
    kernel finds it wrong."""
    raw = b"".join(_instruction.pack(*line) for line in program)
    memory = ctypes.create_string_buffer(raw, len(raw))
    header = _SocketProgram(len(program), ctypes.addressof(memory))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, bytes(header))


def checked(data: object) -> list[tuple[int, int, int, int]] | None:
    """A program out of JSON; None for none. Raises LabError for anything else."""
    if data is None:
        return None
    try:
        program = [(int(a), int(b), int(c), int(k)) for a, b, c, k in data]  # type: ignore[attr-defined]
        for line in program:
            _instruction.pack(*line)
    except (TypeError, ValueError, struct.error):
        program = []
    if not 0 < len(program) <= LONGEST:
        raise LabError(
            term("the filter is no BPF program"), term("see man pcap-filter"), Exit.USAGE
        )
    return program


def tcp_ports_received(ports: Sequence[int]) -> list[tuple[int, int, int, int]]:
    """A program that takes TCP over IPv4 from or to one of the ports, as it is received: on a
    loopback interface every frame passes twice, once going out and once coming in."""
    # linux/filter.h: ancillary data begin at SKF_AD_OFF (-0x1000); 4 there is the packet type.
    load_half, load_byte = 0x28, 0x30  # BPF_LD | BPF_H or BPF_B | BPF_ABS
    equal, bits, index, half_at_index, answer = 0x15, 0x45, 0xB1, 0x48, 0x06
    either = [(equal, port, "take", "next") for port in ports]
    lines: list[tuple[int, int, str, str]] = [
        (load_half, 0xFFFFF004, "", ""),
        (equal, 4, "drop", "next"),  # PACKET_OUTGOING
        (load_half, 12, "", ""),
        (equal, 0x0800, "next", "drop"),
        (load_byte, 23, "", ""),
        (equal, 6, "next", "drop"),
        (load_half, 20, "", ""),
        (bits, 0x1FFF, "drop", "next"),  # a fragment that is not the first has no ports
        (index, 14, "", ""),  # x = length of the IP header
        (half_at_index, 14, "", ""),  # source port
        *either,
        (half_at_index, 16, "", ""),
        *either,
        (answer, 0, "", ""),
        (answer, WHOLE, "", ""),
    ]
    places = {"drop": len(lines) - 2, "take": len(lines) - 1}

    def jump(here: int, to: str) -> int:
        return places[to] - here - 1 if to in places else 0

    return [(code, jump(i, yes), jump(i, no), k) for i, (code, k, yes, no) in enumerate(lines)]
