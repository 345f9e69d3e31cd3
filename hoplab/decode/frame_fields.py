# SPDX-License-Identifier: Apache-2.0
"""The fields of a frame that flows are about, as a switch reads them (OpenFlow 1.3.5, 7.2.3.7).

What lives here: bytes to fields, by the names that OpenFlow gives them. What must not: records for
people (`packet.py`).
"""

from __future__ import annotations

from functools import lru_cache

_SERVICE = b"\x88\xa8"
_TAGS = (b"\x81\x00", _SERVICE)
_PRESENT = 0x1000  # OFPVID_PRESENT: there is a tag


@lru_cache(maxsize=64)  # one frame is compared with many flows
def frame_fields(in_port: int | None, frame: bytes) -> dict[str, bytes]:
    """Field name -> value, not to be changed. A field that the frame has not is missing."""
    fields = {"eth_dst": frame[:6], "eth_src": frame[6:12]}
    if in_port is not None:
        fields["in_port"] = in_port.to_bytes(4, "big")
    at, vlan = 12, 0
    if frame[at : at + 2] in _TAGS:
        tag = int.from_bytes(frame[at + 2 : at + 4], "big")
        vlan = _PRESENT | tag & 0xFFF
        fields["vlan_pcp"] = bytes((tag >> 13,))
        at += 4
        while frame[at : at + 2] in _TAGS:
            at += 4
    fields["vlan_vid"] = vlan.to_bytes(2, "big")
    kind = fields["eth_type"] = frame[at : at + 2]
    at += 2
    if kind == b"\x08\x00" and len(frame) >= at + 20:
        _ipv4(fields, frame, at)
    elif kind == b"\x86\xdd" and len(frame) >= at + 40:
        fields["ipv6_src"], fields["ipv6_dst"] = frame[at + 8 : at + 24], frame[at + 24 : at + 40]
        fields["ip_proto"] = frame[at + 6 : at + 7]
        traffic = int.from_bytes(frame[at : at + 2], "big") >> 4 & 0xFF
        fields["ip_dscp"], fields["ip_ecn"] = bytes((traffic >> 2,)), bytes((traffic & 3,))
        fields["ipv6_flabel"] = (int.from_bytes(frame[at : at + 4], "big") & 0xFFFFF).to_bytes(
            4, "big"
        )
        _transport(fields, frame, at + 40, frame[at + 6], "icmpv6")
    elif kind == b"\x08\x06" and len(frame) >= at + 28:
        fields["arp_op"] = frame[at + 6 : at + 8]
        fields["arp_sha"], fields["arp_spa"] = frame[at + 8 : at + 14], frame[at + 14 : at + 18]
        fields["arp_tha"], fields["arp_tpa"] = frame[at + 18 : at + 24], frame[at + 24 : at + 28]
    elif kind in (b"\x88\x47", b"\x88\x48") and len(frame) >= at + 4:
        word = int.from_bytes(frame[at : at + 4], "big")
        fields["mpls_label"] = (word >> 12).to_bytes(4, "big")
        fields["mpls_tc"], fields["mpls_bos"] = bytes((word >> 9 & 7,)), bytes((word >> 8 & 1,))
    return fields


def vlan_tags(frame: bytes) -> list[int]:
    """The VLAN numbers of a frame's tags (IEEE 802.1Q 9.6), the outermost first."""
    tags, at = [], 12
    while frame[at : at + 2] in _TAGS and len(frame) >= at + 4:
        tags.append(int.from_bytes(frame[at + 2 : at + 4], "big") & 0xFFF)
        at += 4
    return tags


def service_tags(frame: bytes) -> list[bool]:
    """Of each tag whether it is a provider's (IEEE 802.1ad), the outermost first."""
    return [
        frame[at : at + 2] == _SERVICE for at in range(12, 12 + 4 * len(vlan_tags(frame)), 4)
    ]


def _ipv4(fields: dict[str, bytes], frame: bytes, at: int) -> None:
    fields["ipv4_src"], fields["ipv4_dst"] = frame[at + 12 : at + 16], frame[at + 16 : at + 20]
    fields["ip_proto"] = frame[at + 9 : at + 10]
    fields["ip_dscp"] = bytes((frame[at + 1] >> 2,))
    fields["ip_ecn"] = bytes((frame[at + 1] & 3,))
    if not int.from_bytes(frame[at + 6 : at + 8], "big") & 0x1FFF:
        _transport(fields, frame, at + (frame[at] & 15) * 4, frame[at + 9], "icmpv4")


def _transport(fields: dict[str, bytes], frame: bytes, at: int, protocol: int, icmp: str) -> None:
    name = {6: "tcp", 17: "udp", 132: "sctp"}.get(protocol, "")
    if name and len(frame) >= at + 4:
        fields[f"{name}_src"], fields[f"{name}_dst"] = frame[at : at + 2], frame[at + 2 : at + 4]
        if name == "tcp" and len(frame) >= at + 14:
            flags = int.from_bytes(frame[at + 12 : at + 14], "big") & 0xFFF
            fields["tcp_flags"] = flags.to_bytes(2, "big")
    elif protocol in (1, 58) and len(frame) >= at + 2:
        fields[f"{icmp}_type"] = frame[at : at + 1]
        fields[f"{icmp}_code"] = frame[at + 1 : at + 2]
