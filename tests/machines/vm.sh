#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Boots a minimal Debian 12 in QEMU, provisions this commit in it as vagrant does, and runs the
# network tests there: with the kernel's datapath and with the userspace one, as root and as an
# ordinary user, and the tests of netem. Debian's kernel has both modules, which many machines that
# run tests have not. The processor is emulated: slow, but it works everywhere.
#
#   tests/machines/vm.sh [--smoke]            (as root: mmdebstrap makes the image)
#
#   --smoke    a visit, a swap, a pingall and the netem tests (or TESTS), not the whole of tests/net
#
# MACHINES   where the image is kept (default: /var/tmp/hoplab-machines)
# BUNDLE     a folder that scripts/make_bundle.sh --with-tests made on Debian 12: no network then
# TESTS      files and folders, each of which one pytest runs (default: tests/net)
#            none: no tests and none of their tools, where installing those takes hours
# TESTS_kernel_root, TESTS_user_vagrant, ...: the same, for one pass alone
# ACCEL      kvm: the processor's own help (default: tcg, emulation)
# MODES      which passes, of datapath-user (default: kernel-root kernel-vagrant user-root
#            user-vagrant; those with the userspace datapath come last, whatever the order)
# LIMIT      seconds that one pass of pytest may take (default: 14400)
# ARCH       arm64: a machine with that processor, whatever this one has; to make its image, this
#            one must run such programs (qemu-user-static and binfmt_misc)
#
# The machine can be held while something else needs the processor, and its clock stands still then
# (MACHINES/vm/monitor is QEMU's monitor):
#   python3 tests/machines/monitor.py MACHINES/vm/monitor stop      (then: cont)
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
machines=${MACHINES:-/var/tmp/hoplab-machines}
smoke=no
case ${1:-} in
    --smoke) smoke=yes ;;
    '') ;;
    *) sed -n '3,/^set/{s/^# \{0,1\}//;/^set/d;p}' "$0" >&2 && exit 2 ;;
esac
modes=${MODES:-kernel-root kernel-vagrant user-root user-vagrant}
default_tests=tests/net
if [ "$smoke" = yes ]; then default_tests=tests/net/test_netem.py; fi
arch=${ARCH:-$(dpkg --print-architecture)}
case $arch in
    amd64) qemu=(qemu-system-x86_64 -M q35) console=ttyS0 ;;
    arm64) qemu=(qemu-system-aarch64 -M virt) console=ttyAMA0 ;;
    *) echo "vm: nobody has tried $arch; say ARCH=amd64 or ARCH=arm64" >&2 && exit 2 ;;
esac
for program in mmdebstrap mkfs.ext4 "${qemu[0]}" ssh ssh-keygen; do
    if ! command -v "$program" >/dev/null; then
        echo "vm: $program is missing: apt-get install mmdebstrap e2fsprogs openssh-client" \
            "qemu-system-x86 (or qemu-system-arm)" >&2
        exit 6
    fi
done

say() { printf '%5d s  %s\n' "$SECONDS" "$*"; }

image=$machines/vm
if [ "$arch" != "$(dpkg --print-architecture)" ]; then image=$machines/vm-$arch; fi
mkdir -p "$image"
if [ ! -f "$image/disk" ]; then
    say "making the image (log: $image/make.log)"
    rm -rf "$image/root" "$image/key" "$image/key.pub"
    ssh-keygen -q -t ed25519 -N '' -C hoplab-test-vm -f "$image/key"
    # The packages stand in the image, so that a run takes minutes less; install.sh finds them.
    packages=$("$here/scripts/install.sh" --list --with-tests | paste -sd ,)
    mmdebstrap --mode=root --variant=minbase --architectures="$arch" \
        --include="linux-image-cloud-$arch,systemd-sysv,udev" \
        --include="openssh-server,sudo,ca-certificates,kmod,bash-completion,man-db,$packages" \
        bookworm "$image/root" http://deb.debian.org/debian >"$image/make.log" 2>&1
    root=$image/root
    chroot "$root" useradd --create-home --shell /bin/bash vagrant
    install -d -m 700 "$root/home/vagrant/.ssh" "$root/root/.ssh"
    cp "$image/key.pub" "$root/home/vagrant/.ssh/authorized_keys"
    chroot "$root" chown -R vagrant: /home/vagrant
    echo 'vagrant ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/vagrant"
    echo hoplab >"$root/etc/hostname"
    printf '127.0.0.1 localhost\n127.0.1.1 hoplab\n' >"$root/etc/hosts"
    # QEMU's user networking: always the same addresses.
    printf '[Match]\nType=ether\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\n' \
        >"$root/etc/systemd/network/10-qemu.network"
    rm -f "$root/etc/resolv.conf"
    echo 'nameserver 10.0.2.3' >"$root/etc/resolv.conf"
    chroot "$root" systemctl enable -q systemd-networkd ssh
    if [ -f /etc/ssl/certs/ca-certificates.crt ]; then
        cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
    fi
    cp -L "$root"/boot/vmlinuz-* "$image/vmlinuz"
    cp -L "$root"/boot/initrd.img-* "$image/initrd"
    truncate -s 6G "$image/disk.new"
    mkfs.ext4 -q -d "$root" "$image/disk.new"
    mv "$image/disk.new" "$image/disk"
    rm -rf "$root"
    say "the image is made"
fi

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
accelerator=(-accel tcg,thread=multi -cpu max)
if [ "${ACCEL:-tcg}" = kvm ]; then accelerator=(-accel kvm -cpu host); fi
# Retpolines defeat the emulator's cache of jumps: without them a program starts three times faster,
# and there is nobody in this machine to be safe from.
kernel="root=/dev/vda rw console=$console quiet mitigations=off"
# What is written to the disk is thrown away with the machine.
rm -f "$image/monitor"
nice -n 10 "${qemu[@]}" "${accelerator[@]}" -smp 2 -m 4096 -display none \
    -monitor "unix:$image/monitor,server=on,wait=off" -serial "file:$image/console.log" \
    -kernel "$image/vmlinuz" -initrd "$image/initrd" -append "$kernel" \
    -drive "file=$image/disk,if=virtio,format=raw,snapshot=on" \
    -nic "user,model=virtio-net-pci,hostfwd=tcp:127.0.0.1:$port-:22" </dev/null &
machine=$!
trap 'kill "$machine" 2>/dev/null || true; wait "$machine" 2>/dev/null || true' EXIT

# A machine that is held (see above) answers nothing: ssh waits for an hour.
inside=(ssh -q -i "$image/key" -p "$port" -o StrictHostKeyChecking=no -o ConnectTimeout=10
    -o UserKnownHostsFile=/dev/null -o ServerAliveInterval=60 -o ServerAliveCountMax=60
    vagrant@127.0.0.1)
say "booting ($arch, ${accelerator[1]}; console: $image/console.log)"
deadline=$((SECONDS + ${BOOT_LIMIT:-600}))
until "${inside[@]}" true 2>/dev/null; do
    if [ "$SECONDS" -gt "$deadline" ] || ! kill -0 "$machine" 2>/dev/null; then
        echo "vm: it did not come up; the end of its console:" >&2
        tail -n 20 "$image/console.log" >&2
        exit 1
    fi
    sleep 2
done
say "up: $("${inside[@]}" 'uname -sr; cat /etc/debian_version' | paste -sd ' ')"

checkout=/home/vagrant/hoplab
options=--with-tests
if [ "${TESTS:-}" = none ]; then options=''; fi
"${inside[@]}" mkdir -p "$checkout"
git -C "$here" archive HEAD | "${inside[@]}" tar -x -C "$checkout"
if [ -n "${BUNDLE:-}" ]; then
    tar -c -C "$BUNDLE" wheels debs/Packages made-for | "${inside[@]}" 'mkdir bundle; tar -x -C bundle'
    options="$options --from /home/vagrant/bundle"
fi
say "provisioning: vagrant/provision.sh $options"
"${inside[@]}" "sudo $checkout/vagrant/provision.sh $checkout vagrant $options"
say "provisioned; a second run:"
"${inside[@]}" "sudo $checkout/vagrant/provision.sh $checkout vagrant $options"

# An emulated processor is many times slower than those that our deadlines are meant for.
patience='env HOPLAB_PATIENCE=8'
failed=0
attempt() { # attempt SENTENCE COMMAND: in the machine
    local began=$SECONDS
    printf '\n$ %s\n' "$2"
    local code=0
    "${inside[@]}" "$2" || code=$?
    if [ "$code" = 0 ]; then
        say "PASSED in $((SECONDS - began)) s: $1"
    elif [ "$code" = 5 ]; then # pytest's code: all of these tests are marked long
        say "NOTHING in $1"
    else
        say "FAILED in $((SECONDS - began)) s: $1"
        failed=1
    fi
}

# The checkout is the user's, who can install again: here as after a change of a requirement.
attempt "the installer, as the user" "cd $checkout && rm -f .venv/.stamp-* && scripts/install.sh $options"

# What `hoplab wireshark` does from somebody's own machine: the extcap captures through ssh, with a
# configuration as `vagrant ssh-config` prints it. No Wireshark is needed to see frames come.
cat >"$image/ssh" <<END
#!/bin/sh
exec $(command -v ssh) -F '$image/ssh_config' "\$@"
END
chmod 755 "$image/ssh"
cat >"$image/ssh_config" <<END
Host hoplab-vm
  HostName 127.0.0.1
  User vagrant
  Port $port
  UserKnownHostsFile /dev/null
  StrictHostKeyChecking no
  PasswordAuthentication no
  IdentityFile "$image/key"
  IdentitiesOnly yes
  LogLevel FATAL
END
began=$SECONDS
"${inside[@]}" "$patience hoplab up switch --name remote"
rm -f "$image/fifo" && mkfifo "$image/fifo"
PATH=$image:$PATH PYTHONPATH=$here timeout 3600 python3 -m hoplab.wireshark.extcap --capture \
    --extcap-interface hoplab-ssh --ssh-host hoplab-vm --ssh-lab remote --fifo "$image/fifo" &
extcap=$!
timeout 3600 cat "$image/fifo" >"$image/remote.pcapng" &
reader=$!
tries=0 seen=0
until [ "$seen" -gt 0 ] || [ "$tries" -ge 20 ]; do
    "${inside[@]}" 'hoplab exec --name remote h1 -- ping -c 3 -i 0.3 10.0.0.2' >/dev/null || true
    sleep 2
    seen=$(PYTHONPATH=$here python3 -c 'import sys
from hoplab.capture import pcapng_reader
with open(sys.argv[1], "rb") as file:
    print(len(pcapng_reader.Stream().feed(file.read())))' "$image/remote.pcapng")
    tries=$((tries + 1))
done
kill "$extcap" 2>/dev/null || true
wait "$extcap" "$reader" 2>/dev/null || true
"${inside[@]}" 'hoplab down --name remote'
if [ "$seen" -gt 0 ]; then
    say "PASSED in $((SECONDS - began)) s: extcap through ssh, $seen frames"
else
    say "FAILED in $((SECONDS - began)) s: extcap through ssh"
    failed=1
fi

for datapath in kernel user; do
    if [[ " $modes " != *" $datapath-"* ]]; then continue; fi
    if [ "$datapath" = user ]; then
        # Our tests take the kernel's datapath where it is loaded, so it is taken away.
        # The machine's own Open vSwitch holds the module; nobody needs that service here. The
        # kernel would load it again as soon as somebody asks for it, so that is forbidden first.
        "${inside[@]}" 'sudo systemctl stop openvswitch-switch
            for dp in $(sudo ovs-dpctl dump-dps); do sudo ovs-dpctl del-dp "$dp"; done
            echo install openvswitch /bin/false | sudo tee /etc/modprobe.d/hoplab-test.conf
            sudo modprobe -r openvswitch
            hoplab doctor | grep "datapath  *in user space"'
    fi
    for who in root vagrant; do
        if [[ " $modes " != *" $datapath-$who "* ]]; then continue; fi
        as="$patience "
        if [ "$who" = root ]; then as="sudo $patience "; fi
        if [ "$smoke" = yes ]; then
            attempt "visit, datapath $datapath, as $who" \
                "${as}hoplab up web --datapath $datapath && ${as}hoplab pingall | tail -n 1 &&
                ${as}hoplab visit --detail brief && ${as}hoplab swap hub &&
                ${as}hoplab visit --detail brief | head -n 4 && ${as}hoplab down"
        fi
        mine=TESTS_${datapath}_$who
        for what in ${!mine:-${TESTS:-$default_tests}}; do
            if [ "$what" = none ]; then break; fi
            attempt "$what, datapath $datapath, as $who" \
                "cd $checkout && ${as}timeout ${LIMIT:-14400} .venv/bin/python -m pytest -q -rs -n 2 \
                --durations=5 -m 'not long' -p no:cacheprovider --timeout 3600 $what"
        done
    done
done
say "done; failed: $failed"
exit "$failed"
