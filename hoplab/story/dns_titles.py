# SPDX-License-Identifier: Apache-2.0
"""Titles of DNS messages, and what an answer says, in a few words.

What lives here: what one message alone can tell. What must not: which answer belongs to which
question (`causes.py`), any other protocol (`titles.py`).
"""

from __future__ import annotations

from functools import lru_cache

from hoplab.decode.dns import Dns
from hoplab.sentences import listed, say, term
from hoplab.story.wire_text import clean


def dns_title(dns: Dns) -> tuple[str, str]:
    """Kind and title of a DNS message."""
    return _title(Dns(0, *dns[1:]))


@lru_cache(maxsize=1024)  # the same is asked and answered again, with another number
def _title(dns: Dns) -> tuple[str, str]:
    name, record = dns.questions[0] if dns.questions else ("?", "?")
    name = clean(name, 60)
    if not dns.qr:
        return "dns-question", say("DNS question {record} {name}", record=record, name=name)
    title = say(
        "DNS answer {record} {name}: {result}", record=record, name=name, result=dns_result(dns)
    )
    return "dns-answer", title


def dns_result(dns: Dns) -> str:
    """What an answer says, in a few words."""
    if dns.rcode == 3:
        return term("NXDOMAIN, no such name")
    if dns.rcode:
        return dns.rcode_text
    if dns.tc:
        return term("too long for UDP, ask again over TCP")
    record = dns.questions[0][1] if dns.questions else ""
    values: list[str] = [clean(value, 60) for _, of, _, value in dns.answers if of == record]
    aliases = [clean(value, 60) for _, of, _, value in dns.answers if of == "CNAME"]
    if record != "CNAME" and aliases:
        values.insert(0, say("alias of {name}", name=aliases[-1]))
    if len(values) > 3:
        return say("{values} and {n} more", values=listed(values[:3]), n=len(values) - 3)
    if values:
        return listed(values)
    if dns_refers(dns):
        return _referral(dns)
    return say("no {record} record for this name", record=record)


def dns_refers(dns: Dns) -> bool:
    """Whether an answer sends the asker on to other servers (RFC 1034 section 4.3.1)."""
    delegates = any(kind == "NS" for _, kind, _, _ in dns.authority)
    return delegates and not (dns.aa or dns.answers or dns.rcode)


def _referral(dns: Dns) -> str:
    """Which servers are to be asked about which zone."""
    delegation = [(name, value) for name, kind, _, value in dns.authority if kind == "NS"]
    glue = {name.lower(): value for name, kind, _, value in dns.additional if kind in ("A", "AAAA")}
    zone = clean(delegation[0][0], 60)
    servers: list[str] = []
    for _, name in delegation[:2]:
        server, ip = clean(name, 60), glue.get(name.lower())
        servers.append(say("{server} ({ip})", server=server, ip=ip) if ip else server)
    if len(servers) == 1:
        return say("ask {server} about {zone}", server=servers[0], zone=zone)
    first, second = servers
    if len(delegation) == 2:
        return say("ask {server} or {second} about {zone}", server=first, second=second, zone=zone)
    return say(
        "ask {server} or {second} and {n} more about {zone}",
        server=first, second=second, n=len(delegation) - 2, zone=zone,
    )  # fmt: skip
