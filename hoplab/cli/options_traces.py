# SPDX-License-Identifier: Apache-2.0
"""The options of the verbs that follow packets, capture, and show what was captured."""

from __future__ import annotations

import argparse
from typing import Any

from hoplab.cli.options import (
    add_json,
    add_name,
    add_recording,
    add_schedule,
    add_site,
    add_topology,
    add_verb,
    port,
    seconds,
)
from hoplab.sentences import term


def add_visit(verbs: Any) -> None:
    p = add_verb(
        verbs,
        "visit",
        term("fetch a URL and tell what happened on every wire"),
        "hoplab visit\nhoplab visit http://www.itheima.com/courses.html --from pc\n"
        "hoplab visit --controller hub --detail brief\n"
        "hoplab visit --play\nhoplab visit --all\nhoplab visit --live\n"
        "hoplab visit --save my-run && wireshark my-run/capture.pcapng\n"
        "hoplab visit http://no.such.itheima.com/",
        "verbs_trace",
    )
    add_site(p, term("who fetches (default: client)"))
    p.add_argument(
        "--all",
        action="store_true",
        help=term("fetch what the page shows too, as a browser does, and draw who waited for what"),
    )
    p.add_argument(
        "--live",
        action="store_true",
        help=term("tell each packet soon after it has come to rest"),
    )
    add_recording(p)
    add_schedule(p)


def add_trace(verbs: Any) -> None:
    p = add_verb(
        verbs,
        "trace",
        term("run a command on a host and tell what happened on every wire"),
        [
            ("hoplab trace h1 -- ping -c 1 10.0.0.2", ""),
            ("hoplab trace --topology routed h1 -- traceroute -n 10.0.2.11", ""),
            ("hoplab trace --at 2s 'link h1 s1 down' h1 -- ping -c 4 10.0.0.2", ""),
            (
                "hoplab trace --live h1 -- ping -c 5 10.0.0.2    ",
                term("a line a packet, while it runs"),
            ),
            (
                "hoplab trace --live                             ",
                term("all that happens, until Ctrl-C"),
            ),
            (
                "hoplab trace --live --json                      ",
                term("the same, a JSON object a line"),
            ),
            (
                "hoplab trace --compare hub,learning_switch      ",
                term("what each costs, side by side"),
            ),
            (
                "hoplab trace --compare hub,a.py -- h1: ping -c3 10.0.0.2 + h3: curl 10.0.0.4",
                "",
            ),
            (
                "hoplab trace --compare hub,a.py --serve 'h2: nc -l 9' -- h1: nc -N 10.0.0.2 9",
                "",
            ),
        ],
        "verbs_trace",
    )
    p.add_argument(
        "--live",
        action="store_true",
        help=term("tell each packet soon after it has come to rest; without HOST: until Ctrl-C"),
    )
    p.add_argument(
        "--quiet",
        action="store_true",
        help=term("keep what the command prints back; without it that is shown above the story"),
    )
    p.add_argument(
        "--compare",
        metavar="CONTROLLER,CONTROLLER",
        help=term(
            "run the same under each, on fresh labs of their own (default: switch,rate=10M), and "
            "print throughput, retransmissions and bytes side by side. After --: HOST: COMMAND "
            "[+ HOST: COMMAND …], which begin at once; without, two pairs of hosts send at once. "
            "Controllers that run together are joined by +"
        ),
    )
    p.add_argument(
        "--serve",
        metavar="'HOST: COMMAND'",
        action="append",
        default=[],
        help=term("with --compare: begun before the others, ended after them; may be given again"),
    )
    add_topology(p, "switch")
    p.add_argument("host", metavar="HOST", nargs="?")
    add_recording(p)
    add_schedule(p)
    p.add_argument("command", metavar="COMMAND", nargs=argparse.REMAINDER)


def add_open(verbs: Any) -> None:
    p = add_verb(
        verbs,
        "open",
        term("open a site of the lab in your own browser; each click is captured"),
        [
            ("hoplab open", ""),
            ("hoplab open http://www.itheima.com/courses.html --from pc", ""),
            ("hoplab open https://www.itheima.com/ --topology web,tls=1", ""),
            (
                "hoplab open --save my-clicks      ",
                term("Ctrl-C ends it; hoplab report my-clicks"),
            ),
            (
                "hoplab trace --live               ",
                term("beside it: a line a packet, while you click"),
            ),
            (
                "hoplab open --controller          ",
                term("the page of the controller that is in charge"),
            ),
            ("curl $(hoplab open --controller --print-url)/stats/switches", ""),
        ],
        "verbs_open",
    )
    add_site(p, term("whose browser (default: client)"))
    p.add_argument("--no-browser", action="store_true", help=term("only print the address"))
    p.add_argument(
        "--port",
        type=port,
        metavar="N",
        help=term("of 127.0.0.1, to listen to (default: 8642, or a free one if that is taken)"),
    )
    p.add_argument(
        "--print-url",
        action="store_true",
        help=term(
            "with --controller: print a URL for curl and other programs, which holds until the lab "
            "ends"
        ),
    )
    add_recording(p, has_page=True)


def add_report(verbs: Any) -> None:
    p = add_verb(
        verbs,
        "report",
        term("make a page that plays a kept run, or a picture or Markdown; no lab is needed"),
        "hoplab visit --save my-run && hoplab report my-run --open\n"
        "hoplab report hub-run switch-run -o compare.html\n"
        "hoplab report my-run --svg -o my-run.svg\nhoplab report my-run --md --lang zh",
        "verbs_report",
    )
    p.add_argument("run", metavar="RUN", help=term("a folder that --save kept"))
    p.add_argument(
        "second", metavar="RUN2", nargs="?", help=term("a second one, to stand beside it")
    )
    p.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help=term("where to (default: RUN/report.html; - is stdout)"),
    )
    p.add_argument("--open", action="store_true", help=term("and open it in your browser"))
    form = p.add_mutually_exclusive_group()
    form.add_argument(
        "--print", action="store_true", help=term("only the page for print, without the player")
    )
    form.add_argument("--svg", action="store_true", help=term("only the pictures, in one SVG file"))
    form.add_argument("--md", action="store_true", help=term("Markdown with Mermaid diagrams"))
    add_json(p)


def add_tell(verbs: Any) -> None:
    p = add_verb(
        verbs,
        "tell",
        term("tell a capture from anywhere: tcpdump's, Wireshark's; no lab is needed"),
        [
            ("hoplab tell dump.pcap", ""),
            ("hoplab tell dump.pcapng --interface eth0 --detail full", ""),
            ("hoplab tell dump.pcap --save my-run && hoplab report my-run", ""),
            ("hoplab tell dump.pcap --play", ""),
            (
                "hoplab tell part.pcapng --wiring my-run  ",
                term("by the lab.json of its lab"),
            ),
        ],
        "verbs_tell",
    )
    p.add_argument(
        "file", metavar="FILE", help=term("a pcap or pcapng file, compressed by gzip or not")
    )
    p.add_argument(
        "--interface", metavar="NAME",
        help=term("of a file of several interfaces the one to tell"),
    )  # fmt: skip
    p.add_argument(
        "--wiring", metavar="LAB",
        help=term("a lab.json, or a kept run's folder: how the file's interfaces are wired"),
    )  # fmt: skip
    p.add_argument(
        "--detail", choices=("brief", "normal", "full"), default="normal",
        help=term("how much to print (default: normal)"),
    )  # fmt: skip
    p.add_argument(
        "--save", metavar="DIR", nargs="?", const="",
        help=term("keep capture.pcapng, trace.json and lab.json (default: ./hoplab-DATE-TIME)"),
    )  # fmt: skip
    p.add_argument(
        "--play", action="store_true",
        help=term("keep the run as --save does, and play it in your browser, moment by moment"),
    )  # fmt: skip
    add_json(p)


def add_find(verbs: Any) -> None:
    p = add_verb(
        verbs,
        "find",
        term("the packets of a kept run that a filter means; no lab is needed"),
        "hoplab find 'tcp.syn from client' my-run\n"
        "hoplab find 'from h1 via s2 not r1 and lost' my-run --json\n"
        "hoplab find 'tcp.syn or dns' dump.pcap",
        "verbs_find",
    )
    p.add_argument(
        "filter", metavar="FILTER",
        help=term("the player's filter language (docs/filter.md): dns from h1, ttl == 62, …"),
    )  # fmt: skip
    p.add_argument("run", metavar="RUN", help=term("a folder that --save kept, or a capture file"))
    p.add_argument(
        "--detail", choices=("brief", "normal", "full"), default="brief",
        help=term("how much of each packet (default: brief, a line)"),
    )  # fmt: skip
    p.add_argument("--count", action="store_true", help=term("only say how many there are"))
    add_json(p)


def add_capture(verbs: Any) -> None:
    p = add_verb(
        verbs,
        "capture",
        term("write what the interfaces of a lab hear, live, to a file or a pipe"),
        [
            (
                "hoplab capture                            ",
                term("every interface, until Ctrl-C"),
            ),
            (
                "hoplab capture h1 r1:r1-eth0 -w a.pcapng  ",
                term("a host and one interface of a router"),
            ),
            ("hoplab capture --filter 'arp or icmp' --count 10", ""),
            (
                "hoplab capture -w - | tshark -r -         ",
                term("live into another program"),
            ),
            (
                "hoplab capture openflow --duration 5             ",
                term("switches and controller"),
            ),
        ],
        "verbs_capture",
    )
    add_name(p)
    p.add_argument(
        "what",
        metavar="HOST[:INTERFACE]",
        nargs="*",
        help=term("only these hosts or interfaces (default: all, the OpenFlow channel included)"),
    )
    p.add_argument(
        "-w",
        dest="file",
        metavar="FILE|-",
        help=term("pcapng file, or - for stdout (default: hoplab-DATE-TIME.pcapng)"),
    )
    p.add_argument(
        "--filter", metavar="EXPR", help=term("only frames that this takes, in tcpdump's language")
    )
    p.add_argument("--duration", metavar="S", type=seconds, help=term("end after so many seconds"))
    p.add_argument("--count", metavar="N", type=int, help=term("end after so many frames"))
    add_json(p)


def add_wireshark(verbs: Any) -> None:
    p = add_verb(
        verbs,
        "wireshark",
        term("open Wireshark on a run, or live on a lab; or put our part into it"),
        [
            ("hoplab wireshark             ", term("live on the lab")),
            (
                "hoplab wireshark my-run      ",
                term("what `hoplab visit --save my-run` kept"),
            ),
            (
                "hoplab wireshark install     ",
                term("labs in Wireshark's own list, and a profile"),
            ),
            ("hoplab wireshark uninstall   ", term("takes exactly that away")),
        ],
        "verbs_shark",
    )
    p.add_argument(
        "what",
        metavar="RUN|LAB|install|uninstall",
        nargs="?",
        help=term("a run folder, a pcapng file or a lab (default: the lab)"),
    )
