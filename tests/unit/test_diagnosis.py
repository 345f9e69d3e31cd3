# SPDX-License-Identifier: Apache-2.0
"""Why something could not be reached: each kind of cause is named, with the line that mends it, and
nothing is named that the frames speak against."""

from __future__ import annotations

import json
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from hoplab.runs import HOSTS, _hosts
from hoplab.story import diagnosis
from hoplab.story.diagnosis import Flow
from hoplab.story.host_causes import Words
from hoplab.story.host_filters import read_filters
from hoplab.story.host_state import HostFacts, read_facts
from hoplab.story.records import Cause
from hoplab.story.walks import Packet, Walks
from tests.unit import frames
from tests.unit.frames import SYN
from tests.unit.hostnet import GATEWAYS, Hosts, healthy, network
from tests.unit.playground import Playground, wire_up

PING = Packet("icmp", "10.0.1.10", IPv4Address("10.0.2.10"))
NEAR = Packet("icmp", "10.0.1.10", IPv4Address("10.0.1.11"))
WEB = Packet("tcp", "10.0.1.10", IPv4Address("10.0.2.10"), 80)
LARGE = Packet("icmp", "10.0.1.10", IPv4Address("10.0.2.10"), size=1428, whole=True)
THERE = frozenset(("h1", "r1", "h3"))


def facts_of(hosts: Hosts) -> HostFacts:
    facts = read_facts(json.loads(json.dumps(hosts.data)))
    assert facts is not None
    return facts


def causes_of(hosts: Hosts, flow: Flow) -> list[Cause]:
    wiring = network()
    walks = Walks(wiring, facts_of(hosts), Words("lab", "learning_switch"))
    return diagnosis._causes_of(walks, flow)


def flow(packet: Packet = PING, reached: frozenset[str] = frozenset(("h1",))) -> Flow:
    return Flow("h1", packet, set(reached))


def listener(address: str, *argv: str) -> dict[str, Any]:
    return {"protocol": "tcp", "address": address, "port": 80, "argv": list(argv), "pid": 7}


Break = Callable[[Hosts], object]
KINDS: list[tuple[str, Break, Flow, str, str, str]] = [
    ("card down", lambda n: n.set_down("h1"), flow(), "interface-down", "h1",
     "hoplab link h1 s1 up"),
    ("card down, far", lambda n: n.set_down("h3"), flow(), "interface-down", "h3",
     "hoplab link h3 s2 up"),
    ("router's card down", lambda n: n.set_down("r1", 1), flow(), "interface-down", "r1",
     "hoplab link r1 s2 up"),
    ("port down", lambda n: n.switch("s2")["ports"]["s2-eth2"].update(up=False), flow(),
     "link-down", "s2", "hoplab link h3 s2 up"),
    ("hung controller", lambda n: n.switch("s2").update(hung=True, flows=0), flow(),
     "hung-controller", "s2", "hoplab swap learning_switch"),
    ("no address", lambda n: n.readdress("h1", ""), flow(), "no-address", "h1",
     "ip addr add 10.0.1.10/24 dev h1-eth0"),
    ("wrong subnet", lambda n: n.readdress("h1", "10.0.7.10/24"), flow(), "wrong-address", "h1",
     "ip addr add 10.0.1.10/24"),
    ("far address gone", lambda n: n.readdress("h3", "10.0.2.44/24", gateway="10.0.2.1"), flow(),
     "wrong-address", "h3", "ip addr add 10.0.2.10/24"),
    ("router's address gone",
     lambda n: (n.readdress("r1", "10.0.1.2/24"), n.route("r1", "10.0.2.0/24", card="r1-eth1")),
     flow(), "wrong-address", "r1", "ip addr add 10.0.1.1/24"),
    ("narrow mask", lambda n: n.readdress("h1", "10.0.1.10/29"), flow(), "mask-narrow", "h1",
     "ip addr add 10.0.1.10/24 dev h1-eth0; ip addr del 10.0.1.10/29 dev h1-eth0"),
    ("narrow mask, neighbour", lambda n: n.readdress("h1", "10.0.1.10/32"), flow(NEAR),
     "mask-narrow", "h1", "ip addr add 10.0.1.10/24"),
    ("wide mask", lambda n: n.readdress("h1", "10.0.1.10/16", gateway="10.0.1.1"), flow(),
     "mask-wide", "h1", "ip addr add 10.0.1.10/24"),
    ("no gateway", lambda n: n.drop_routes("h1", "h1-eth0", default_only=True), flow(),
     "no-gateway", "h1", "hoplab exec h1 -- ip route add default via 10.0.1.1"),
    ("no way back", lambda n: n.drop_routes("h3", "h3-eth0", default_only=True),
     flow(reached=THERE), "no-return-route", "h3", "ip route add default via 10.0.2.1"),
    ("gateway nobody has", lambda n: n.route("h1", "0.0.0.0/0", "10.0.1.77"), flow(),
     "wrong-gateway", "h1", "ip route replace default via 10.0.1.1"),
    ("gateway is a host", lambda n: n.route("h1", "0.0.0.0/0", "10.0.1.11"), flow(),
     "wrong-gateway", "h1", "ip route replace default via 10.0.1.1"),
    ("gateway elsewhere", lambda n: n.route("h1", "0.0.0.0/0", "10.9.9.9", onlink=True), flow(),
     "gateway-outside", "h1", "ip route replace default via 10.0.1.1"),
    ("wrong route", lambda n: n.route("h1", "10.0.2.0/24", "10.0.1.11"), flow(), "wrong-route",
     "h1", "ip route del 10.0.2.0/24 via 10.0.1.11"),
    ("router without route", lambda n: n.drop_routes("r1", "r1-eth1"), flow(), "no-route", "r1",
     "ip route add 10.0.2.0/24 dev r1-eth1"),
    ("no forwarding", lambda n: n["r1"]["settings"].update(ip_forward=0), flow(),
     "not-forwarding", "r1", "sysctl -w net.ipv4.ip_forward=1"),
    ("blackhole", lambda n: n.route("r1", "10.0.2.10/32", kind="blackhole"), flow(),
     "route-blackhole", "r1", "ip route del blackhole 10.0.2.10/32"),
    ("prohibit", lambda n: n.route("h1", "10.0.2.0/24", kind="prohibit"), flow(),
     "route-prohibit", "h1", "ip route del prohibit 10.0.2.0/24"),
    ("static ARP",
     lambda n: n["r1"]["neighbours"].append(
         {"card": "r1-eth1", "ip": "10.0.2.10", "mac": "02:aa:00:00:00:01", "permanent": True}),
     flow(), "static-arp", "r1", "ip neigh del 10.0.2.10 dev r1-eth1"),
    ("stale ARP",
     lambda n: n["r1"]["neighbours"].append(
         {"card": "r1-eth1", "ip": "10.0.2.10", "mac": "02:aa:00:00:00:01"}),
     flow(), "stale-arp", "r1", "ip neigh del 10.0.2.10 dev r1-eth1"),
    ("duplicate", lambda n: n.card("h4")["addresses"].append("10.0.2.10/24"), flow(),
     "duplicate-address", "h4", "ip addr del 10.0.2.10/24 dev h4-eth0"),
    ("input", lambda n: n.saved("h3", "INPUT -p icmp -j DROP"), flow(reached=THERE),
     "filter-input", "h3", "iptables-nft -D INPUT -p icmp -j DROP"),
    ("output", lambda n: n.saved("h1", "OUTPUT -d 10.0.2.0/24 -j REJECT"), flow(),
     "filter-output", "h1", "iptables-nft -D OUTPUT -d 10.0.2.0/24 -j REJECT"),
    ("output, back", lambda n: n.saved("h3", "OUTPUT -p icmp -j DROP"), flow(reached=THERE),
     "filter-output", "h3", "iptables-nft -D OUTPUT"),
    ("forward", lambda n: n.saved("r1", "", policy="DROP"), flow(), "filter-forward", "r1",
     "iptables-nft -P FORWARD ACCEPT"),
    ("ping ignored", lambda n: n["h3"]["settings"].update(icmp_echo_ignore_all=1),
     flow(reached=THERE), "echo-ignored", "h3", "icmp_echo_ignore_all=0"),
    ("closed", lambda n: None, flow(WEB, THERE), "port-closed", "h3", ""),
    ("ended", lambda n: n.data["built"]["hosts"]["h3"]["listeners"].append(listener("", "web")),
     flow(WEB, THERE), "service-down", "h3", "hoplab exec h3 -- web &"),
    ("loopback",
     lambda n: n["h3"]["listeners"].append(listener("127.0.0.1", "web", "--at", "127.0.0.1")),
     flow(WEB, THERE), "bound-to-loopback", "h3", "exec web --at 0.0.0.0"),
    ("MTU", lambda n: n.card("r1", 1).update(mtu=1000), flow(LARGE, frozenset(("h1", "r1"))),
     "mtu-too-small", "r1", "ip link set r1-eth1 mtu 1500"),
    ("MTU of the receiver", lambda n: n.card("h3").update(mtu=900), flow(LARGE), "mtu-mismatch",
     "h3", "ip link set h3-eth0 mtu 1500"),
    ("VLAN",
     lambda n: (n.switch("s1").update(normal=True),
                n.switch("s1")["ports"]["s1-eth2"].update(tag=7)),
     flow(), "vlan-mismatch", "s1", "ovs-vsctl clear port s1-eth2 tag"),
    ("no controller", lambda n: n.switch("s1").update(controllers=0, connected=False, flows=0),
     flow(), "no-controller", "s1", "hoplab swap learning_switch"),
    ("rp_filter",
     lambda n: (n["r1"]["settings"]["rp_filter"].update(all=1),
                n.route("r1", "10.0.1.10/32", card="r1-eth1"),
                n["r1"]["counters"].update(IPReversePathFilter=1)),
     flow(), "rp-filter", "r1", "net.ipv4.conf.all.rp_filter=0"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("breaks", "failed", "code", "node", "mend"),
    [kind[1:] for kind in KINDS], ids=[kind[0] for kind in KINDS],
)  # fmt: skip
def test_each_cause_is_named_with_what_mends_it(
    breaks: Break, failed: Flow, code: str, node: str, mend: str
) -> None:
    hosts = Hosts(healthy(network()))
    breaks(hosts)
    causes = causes_of(hosts, failed)
    assert causes, "nothing was found"
    first = causes[0]
    assert (first.code, first.node) == (code, node), [str(each.sentence) for each in causes]
    assert mend in "\n".join(first.mend)
    assert first.evidence, "it is told by what it is known"


@pytest.mark.parametrize(
    ("node", "card", "mend"),
    [
        ("r1", 1, ["hoplab exec r1 -- ip link set r1-eth1 mtu 1500",
                   "hoplab exec h1 -- ip route flush cache"]),
        ("h1", 0, ["hoplab exec h1 -- ip link set h1-eth0 mtu 1500"]),
    ],
)  # fmt: skip
def test_a_sender_forgets_what_a_router_told_it_of_its_mtu(
    node: str, card: int, mend: list[str]
) -> None:
    hosts = Hosts(healthy(network()))
    hosts.card(node, card).update(mtu=1000)
    cause = causes_of(hosts, flow(LARGE, frozenset(("h1", node))))[0]
    assert list(cause.mend) == mend


@pytest.mark.parametrize(
    ("breaks", "failed"),
    [kind[1:3] for kind in KINDS if kind[0] not in ("closed", "ended", "loopback", "rp_filter")],
    ids=[kind[0] for kind in KINDS if kind[0] not in ("closed", "ended", "loopback", "rp_filter")],
)
def test_one_fault_is_one_cause(breaks: Break, failed: Flow) -> None:
    hosts = Hosts(healthy(network()))
    breaks(hosts)
    causes = {(cause.node, cause.code.partition("-")[0]) for cause in causes_of(hosts, failed)}
    assert len(causes) == 1, causes


@pytest.mark.parametrize("packet", [PING, NEAR, LARGE], ids=["far", "near", "large"])
@pytest.mark.parametrize("reached", [("h1",), ("h1", "r1"), tuple(THERE)])
def test_a_healthy_network_has_no_cause(packet: Packet, reached: tuple[str, ...]) -> None:
    assert causes_of(Hosts(healthy(network())), Flow("h1", packet, set(reached))) == []


def test_without_how_it_was_built_causes_are_named_all_the_same() -> None:
    for name, breaks, failed, code, _, _ in KINDS:
        hosts = Hosts(healthy(network()))
        breaks(hosts)
        hosts.data["built"] = {}
        if name not in ("no address", "wrong subnet", "far address gone", "router's address gone",
                        "ended", "router without route", "wrong route", "duplicate"):  # fmt: skip
            assert code in {cause.code for cause in causes_of(hosts, failed)}, name


def test_what_the_packet_has_passed_is_no_cause() -> None:
    hosts = Hosts(healthy(network()))
    hosts.set_down("h1")  # afterwards
    hosts["r1"]["settings"].update(ip_forward=0)
    codes = [cause.code for cause in causes_of(hosts, flow(reached=frozenset(("h1", "r1"))))]
    assert "not-forwarding" in codes
    there = [cause.node for cause in causes_of(hosts, flow(reached=THERE))]
    assert "r1" in there, "the way back leads through it, too"
    replied = Flow("h1", PING, set(THERE), replied=True, back={"h3", "r1"})
    assert "h3" not in [cause.node for cause in causes_of(hosts, replied)]


def test_a_controller_of_the_user_s_own_is_put_in_charge_by_its_file() -> None:
    for file, words in (("/opt/hoplab/controllers/hub.py", "hoplab swap hub"),
                        ("/home/me/my app.py", "hoplab swap '/home/me/my app.py'")):  # fmt: skip
        wiring = network()
        wiring.controller, wiring.extra = "hub", {"controller_file": file}
        hosts = Hosts(healthy(wiring))
        hosts.switch("s1").update(controllers=0, connected=False, flows=0)
        walks = Walks(wiring, facts_of(hosts), Words("lab", diagnosis._controller(wiring)))
        assert diagnosis._causes_of(walks, flow())[0].mend == (words,)


def test_of_a_node_whose_settings_were_not_read_nothing_is_said() -> None:
    hosts = Hosts(healthy(network()))
    hosts.set_down("h3")
    for state in ("built", "before", "now"):
        del hosts.data[state]["hosts"]["r1"]  # as of a router that speaks OpenFlow
    assert causes_of(hosts, flow()) == []
    assert causes_of(hosts, Flow("r1", PING, {"r1"})) == []


def test_two_causes_are_both_told() -> None:
    hosts = Hosts(healthy(network()))
    hosts.drop_routes("h1", "h1-eth0", default_only=True)
    hosts.drop_routes("h3", "h3-eth0", default_only=True)
    codes = [cause.code for cause in causes_of(hosts, flow())]
    assert codes == ["no-gateway", "no-return-route"]


def test_a_gateway_that_was_wrong_from_the_start() -> None:
    hosts = Hosts(healthy(network(), {**GATEWAYS, "h1": "10.0.1.77"}))
    causes = causes_of(hosts, flow())
    assert [cause.code for cause in causes] == ["wrong-gateway"]
    assert causes[0].mend == ("hoplab exec h1 -- ip route replace default via 10.0.1.1",)


def test_a_route_that_ends_on_the_wrong_link_from_the_start() -> None:
    hosts = Hosts(healthy(network()))
    for state in ("built", "now"):
        hosts.data[state]["hosts"]["r1"]["routes"].append(
            {"to": "10.0.2.10/32", "card": "r1-eth0"}
        )
    assert [cause.code for cause in causes_of(hosts, flow())] == ["wrong-route"]


def test_two_subnets_on_one_link() -> None:
    hosts = Hosts(healthy(network()))
    for state in ("built", "now"):
        hosts.data["now"], kept = hosts.data[state], hosts.data["now"]
        hosts.readdress("h1", "192.168.1.10/24")
        hosts.readdress("h2", "192.168.2.10/24")
        hosts.data["now"] = kept
    target = Packet("icmp", "192.168.1.10", IPv4Address("192.168.2.10"))
    causes = diagnosis._distinct(causes_of(hosts, Flow("h1", target, {"h1"})))
    assert [cause.code for cause in causes] == ["subnets-apart"], "told once, from one side"
    assert "255.255.255.0" in causes[0].sentence and "192.168.2.0/24" in causes[0].sentence


def test_a_filter_whose_counter_stands_still_dropped_nothing() -> None:
    hosts = Hosts(healthy(network()))
    hosts.saved("h3", "INPUT -p icmp -j DROP", rose=0)
    hosts.saved("r1", "", rose=0, policy="DROP")
    assert causes_of(hosts, flow(reached=THERE)) == []


def test_a_rule_that_counts_nothing_is_only_likely() -> None:
    hosts = Hosts(healthy(network()))
    rules = (
        "table ip own {\n\tchain in { # handle 1\n\t\ttype filter hook input priority filter; "
        "policy accept;\n\t\ttcp dport 80 drop # handle 2\n\t\tip saddr 10.0.1.0/24 icmp type "
        "echo-request drop # handle 3\n\t}\n}\n"
    )
    for state in ("before", "now"):
        hosts.data[state]["hosts"]["h3"]["filters"] = {"nft": rules}
    causes = causes_of(hosts, flow(reached=THERE))
    assert [(cause.code, cause.likely) for cause in causes] == [("filter-input", True)]
    assert causes[0].mend == ("hoplab exec h3 -- nft delete rule ip own in handle 3",)


def test_rp_filter_is_told_where_it_counted_or_nothing_came() -> None:
    hosts = Hosts(healthy(network()))
    hosts["r1"]["settings"]["rp_filter"].update(all=1)
    hosts.route("r1", "10.0.1.10/32", card="r1-eth1")
    # Its ARP requests are not answered, so no packet came that could be counted.
    first = causes_of(hosts, flow())[0]
    assert (first.code, first.likely) == ("rp-filter", True)
    codes = [cause.code for cause in causes_of(hosts, flow(reached=frozenset(("h1", "r1"))))]
    assert "rp-filter" not in codes, "it came, and the kernel counted nothing"


def test_a_rule_for_replies_takes_no_requests() -> None:
    hosts = Hosts(healthy(network()))
    hosts.saved("h3", "INPUT -p icmp -m icmp --icmp-type 0 -j DROP")
    assert causes_of(hosts, flow(reached=THERE)) == []


@pytest.mark.parametrize(
    ("rule", "likely"),
    [("-p icmp -j DROP", False), ("-s 10.0.1.0/24 -p icmp -m icmp --icmp-type 8 -j DROP", False),
     ("-m state --state INVALID -j DROP", True), ("-i h3-eth0 -j DROP", False)],
)  # fmt: skip
def test_what_a_rule_looks_at_beside_is_told_as_likely(rule: str, likely: bool) -> None:
    hosts = Hosts(healthy(network()))
    hosts.saved("h3", f"INPUT {rule}")
    (cause,) = causes_of(hosts, flow(reached=THERE))
    assert cause.likely is likely


def test_rules_of_a_chain_stand_where_it_is_called_from() -> None:
    text = (
        "*filter\n:INPUT ACCEPT [0:0]\n:OWN - [0:0]\n[3:9] -A INPUT -j OWN\n"
        "[2:8] -A OWN -p tcp -m tcp --dport 20:25 -j REJECT\nCOMMIT\n"
    )
    rules = read_filters({"iptables-legacy-save": text})
    refusal = next(rule for rule in rules if rule.verdict == "reject")
    assert refusal.hooks == ("input",) and refusal.packets == 2
    assert refusal.fits("tcp", "", "", 22, 0, "", "")
    assert not refusal.fits("tcp", "", "", 80, 0, "", "")


def test_the_story_names_the_cause_where_no_frame_left() -> None:
    hosts = Hosts(healthy(network()))
    hosts.drop_routes("h1", "h1-eth0", default_only=True)
    story = Playground(network(), GATEWAYS).story(
        said="ping: connect: Network is unreachable", host="h1", exit_code=2,
        command="ping -c 1 10.0.2.10", hosts=facts_of(hosts),
    )  # fmt: skip
    outcome = story.outcome
    assert [cause.code for cause in outcome.causes] == ["no-gateway"]
    assert "h1 has no route to 10.0.2.10: it has no default gateway." in outcome.sentence
    assert outcome.mend == ["hoplab exec h1 -- ip route add default via 10.0.1.1"]
    assert not any("perhaps" in reason for reason in outcome.why)


def test_the_story_names_what_kept_silent() -> None:
    net = Playground(network(), {**GATEWAYS, "h3": ""})
    net.warm()
    net.ip("10.0.1.10", "10.0.2.10", 1, frames.icmp(8, 0, 0x10001, b"ping"))
    hosts = Hosts(healthy(network()))
    hosts.drop_routes("h3", "h3-eth0", default_only=True)
    story = net.story(host="h1", command="ping -c 1 10.0.2.10", exit_code=1, hosts=facts_of(hosts))
    assert [cause.code for cause in story.outcome.causes] == ["no-return-route"]
    assert not any("silent" in reason for reason in story.outcome.why)


def test_a_story_of_success_has_no_cause_whatever_is_set() -> None:
    net = Playground(network(), GATEWAYS)
    net.warm()
    for src, dst, kind in (("10.0.1.10", "10.0.2.10", 8), ("10.0.2.10", "10.0.1.10", 0)):
        net.ip(src, dst, 1, frames.icmp(kind, 0, 0x10001, b"ping"))
    hosts = Hosts(healthy(network()))
    hosts.set_down("h3")
    story = net.story(host="h1", command="ping -c 1 10.0.2.10", exit_code=0, hosts=facts_of(hosts))
    assert story.outcome.ok and story.outcome.causes == []


def test_an_answer_that_a_filter_at_home_took_is_told() -> None:
    net = Playground(network(), GATEWAYS)
    net.warm()
    for src, dst, kind in (("10.0.1.10", "10.0.2.10", 8), ("10.0.2.10", "10.0.1.10", 0)):
        net.ip(src, dst, 1, frames.icmp(kind, 0, 0x10001, b"ping"))
    hosts = Hosts(healthy(network()))
    hosts.saved("h1", "INPUT -p icmp -j DROP")
    failed = net.story(host="h1", command="ping -c 1 10.0.2.10", exit_code=1, hosts=facts_of(hosts))
    assert [cause.code for cause in failed.outcome.causes] == ["filter-input"]
    well = net.story(host="h1", command="ping -c 1 10.0.2.10", exit_code=0, hosts=facts_of(hosts))
    assert well.outcome.causes == []


def test_a_syn_in_vain_is_told_by_who_listens() -> None:
    net = Playground(network(), GATEWAYS)
    net.warm()
    net.ip("10.0.1.10", "10.0.2.10", 6, frames.tcp(40000, 80, 1, 0, SYN))
    hosts = Hosts(healthy(network()))
    hosts["h3"]["listeners"].append(listener("127.0.0.1", "httpd"))
    story = net.story(host="h1", command="curl http://10.0.2.10/", exit_code=28,
                      hosts=facts_of(hosts))  # fmt: skip
    assert [cause.code for cause in story.outcome.causes] == ["bound-to-loopback"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": 9}',
             '{"format": 1, "now": {"hosts": {"h1": {"cards": [3]}}}}',
             '{"format": 1, "now": {"hosts": 5}}',
             '{"format": 1, "now": {"hosts": {"h1": {"routes": [{"to": "nowhere"}]}}}}'],
)  # fmt: skip
def test_facts_that_are_broken_are_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / HOSTS
    assert _hosts(path) is None
    path.write_text(text)
    assert _hosts(path) is None


def test_what_a_host_names_gives_no_orders() -> None:
    hosts = Hosts(healthy(network()))
    hosts["h3"]["listeners"].append(listener("127.0.0.1", "a\x1b[2Jb", "127.0.0.1"))
    hosts["h3"]["listeners"].append({**listener("", "c"), "port": 81})
    (cause,) = causes_of(hosts, flow(WEB, THERE))
    assert "\x1b" not in cause.sentence and cause.mend == ()
    words = Words("lab", "")
    assert words.on("h1", "ip link set $(reboot) up") == (
        "hoplab exec h1 -- sh -c 'ip link set $(reboot) up'",
    )
    assert words.on("h1", "iptables -D INPUT -m comment --comment \"it's\"") == (
        """hoplab exec h1 -- sh -c 'iptables -D INPUT -m comment --comment "it'"'"'s"'""",
    )


def test_the_commands_find_a_lab_by_its_name() -> None:
    assert Words("mine", "").on("h1", "ip link") == ("hoplab exec --name mine h1 -- ip link",)
    assert Words("lab", "").on("h1", "a", "b") == ("hoplab exec h1 -- sh -c 'a; b'",)


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        ("PREROUTING -i h3-eth0 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.9.9.9", False),
        ("PREROUTING -j DNAT --to-destination 10.9.9.9", False),
        ("PREROUTING -p tcp -m tcp --dport 81 -j DNAT --to-destination 10.9.9.9", True),
        ("PREROUTING -p udp -j DNAT --to-destination 10.9.9.9", True),
        ("POSTROUTING -o h3-eth0 -j MASQUERADE", True),
    ],
)
@pytest.mark.parametrize("refused", [False, True])
def test_of_a_forwarded_port_it_is_not_said_that_nobody_listens(
    rule: str, named: bool, refused: bool
) -> None:
    hosts = Hosts(healthy(network()))
    chains = ":PREROUTING ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n"
    printed = f"*nat\n{chains}[0:0] -A {rule}\nCOMMIT\n"
    for state in ("before", "now"):
        hosts.data[state]["hosts"]["h3"]["filters"] = {"iptables-nft-save": printed}
    failed = Flow("h1", WEB, set(THERE), refused=refused)
    assert ("port-closed" in {cause.code for cause in causes_of(hosts, failed)}) is named


def test_a_cut_cable_between_two_switches_is_one_cause() -> None:
    wiring = wire_up(
        [("h1", "10.0.0.1/24", "s1", ""), ("s1", "", "s2", ""), ("h2", "10.0.0.2/24", "s2", "")],
        topology="line",
    )
    hosts = Hosts(healthy(wiring, {}))
    ends = [(each.node, each.name) for each in wiring.interfaces if each.node in ("s1", "s2")]
    between = [(node, name) for node, name in ends if name in ("s1-eth2", "s2-eth1")]
    assert len(between) == 2, ends
    walks_of = lambda: Walks(wiring, facts_of(hosts), Words("lab", "hub"))  # noqa: E731
    failed = Flow("h1", Packet("icmp", "10.0.0.1", IPv4Address("10.0.0.2")), {"h1"})
    for node, name in between:
        hosts.switch(node)["ports"][name].update(up=False, carrier=False)
        causes = diagnosis._distinct(diagnosis._causes_of(walks_of(), failed))
        assert len(causes) == 1, causes
        assert causes[0].code == "link-down" and causes[0].mend == ("hoplab link s1 s2 up",)
