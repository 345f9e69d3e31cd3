# SPDX-License-Identifier: Apache-2.0
"""What a lab tells crosses its socket with templates, and is told in the user's language."""

from __future__ import annotations

import os

import pytest

from tests.conftest import PROJECT, World

pytestmark = pytest.mark.net

GOLDEN = PROJECT / "tests" / "golden" / "zh"

TOPOLOGY = """\
from mininet.topo import Topo

class First(Topo):
    def build(self):
        s1 = self.addSwitch('s1')
        for number in 1, 2:
            self.addLink(self.addHost(f'h{number}', ip='10.0.0.1/8'), s1, bw=10)
        self.addHost('h3')

class Second(Topo):
    pass

def run():
    from mininet.net import Mininet
    net = Mininet(First(), autoSetMacs=True)
    net.start()
    net.get('h1').cmd('ls')

if __name__ == '__main__':
    run()
"""


def test_a_lab_is_told_of_in_chinese(hoplab: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(hoplab.env, "HOPLAB_LANG", "zh")
    file = hoplab.home / "mine.py"
    file.write_text(TOPOLOGY)
    printed = []
    for words in (
        ("up", str(file), "--datapath", "user"),
        ("swap", "hub"),
        ("table", "s9"),
        ("exec", "h1", "--", "no-such-command"),
        ("exec", "h9", "--", "ls"),
        ("down",),
    ):
        result = hoplab(*words, code=None)
        printed.append(f"$ hoplab {' '.join(words)}\n{result.out}{result.err}")
    text = "".join(printed).replace(str(hoplab.home), "HOME")
    path = GOLDEN / "lab.txt"
    if os.environ.get("HOPLAB_UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
