#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs a command in a Debian or Ubuntu root file system as if it were a machine: with its own
# processes and mounts, and the root folder really is the root (in a plain chroot the kernel
# refuses user namespaces). Nothing of this machine is seen but /proc, /sys and /dev. As root.
#
#   tests/machines/root.sh make RELEASE FOLDER      debian-12, ubuntu-24.04, ... (mmdebstrap)
#   tests/machines/root.sh run FOLDER COMMAND...    as root there
#   tests/machines/root.sh user FOLDER COMMAND...   as the ordinary user `learner` there
#
# OFFLINE=1 takes the network away. The name servers and certificates of this machine and its
# settings for pip (PIP_*, *_CERT) are handed in, in the root file system only.
set -euo pipefail

declare -A suites=(
    [debian-12]='bookworm http://deb.debian.org/debian'
    [debian-13]='trixie http://deb.debian.org/debian'
    [ubuntu-22.04]='jammy http://archive.ubuntu.com/ubuntu'
    [ubuntu-24.04]='noble http://archive.ubuntu.com/ubuntu'
    [ubuntu-26.04]='resolute http://archive.ubuntu.com/ubuntu'
)

make_root() { # make_root RELEASE FOLDER
    local suite mirror components=main
    read -r suite mirror <<<"${suites[$1]:?not one of: ${!suites[*]}}"
    if [[ $1 == ubuntu-* ]]; then components=main,universe; fi
    # shellcheck disable=SC2086 # MMDEBSTRAP holds options
    mmdebstrap --mode=root --variant=minbase --components="$components" \
        --include=ca-certificates,apt ${MMDEBSTRAP:-} "$suite" "$2" "$mirror"
    # Packages must start no service: it would run in this machine's network.
    printf '#!/bin/sh\nexit 101\n' >"$2/usr/sbin/policy-rc.d"
    chmod 755 "$2/usr/sbin/policy-rc.d"
    chroot "$2" useradd --create-home --shell /bin/bash learner
    if [ -f /etc/ssl/certs/ca-certificates.crt ]; then
        cp -L /etc/ssl/certs/ca-certificates.crt "$2/etc/ssl/certs/ca-certificates.crt"
    fi
}

# Runs inside new namespaces: turns $1 into the root folder, then runs the rest.
inside='
set -e
root=$1 who=$2
shift 2
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/dev/net"
mknod -m 666 "$root/dev/net/tun" c 10 200
mount -t tmpfs tmpfs "$root/run"
rm -f "$root/etc/resolv.conf"
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
mkdir -p "$root/.old"
cd "$root"
pivot_root . .old
umount -l /.old
rmdir /.old
if [ -z "$OFFLINE" ]; then unset OFFLINE; else ip link set lo up 2>/dev/null || true; fi
cd /root
if [ "$who" = learner ]; then
    cd /home/learner
    exec setpriv --reuid learner --regid learner --init-groups --inh-caps=-all \
        env HOME=/home/learner USER=learner "$@"
fi
exec "$@"
'

run_root() { # run_root FOLDER WHO COMMAND...
    local keep=("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" HOME=/root
        LANG=C.UTF-8 "OFFLINE=${OFFLINE:-}" "TERM=${TERM:-dumb}") name
    for name in "${!PIP_@}" SSL_CERT_FILE REQUESTS_CA_BUNDLE; do
        if [ -n "${!name:-}" ] && [ "$name" != PIP_FIND_LINKS ]; then keep+=("$name=${!name}"); fi
    done
    local network=()
    if [ -n "${OFFLINE:-}" ]; then network=(--net); fi
    exec env -i "${keep[@]}" unshare --mount --pid --fork --kill-child --propagation private \
        "${network[@]}" bash -c "$inside" root "$(realpath -- "$1")" "$2" "${@:3}"
}

case ${1:-} in
    make) make_root "$2" "$3" ;;
    run) run_root "$2" root "${@:3}" ;;
    user) run_root "$2" learner "${@:3}" ;;
    *) sed -n '3,/^set/{s/^# \{0,1\}//;/^set/d;p}' "$0" >&2 && exit 2 ;;
esac
