# SPDX-License-Identifier: Apache-2.0
"""What `up` takes of a file, which files it sends to `hoplab run`, and what it finds in a file that
it leaves out: without a network."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from hoplab.errors import LabError
from hoplab.network import script, topofile

TWO = """
    from mininet.topo import Topo
    class Base(Topo):
        def build(self):
            self.addHost('h1')
    class Star(Base):
        def build(self):
            super().build()
            self.addHost('h2')
    class Ring(Base):
        pass
"""
PIECES = """
    from mininet.net import Mininet
    from mininet.topo import Topo
    class T(Topo):
        def build(self):
            self.addLink(self.addHost('h1'), self.addSwitch('s1'))
"""


def written(tmp_path: Path, text: str, name: str = "mine.py") -> Path:
    path = tmp_path / name
    path.write_text(textwrap.dedent(text).lstrip("\n"))
    return path


def refused(path: Path) -> LabError:
    with pytest.raises(LabError) as caught:
        topofile.load_topo(path)
    return caught.value


@pytest.mark.parametrize(
    "text",
    [
        PIECES + "    net = Mininet(T())\n    net.start()\n",
        PIECES + "    try:\n        net = Mininet()\n    except Exception:\n        pass\n",
        "import mininet.net\nnet = mininet.net.Mininet(controller=None)\n",
        "from mininet.net import Mininet\ndef main():\n    net = Mininet()\n",
        "import argparse\np = argparse.ArgumentParser()\np.add_argument('n')\np.parse_args()\n",
        "import sys\nsys.exit('usage: mine.py N')\n",
        "import sys\nhosts = int(sys.argv[1])\n",
    ],
    ids=["bare", "guarded", "no Topo", "in a function", "wants an argument", "exits", "argv"],
)
def test_a_script_is_sent_to_the_verb_that_runs_it(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text, "my script.py")
    error = refused(path)
    assert f"hoplab run -- python3 '{path}'" in error.hint
    assert "mend" not in error.hint and "port" not in error.hint


def test_mininet_and_the_command_line_are_as_before(tmp_path: Path) -> None:
    import mininet.net

    before = mininet.net.Mininet.__init__, sys.argv
    refused(written(tmp_path, PIECES + "    net = Mininet(T())\n"))
    topofile.load_topo(written(tmp_path, TWO))
    assert (mininet.net.Mininet.__init__, sys.argv) == before


@pytest.mark.parametrize("line", ['print "up"', "try: x\nexcept ValueError, e: x", "x = 0777"])
def test_a_file_for_python_2_is_called_so(tmp_path: Path, line: str) -> None:
    error = refused(written(tmp_path, f"{line}\n"))
    assert "it is for Python 2" in error.hint and "line" in error.message


def test_a_file_that_does_not_parse_is_still_to_be_mended(tmp_path: Path) -> None:
    assert "mend the line" in refused(written(tmp_path, "class T(:\n")).hint


@pytest.mark.parametrize(
    ("chosen", "hosts", "left_out"),
    [("", ["h1", "h2"], ("Ring", "Base")), ("Base", ["h1"], ()), ("Ring", ["h1"], ())],
)
def test_one_of_several_topos_is_taken(
    tmp_path: Path, chosen: str, hosts: list[str], left_out: tuple[str, ...]
) -> None:
    topo = topofile.load_topo(written(tmp_path, TWO), chosen=chosen)
    assert topo.hosts() == hosts
    assert topo.hoplab_chosen == (chosen or "Star", left_out)


def test_a_dictionary_of_topos_says_their_names(tmp_path: Path) -> None:
    path = written(tmp_path, TWO + "    topos = {'a': Base, 'b': Star}\n")
    assert topofile.load_topo(path).hoplab_chosen == ("a", ("b",))
    assert topofile.load_topo(path, chosen="b").hosts() == ["h1", "h2"]
    with pytest.raises(LabError) as caught:
        topofile.load_topo(path, chosen="c")
    assert "it has: a, b" in caught.value.hint
    named = written(tmp_path, TWO + "    topos = {'a': Base, 'star': Star}\n", "star.py")
    assert topofile.load_topo(named).hosts() == ["h1", "h2"]


def test_options_of_a_command_line_have_their_defaults(tmp_path: Path) -> None:
    text = "import argparse\np = argparse.ArgumentParser()\n"
    text += "p.add_argument('--hosts', type=int, default=3)\nargs = p.parse_args()\n"
    text += "from mininet.topo import Topo\nclass T(Topo):\n    def build(self):\n"
    text += "        [self.addHost('h%d' % n) for n in range(args.hosts)]\n"
    topo = topofile.load_topo(written(tmp_path, text))
    assert len(topo.hosts()) == 3 and topo.hoplab_words_read


def found(tmp_path: Path, text: str) -> script.Script:
    script.read.cache_clear()
    return script.read(written(tmp_path, PIECES + text))


def lines(places: list[Any]) -> list[tuple[int, str]]:
    return [(place.line, place.text) for place in places]


def test_what_a_usual_main_part_does_is_left_out_without_a_word(tmp_path: Path) -> None:
    rest = found(
        tmp_path,
        """
    if __name__ == '__main__':
        net = Mininet(topo=T(), link=TCLink, switch=OVSKernelSwitch)
        net.start()
        dumpNodeConnections(net.hosts)
        net.pingAll()
        CLI(net)
        net.stop()
    """,
    )
    assert (rest.commands, rest.options, rest.remote) == ([], [], [])
    assert lines(rest.networks)[0][0] == 8


def test_what_a_main_part_adds_to_a_network_is_found(tmp_path: Path) -> None:
    rest = found(
        tmp_path,
        """
    class Router(Node):
        def config(self, **params):
            self.cmd('sysctl -w net.ipv4.ip_forward=1')

    def run():
        lab = Mininet(T(), controller=RemoteController(), inNamespace=True, autoSetMacs=True)
        lab.addLink('h1', 's1')
        lab.start()
        for host in lab.hosts:
            host.cmd('ip route add default via 10.0.0.254 && ip route show')
        lab['h1'].popen('python3 -m http.server')

    def topo():
        made = Topo()
        made.addLink(made.addHost('h1'), made.addHost('h2'))
        return made
    """,
    )
    assert lines(rest.commands) == [
        (13, "lab.addLink('h1', 's1')"),
        (16, "host.cmd('ip route add default via 10.0…"),
        (17, "lab['h1'].popen('python3 -m http.server…"),
    ]
    assert lines(rest.options) == [(12, "inNamespace=True")]
    assert rest.settings == {"autoSetMacs": True}
    assert [place.line for place in rest.remote] == [12]
