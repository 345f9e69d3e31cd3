# SPDX-License-Identifier: Apache-2.0
"""The options of the verbs that make, show, change and end labs, and run something on a host."""

from __future__ import annotations

import argparse
from typing import Any

from hoplab.cli.options import add_building, add_json, add_name, add_verb, address
from hoplab.sentences import term


def add_doctor(verbs: Any) -> None:
    p = add_verb(
        verbs,
        "doctor",
        term("check what a lab needs of this machine, with the line that mends it"),
        "hoplab doctor\nhoplab doctor --json",
        "verbs_lab",
    )
    add_json(p)
    p.add_argument(
        "--apparmor-profile",
        action="store_true",
        help=term(
            "print a profile that lets this hoplab make namespaces where AppArmor forbids it "
            "(Ubuntu 23.10 and later), and do nothing else"
        ),
    )


def add_up(verbs: Any) -> None:
    p = add_verb(
        verbs,
        "up",
        term("bring a lab up"),
        [
            ("hoplab up web", ""),
            ("hoplab up switch,n=8 --controller hub", ""),
            ("hoplab up mine.py --name mine", ""),
            ("hoplab up mine.py --topo star,4", ""),
            ('hoplab up "mine.py --hosts 4"    ', term("a file that reads its command line")),
            ("hoplab up ./folder              ", term("a lab of Kathará, by its lab.conf")),
            ("hoplab up x.clab.yml            ", term("one of containerlab, of linux nodes")),
            ("hoplab up tree --controller ./app.py -- --observe-links --config-file app.conf", ""),
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
            "topologies in it, 'FILE.py --hosts 4' for one that reads its command line; parameters "
            "as in switch,n=8,rate=10M (rate: what a cable carries); or a lab of another program, "
            "a folder of Kathará or a file of containerlab"
        ),
    )
    p.takes_options = True
    p.add_argument(
        "--topo",
        metavar="NAME",
        help=term("which of several topologies in the file, as for `mn --custom FILE --topo NAME`"),
    )
    p.add_argument(
        "--mac",
        action="store_true",
        help=term("hosts have the MAC addresses 00:00:00:00:00:01 and so on, as by `mn --mac`"),
    )
    add_building(p)
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
    _add_outside(p)
    p.add_argument("--name", metavar="LAB", default="lab", help=term("its name (default: lab)"))
    p.add_argument(
        "--replace",
        action="store_true",
        help=term("end the lab that is up under this name first, if one is; others stay up"),
    )
    add_json(p)


def add_ls(verbs: Any) -> None:
    p = add_verb(
        verbs,
        "ls",
        term("list the labs that are up, or what is in one of them"),
        [
            ("hoplab ls", ""),
            ("hoplab ls lab           ", term("hosts, addresses, services, cables, a picture")),
            ("hoplab ls lab --json", ""),
            ("hoplab ls lab --svg lab.svg", ""),
            ("hoplab ls --runs        ", term("runs that were kept, here and put aside")),
            ("hoplab ls --runs --remove my-run", ""),
        ],
        "verbs_lab",
    )
    p.add_argument("--runs", action="store_true", help=term("list kept runs, with their size"))
    p.add_argument(
        "--remove", metavar="RUN", help=term("with --runs: take this one away, by name or folder")
    )
    p.add_argument("lab", metavar="LAB", nargs="?", help=term("tell what is in this one"))
    p.add_argument(
        "--svg", metavar="FILE", help=term("write the picture of the network to this file")
    )
    add_json(p)


def add_exec(verbs: Any) -> None:
    p = add_verb(
        verbs,
        "exec",
        term("run a command on a host; streams and exit code are the command's"),
        "hoplab exec h1 -- ping -c 1 10.0.0.2\necho hi | hoplab exec h1 -- cat",
        "verbs_host",
    )
    add_name(p)
    p.add_argument("host", metavar="HOST")
    p.add_argument("command", metavar="COMMAND", nargs=argparse.REMAINDER)


def add_shell(verbs: Any) -> None:
    p = add_verb(
        verbs,
        "shell",
        term("open a terminal on a host"),
        "hoplab shell client\nhoplab shell h1 -- python3",
        "verbs_host",
    )
    add_name(p)
    p.add_argument("host", metavar="HOST")
    p.add_argument(
        "command", metavar="COMMAND", nargs=argparse.REMAINDER, help=term("instead of bash")
    )


def add_swap(verbs: Any) -> None:
    p = add_verb(
        verbs,
        "swap",
        term("put another controller in charge while the network runs"),
        "hoplab swap hub\nhoplab swap ./my_app.py\nhoplab swap ryu.app.simple_switch_13\n"
        "hoplab swap ./my_app.py,ryu.app.ofctl_rest -- --observe-links",
        "verbs_lab",
    )
    p.takes_options = True
    add_name(p)
    p.add_argument(
        "controller",
        metavar="NAME|FILE|MODULE[,…]",
        help=term("as --controller of `hoplab up` takes it"),
    )
    add_json(p)


def add_table(verbs: Any) -> None:
    p = add_verb(
        verbs,
        "table",
        term("show what a switch knows: addresses, flows, how old, how much used"),
        "hoplab table s1\nhoplab table --flows\nhoplab table s1 --json",
        "verbs_lab",
    )
    add_name(p)
    p.add_argument("switches", metavar="SWITCH", nargs="*", help=term("default: all"))
    p.add_argument("--flows", action="store_true", help=term("every flow, not the addresses alone"))
    add_json(p)


def add_pingall(verbs: Any) -> None:
    p = add_verb(
        verbs,
        "pingall",
        term("ping every pair of hosts at once"),
        "hoplab pingall\nhoplab pingall h1 h2 h3 --json",
        "verbs_lab",
    )
    add_name(p)
    p.add_argument("hosts", metavar="HOST", nargs="*", help=term("only among these"))
    add_json(p)


def add_path(verbs: Any) -> None:
    p = add_verb(
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
    add_json(p)


def add_down(verbs: Any) -> None:
    p = add_verb(
        verbs,
        "down",
        term("end a lab; everything of it is gone then"),
        "hoplab down\nhoplab down --all",
        "verbs_lab",
    )
    add_name(p)
    p.add_argument("--all", action="store_true", help=term("every lab that is up"))
    p.add_argument("--keep", action="store_true", help=term("leave its folder with the logs"))


def add_completion(verbs: Any) -> None:
    p = add_verb(
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
        metavar="KIND",
        choices=(
            "controllers", "faults", "files", "hosts", "labs", "nodes", "switches", "topologies",
            "topos",
        ),
        help=term("print what may stand in such a place now: the script asks for it"),
    )
    p.add_argument(
        "--line", metavar="LINE", help=term("with --words: the command line that is being typed")
    )


def _add_outside(p: argparse.ArgumentParser) -> None:
    """Which controllers outside of the lab its switches may reach."""
    p.add_argument(
        "--no-outside-controller",
        action="store_true",
        help=term(
            "switches reach no controller outside; without, they reach one that you run on this "
            "machine, where the file names a RemoteController"
        ),
    )
    p.add_argument(
        "--outside-controller",
        metavar="IP:PORT",
        type=address,
        action="append",
        help=term("they may also reach a RemoteController at this address (repeatable)"),
    )


def add_run_and_mn(verbs: Any) -> None:
    for name, help, examples in (
        (
            "run",
            term("run a Mininet script of yours, unchanged, in a sandbox of its own"),
            "hoplab run -- python3 my_script.py\n"
            "hoplab run --controller ./app.py --save my-run -- python3 my_script.py\n"
            "hoplab run --capture all.pcapng -- python3 my_script.py",
        ),
        (
            "mn",
            term("run stock Mininet's own command line, unchanged, in a sandbox of its own"),
            "hoplab mn\nhoplab mn -- --topo tree,2 --test pingall\n"
            "hoplab mn --capture all.pcapng -- --custom mine.py --topo mine",
        ),
    ):
        p = add_verb(verbs, name, help, examples, "verbs_run")
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
        p.add_argument(
            "--keep-tmp",
            metavar="DIR",
            help=term("this folder is the command's /tmp: what it writes there stays"),
        )
        p.add_argument(
            "--name",
            metavar="LAB",
            help=term(
                "what the lab that its network is shall be called (default: as the script's file)"
            ),
        )
        p.add_argument(
            "--save",
            metavar="DIR",
            nargs="?",
            const="",
            help=term(
                "keep all that the network carries, from its beginning to its end, as a run for "
                "`hoplab report` (default: ./hoplab-DATE-TIME)"
            ),
        )
        p.add_argument(
            "--controller",
            metavar="NAME|FILE|MODULE[,…]",
            help=term(
                "start this one inside, where the script looks for its RemoteController, or put "
                "it in charge if it looks for none"
            ),
        )
        _add_outside(p)
        p.add_argument("command", metavar="COMMAND", nargs=argparse.REMAINDER)
