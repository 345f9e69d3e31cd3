#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What makes a Debian machine ours, run as root:  provision.sh CHECKOUT USER [INSTALL OPTION...]
# Everything that a lab needs is installed by scripts/install.sh, as on any other machine; the rest
# here is convenience: the command on everybody's PATH, completion, a welcome, the kernel's Open
# vSwitch module. Run it as often as you like.
set -euo pipefail

checkout=$1 user=$2
shift 2

apt_packages=()
for name in sudo tshark bash-completion man-db; do
    if ! dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null | grep -qx installed; then
        apt_packages+=("$name")
    fi
done
"$checkout/scripts/install.sh" "$@"
chown -R "$user": "$checkout" # theirs, so that they can run the installer and the tests as well
if [ ${#apt_packages[@]} -gt 0 ]; then
    # Wireshark's tools and what makes a terminal pleasant: a lab runs without them.
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
        "${apt_packages[@]}" ||
        echo "provision: going on without: ${apt_packages[*]}" >&2
fi

for command in hoplab ryu-manager; do
    ln -sf "$checkout/.venv/bin/$command" "/usr/local/bin/$command"
done
install -D -m 644 "$checkout/.venv/share/man/man1/hoplab.1" /usr/local/share/man/man1/hoplab.1
install -d /etc/bash_completion.d
/usr/local/bin/hoplab completion bash >/etc/bash_completion.d/hoplab

# Labs use the kernel's datapath where this module is loaded; not every kernel has it.
if modprobe openvswitch 2>/dev/null; then echo openvswitch >/etc/modules-load.d/hoplab.conf; fi

# The lines that a user sees first. The shell does not expand anything in them.
cat >/etc/motd <<END

  hoplab: a network lab that follows one real packet across every hop.

    hoplab visit                  fetch a page, and see every frame of it
    hoplab up switch              a lab of four hosts; then hoplab trace, shell, swap, down
    hoplab doctor                 what this machine allows
    man hoplab                    everything else

  Guided labs: $checkout/labs    Documentation: $checkout/docs

END
echo "provision: ready; try: vagrant ssh -c 'hoplab visit'"
