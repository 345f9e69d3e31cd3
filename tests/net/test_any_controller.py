# SPDX-License-Identifier: Apache-2.0
"""Apps as `ryu-manager` takes them, on one lab: modules, options, REST, errors said."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import need
from tests.unit.test_apps_all import eventually

pytestmark = pytest.mark.net

APP = """
from ryu import cfg
from ryu.base import app_manager
from ryu.controller import ofp_event
from ryu.controller.handler import CONFIG_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
cfg.CONF.register_cli_opts([cfg.IntOpt('fanout', default=1)])
class Faulty(app_manager.RyuApp):
    OFP_VERSIONS = [5]
    @set_ev_cls(ofp_event.EventOFPSwitchFeatures, CONFIG_DISPATCHER)
    def coming(self, ev):
        dp = ev.msg.datapath; ofp, parser = dp.ofproto, dp.ofproto_parser
        act = [parser.OFPActionOutput(ofp.OFPP_CONTROLLER)]
        to_us = parser.OFPInstructionActions(ofp.OFPIT_APPLY_ACTIONS, act)
        dp.send_msg(parser.OFPFlowMod(dp, priority=0, instructions=[to_us]))
        print('fanout', self.CONF.fanout, flush=True)
    @set_ev_cls(ofp_event.EventOFPPacketIn, MAIN_DISPATCHER)
    def packet(self, ev):
        raise KeyError('eth_dst')
class Zweite(app_manager.RyuApp):
    pass
"""
OLD = "import urllib2\nfrom ryu.base import app_manager\n"


def curl(url: str) -> str:
    return subprocess.run(
        [need("curl"), "-sS", "--max-time", "30", url], capture_output=True, text=True, timeout=60
    ).stdout


def log_of(world: Any) -> str:
    folder: Path = world.state / "hoplab/labs/lab/logs"
    return "".join(path.read_text() for path in sorted(folder.glob("controller-*.log")))


def test_what_ryu_manager_takes_is_taken(anybody: Any) -> None:
    folder = anybody.home
    (folder / "faulty.py").write_text(APP)
    (folder / "old.py").write_text(OLD)

    # Modules, several at once, and a REST interface that is reached from outside.
    up = anybody("up", "switch", "--controller", "ryu.app.simple_switch_13,ryu.app.ofctl_rest")
    assert "note:" not in up.out
    base = anybody("open", "--controller", "--print-url").out.strip()
    assert curl(f"{base}/stats/switches") == "[1]"
    assert anybody("open", "--controller", "/stats/switches", "--print-url").out.strip() == (
        f"{base}/stats/switches"
    )
    assert curl(base.replace(base[base.index("hoplab:") : base.index("@") + 1], "")) != "[1]"

    # An app for OpenFlow 1.0 is handed the frames that no flow takes; nothing is dropped.
    swap = anybody("swap", "ryu.app.simple_switch")
    assert "is handed to it, as OpenFlow 1.0 has it" in swap.out and "dropped" not in swap.out
    assert "serves no page" in curl(f"{base}/")

    # An app's own options, an app of which one class runs, and what it raises at which switch.
    swap = anybody("swap", "./faulty.py", "--", "--fanout", "3", "--ofp-tcp-listen-port", "6633")
    assert "runs the first by name, Faulty, and not Zweite" in swap.out
    assert "--ofp-tcp-listen-port is not used" in swap.out
    assert "fanout 3" in log_of(anybody)
    anybody("exec", "h1", "--", "ping", "-c", "1", "-W", "1", "10.0.0.2", code=1)
    eventually(
        lambda: "raised KeyError: 'eth_dst' (faulty.py:18)" in anybody("ls").out
        and "at a packet-in of s1" in anybody("ls").out,
        20,
    )

    # What cannot run leaves that one in charge, and says what is to be done.
    assert "did you mean --fanout?" in anybody("swap", "./faulty.py --fanot 3", code=3).err
    assert "written for Python 2" in anybody("swap", "./old.py", code=3).err
    assert anybody("ls", "--json").json[0]["controller"] == "faulty"


ONLY_10 = """
from mininet.topo import Topo
class Old(Topo):
    controller = "ryu.app.simple_switch --verbose"
    def build(self):
        switch = self.addSwitch("s1", protocols="OpenFlow10")
        for name in ("h1", "h2"):
            self.addLink(self.addHost(name), switch)
topos = {"old": Old}
"""


def test_a_switch_that_speaks_openflow_1_0_alone(hoplab: Any) -> None:
    (hoplab.home / "old.py").write_text(ONLY_10)
    hoplab("up", "./old.py")
    assert hoplab("pingall", "--json").json["lost"] == []
    assert len(hoplab("table", "--json").json["switches"][0]["addresses"]) == 2
    refused = hoplab("swap", "ryu.app.simple_switch_13", code=3)
    assert "speaks OpenFlow 1.3 alone" in refused.err and "protocols='OpenFlow13'" in refused.err
    hoplab("swap", "ryu.app.simple_switch")
