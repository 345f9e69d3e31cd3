#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Boots Ubuntu 24.04's own kernel in QEMU, with AppArmor's rule on user namespaces switched on, and
# looks whether an ordinary user is refused a lab there, and has one once root has loaded the profile
# that `hoplab doctor --apparmor-profile` prints. No system runs in it but the one script. As root.
#
#   tests/machines/apparmor.sh
#
# MACHINES   where root file systems are kept (default: /var/tmp/hoplab-machines)
# LIMIT      seconds that it may take (default: 3600; the processor is emulated)
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd -P)
machines=${MACHINES:-/var/tmp/hoplab-machines}
folder=$machines/ubuntu-24.04-kernel disk=$machines/ubuntu-24.04-kernel.disk
log=$machines/ubuntu-24.04-kernel.log

if [ ! -f "$folder/.made" ]; then
    rm -rf -- "$folder"
    MMDEBSTRAP='--include=linux-image-virtual,apparmor,kmod,iproute2' \
        "$here/tests/machines/root.sh" make ubuntu-24.04 "$folder" >"$log" 2>&1
    touch "$folder/.made"
fi
checkout=$folder/home/learner/hoplab
mkdir -p "$checkout"
# What an older commit had and this one has not goes; what was installed stays.
find "$checkout" -mindepth 1 -maxdepth 1 ! -name .venv -exec rm -rf -- {} +
git -C "$here" archive HEAD | tar -x -C "$checkout"
"$here/tests/machines/root.sh" run "$folder" /home/learner/hoplab/scripts/install.sh
"$here/tests/machines/root.sh" run "$folder" chown -R learner: /home/learner/hoplab

# Process 1 of the machine. Each verdict is a line of its own on the console.
cat >"$folder/check.sh" <<'END'
#!/bin/bash
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
mount -t securityfs security /sys/kernel/security
mount -t cgroup2 cgroup /sys/fs/cgroup
mkdir -p /dev/pts /dev/shm
mount -t devpts pts /dev/pts
for folder in /run /tmp /dev/shm; do mount -t tmpfs -o mode=1777 tmpfs "$folder"; done
ip link set lo up
modprobe -a veth tun
chmod 666 /dev/net/tun
sysctl -w kernel.apparmor_restrict_unprivileged_userns=1
hoplab=/home/learner/hoplab/.venv/bin/hoplab
as_learner() { # as_learner CODE COMMAND...: the exit code that is due
    printf '\n$ %s\n' "${*:2}"
    setpriv --reuid learner --regid learner --init-groups --inh-caps=-all env -C /home/learner \
        HOME=/home/learner USER=learner HOPLAB_PATIENCE=8 COLUMNS=100 "${@:2}" 2>&1
    local code=$?
    if [ "$code" = "$1" ]; then echo "RIGHT: exit $code"; else echo "WRONG: exit $code"; fi
}
as_learner 6 $hoplab doctor
as_learner 6 $hoplab visit --down
as_learner 0 $hoplab doctor --apparmor-profile | sed '1,2d; /^RIGHT/d' | tee /etc/apparmor.d/hoplab
apparmor_parser -r /etc/apparmor.d/hoplab || echo "WRONG: the parser refuses it"
as_learner 0 $hoplab doctor
as_learner 0 $hoplab up switch
as_learner 0 $hoplab exec h1 -- ping -c 3 -w 100 10.0.0.2
as_learner 0 $hoplab down
as_learner 0 $hoplab visit --detail brief --down
# Nobody else gains by it: not Python, not the same Python in the same virtual environment.
as_learner 6 /home/learner/hoplab/.venv/bin/python -m hoplab.cli.main up switch
echo END
echo o >/proc/sysrq-trigger
sleep 60
END
chmod 755 "$folder/check.sh"
rm -f "$disk"
truncate -s 4G "$disk"
mkfs.ext4 -q -d "$folder" "$disk"
timeout "${LIMIT:-3600}" nice -n 10 qemu-system-x86_64 -M q35 -accel tcg,thread=multi -cpu max \
    -smp 2 -m 1536 -display none -monitor none -serial "file:$log" -nic none -no-reboot \
    -kernel "$folder/boot/vmlinuz" -append "root=/dev/vda rw console=ttyS0 quiet init=/check.sh" \
    -drive "file=$disk,if=virtio,format=raw,snapshot=on" </dev/null
rm -f "$disk"
cat "$log"
grep -q '^END' "$log" && [ "$(grep -c '^RIGHT' "$log")" -eq 8 ] && ! grep -q '^WRONG' "$log"
