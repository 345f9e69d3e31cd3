# SPDX-License-Identifier: Apache-2.0
"""The words of the command line: verbs in the order of a user's day, and their options.

Each verb names the module `verbs_*` that has its function, as `module:verb`. Texts are templates,
translated when a parser is built or its help is shown; argparse's own words are in the catalogue
too (`cli/argparse_words.py`).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from hoplab import __version__
from hoplab.cli import argparse_words
from hoplab.cli.output import is_english, tr
from hoplab.report.language import languages
from hoplab.sentences import say, term

EXIT_CODES = term("""exit codes:
  0 done   1 it did not succeed   2 wrong usage   3 a file of yours is wrong
  4 no such lab, host or file   5 the name is taken   6 this machine refuses (see hoplab doctor)
  7 the lab died   8 disk full   130 interrupted
  visit: as 0 and 1.   exec, shell, run, mn: the command's own code.""")

LONGEST_S = 31 * 24 * 3600


def build_parser() -> argparse.ArgumentParser:
    """The whole command line, with its help in the language that is spoken now."""
    argparse_words.translate()
    start = [
        ("hoplab visit            ", term("fetch a page and see every frame of it")),
        ("hoplab up switch && hoplab trace h1 -- ping -c 1 10.0.0.2", ""),
    ]
    parser = argparse.ArgumentParser(
        prog="hoplab",
        description=tr(term("A network lab that follows one real packet across every hop.")),
        epilog="\n".join([_examples(term("start here:"), start), tr(EXIT_CODES)]),
        formatter_class=_Formatter,
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"hoplab {__version__}",
        help=term("show program's version number and exit"),
    )
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for add in _VERBS:
        add(verbs)
    return parser


def language_asked_for(argv: Sequence[str]) -> str | None:
    """The value of --lang among words that are not parsed yet: --help and what is said of wrong
    words come before the end of parsing. A value that is none is left for the parser to tell."""
    for place, word in enumerate(argv):
        option, equals, value = word.partition("=")
        if word == "--":
            break
        if option == "--lang":
            chosen = value if equals else "".join(argv[place + 1 : place + 2])
            return chosen if chosen in languages() else None
    return None


# --------------------------------------------------------------- what several verbs have

# A command line and what is to be said of it, "" for nothing.
Example = tuple[str, str]


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Help in the language that is spoken; Chinese has no spaces to break lines at."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return tr(action.help) if action.help else action.help

    def start_section(self, heading: str | None) -> None:
        super().start_section(heading)
        self._headings = [*getattr(self, "_headings", []), heading or ""]

    def format_help(self) -> str:
        """Before Python 3.13 argparse writes the colon behind a heading itself."""
        text = super().format_help()
        for heading in () if is_english() else getattr(self, "_headings", ()):
            text = text.replace(f"{heading}:\n", argparse_words.heading(heading) + "\n", 1)
        return text

    def _split_lines(self, text: str, width: int) -> list[str]:
        if is_english():
            return super()._split_lines(text, width)
        from hoplab.report.cells import wrap

        return wrap(text, width)


def _examples(heading: str, examples: Sequence[Example]) -> str:
    lines = [f"  {command}{tr(comment)}\n" for command, comment in examples]
    return "".join([f"{tr(heading)}\n", *lines])


def _add(
    verbs: Any, name: str, help: str, examples: str | Sequence[Example], where: str
) -> argparse.ArgumentParser:
    """A verb. examples: command lines, with comments if they need some."""
    if isinstance(examples, str):
        examples = [(line, "") for line in examples.splitlines()]
    summary = tr(help)
    parser: argparse.ArgumentParser = verbs.add_parser(
        name,
        help=help,
        # The line that lists the verb is the sentence that its own help begins with.
        description=summary[:1].upper() + summary[1:] + tr(term(".")),
        epilog=_examples(term("examples:"), examples),
        formatter_class=_Formatter,
    )
    parser.set_defaults(verb=f"{where}:{name}")
    parser.add_argument(
        "--debug", action="store_true", help=term("show the traceback when something goes wrong")
    )
    return parser


def _name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--name",
        metavar="LAB",
        help=term("which lab (default: the one called lab, or the only one)"),
    )


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help=term("print data instead of text"))


def _lang(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--lang",
        choices=languages(),
        help=term("language of the story (default: from your locale)"),
    )


def _building(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--controller",
        metavar="NAME|FILE[,…]",
        help=term(
            "hub, learning_switch … or a Ryu app of yours; several run together, as in "
            "two_table_switch,monitor"
        ),
    )
    parser.add_argument(
        "--datapath",
        choices=("auto", "kernel", "user", "afxdp", "fast"),
        default="auto",
        help=term(
            "Open vSwitch's forwarding: the kernel's module or its own (default: auto, the "
            "kernel's where it is loaded). afxdp: its own over AF_XDP, faster, as root alone, and "
            "switches cannot be captured; fast: the kernel's, else afxdp where it works"
        ),
    )
    parser.add_argument(
        "--platform",
        choices=("ryu", "os-ken"),
        default="ryu",
        help=term(
            "what runs the controller: Ryu, or os-ken, its maintained fork, if it is installed"
        ),
    )
    parser.add_argument("--ipv6", action="store_true", help=term("leave IPv6 on (it is chatty)"))
    parser.add_argument(
        "--static-arp",
        action="store_true",
        help=term("every host knows all MAC addresses on its link: no ARP, for large labs"),
    )


def _topology(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument(
        "--topology",
        metavar="TOPOLOGY",
        help=say("if no lab is up: what to bring up (default: {topology})", topology=default),
    )


def _site(parser: argparse.ArgumentParser, host_help: str) -> None:
    parser.add_argument(
        "url", metavar="URL", nargs="?", help=term("default: http://www.itheima.com/ in web")
    )
    _topology(parser, "web")
    parser.add_argument("--from", dest="host", metavar="HOST", help=host_help)


def _recording(parser: argparse.ArgumentParser) -> None:
    _name(parser)
    _building(parser)
    parser.add_argument(
        "--detail",
        choices=("brief", "normal", "full"),
        default="normal",
        help=term("how much to print (default: normal)"),
    )
    parser.add_argument(
        "--save",
        metavar="DIR",
        nargs="?",
        const="",
        help=term("keep capture.pcapng, trace.json and lab.json (default: ./hoplab-DATE-TIME)"),
    )
    parser.add_argument(
        "--timeout",
        metavar="S",
        type=_seconds,
        default=60,
        help=term("for the command, in seconds"),
    )
    parser.add_argument("--down", action="store_true", help=term("end the lab afterwards"))
    _lang(parser)
    _json(parser)


def _port(text: str) -> int:
    """A TCP port. Raises ArgumentTypeError."""
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(tr(say("{text} is no port: give 1 to 65535", text=text)))
    return int(text)


def _seconds(text: str) -> float:
    """A time to wait. Raises ArgumentTypeError."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds <= LONGEST_S:  # NaN is neither
        raise argparse.ArgumentTypeError(
            tr(say("{text} is no time: give seconds, as in 2.5", text=text))
        )
    return seconds


# ------------------------------------------------------------------------------- the verbs


def _verb_doctor(verbs: Any) -> None:
    p = _add(
        verbs,
        "doctor",
        term("check what a lab needs of this machine, with the line that mends it"),
        "hoplab doctor\nhoplab doctor --json",
        "verbs_lab",
    )
    _json(p)
    p.add_argument(
        "--apparmor-profile",
        action="store_true",
        help=term(
            "print a profile that lets this hoplab make namespaces where AppArmor forbids it "
            "(Ubuntu 23.10 and later), and do nothing else"
        ),
    )


def _verb_up(verbs: Any) -> None:
    p = _add(
        verbs,
        "up",
        term("bring a lab up"),
        [
            ("hoplab up web", ""),
            ("hoplab up switch,n=8 --controller hub", ""),
            ("hoplab up mine.py --name mine", ""),
            (
                "hoplab up --replace routed      ",
                term("whatever was up under this name before"),
            ),
        ],
        "verbs_lab",
    )
    p.add_argument(
        "topology",
        metavar="TOPOLOGY[,PARAMETERS]",
        help=term(
            "one of ours (hoplab path --list) or a Mininet file, FILE.py:NAME for one of several "
            "topologies in it; parameters as in switch,n=8,rate=10M (rate: what a cable carries)"
        ),
    )
    _building(p)
    p.add_argument(
        "--controllers",
        type=int,
        choices=(1, 2),
        default=1,
        help=term(
            "2: a second controller process is connected as slave and takes over when the first "
            "one fails"
        ),
    )
    p.add_argument(
        "--shards",
        type=int,
        choices=range(1, 9),
        default=1,
        metavar="N",
        help=term("divide the switches among N controller processes, 8 at most"),
    )
    p.add_argument(
        "--vswitchd",
        type=int,
        choices=range(1, 9),
        default=0,
        metavar="N",
        help=term(
            "divide the switches among N ovs-vswitchd, 8 at most (default: 1, above 32 "
            "switches one for 16, 4 at most; the kernel's datapath needs one alone)"
        ),
    )
    p.add_argument("--name", metavar="LAB", default="lab", help=term("its name (default: lab)"))
    p.add_argument(
        "--replace",
        action="store_true",
        help=term("end the lab that is up under this name first, if one is; others stay up"),
    )
    _json(p)


def _verb_ls(verbs: Any) -> None:
    p = _add(
        verbs, "ls", term("list the labs that are up"), "hoplab ls\nhoplab ls --json", "verbs_lab"
    )
    _json(p)


def _verb_exec(verbs: Any) -> None:
    p = _add(
        verbs,
        "exec",
        term("run a command on a host; streams and exit code are the command's"),
        "hoplab exec h1 -- ping -c 1 10.0.0.2\necho hi | hoplab exec h1 -- cat",
        "verbs_host",
    )
    _name(p)
    p.add_argument("host", metavar="HOST")
    p.add_argument("command", metavar="COMMAND", nargs=argparse.REMAINDER)


def _verb_shell(verbs: Any) -> None:
    p = _add(
        verbs,
        "shell",
        term("open a terminal on a host"),
        "hoplab shell client\nhoplab shell h1 -- python3",
        "verbs_host",
    )
    _name(p)
    p.add_argument("host", metavar="HOST")
    p.add_argument(
        "command", metavar="COMMAND", nargs=argparse.REMAINDER, help=term("instead of bash")
    )


def _verb_swap(verbs: Any) -> None:
    p = _add(
        verbs,
        "swap",
        term("put another controller in charge while the network runs"),
        "hoplab swap hub\nhoplab swap learning_switch\nhoplab swap ./my_app.py",
        "verbs_lab",
    )
    _name(p)
    p.add_argument("controller", metavar="hub|learning_switch|FILE.py[,…]")
    _json(p)


def _verb_table(verbs: Any) -> None:
    p = _add(
        verbs,
        "table",
        term("show what a switch knows: addresses, flows, how old, how much used"),
        "hoplab table s1\nhoplab table --flows\nhoplab table s1 --json",
        "verbs_lab",
    )
    _name(p)
    p.add_argument("switches", metavar="SWITCH", nargs="*", help=term("default: all"))
    p.add_argument("--flows", action="store_true", help=term("every flow, not the addresses alone"))
    _json(p)


def _verb_visit(verbs: Any) -> None:
    p = _add(
        verbs,
        "visit",
        term("fetch a URL and tell what happened on every wire"),
        "hoplab visit\nhoplab visit http://www.itheima.com/courses.html --from pc\n"
        "hoplab visit --controller hub --detail brief\n"
        "hoplab visit --all\n"
        "hoplab visit --save my-run && wireshark my-run/capture.pcapng\n"
        "hoplab visit http://no.such.itheima.com/",
        "verbs_trace",
    )
    _site(p, term("who fetches (default: client)"))
    p.add_argument(
        "--all",
        action="store_true",
        help=term("fetch what the page shows too, as a browser does, and draw who waited for what"),
    )
    _recording(p)


def _verb_trace(verbs: Any) -> None:
    p = _add(
        verbs,
        "trace",
        term("run a command on a host and tell what happened on every wire"),
        [
            ("hoplab trace h1 -- ping -c 1 10.0.0.2", ""),
            ("hoplab trace --topology routed h1 -- traceroute -n 10.0.2.11", ""),
            (
                "hoplab trace --live h1 -- ping -c 5 10.0.0.2    ",
                term("a line a packet, while it runs"),
            ),
            (
                "hoplab trace --live                             ",
                term("all that happens, until Ctrl-C"),
            ),
            (
                "hoplab trace --compare hub,learning_switch      ",
                term("what each costs, side by side"),
            ),
            (
                "hoplab trace --compare hub,a.py -- h1: ping -c 3 10.0.0.2 + "
                "h3: ping -c 3 10.0.0.4",
                "",
            ),
            (
                "hoplab trace --compare hub,a.py --serve 'h2: iperf -s' -- h1: iperf -c 10.0.0.2",
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
    _topology(p, "switch")
    p.add_argument("host", metavar="HOST", nargs="?")
    _recording(p)
    p.add_argument("command", metavar="COMMAND", nargs=argparse.REMAINDER)


def _verb_open(verbs: Any) -> None:
    p = _add(
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
        ],
        "verbs_open",
    )
    _site(p, term("whose browser (default: client)"))
    p.add_argument("--no-browser", action="store_true", help=term("only print the address"))
    p.add_argument(
        "--port",
        type=_port,
        metavar="N",
        help=term("of 127.0.0.1, to listen to (default: 8642, or a free one if that is taken)"),
    )
    _recording(p)


def _verb_report(verbs: Any) -> None:
    p = _add(
        verbs,
        "report",
        term("make a page, a picture or Markdown of a kept run; no lab is needed"),
        "hoplab visit --save my-run && hoplab report my-run\n"
        "hoplab report hub-run switch-run -o compare.html\n"
        "hoplab report my-run --svg -o my-run.svg\nhoplab report my-run --md --lang zh",
        "verbs_report",
    )
    p.add_argument("run", metavar="RUN", help=term("a folder that --save kept"))
    p.add_argument(
        "other", metavar="RUN2", nargs="?", help=term("a second one, to stand beside it")
    )
    p.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help=term("where to (default: RUN/report.html; - is stdout)"),
    )
    form = p.add_mutually_exclusive_group()
    form.add_argument("--svg", action="store_true", help=term("only the pictures, in one SVG file"))
    form.add_argument("--md", action="store_true", help=term("Markdown with Mermaid diagrams"))
    _lang(p)
    _json(p)


def _verb_capture(verbs: Any) -> None:
    p = _add(
        verbs,
        "capture",
        term("write what the interfaces of a lab hear, live, to a file or a pipe"),
        [
            (
                "hoplab capture                                   ",
                term("every interface, until Ctrl-C"),
            ),
            (
                "hoplab capture client r1:r1-eth0 -w two.pcapng   ",
                term("a host and one interface of a router"),
            ),
            ("hoplab capture --filter 'arp or icmp' --count 10", ""),
            (
                "hoplab capture -w - | tshark -r -                ",
                term("live into another program"),
            ),
            (
                "hoplab capture openflow --duration 5             ",
                term("switches and controller"),
            ),
        ],
        "verbs_capture",
    )
    _name(p)
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
    p.add_argument("--duration", metavar="S", type=_seconds, help=term("end after so many seconds"))
    p.add_argument("--count", metavar="N", type=int, help=term("end after so many frames"))
    _json(p)


def _verb_wireshark(verbs: Any) -> None:
    p = _add(
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
                term("labs in Wireshark's own list, and a profile, for you"),
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


def _run_and_mn(verbs: Any) -> None:
    for name, help, examples in (
        (
            "run",
            term("run a Mininet script of yours, unchanged, in a sandbox of its own"),
            "hoplab run -- python3 my_script.py\n"
            "hoplab run --capture all.pcapng -- python3 my_script.py",
        ),
        (
            "mn",
            term("run stock Mininet's own command line, unchanged, in a sandbox of its own"),
            "hoplab mn\nhoplab mn -- --topo tree,2 --test pingall\n"
            "hoplab mn --capture all.pcapng -- --custom mine.py --topo mine",
        ),
    ):
        p = _add(verbs, name, help, examples, "verbs_run")
        p.add_argument(
            "--capture", metavar="FILE", help=term("pcapng file for what all interfaces hear")
        )
        p.add_argument(
            "--datapath",
            choices=("auto", "kernel", "user"),
            default="auto",
            help=term("Open vSwitch's forwarding (default: auto, the kernel's where it is loaded)"),
        )
        p.add_argument(
            "--share-tmp",
            action="store_true",
            help=term(
                "use the machine's /tmp; without, the command has an empty one that goes with it"
            ),
        )
        p.add_argument("command", metavar="COMMAND", nargs=argparse.REMAINDER)


def _verb_pingall(verbs: Any) -> None:
    p = _add(
        verbs,
        "pingall",
        term("ping every pair of hosts at once"),
        "hoplab pingall\nhoplab pingall h1 h2 h3 --json",
        "verbs_lab",
    )
    _name(p)
    p.add_argument("hosts", metavar="HOST", nargs="*", help=term("only among these"))
    _json(p)


def _verb_path(verbs: Any) -> None:
    p = _add(
        verbs,
        "path",
        term("print where one of our files is, to read, copy and change it"),
        "hoplab path web\nhoplab path hub --kind controllers\ncp $(hoplab path web) mine.py\n"
        "hoplab path --list",
        "verbs_lab",
    )
    p.add_argument("what", metavar="NAME", nargs="?")
    p.add_argument("--kind", choices=("topologies", "controllers", "apps"))
    p.add_argument("--list", action="store_true", help=term("all names, by kind"))
    _json(p)


def _verb_down(verbs: Any) -> None:
    p = _add(
        verbs,
        "down",
        term("end a lab; everything of it is gone then"),
        "hoplab down\nhoplab down --all",
        "verbs_lab",
    )
    _name(p)
    p.add_argument("--all", action="store_true", help=term("every lab that is up"))
    p.add_argument("--keep", action="store_true", help=term("leave its folder with the logs"))


def _verb_completion(verbs: Any) -> None:
    p = _add(
        verbs,
        "completion",
        term("print a completion script for your shell"),
        'eval "$(hoplab completion bash)"\nhoplab completion zsh > ~/.zfunc/_hoplab\n'
        "hoplab completion fish > ~/.config/fish/completions/hoplab.fish",
        "verbs_completion",
    )
    p.add_argument("shell", choices=("bash", "zsh", "tcsh", "fish"), nargs="?")
    p.add_argument(
        "--words",
        choices=("controllers", "files", "hosts", "labs", "switches", "topologies"),
        help=term("print what may stand in such a place now: the script asks for it"),
    )


_VERBS = (
    _verb_doctor,
    _verb_up,
    _verb_ls,
    _verb_exec,
    _verb_shell,
    _verb_swap,
    _verb_table,
    _verb_visit,
    _verb_trace,
    _verb_open,
    _verb_report,
    _verb_capture,
    _verb_wireshark,
    _run_and_mn,
    _verb_pingall,
    _verb_path,
    _verb_down,
    _verb_completion,
)
