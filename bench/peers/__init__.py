# SPDX-License-Identifier: Apache-2.0
"""The programs and packages that benches compare with: what each is called where it is installed
from. A bench names a peer that is not there, leaves that comparison out, and goes on."""

from __future__ import annotations

import sys

_APT = "sudo apt-get install"
HOW = {
    "dnsmasq": f"{_APT} dnsmasq-base",
    "dnsperf": f"{_APT} dnsperf",
    "dpkt": "pip install dpkt",
    "dnslib": "pip install dnslib, or --python PYTHON_THAT_HAS_IT",
    "dumpcap": f"{_APT} wireshark-common",
    "iperf3": f"{_APT} iperf3",
    "named": f"{_APT} bind9",
    "nginx": f"{_APT} nginx-light, or HOPLAB_NGINX=FILE",
    "nsd": f"{_APT} nsd",
    "os-ken": "pip install os-ken",
    "ovs-testcontroller": f"{_APT} openvswitch-testcontroller",
    "scapy": "pip install scapy",
    "tcpdump": f"{_APT} tcpdump",
    "tshark": f"{_APT} tshark",
    "uvicorn": "pip install uvicorn httptools, or HOPLAB_BENCH_PYTHON=PYTHON_THAT_HAS_THEM",
    "wrk": f"{_APT} wrk",
}


def left_out(peer: str, part: str = "") -> None:
    """Say that a peer is missing, and how to have it. part: what is left out, if not the peer."""
    print(f"{peer} is not installed; left out: {part or peer}", file=sys.stderr)
    print(f"  Next: {HOW[peer]}", file=sys.stderr)
