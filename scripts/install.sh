#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes this checkout ready to run: Debian or Ubuntu packages through apt, everything else in
# .venv. Run it as often as you like: it does only what is missing, goes on where it was stopped,
# and when nothing is missing it says so and touches neither apt nor the network.
#
# Three rules:
#   - Nothing outside this folder changes, except packages that apt installs.
#   - root is used for apt alone, and only when a package is missing.
#   - Every failing step ends with the command to run and with the end of its log.
set -euo pipefail
# apt wants these, and `su` keeps the PATH of a user who has not.
export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
venv=$here/.venv
log=$venv/install.log
system_python=/usr/bin/python3 # the distribution's: its packages hold Mininet's Python side

# Why each: mininet brings mnexec; ping, traceroute, curl and tcpdump are what people type on the
# hosts.
packages=(
    mininet openvswitch-switch iproute2 iputils-ping ethtool curl openssl traceroute tcpdump
    python3-venv
)
# The peers that tests compare with; iptables, dnsmasq-base and udhcpc (none of them a service) for
# the home in topologies/internet.py.
test_packages=(tshark bind9-dnsutils bind9-utils iptables dnsmasq-base udhcpc)
# Left out with a note where the distribution has no such package (Ubuntu has a snap instead).
optional_test_packages=(chromium fonts-wqy-zenhei)

usage() {
    cat <<'END'
Usage: scripts/install.sh [--with-tests] [--with-frr] [--from BUNDLE] [--dry-run] [--list] [--help]

Installs what hoplab needs: packages of the distribution through apt (as root or with sudo), and
Ryu and the rest into .venv. A second run finds everything in place and ends at once.

  --with-tests   also what `make test` needs: tshark, dig, chromium, pytest, ruff, mypy, ...
  --with-frr     also FRR, the routers of the topologies ospf, rip and bgp
  --from BUNDLE  take packages and wheels from the folder that `make bundle` made; no network
  --dry-run      say what would be done, and do nothing
  --list         print the names of the packages, missing or not, and do nothing
  --help         this text

Exit codes: 0 ready, 1 a step failed, 2 wrong option, 6 packages are missing and there is no way
to become root (the line to run as root is printed).

pip is run with your own settings (PIP_INDEX_URL, PIP_CERT, pip.conf and so on).
END
}

say() { printf 'install: %s\n' "$*"; }

die() { # die CODE SENTENCE [NEXT STEP]
    printf 'install: %s\n' "$2" >&2
    if [ -n "${3:-}" ]; then printf '  next: %s\n' "$3" >&2; fi
    exit "$1"
}

arguments=() # for another start of this script, from another folder
with_tests=no with_frr=no dry_run=no list=no bundle=
while [ $# -gt 0 ]; do
    case $1 in
        --with-tests) with_tests=yes ;;
        --with-frr) with_frr=yes ;;
        --dry-run) dry_run=yes ;;
        --list) list=yes ;;
        --from)
            [ -n "${2:-}" ] || die 2 "--from needs the folder that make bundle made"
            bundle=$(readlink -f -- "$2") || die 2 "there is no folder $2"
            arguments+=("$1" "$bundle")
            shift 2
            continue
            ;;
        -h | --help) usage && exit 0 ;;
        *)
            printf 'install: unknown option %q\n\n' "$1" >&2
            usage >&2
            exit 2
            ;;
    esac
    arguments+=("$1")
    shift
done

# ---- what is missing ---------------------------------------------------------------------------

# The stamp tells for which inputs .venv was completed: the requirement files, the recipe, the
# Python, and the place (a venv cannot be moved). A change of any of them runs pip again.
fingerprint() {
    {
        cat -- requirements.txt build-constraints.txt setup.py scripts/install.sh
        cat -- scripts/make_man.py pyproject.toml hoplab/locale/*/LC_MESSAGES/*.po \
            apps/protocols/locale/*/LC_MESSAGES/*.po
        if [ "$1" = yes ]; then cat -- requirements-test.txt; fi
        readlink -f -- "$system_python"
        printf '%s\n' "$here"
    } | sha256sum | cut -d ' ' -f 1
}

cd -- "$here"
stamp=$venv/.stamp-run
if [ "$with_tests" = yes ]; then stamp=$venv/.stamp-test; fi
wanted=$(fingerprint "$with_tests")

# Every command is a Python process of its own; without this, each would compile what it imports
# wherever it may not write beside the sources (another user's checkout, PYTHONDONTWRITEBYTECODE).
# Whoever may not write here either goes on without.
compile_sources() {
    "$venv/bin/python" -m compileall -q hoplab apps controllers topologies >/dev/null 2>&1 || true
}

venv_ready() {
    [ -x "$venv/bin/python" ] && [ -f "$stamp" ] && [ "$(<"$stamp")" = "$wanted" ]
}

required=("${packages[@]}")
if [ "$with_tests" = yes ]; then required+=("${test_packages[@]}"); fi
if [ "$with_frr" = yes ]; then required+=(frr); fi

if [ "$list" = yes ]; then
    printf '%s\n' "${required[@]}"
    exit 0
fi

missing=()
find_missing() { # find_missing NAME...: sets `missing` to those which dpkg has not installed
    local installed name
    installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' -- "$@" 2>/dev/null || true)
    missing=()
    for name in "$@"; do
        case $'\n'$installed$'\n' in
            *$'\n'"$name installed"$'\n'*) ;;
            *) missing+=("$name") ;;
        esac
    done
}

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    die 1 "this installer knows Debian and Ubuntu only (no dpkg-query or apt-get here)" \
        "use a Debian or Ubuntu machine, or the virtual machine in vagrant/"
fi
# A bundle holds wheels for one Python and packages of one distribution.
if [ -n "$bundle" ]; then
    [ -f "$bundle/made-for" ] || die 2 "$bundle is no bundle: it holds no file made-for" \
        "make one with make bundle, on a machine with a network"
    here_is=$("$here/scripts/make_bundle.sh" --machine)
    [ "$(<"$bundle/made-for")" = "$here_is" ] ||
        die 1 "that bundle was made for $(<"$bundle/made-for"), and this is $here_is" \
            "make one on a machine like this one: make bundle"
fi

find_missing "${required[@]}"
if venv_ready; then
    if [ ${#missing[@]} -eq 0 ]; then
        say "everything is in place"
        exit 0
    fi
elif [ "$with_tests" = yes ] && [ -z "$bundle" ]; then
    # Optional packages are asked for when something is installed anyway, never on a quiet run.
    find_missing "${required[@]}" "${optional_test_packages[@]}"
fi

# ---- the plan ----------------------------------------------------------------------------------

as_root=()
how_root="as root"
if [ "$EUID" -ne 0 ]; then
    as_root=(sudo)
    how_root="through sudo"
fi
# sudo passes no proxy on. Configuration files that somebody changed stay as they are: dpkg would
# ask, where nobody sees it.
apt=(env DEBIAN_FRONTEND=noninteractive LC_ALL=C)
for name in http_proxy https_proxy no_proxy; do
    if [ -n "${!name:-}" ]; then apt+=("$name=${!name}"); fi
done
apt+=(apt-get)
apt_install=("${apt[@]}" install -y --no-install-recommends -o DPkg::Lock::Timeout=300
    -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold)

say "this will be done in $here:"
if [ ${#missing[@]} -gt 0 ]; then
    say "  - apt, $how_root${bundle:+, from $bundle}: ${missing[*]}"
    case " ${missing[*]} " in
        *" openvswitch-switch "*)
            say "    (openvswitch-switch starts a service of its own; hoplab neither uses nor"
            say "    touches it: sudo systemctl disable --now openvswitch-switch turns it off)"
            ;;
    esac
    case " ${missing[*]} " in
        *" frr "*)
            say "    (frr starts a service of its own; hoplab neither uses nor touches it:"
            say "    sudo systemctl disable --now frr turns it off)"
            ;;
    esac
fi
if ! venv_ready; then
    if [ "$with_tests" = yes ]; then
        say "  - .venv: ryu 4.34, eventlet, dnspython, h11, starlette, uvicorn, hoplab itself, and the tools of the tests"
    else
        say "  - .venv: ryu 4.34, eventlet, dnspython, h11, starlette, uvicorn, hoplab itself"
    fi
fi
say "nothing else outside this folder changes"
if [ "$dry_run" = yes ]; then
    say "dry run: nothing was done"
    exit 0
fi

# ---- running a step ----------------------------------------------------------------------------

# One installer at a time in one checkout; a second one waits, then finds the work done.
if ! { mkdir -p -- "$venv" && true >>"$venv/.lock" && true >>"$log"; } 2>/dev/null; then
    die 1 "$venv cannot be written: it is another user's, or the disk is full or read-only" \
        "where root ran this once: sudo chown -R $(id -un): ${here@Q}"
fi
exec 9>"$venv/.lock"
if ! flock -n 9; then
    say "another install is running here, waiting for it"
    flock 9
    if venv_ready; then
        # It may have been an install without the same packages, so look again.
        exec "$BASH" "$here/scripts/install.sh" "${arguments[@]}"
    fi
fi

ticker=
stop_ticker() {
    if [ -n "$ticker" ]; then
        kill "$ticker" 2>/dev/null || true
        wait "$ticker" 2>/dev/null || true
        ticker=
    fi
}
trap stop_ticker EXIT

step() { # step SENTENCE COMMAND...: runs it with its output in the log
    local sentence=$1 began=$SECONDS code=0
    shift
    local shown=("$@")
    if [ "$1" = patiently ]; then shown=("${@:2}"); fi
    shown=("${shown[@]/:\/\/*@/://...@}") # a proxy's password
    printf 'install: %s ... ' "$sentence"
    printf '\n$ %s\n' "${shown[*]@Q}" >>"$log"
    if [ -t 1 ]; then
        # Shows that a long step lives. Its output is the terminal, so no pipe is held open.
        (
            while sleep 1 9>&-; do
                printf '\rinstall: %s ... %d s ' "$sentence" $((SECONDS - began))
            done
        ) 9>&- &
        ticker=$!
    fi
    "$@" >>"$log" 2>&1 9>&- || code=$?
    stop_ticker
    if [ "$code" -ne 0 ]; then
        printf 'failed\n'
        {
            printf '\nThe end of %s:\n' "$log"
            tail -n 25 -- "$log" | sed 's/^/  | /'
            printf '\ninstall: this command failed with exit code %d:\n  %s\n' "$code" "${shown[*]@Q}"
        } >&2
        return "$code"
    fi
    printf 'done (%d s)\n' $((SECONDS - began))
}

patiently() { # patiently COMMAND...: apt waits for its other locks by itself, not for its lists
    local deadline=$((SECONDS + 300)) code
    while true; do
        code=0
        "$@" || code=$?
        if [ "$code" -eq 0 ] || [ "$SECONDS" -ge "$deadline" ] ||
            ! tail -n 3 -- "$log" | grep -q 'Could not get lock\|Unable to lock'; then
            return "$code"
        fi
        sleep 2
    done
}

: >"$log"

# ---- packages ----------------------------------------------------------------------------------

offline=()
if [ ${#missing[@]} -gt 0 ]; then
    if [ "$EUID" -ne 0 ]; then
        # sudo asks on the terminal before the step begins, not in the middle of its line.
        if ! command -v sudo >/dev/null || ! { sudo -n true || sudo -v; } 2>/dev/null; then
            die 6 "these packages are missing, and there is no way to become root here: ${missing[*]}" \
                "as root: apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
        fi
    fi
    if [ -n "$bundle" ]; then
        # Only the bundle counts, and the machine's own lists stay as they are. Its packages are
        # trusted as the person is who hands over the folder; apt checks their hashes.
        lists=$(mktemp -d)
        mkdir -p "$lists/lists/partial" "$lists/cache/archives/partial"
        printf 'deb [trusted=yes] file:%s/debs ./\n' "${bundle// /%20}" >"$lists/sources.list"
        offline=(-o "Dir::Etc::sourcelist=$lists/sources.list" -o Dir::Etc::sourceparts=-
            -o "Dir::State::lists=$lists/lists" -o "Dir::Cache=$lists/cache"
            -o APT::Sandbox::User=root)
        apt_install+=("${offline[@]}")
    fi
    # A broken third-party list makes the update fail while ours may be fine: the install decides.
    step "reading the package lists" patiently "${as_root[@]}" "${apt[@]}" update "${offline[@]}" ||
        say "going on with the package lists that are there"
    available=()
    for name in "${missing[@]}"; do
        case " ${optional_test_packages[*]} " in
            *" $name "*)
                if [[ $(LC_ALL=C apt-cache policy "$name") != *'Candidate: '[0-9]* ]]; then
                    say "no package $name in this distribution; the tests that need it are skipped"
                    continue
                fi
                ;;
        esac
        available+=("$name")
    done
    if [ ${#available[@]} -gt 0 ]; then
        step "installing ${available[*]}" "${as_root[@]}" "${apt_install[@]}" "${available[@]}" ||
            die 1 "apt could not install the packages" \
                "cure what the log says and run this again; it goes on from here"
    fi
fi

# ---- .venv -------------------------------------------------------------------------------------

if venv_ready; then
    compile_sources
    say "ready"
    exit 0
fi

# What would make a venv's Python or pip put things elsewhere, or count what is elsewhere as ours.
unset PYTHONHOME PYTHONPATH PIP_TARGET PIP_PREFIX PIP_ROOT PIP_PYTHON
export PIP_USER=0 PYTHONNOUSERSITE=1
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1

"$system_python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    die 1 "hoplab needs Python 3.10 or later; $system_python is older" \
        "use Debian 12, Ubuntu 22.04 or later, or the virtual machine in vagrant/"

venv_python=$venv/bin/python
# A venv that was half made, or moved here, is made again (the lock and the log stay).
if [ "$(cat -- "$venv/.place" 2>/dev/null)" != "$venv" ] || ! "$venv_python" -c 'import pip' 2>/dev/null; then
    find "$venv" -mindepth 1 -maxdepth 1 ! -name .lock ! -name install.log -exec rm -rf -- {} +
    step "making .venv" "$system_python" -m venv --system-site-packages "$venv" ||
        die 1 "no virtual environment could be made" "see the log above"
    printf '%s\n' "$venv" >"$venv/.place" # its scripts name it
fi

pip=("$venv_python" -m pip --no-color)
if [ -n "$bundle" ]; then
    unset PIP_INDEX_URL PIP_EXTRA_INDEX_URL
    export PIP_CONFIG_FILE=/dev/null PIP_NO_INDEX=1
    # pip splits the value at spaces, so the path goes in as a URL.
    PIP_FIND_LINKS=$("$venv_python" -c \
        'import pathlib, sys; print(pathlib.Path(sys.argv[1]).as_uri())' "$bundle/wheels")
    export PIP_FIND_LINKS
fi

elsewhere=$("${pip[@]}" config list | grep -E '^(global|install)\.(target|prefix|root)=' || true)
if [ -n "$elsewhere" ]; then
    die 1 "pip's own settings would install into another place: $elsewhere" \
        "take them out (pip config debug says where they are), or for once: PIP_CONFIG_FILE=/dev/null $0"
fi

# ryu 4.34 builds only with an old setuptools, and pip's isolated build sees no ordinary
# constraint: only these variables reach it (which one depends on pip's age). pip splits their
# value at spaces, so the path goes in as a URL with every unusual character escaped.
constraints=$("$venv_python" -c \
    'import pathlib, sys; print(pathlib.Path(sys.argv[1]).as_uri())' "$here/build-constraints.txt")
step "installing ryu, eventlet, dnspython, h11, starlette and uvicorn into .venv" \
    env PIP_CONSTRAINT="${PIP_CONSTRAINT:+$PIP_CONSTRAINT }$constraints" \
    PIP_BUILD_CONSTRAINT="${PIP_BUILD_CONSTRAINT:+$PIP_BUILD_CONSTRAINT }$constraints" \
    PIP_USE_PEP517=1 \
    "${pip[@]}" install -r requirements.txt ||
    die 1 "pip could not install ryu and its company" \
        "check the network (and PIP_INDEX_URL, https_proxy), then run this again"

if [ "$with_tests" = yes ]; then
    step "installing the tools of the tests into .venv" \
        "${pip[@]}" install -r requirements-test.txt ||
        die 1 "pip could not install the tools of the tests" "check the network, then run this again"
fi

# Without the variables above: our own build wants a current setuptools.
step "installing hoplab itself into .venv" "${pip[@]}" install --no-deps --editable . ||
    die 1 "pip could not install hoplab" "see the log above"

compile_sources

# Ryu's own launcher does not start on today's eventlet; ours does, and takes the same arguments.
cat >"$venv/bin/ryu-manager" <<'EOF'
#!/bin/sh
# Also through a link somewhere else, such as /usr/local/bin.
exec "$(dirname -- "$(readlink -f -- "$0")")/python" -m hoplab.control.ryu_main "$@"
EOF
chmod 755 "$venv/bin/ryu-manager"

# man finds it as long as .venv/bin is on the PATH (manpath(1)).
step "writing the manual page" \
    "$venv_python" scripts/make_man.py "$venv/share/man/man1/hoplab.1" ||
    die 1 "the manual page could not be made" "see the log above"

printf '%s\n' "$wanted" >"$stamp.new"
mv -- "$stamp.new" "$stamp"
if [ "$with_tests" = yes ]; then
    # What the tests need includes all that a run needs.
    fingerprint no >"$venv/.stamp-run"
fi
say "ready: $venv/bin/hoplab"
