# SPDX-License-Identifier: Apache-2.0
"""The devices of labs that were written for containers: each with files and services of its own.

A plain Mininet node class, of which `hoplab up` makes labs for Kathará and containerlab:

    self.addHost("r1", cls=Device, ip=None, startup=[("r1.startup", "systemctl start frr")],
                 files=[("/home/me/lab/r1/etc", "/etc")])

A device sees the machine's programs. /etc, /var and /run are its own: whatever it writes there no
other device sees, and nothing is left of it when the lab ends. What these labs call to start a
service (systemctl, service, /etc/init.d/…) is there as a shell script, SERVICES says for which.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile

from mininet.node import Host

# A service: the program that it needs, and Debian's package that has it. "" needs none: there is
# nothing to start, and that is no failure.
SERVICES = {
    "frr": ("/usr/lib/frr/zebra", "frr"),
    "quagga": ("/usr/lib/frr/zebra", "frr"),
    "zebra": ("/usr/lib/frr/zebra", "frr"),
    "named": ("named", "bind9"),
    "bind9": ("named", "bind9"),
    "bind": ("named", "bind9"),
    "apache2": ("apachectl", "apache2"),
    "nginx": ("nginx", "nginx-light"),
    "lighttpd": ("lighttpd", "lighttpd"),
    "dnsmasq": ("dnsmasq", "dnsmasq-base"),
    "isc-dhcp-server": ("dhcpd", "isc-dhcp-server"),
    "radvd": ("radvd", "radvd"),
    "ssh": ("sshd", "openssh-server"),
    "sshd": ("sshd", "openssh-server"),
    "networking": ("", ""),
    "rsyslog": ("", ""),
    "syslogd": ("", ""),
    "cron": ("", ""),
    "procps": ("", ""),
}
STARTUP_S = 60  # for a startup file to end, before the lab goes on without it
PRIVATE = ("etc", "var", "run")  # folders of the machine that each device has for itself
# Folders that a service of another user owns: its device is that user.
OWN_FOLDERS = ("etc/frr", "var/log/frr", "var/log/apache2", "var/log/bind", "var/log/named",
               "var/cache/bind", "var/lib/bind", "var/lib/dhcp", "var/tmp")  # fmt: skip
# BIND no longer knows them since 9.16, and starts with none of them.
BINDS_OLD = ("dnssec-enable", "filter-aaaa-on-v4", "dnssec-lookaside", "auto-dnssec")
# Without it FRR neither tells nor takes a BGP route before a policy says so (RFC 8212), which
# Quagga did not ask for.
AS_QUAGGA = "frr version 7.3\n"

SERVICE = r"""#!/bin/sh
# systemctl VERB UNIT...  |  service UNIT VERB  |  /etc/init.d/UNIT VERB
verb="" units=""
case "$0" in
    *systemctl) for word; do case "$word" in -*) ;; *) [ -n "$verb" ] && units="$units $word" ||
                verb=$word ;; esac; done ;;
    *service) units=$1 verb=$2 ;;
    *) units=${0##*/} verb=$1 ;;
esac
log=/var/log/services.log

frr() {
    [ -x /usr/lib/frr/zebra ] || { echo "FRR is not installed: apt install frr" >&2; return 5; }
    daemons=$(sed -n 's/^[ \t]*\([a-z0-9]*d\)[ \t]*=[ \t]*["'\'']*\(yes\|true\|1\).*/\1/p' \
        /etc/frr/daemons 2>/dev/null | grep -vx -e watchfrr -e staticd)
    for daemon in zebra $daemons staticd; do
        [ -e /run/frr/$daemon.pid ] && continue
        file=/etc/frr/$daemon.conf
        [ -e "$file" ] || file=/etc/frr/none.conf
        /usr/lib/frr/$daemon -d -u root -g root -f "$file" >>$log 2>&1 ||
            { tail -n 3 $log >&2; return 1; }
    done
    if [ -e /etc/frr/frr.conf ]; then vtysh -b >>$log 2>&1 || { tail -n 3 $log >&2; return 1; }; fi
}

apache() {
    mkdir -p /run/apache2 /run/lock /var/log/apache2
    if [ "$(awk '{ print $3; exit }' /proc/self/uid_map)" = 1 ]; then
        # The only user of the lab is root, as whom Apache serves nobody.
        sysctl -q -w net.ipv4.ip_unprivileged_port_start=0
        unshare -U --map-user=33 --map-group=33 apachectl start
    else
        apachectl start
    fi >>$log 2>&1 || { tail -n 3 $log >&2; return 1; }
}

start() {
    case "$1" in
        frr | quagga | zebra) frr ;;
        named | bind9 | bind)
            mkdir -p /run/named
            (cd /var/cache/bind && named -n 1 -c /etc/bind/named.conf) >>$log 2>&1 ||
                { named-checkconf /etc/bind/named.conf >&2; return 1; } ;;
        apache2) apache ;;
        nginx) mkdir -p /var/log/nginx /var/lib/nginx; nginx -g "user root;" ;;
        lighttpd) lighttpd -f /etc/lighttpd/lighttpd.conf ;;
        dnsmasq) dnsmasq --user=root ;;
        isc-dhcp-server) : >>/var/lib/dhcp/dhcpd.leases; mkdir -p /run
            dhcpd -q -user root -group root >>$log 2>&1 || dhcpd -q >>$log 2>&1 ;;
        radvd) radvd -u root ;;
        ssh | sshd) mkdir -p /run/sshd; "$(command -v sshd)" ;;
        networking | rsyslog | syslogd | cron | procps) ;;
        *) echo "hoplab does not know how to start the service $1" >&2; return 5 ;;
    esac
}

stop() {
    case "$1" in
        frr | quagga | zebra) set -- /run/frr/*.pid ;;
        named | bind9 | bind) set -- /run/named/named.pid ;;
        apache2) set -- /run/apache2/apache2.pid ;;
        ssh | sshd) set -- /run/sshd.pid ;;
        *) set -- "/run/$1.pid" ;;
    esac
    for file; do
        pid=$(cat "$file" 2>/dev/null) || continue
        kill "$pid" 2>/dev/null
        for _ in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
        rm -f "$file"
    done
}

for unit in $units; do
    unit=${unit%.service}
    case "$verb" in
        start) start "$unit" ;;
        restart | reload | force-reload | reload-or-restart) stop "$unit"; start "$unit" ;;
        stop) stop "$unit" ;;
        enable | disable | daemon-reload | unmask | mask | status | is-active | is-enabled) ;;
        *) echo "$0: $verb is not known" >&2; false ;;
    esac || exit
done
"""

# $1: the device's folder, $2: options of overlayfs; then the folders that it has on its own.
MOUNT = r"""
own=$1 options=$2
shift 2
umask 022
mountpoint -q /mnt || mount -t tmpfs tmpfs /mnt || exit
mkdir -p /mnt/bin /mnt/kept
for name in systemctl service; do
    cp "$own/service" /mnt/bin/$name
    file=$(PATH=/usr/bin:/usr/sbin:/bin:/sbin command -v $name) &&
        mount --bind /mnt/bin/$name "$file"
done
# What is mounted on files in /etc goes on being there.
for name in hosts resolv.conf hostname; do
    [ -e /etc/$name ] || continue
    : >/mnt/kept/$name
    mount --bind /etc/$name /mnt/kept/$name
done
mkdir -p "$own/work"
for top; do
    lower=/$top
    [ -d "$own/skeleton/$top" ] && lower=$own/skeleton/$top:/$top
    mkdir -p "$own/up/$top" "$own/work/$top"
    case "$top" in
        etc | usr)
            mount -t overlay overlay \
                -o "$options,lowerdir=$lower,upperdir=$own/up/$top,workdir=$own/work/$top" \
                "/$top" || exit ;;
        *) mount --bind "$own/up/$top" "/$top" || exit ;;
    esac
done
mount -t tmpfs -o mode=755 tmpfs /run || exit
mkdir -p /run/lock /run/frr /run/named
# Folders that this user may not look into, and overlayfs cannot for it.
while read -r folder; do
    mount -t tmpfs -o mode=755 tmpfs "/$folder" || exit
    [ -d "$own/up/$folder" ] && cp -r "$own/up/$folder/." "/$folder/"
done <"$own/closed"
for name in hosts resolv.conf hostname; do
    [ -e /mnt/kept/$name ] || continue
    mount --bind /mnt/kept/$name /etc/$name
    [ -e "$own/up/etc.own/$name" ] && cat "$own/up/etc.own/$name" >/etc/$name
done
[ -d /mnt/kept ]
"""

# $1: the log, $2: where it is told what failed; then pairs of a title and a file.
RUN = r"""
log=$1 failed=$2
shift 2
export PATH=/mnt/bin:$PATH:/usr/local/sbin:/usr/sbin:/sbin
run() {
    title=$1 file=$2
    trap 'status=$? line=$LINENO; [ "${BASH_SOURCE[0]}" != "$file" ] ||
        printf "%s\t%s\t%s\t%s\t%s\n" "$title" "$line" "$status" \
            "${BASH_COMMAND%%[[:cntrl:]]*}" "$(tail -n 1 "$log" |
                sed "s|^$file: line [0-9]*: ||")" >>"$failed"' ERR
    . "$file"
}
cd /
while [ $# -gt 0 ]; do
    (set -E; run "$1" "$2") >>"$log" 2>&1 </dev/null
    shift 2
done
"""


class Device(Host):
    """A computer or router with files and services of its own.

    startup: pairs (title, commands for bash), which run when the network is there. files: pairs (a
    file or folder of the machine, where it is on the device). sysctls: 'net.ipv4.ip_forward=1'.
    environment: variables of the commands.
    """

    to_begin: list[Device] = []  # those whose commands are still to begin  # noqa: RUF012

    def config(self, startup=(), files=(), sysctls=(), environment=None, **params):
        results = super().config(**params)
        self.own = tempfile.mkdtemp(prefix=f"device-{self.name}-")
        self.absent = []
        tops = self.prepare(files, "\n".join(text for _, text in startup))
        rootless = own_user()
        options = "userxattr" if rootless else "index=off"
        lines = ["net.ipv4.ip_forward=1", "net.ipv4.icmp_ratelimit=0",
                 "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0",
                 *sysctls]  # fmt: skip
        mount = shlex.join(["sh", "-c", MOUNT, "sh", self.own, options, *tops])
        self.mounting = self.popen(
            ["sh", "-c", f"sysctl -q -w {shlex.join(lines)}; {mount}"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.startup, self.environment = list(startup), dict(environment or {})
        self.running = None
        if getattr(self, "private_etc", False):  # hoplab calls `ready`
            Device.to_begin.append(self)
        else:
            self.begin()
        return results

    def prepare(self, files, commands):
        """Put together what the device has of its own. Returns the folders of the machine that it
        is to be mounted on. commands: what of /etc they name may be changed, whoever owns it."""
        up = os.path.join(self.own, "up")
        skeleton, closed = folders_of("/etc")
        for folder in skeleton:
            os.makedirs(os.path.join(self.own, "skeleton", "etc", folder), exist_ok=True)
        make_var(os.path.join(up, "var"))
        for folder in ("etc", *OWN_FOLDERS):
            os.makedirs(os.path.join(up, folder), exist_ok=True)
        tops = {"etc", "var"}
        for source, target in files:
            tops |= self.copy(source, target)
        for path in set(re.findall(r"/etc/[\w./-]+", commands)):
            if os.path.isfile(path) and os.access(path, os.R_OK) and not os.path.exists(up + path):
                os.makedirs(os.path.dirname(up + path), exist_ok=True)
                copy_file(path, up + path)
        self.put("service", SERVICE)
        os.makedirs(os.path.join(up, "etc/init.d"), exist_ok=True)
        for name in SERVICES:
            path = os.path.join(up, "etc/init.d", name)
            if not os.path.exists(path):
                shutil.copy(os.path.join(self.own, "service"), path)
        with open("/etc/group") as group:
            lines = [line for line in group if not line.startswith("frrvty:")]
        self.put("up/etc/group", "".join(lines) + "frrvty:x:0:root\n")
        self.mend_routing(up)
        mend_bind(os.path.join(up, "etc/bind"))
        # Each of these is one file, which hoplab has mounted.
        os.makedirs(os.path.join(up, "etc.own"), exist_ok=True)
        for name in ("hosts", "resolv.conf", "hostname"):
            path = os.path.join(up, "etc", name)
            if os.path.isfile(path):
                os.replace(path, os.path.join(up, "etc.own", name))
        # FRR's on every machine, so that it is the same for root, who may look into it.
        closed = sorted({f"etc/{folder}" for folder in closed} | {"etc/frr"})
        self.put("closed", "".join(f"{folder}\n" for folder in closed))
        return sorted(tops)

    def put(self, name, text):
        with open(os.path.join(self.own, name), "w") as file:
            file.write(text)
        os.chmod(os.path.join(self.own, name), 0o755)

    def copy(self, source, target):
        """Copy a file or folder to where it will be on the device. Returns the folders of the
        machine that it is below."""
        target = target.strip("/")
        if not target:  # a whole root
            tops = set()
            for name in sorted(os.listdir(source)):
                tops |= self.copy(os.path.join(source, name), name)
            return tops
        top = target.split("/")[0]
        real = os.path.realpath(f"/{top}").strip("/")  # /bin is usr/bin
        target = real + target[len(top) :]
        top = real.split("/")[0]
        if not os.path.isdir(f"/{top}") or top in ("proc", "sys", "dev"):
            self.absent.append(f"/{top}")
            return set()
        if top in ("tmp", "mnt"):
            self.absent.append(f"/{top}")
            return set()
        place = os.path.join(self.own, "up", target)
        if os.path.isdir(source):
            shutil.copytree(source, place, dirs_exist_ok=True, copy_function=copy_file)
        else:
            os.makedirs(os.path.dirname(place), exist_ok=True)
            copy_file(source, place)
        return set() if top == "run" else {top}

    def mend_routing(self, up):
        """Files of Quagga become FRR's; what vtysh looks for is there."""
        frr = os.path.join(up, "etc/frr")
        for old in ("etc/quagga", "etc/zebra"):
            folder = os.path.join(up, old)
            for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
                if os.path.exists(os.path.join(frr, name)):
                    continue
                with open(os.path.join(folder, name), errors="replace") as file:
                    text = file.read()
                with open(os.path.join(frr, name), "w") as file:
                    file.write(AS_QUAGGA + text if name.endswith(".conf") else text)
        for name in ("vtysh.conf", "none.conf"):
            with open(os.path.join(frr, name), "a"):
                pass

    def begin(self):
        """Run the startup commands; whoever waits for them calls `settled`. Raises RuntimeError."""
        output = self.mounting.communicate()[0].decode(errors="replace").strip()
        if self.mounting.returncode:
            raise RuntimeError(f"{self.name} cannot have files of its own: {output}")
        pairs = []
        for number, (title, text) in enumerate(self.startup):
            self.put(f"startup-{number}", text)
            pairs += [title, os.path.join(self.own, f"startup-{number}")]
        if pairs:
            log = os.path.join(self.own, "startup.log")
            words = ["bash", "-c", RUN, "bash", log, os.path.join(self.own, "failed"), *pairs]
            variables = {**os.environ, **self.environment}
            self.running = self.popen(
                ["env", "-i", *(f"{k}={v}" for k, v in variables.items()), *words],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip

    def ready(self):
        """All devices begin at the same time, once the first is asked."""
        while Device.to_begin:
            Device.to_begin.pop(0).begin()

    def settled(self):
        """Wait for the startup commands. Raises RuntimeError that tells which failed."""
        notes = [f"there is no {top} for its files on this machine"
                 for top in dict.fromkeys(self.absent)]  # fmt: skip
        if self.running is not None:
            try:
                self.running.wait(STARTUP_S)
            except subprocess.TimeoutExpired:
                notes.append(f"its startup still runs after {STARTUP_S} s")
        notes += self.failed()
        if notes:
            raise RuntimeError("; ".join(notes))

    def failed(self):
        """The startup commands that failed, in words."""
        path = os.path.join(self.own, "failed")
        if not os.path.exists(path):
            return
        with open(path, errors="replace") as file:
            for line in dict.fromkeys(file):
                title, number, status, command, last = line.rstrip("\n").split("\t", 4)
                why = f": {last}" if last else ""
                yield f"{title}, line {number}: `{command}` ended with {status}{why}"

    def terminate(self):
        for process in (self.mounting, self.running):
            if process is not None and process.poll() is None:
                process.terminate()
                process.wait()
        self.end_routing()
        super().terminate()
        shutil.rmtree(self.own, ignore_errors=True)

    def end_routing(self):
        """The daemons of a lab in stock Mininet would outlive it."""
        if getattr(self, "private_etc", False) or self.shell is None:
            return
        for pid in self.cmd("cat /run/frr/*.pid /run/named/*.pid 2>/dev/null").split():
            with contextlib.suppress(ProcessLookupError, ValueError):
                os.kill(int(pid), signal.SIGTERM)


def own_user():
    """Whether this is a lab of an ordinary user, who is its root."""
    with open("/proc/self/uid_map") as mapped:
        return mapped.read().split()[2] == "1"


_folders: dict[str, tuple[list[str], list[str]]] = {}


def folders_of(top):
    """The folders below one of the machine's, and those of them that may not be looked into."""
    if top not in _folders:
        folders, closed = [], []

        def look(path):
            for entry in os.scandir(path):
                if not entry.is_dir(follow_symlinks=False):
                    continue
                name = os.path.relpath(entry.path, top)
                if os.access(entry.path, os.R_OK | os.X_OK):
                    folders.append(name)
                    look(entry.path)
                else:
                    closed.append(name)

        look(top)
        _folders[top] = folders, closed
    return _folders[top]


def make_var(place):
    """A /var with the machine's folders, and nothing in them but what a web server shows."""
    os.makedirs(place)
    for entry in os.scandir("/var"):
        path = os.path.join(place, entry.name)
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), path)
        elif entry.is_dir():
            os.makedirs(path)
            with contextlib.suppress(OSError):
                for inner in os.scandir(entry.path):
                    if inner.is_dir(follow_symlinks=False):
                        os.makedirs(os.path.join(path, inner.name))
    with contextlib.suppress(OSError, shutil.Error):
        shutil.copytree("/var/www", os.path.join(place, "www"), dirs_exist_ok=True)


def copy_file(source, target, *, follow_symlinks=True):
    """A file of a lab, which on its device root may read and write."""
    if os.path.islink(source) and not os.path.exists(source):
        if not os.path.lexists(target):
            os.symlink(os.readlink(source), target)
        return target
    shutil.copyfile(source, target)
    os.chmod(target, os.stat(source).st_mode & 0o777 | 0o644)
    return target


def mend_bind(folder):
    """Take out what BIND no longer knows."""
    for where, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(where, name)
            if not name.startswith("named.conf"):
                continue
            with open(path, errors="replace") as file:
                text = file.read()
            lines = [line for line in text.splitlines(keepends=True)
                     if not line.strip().startswith(BINDS_OLD)]  # fmt: skip
            with open(path, "w") as file:
                file.writelines(lines)


__all__ = ["SERVICES", "Device"]
