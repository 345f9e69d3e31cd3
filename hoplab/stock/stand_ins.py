# SPDX-License-Identifier: Apache-2.0
"""Programs that stand in `hoplab run` for ones that the machine does not have, or before its own.

Each is the text of a script; @WORDS@ in it are filled in by `run.py`. What more they do is in
modules of their own.
"""

from __future__ import annotations

_REFERENCE = """#!/bin/sh
@ELSEWHERE@
PYTHONPATH=@OURS@ exec @PYTHON@ -m hoplab.stock.reference_switch "${0##*/}" "$@"
"""

# Where the machine has none.
PROGRAMS = {
    # Debian has it by another name alone, and scripts and Mininet's own tests call it by this one.
    "python": '#!/bin/sh\nexec python3 "$@"\n',
    "ofdatapath": _REFERENCE,
    "ofprotocol": _REFERENCE,
    "dpctl": _REFERENCE,
    "brctl": """#!/bin/sh
# The package bridge-utils', by ip-link(8), as far as LinuxBridge and its like use it.
command=$1 bridge=$2 word=$3
option() { exec ip link set "$bridge" type bridge "$@"; }
case $command in
    addbr) exec ip link add name "$bridge" type bridge ;;
    delbr) exec ip link del "$bridge" ;;
    addif) shift 2; for port; do ip link set "$port" master "$bridge" || exit; done ;;
    delif) shift 2; for port; do ip link set "$port" nomaster || exit; done ;;
    stp) case $word in on|yes|1) option stp_state 1 ;; *) option stp_state 0 ;; esac ;;
    setbridgeprio) option priority "$word" ;;
    setfd) option forward_delay "$((word * 100))" ;;
    sethello) option hello_time "$((word * 100))" ;;
    setmaxage) option max_age "$((word * 100))" ;;
    setageing) option ageing_time "$((word * 100))" ;;
    setpathcost) exec ip link set "$word" type bridge_slave cost "$4" ;;
    setportprio) exec ip link set "$word" type bridge_slave priority "$4" ;;
    showmacs) exec bridge fdb show br "$bridge" ;;
    showstp) exec bridge -d link show ;;
    show)
        printf 'bridge name\\tSTP enabled\\tinterfaces\\n'
        for path in /sys/class/net/*/bridge; do
            [ -d "$path" ] || continue
            folder=${path%/bridge}
            [ -z "$bridge" ] || [ "${folder##*/}" = "$bridge" ] || continue
            printf '%s\\t%s\\t%s\\n' "${folder##*/}" "$(cat "$path/stp_state")" \\
                "$(ls "$folder/brif" | tr '\\n' ' ')"
        done ;;
    *) echo "brctl: $command is not known in here" >&2; exit 1 ;;
esac
""",
    "vconfig": """#!/bin/sh
# The package vlan's, by ip-link(8).
case $1 in
    add) exec ip link add link "$2" name "$2.$3" type vlan id "$3" ;;
    rem) exec ip link del "$2" ;;
esac
""",
}
# Before the machine's own.
FIRST = {
    "tc": """#!/bin/sh
# Where the kernel has no netem, hoplab does what it would (netem.py).
case " $* " in *" netem "*|*" del"*) exec @PYTHON@ -IS @TC_CLIENT@ @TC@ "$@" ;; esac
exec @TC@ "$@"
""",
    "ovs-ofctl": """#!/bin/sh
# With Mininet's own controller a table without flows asks it. Ours fills the table again, and until
# it has, nothing goes on.
case " $* " in *" del-flows "*) ;; *) exec @OFCTL@ "$@" ;; esac
@OFCTL@ "$@" || exit
for word; do [ "$last" = del-flows ] && switch=$word; last=$word; done
[ -e /run/hoplab/first_controller ] && [ "$last" = "$switch" ] || exit 0
[ "$(@VSCTL@ get-controller "$switch" 2>&1)" ] || exit 0
for turn in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    @OFCTL@ dump-flows "$switch" 2>&1 | grep -q actions && exit 0
    sleep 0.1
done
""",
}
# Before the machine's own where root is the only user that there is, as in an ordinary user's
# machine: they would become somebody else.
ONE_USER = {
    "dnsmasq": """#!/bin/sh
case " $* " in
    *" -v "*|*" --version "*|*" --test "*|*" -w "*|*" --help "*) exec @DNSMASQ@ "$@" ;;
    *" -d "*|*" --no-daemon "*|*" -k "*|*" --keep-in-foreground "*) exec @DNSMASQ@ -d "$@" ;;
esac
@DNSMASQ@ --test "$@" >/dev/null 2>&1 || exec @DNSMASQ@ "$@"
setsid @DNSMASQ@ -d "$@" >/dev/null 2>&1 </dev/null &
""",
}
# Before the machine's own, where Open vSwitch forwards in user space.
USER_SPACE = {
    "ovs-vsctl": """#!/bin/sh
# A bridge that a script makes by hand forwards in user space, as those of its Mininet do.
more= before= last=
case " $* " in *" datapath_type="*) ;; *)
    for word in "$@" --; do
        [ "$before $word" = "add-br --" ] && more="$more -- set bridge $last datapath_type=netdev"
        before=$last last=$word
    done ;;
esac
exec @VSCTL@ "$@" $more
""",
}

# The Ryu app that `controller` and `ovs-testcontroller` run: our learning switch, which does not
# stay mute when somebody deletes its flows. Scripts clear the tables of their switches when a host
# has moved (`dpctl("del-flows")`), for with Mininet's own controller an empty table asks. Ours
# speaks OpenFlow 1.3, where an empty table drops. So the switch is to say when the flow that asks
# is gone, and is given it again: to add what is there changes nothing and is answered by nothing.
FIRST_CONTROLLER = """
from ryu.controller import ofp_event
from ryu.controller.handler import MAIN_DISPATCHER, set_ev_cls
from ryu.ofproto import ofproto_v1_3 as ofp
import kit
import learning_switch

MISS = learning_switch.TABLE, learning_switch.PRIORITY_MISS, {}

class FirstController(learning_switch.LearningSwitch):
    def pipeline(self, datapath):
        asks = {"out": ofp.OFPP_CONTROLLER, "flags": ofp.OFPFF_SEND_FLOW_REM}
        return [*super().pipeline(datapath)[:-1], kit.flow(datapath, *MISS, **asks)]

    @set_ev_cls(ofp_event.EventOFPFlowRemoved, MAIN_DISPATCHER)
    def flow_is_gone(self, ev):
        super().flow_is_gone(ev)
        if (ev.msg.priority, ev.msg.reason) == (learning_switch.PRIORITY_MISS, ofp.OFPRR_DELETE):
            for flow in self.pipeline(ev.msg.datapath):
                ev.msg.datapath.send_msg(flow)
"""
