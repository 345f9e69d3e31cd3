#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs this commit on bare Debian and Ubuntu root file systems, each with its own Python, runs
# it there as root and as an ordinary user, and prints a table of what was seen. As root.
#
#   tests/machines/bare.sh [RELEASE...]       (default: all that root.sh knows)
#
# MACHINES   where root file systems are kept (default: /var/tmp/hoplab-machines); those that are
#            there are used again, and install.sh is then run a second time
# TESTS      what pytest runs there as the ordinary user; "" for nothing
set -uo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
root=$here/tests/machines/root.sh
machines=${MACHINES:-/var/tmp/hoplab-machines}
tests=${TESTS-tests/unit/test_netlink.py tests/unit/test_controllers_launcher.py tests/unit/test_doctor.py tests/net/test_labs.py}
releases=("$@")
if [ $# -eq 0 ]; then
    releases=(debian-12 debian-13 ubuntu-22.04 ubuntu-24.04 ubuntu-26.04)
fi

verdict() { # verdict LOG COMMAND...: yes or NO, and the log keeps the rest
    local log=$1 began=$SECONDS
    shift
    printf '\n$ %s\n' "$*" >>"$log"
    if timeout "${LIMIT:-1800}" "$@" >>"$log" 2>&1 </dev/null; then
        printf 'yes (%d s)' $((SECONDS - began))
    else
        printf 'NO'
    fi
}

mkdir -p "$machines"
failed=0
echo '| release | Python | Mininet | Open vSwitch | install | visit as root | as a user | tests as a user |'
echo '|---|---|---|---|---|---|---|---|'
for release in "${releases[@]}"; do
    folder=$machines/$release log=$machines/$release.log
    : >"$log"
    if [ ! -f "$folder/.made" ]; then
        rm -rf -- "$folder"
        if ! "$root" make "$release" "$folder" >>"$log" 2>&1; then
            echo "| $release | no root file system could be made: $log |"
            failed=1
            continue
        fi
        touch "$folder/.made"
    fi
    checkout=$folder/home/learner/hoplab
    mkdir -p "$checkout"
    # What an older commit had and this one has not goes; what was installed stays.
    find "$checkout" -mindepth 1 -maxdepth 1 ! -name .venv -exec rm -rf -- {} +
    git -C "$here" archive HEAD | tar -x -C "$checkout"
    inside=/home/learner/hoplab
    install=$(verdict "$log" "$root" run "$folder" "$inside/scripts/install.sh")
    "$root" run "$folder" chown -R learner: "$inside"
    versions=$("$root" run "$folder" bash -c "$inside/.venv/bin/python -V | cut -d' ' -f2
        dpkg-query -W -f '\${Version}\n' mininet openvswitch-switch" 2>>"$log" | tr '\n' ' ')
    read -r python mininet switch <<<"$versions"
    as_root=$(verdict "$log" "$root" run "$folder" "$inside/.venv/bin/hoplab" visit --down)
    as_user=$(verdict "$log" "$root" user "$folder" "$inside/.venv/bin/hoplab" visit --down)
    tested=-
    if [ -n "$tests" ]; then
        # shellcheck disable=SC2086 # TESTS is a list
        "$root" user "$folder" "$inside/.venv/bin/pip" install -q pytest pytest-xdist \
            pytest-timeout hypothesis >>"$log" 2>&1
        tested=$(verdict "$log" "$root" user "$folder" bash -c \
            "cd $inside && .venv/bin/python -m pytest -q -n 2 $tests")
        tested="$tested: $(tail -n 1 "$log" | tr -d =)"
    fi
    echo "| $release | $python | $mininet | $switch | $install | $as_root | $as_user | $tested |"
    case "$install$as_root$as_user$tested" in *NO*) failed=1 ;; esac
done
exit "$failed"
