# SPDX-License-Identifier: Apache-2.0
"""Bytes to records: Ethernet to TCP, tunnels, DNS, DHCP, HTTP, TLS, QUIC, OpenFlow.

Lives here: readers that never raise on bytes from a network, each with the standards it reads.
Must not: anything else of hoplab; a decoder knows neither labs nor captures.
Begin with `packet.py`.
"""
