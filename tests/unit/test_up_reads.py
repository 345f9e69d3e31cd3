# SPDX-License-Identifier: Apache-2.0
"""What `up` reads of a user's file beside its Topo: a command line for it, which of its topologies,
what it hands to Mininet; and what is said of hosts that nothing joins. Without a network."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from hoplab import content
from hoplab.cli import verbs_completion
from hoplab.cli.main import main
from hoplab.client.topologies import find_topology
from hoplab.errors import Exit, LabError
from hoplab.network import script, topofile
from hoplab.network.queued import is_shaped
from hoplab.service import alone

OPTIONS = """
    import argparse
    from mininet.topo import Topo
    p = argparse.ArgumentParser()
    p.add_argument('-k', '--hosts', type=int, default=2)
    p.add_argument('name', nargs='?')
    args = p.parse_args()
    class T(Topo):
        def build(self):
            [self.addHost('h%d' % n) for n in range(args.hosts)]
"""
TOPO = "from mininet.topo import Topo\nclass T(Topo):\n    def build(self): self.addHost('h1')\n"


def written(tmp_path: Path, text: str, name: str = "mine.py") -> Path:
    path = tmp_path / name
    path.write_text(textwrap.dedent(text).lstrip("\n"))
    script.read.cache_clear()
    return path


def test_a_file_is_given_its_command_line(tmp_path: Path) -> None:
    path = written(tmp_path, OPTIONS)
    wanted = find_topology(f"{path} --hosts 4 'a name'")
    assert (wanted.file, wanted.words) == (path, ("--hosts", "4", "a name"))
    topo = topofile.load_topo(wanted.file, words=wanted.words)
    assert len(topo.hosts()) == 4
    assert (topo.hoplab_words, topo.hoplab_words_read) == (wanted.words, True)


def test_words_that_a_file_does_not_read_are_known(tmp_path: Path) -> None:
    topo = topofile.load_topo(written(tmp_path, TOPO), words=("--hosts", "4"))
    assert not topo.hoplab_words_read


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("{file}:star,n=4 --k 2", ("star", "n=4", ("--k", "2"))),
        ("{file},n=4", ("", "n=4", ())),
        ("{file}:star", ("star", "", ())),
        ("web,routers=3", ("", "routers=3", ())),
    ],
)
def test_what_is_asked_for(tmp_path: Path, text: str, rest: tuple[Any, ...]) -> None:
    path = written(tmp_path, TOPO)
    assert find_topology(text.format(file=path))[1:] == rest


def test_topo_names_one_of_several_as_mn_does(tmp_path: Path) -> None:
    path = written(tmp_path, TOPO)
    assert find_topology(str(path), "star,4")[1:3] == ("star", "4")


def test_a_command_line_that_the_file_refuses_is_told_in_its_words(tmp_path: Path) -> None:
    path = written(tmp_path, OPTIONS)
    with pytest.raises(LabError) as caught:
        topofile.load_topo(path, words=("--hosts", "many"))
    assert "argument -k/--hosts: invalid int value: 'many'" in caught.value.message
    assert f"hoplab up '{path} --hosts … …'" in caught.value.hint
    assert "mend" not in caught.value.hint


def test_options_of_the_file_s_without_quotes_get_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, OPTIONS)
    assert main(["up", str(path), "--hosts", "4"]) == Exit.USAGE
    assert f"hoplab up '{path} --hosts 4'" in capsys.readouterr().err


def test_a_topology_that_is_nearly_there_is_offered(tmp_path: Path) -> None:
    path = written(tmp_path, TOPO + "topos = {'star': T, 'ring': T}\n")
    with pytest.raises(LabError) as caught:
        topofile.load_topo(path, chosen="stra")
    assert caught.value.hint == "did you mean star? it has: star, ring"


def test_the_names_of_topologies_complete_from_text_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = "class Fat(T):\n    pass\nclass Node2(object):\n    pass\nraise SystemExit\n"
    assert content.topos_in(written(tmp_path, TOPO + more)) == ["T", "Fat"]
    written(tmp_path, TOPO + "topos = {'b': T, 'a': lambda: T()}\n", "other.py")
    monkeypatch.chdir(tmp_path)
    assert verbs_completion.words("topos") == ["Fat", "T", "a", "b"]


def test_a_module_that_is_not_here_may_be_in_the_user_s_python(tmp_path: Path) -> None:
    path = written(tmp_path, "import no_such_module_anywhere\n")
    with pytest.raises(LabError) as caught:
        topofile.load_topo(path)
    assert f"hoplab run -- python3 {path}" in caught.value.hint


def test_what_mininet_is_handed_is_taken_where_it_stands_written_out(tmp_path: Path) -> None:
    rest = script.read(
        written(
            tmp_path,
            """
            slow = partial(TCLink, bw=10, delay='5ms')
            net = Mininet(T(), ipBase='192.168.0.0/24', autoSetMacs=True, link=slow)
            """,
        )
    )
    assert rest.settings == {"ipBase": "192.168.0.0/24", "autoSetMacs": True}
    assert rest.links == {"bw": 10, "delay": "5ms"} and not rest.options
    rest = script.read(
        written(tmp_path, "net = Mininet(T(), ipBase=base, link=partial(TCLink, bw=b))\n", "b.py")
    )
    assert (rest.settings, rest.links) == ({}, {})
    assert [option.text for option in rest.options] == [
        "ipBase=base",
        "link=partial(TCLink, bw=b)",
    ]


@pytest.mark.parametrize(
    ("params", "shaped"),
    [
        ({"bw": 10}, True),
        ({"params2": {"delay": "5ms"}}, True),
        ({"bw": "10Mbps"}, False),
        ({"bw": None, "port1": 3}, False),
    ],
)
def test_a_link_with_a_bandwidth_is_shaped(params: dict[str, Any], shaped: bool) -> None:
    assert is_shaped(params) is shaped


def test_who_has_no_cable_is_named() -> None:
    ports = [{"node": "h2", "peer": "s1-eth1"}, {"node": "s1", "peer": "h2-eth0"}]
    nodes = [{"name": n, "kind": "host"} for n in ("h1", "h2", "h3")]
    nodes.append({"name": "s1", "kind": "switch"})
    state = {"nodes": nodes, "interfaces": [*ports, {"node": "h3", "peer": None}]}
    assert alone.without_cable(state) == ["h1", "h3"]
    assert alone.remark(state) == "h1, h3 have no cable: no addLink() names them"
    assert alone.remark({"nodes": [], "interfaces": []}).startswith("the topology is empty")
    assert alone.remark({"nodes": nodes[1:2], "interfaces": ports}) == ""


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("net = Mininet(T(), controller=None)", 1),
        ("net = Mininet(T(), controller=None)\nnet.addController('c0')", 0),
        ("net = Mininet(T(), controller=RemoteController)", 0),
        ("net = Mininet(T())", 0),
    ],
)
def test_whether_switches_are_to_have_no_controller(tmp_path: Path, text: str, line: int) -> None:
    alone = script.read(written(tmp_path, text)).alone
    assert [place.line for place in alone] == ([line] if line else [])
