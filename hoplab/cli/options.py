# SPDX-License-Identifier: Apache-2.0
"""What several verbs of the command line have: how a verb is added, the options that they share,
the values that these take, and help in the language that is spoken.
"""

from __future__ import annotations

import argparse
import ipaddress
import sys
from collections.abc import Sequence
from typing import Any

from hoplab.cli import argparse_words
from hoplab.cli.output import is_english, tr
from hoplab.report.language import languages
from hoplab.sentences import say, term

LONGEST_S = 31 * 24 * 3600
FIRST = 2  # examples that stand above all else

# A command line and what is to be said of it, "" for nothing.
Example = tuple[str, str]


class Verb(argparse.ArgumentParser):
    """The words of one verb. takes_options: what stands behind `--` is options for the controller,
    which argparse would take for more positional arguments. mixed: names may stand before and
    behind options, though there may be more or fewer of them."""

    takes_options = False
    mixed = False
    examples: Sequence[Example] = ()

    def format_help(self) -> str:
        """What it does, two examples, and only then all the words that it knows."""
        formatter = self._get_formatter()
        formatter.add_text(self.description)
        formatter.add_text(examples_text(term("examples:"), self.examples[:FIRST]))
        formatter.add_usage(self.usage, self._actions, self._mutually_exclusive_groups)
        for group in self._action_groups:
            formatter.start_section(group.title)
            formatter.add_text(group.description)
            formatter.add_arguments(group._group_actions)
            formatter.end_section()
        if self.examples[FIRST:]:
            formatter.add_text(examples_text(term("more examples:"), self.examples[FIRST:]))
        return formatter.format_help()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        words = list(sys.argv[1:] if args is None else args)
        if self.mixed:
            self.mixed = False  # it asks for what stands here, in two parts
            # Else argparse takes the usage itself, and cuts "usage: " off as seven letters.
            self.usage = self.format_usage().removeprefix(tr(argparse_words.USAGE))
            try:
                return self.parse_known_intermixed_args(words, namespace)
            finally:
                self.mixed, self.usage = True, None
        if not self.takes_options or "--" not in words:
            return super().parse_known_args(words, namespace)
        at = words.index("--")
        arguments, unknown = super().parse_known_args(words[:at], namespace)
        arguments.options = words[at + 1 :]
        return arguments, unknown


class Formatter(argparse.RawDescriptionHelpFormatter):
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


def examples_text(heading: str, examples: Sequence[Example]) -> str:
    lines = [f"  {command}{tr(comment)}\n" for command, comment in examples]
    return "".join([f"{tr(heading)}\n", *lines])


def add_verb(
    verbs: Any, name: str, help: str, examples: str | Sequence[Example], where: str
) -> Verb:
    """A verb. examples: command lines, with comments if they need some."""
    if isinstance(examples, str):
        examples = [(line, "") for line in examples.splitlines()]
    summary = tr(help)
    parser: Verb = verbs.add_parser(
        name,
        help=help,
        # The line that lists the verb is the sentence that its own help begins with.
        description=summary[:1].upper() + summary[1:] + tr(term(".")),
        epilog=examples_text(term("examples:"), examples),
        formatter_class=Formatter,
    )
    parser.examples = examples
    parser.set_defaults(verb=f"{where}:{name}")
    parser.add_argument(
        "--debug", action="store_true", help=term("show the traceback when something goes wrong")
    )
    add_lang(parser)
    return parser


def add_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--name",
        metavar="LAB",
        help=term("which lab (default: the one called lab, or the only one)"),
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help=term("print data instead of text"))


def add_lang(parser: argparse.ArgumentParser) -> None:
    """It may stand before the verb and behind it: unset, it leaves what has been set before."""
    parser.add_argument(
        "--lang",
        choices=languages(),
        default=argparse.SUPPRESS,
        help=term("language (default: HOPLAB_LANG, or your locale)"),
    )


def add_building(parser: argparse.ArgumentParser, *, has_page: bool = False) -> None:
    """has_page: --controller may also mean the page of the controller that is there."""
    help_text = term(
        "hub, learning_switch …, a Ryu app of yours, or a module such as ryu.app.ofctl_rest; "
        "several run together, as in two_table_switch,monitor; with options of ryu-manager or "
        "of the app in quotes: 'app.py --observe-links' (`up` and `swap` also take them behind "
        "--)"
    )
    if has_page:
        page_help = term(
            "without a value, or with a /PATH: the web page or REST interface of the controller "
            "that is in charge. With one, as for `hoplab up`: what is put in charge"
        )
        parser.add_argument(
            "--controller", nargs="?", const="", metavar="/PATH|NAME|FILE", help=page_help
        )
    else:
        parser.add_argument("--controller", metavar="NAME|FILE|MODULE[,…]", help=help_text)
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


def add_topology(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument(
        "--topology",
        metavar="TOPOLOGY",
        help=say("if no lab is up: what to bring up (default: {topology})", topology=default),
    )


def add_site(parser: argparse.ArgumentParser, host_help: str) -> None:
    parser.add_argument(
        "url", metavar="URL", nargs="?", help=term("default: http://www.itheima.com/ in web")
    )
    add_topology(parser, "web")
    parser.add_argument("--from", dest="host", metavar="HOST", help=host_help)


def add_recording(parser: argparse.ArgumentParser, *, has_page: bool = False) -> None:
    add_name(parser)
    add_building(parser, has_page=has_page)
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
        "--play",
        action="store_true",
        help=term("keep the run as --save does, and play it in your browser, moment by moment"),
    )
    parser.add_argument(
        "--timeout",
        metavar="S",
        type=seconds,
        default=60,
        help=term("for the command, in seconds"),
    )
    parser.add_argument("--down", action="store_true", help=term("end the lab afterwards"))
    add_json(parser)


def add_schedule(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--at",
        nargs=2,
        action="append",
        metavar=("TIME", "CHANGE"),
        help=term(
            "change the lab so long after the command began, as in --at 3s 'link r1 r2 down', or "
            "by the words of add, remove and set; may be given again"
        ),
    )


def port(text: str) -> int:
    """A TCP port. Raises ArgumentTypeError."""
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(tr(say("{text} is no port: give 1 to 65535", text=text)))
    return int(text)


def address(text: str) -> tuple[str, int]:
    """An IPv4 address and a TCP port. Raises ArgumentTypeError."""
    ip, _, number = text.rpartition(":")
    try:
        return str(ipaddress.IPv4Address(ip)), port(number)
    except ValueError:
        raise argparse.ArgumentTypeError(
            tr(say("{text} is no address: like this: 192.0.2.7:6653", text=text))
        ) from None


def seconds(text: str) -> float:
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
