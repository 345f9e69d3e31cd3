# SPDX-License-Identifier: Apache-2.0
"""Labs of Kathará and containerlab become Topos; what cannot be is refused, naming where."""

from __future__ import annotations

from pathlib import Path

import pytest

from hoplab import programs
from hoplab.client.topologies import find_topology
from hoplab.errors import Exit, LabError
from hoplab.imports import formats, kathara, needs, shell_lines
from hoplab.network import topofile
from hoplab.service.spec import Spec
from tests.unit.other_labs import LABS, written


def conf(folder: Path, text: str, **startups: str) -> Path:
    (folder / "lab.conf").write_text(text)
    for name, commands in startups.items():
        (folder / f"{name}.startup").write_text(commands)
    return folder / "lab.conf"


@pytest.mark.parametrize("name", LABS)
def test_each_lab_is_a_topo(name: str, tmp_path: Path) -> None:
    wanted = find_topology(str(written(name, tmp_path)) + ",without=all")
    topo = topofile.load_topo(wanted.file, wanted.parameters)
    assert {device for device, _ in LABS[name].checks} <= set(topo.hosts())
    assert all(topo.nodeInfo(host)["ip"] is None for host in topo.hosts())


def test_two_ends_are_a_cable_and_others_a_hub(tmp_path: Path) -> None:
    text = 'pc1[0]="A/02:00:00:00:00:07"\npc2[3]="A"\npc2[1]="pc1"\npc1[2]="alone-with-itself"\n'
    text += 'pc1[1]="pc1"\npc3[0]="pc1"\n'
    topo = topofile.load_topo(conf(tmp_path, text))
    assert sorted(topo.switches()) == ["alone-with", "pc1_2"] and topo.controller == "hub"
    cables = {tuple(sorted((a, b))): info for a, b, info in topo.links(withInfo=True)}
    direct = cables["pc1", "pc2"]
    assert (direct["intfName1"], direct["intfName2"]) == ("eth0", "eth3")
    assert direct["addr1"] == "02:00:00:00:00:07" and direct["port2"] == 3


def test_what_a_line_says_is_read_or_refused_with_its_number(tmp_path: Path) -> None:
    text = (
        'LAB_NAME="x"\n# nothing\npc1[0]=A # behind\npc1[sysctl]="net.ipv4.ip_default_ttl = 9"\n'
        'pc1[env]="A=b"\npc1[exec]="true"\npc1[port]="80:80"\npc1[colour]="red"\npc1[mem]="1g"\n'
    )
    lab = kathara.read(conf(tmp_path, text, shared="date\n", pc1="sleep 0\n"))
    device = lab.devices["pc1"]
    assert "net.ipv4.ip_default_ttl=9" in device.sysctls and device.environment == {"A": "b"}
    assert [each.title for each in device.startups] == [
        "pc1[exec]", "shared.startup", "pc1.startup",
    ]  # fmt: skip
    assert len(lab.remarks) == 2 and "colour (line 8)" in str(lab.remarks[0])
    for wrong, where in (("pc1[0]=\n", "line 1"), ('a[0]="A"\nnonsense\n', "line 2")):
        with pytest.raises(LabError, match=where):
            kathara.read(conf(tmp_path, wrong))
    with pytest.raises(LabError, match="has no device"):
        kathara.read(conf(tmp_path, "LAB_NAME=1\n"))


def test_a_way_out_is_refused_unless_done_without(tmp_path: Path) -> None:
    path = conf(tmp_path, 'pc1[0]="A"\npc1[bridged]="true"\n')
    with pytest.raises(LabError, match="line 2: pc1 is to be bridged") as refused:
        topofile.load_topo(path)
    assert "without=bridged" in refused.value.hint
    assert topofile.load_topo(path, "without=bridged").hosts() == ["pc1"]
    with pytest.raises(LabError, match="takes no parameter n=4"):
        topofile.load_topo(path, "n=4")


def test_what_is_lacking_is_listed_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = programs.find
    lacking = {"radvd", "brctl", "/usr/lib/frr/zebra", "dnsmasq"}
    monkeypatch.setattr(programs, "find", lambda name: None if name in lacking else find(name))
    commands = "brctl addbr br0\nsystemctl enable radvd; systemctl start radvd.service\n"
    path = conf(tmp_path, 'a[0]="A"\nb[0]="A"\n', a=commands, b="service quagga start\ncustomd\n")
    with pytest.raises(LabError) as refused:
        topofile.load_topo(path)
    error = refused.value
    assert error.code == Exit.REFUSED
    assert "brctl (a)" in error.message and "radvd (a)" in error.message
    assert "sudo apt install bridge-utils frr radvd" in error.hint
    topo = topofile.load_topo(path, "without=all")
    assert not topo.hoplab_remarks
    topo = topofile.load_topo(path, "without=frr+radvd+brctl")
    assert ["customd is called (b)" in str(each) for each in topo.hoplab_remarks] == [True]


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("A=1 sudo ip link | grep -q x && cat < f > g; [ -e y ] || wget -q z",
         ["ip", "grep", "cat", "wget"]),
        ("if ping -c 1 a; then echo b; else nmap c; fi", ["ping", "nmap"]),
        ("cat > /etc/x <<EOF\nradvd in a text\nEOF\nradvd", ["cat", "radvd"]),
        ("for i in 1 2; do arping $i; done # traceroute x", ["arping"]),
        ("f() { date; }\nf\n/etc/init.d/bind9 start", ["date", "/etc/init.d/bind9"]),
        ("echo 'not closed\ntcpdump -i eth0 &", ["tcpdump"]),
    ],
)  # fmt: skip
def test_a_script_tells_what_it_calls(text: str, calls: list[str]) -> None:
    assert list(shell_lines.programs(text)) == calls


@pytest.mark.parametrize(
    ("line", "shape"),
    [
        ("tc qdisc add dev eth0 root netem delay 10ms", {"delay": "10ms"}),
        ("sudo tc qdisc add dev eth0 root handle 1: netem delay 100ms 10ms loss random 3.5%",
         {"delay": "100ms", "jitter": "10ms", "loss": 3.5}),
        ("tc qdisc replace dev eth0 root netem rate 1mbit limit 30",
         {"bw": 1.0, "max_queue_size": 30}),
        ("tc qdisc add dev eth0 root tbf rate 256kbit burst 32kbit latency 400ms", {"bw": 0.256}),
        ("tc qdisc add dev eth0 root netem delay 1500", {"delay": "1.5ms"}),
    ],
)  # fmt: skip
def test_what_tc_is_asked_for_is_the_links_own(line: str, shape: dict[str, object]) -> None:
    text, shapes, partly = shell_lines.taken_shapes(f"date\n{line}\ndate")
    assert text == f"date\n: {line}\ndate" and shapes == {"eth0": shape} and not partly


def test_what_tc_is_asked_for_and_hoplab_does_not_do_is_said() -> None:
    line = "tc qdisc add dev eth0 root netem delay 5ms duplicate 1%"
    assert shell_lines.taken_shapes(line)[1:] == ({"eth0": {"delay": "5ms"}}, [line])
    for line in ("tc qdisc del dev eth0 root", "tc qdisc show", "tc qdisc add dev eth0 root sfq"):
        assert shell_lines.taken_shapes(line) == (line, {}, [])


def test_files_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "ospf"
    folder.mkdir()
    path = conf(folder, 'pc1[0]="A"\n')
    monkeypatch.chdir(tmp_path)
    for wish in (str(folder), "./ospf", "ospf/lab.conf"):
        assert find_topology(f"{wish},without=a") == (path, "", "without=a", ())
    assert Spec("lab", tmp_path, path).title == "ospf"
    assert formats.title(Path("x/frr01.clab.yml")) == "frr01"
    (tmp_path / "topology.yml").write_text("provider: clab\nnodes: [a, b]\nlinks: [a-b]\n")
    (tmp_path / "x.gns3").write_text("{}")
    (tmp_path / "y.yml").write_text("a: b\n")
    for name, words in (("topology.yml", "netlab create"), ("x.gns3", "docs/imports.md"),
                        ("y.yml", "docs/imports.md")):  # fmt: skip
        with pytest.raises(LabError) as refused:
            find_topology(name)
        assert words in refused.value.hint


@pytest.mark.parametrize(
    ("nodes", "links", "words"),
    [
        ("{r1: {kind: nokia_srlinux}, r2: {kind: ceos}}", "[]", r"nokia_srlinux \(r1\)"),
        ("{r1: {kind: linux, binds: ['no/such:/etc/x']}}", "[]", "no/such to bind"),
        ("{r1: {kind: linux}}", "[{endpoints: ['r1:eth1', 'r9:eth1']}]", "r9, which is no node"),
        ("{r1: {kind: linux}}", "[{endpoints: ['r1:eth1']}]", "link 1 has not two ends"),
    ],
)
def test_what_containerlab_has_beyond_linux_is_refused(
    nodes: str, links: str, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.clab.yml"
    path.write_text(f"name: x\ntopology:\n  nodes: {nodes}\n  links: {links}\n")
    with pytest.raises(LabError, match=words):
        topofile.load_topo(path)


def test_every_service_has_a_package_where_it_needs_a_program() -> None:
    from hoplab.network import imported

    for program, package in imported.device_module().SERVICES.values():
        assert bool(program) == bool(package)
    assert needs.PACKAGES["brctl"] == "bridge-utils"
