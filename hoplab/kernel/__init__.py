# SPDX-License-Identifier: Apache-2.0
"""What is asked of Linux: namespaces, links, addresses, many at a time.

Lives here: the lab's sandbox, hosts' namespaces, netlink messages, batches of changes.
Must not: Mininet, Open vSwitch, topologies; whoever stands above decides what is built.
Begin with `sandbox.py`, then `batch.py`.
"""
