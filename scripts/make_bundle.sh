#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes a folder from which scripts/install.sh --from installs without a network: packages for apt
# and wheels for pip. For machines like this one: the same release and processor. Run it again
# to freshen it. No root: apt only downloads, with lists of its own.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)

usage() {
    cat <<'END'
Usage: scripts/make_bundle.sh [--with-tests] [FOLDER]     (default: ./bundle)
       scripts/make_bundle.sh --machine

  --with-tests   also what `make test` needs, but for the browser
  --machine      print what a bundle made here is for, and do nothing

Then, on a machine of the same kind:  scripts/install.sh --from FOLDER
END
}

# The Python is the distribution's own, so its release names that too.
machine() {
    # shellcheck source=/dev/null
    (. /etc/os-release && printf '%s-%s %s\n' "$ID" "${VERSION_ID:-unknown}" \
        "$(dpkg --print-architecture)")
}

options=() folder=bundle
for word in "$@"; do
    case $word in
        --with-tests) options+=("$word") ;;
        --machine) machine && exit 0 ;;
        -h | --help) usage && exit 0 ;;
        -*) usage >&2 && exit 2 ;;
        *) folder=$word ;;
    esac
done

mkdir -p -- "$folder/debs/partial" "$folder/wheels"
folder=$(cd -- "$folder" && pwd -P)
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache"
# As if nothing were installed: the folder then serves machines that lack other packages than this.
: >"$work/status"
apt=(apt-get -q -o "Dir::State::lists=$work/lists" -o "Dir::State::status=$work/status"
    -o "Dir::Cache=$work/cache" -o "Dir::Cache::archives=$folder/debs" -o Debug::NoLocking=1
    -o APT::Sandbox::User= -o APT::Get::List-Cleanup=0)

mapfile -t packages < <("$here/scripts/install.sh" --list "${options[@]}")
echo "bundle: packages"
"${apt[@]}" update >"$work/log" 2>&1 || { cat "$work/log" >&2 && exit 1; }
"${apt[@]}" install -y --no-install-recommends --download-only "${packages[@]}" >"$work/log" 2>&1 ||
    { cat "$work/log" >&2 && exit 1; }
rm -rf "$folder/debs/partial" "$folder/debs/lock"
# The index that apt reads: each package's own description, and where its file is.
(
    cd -- "$folder/debs"
    for deb in *.deb; do
        dpkg-deb -f "$deb"
        printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$deb" "$(stat -c %s "$deb")" \
            "$(sha256sum "$deb" | cut -d ' ' -f 1)"
    done >Packages
)

echo "bundle: wheels"
/usr/bin/python3 -m venv "$work/venv"
constraints=$(/usr/bin/python3 -c \
    'import pathlib, sys; print(pathlib.Path(sys.argv[1]).as_uri())' "$here/build-constraints.txt")
wheel=("$work/venv/bin/python" -m pip --disable-pip-version-check wheel -q -w "$folder/wheels")
env PIP_CONSTRAINT="$constraints" PIP_BUILD_CONSTRAINT="$constraints" PIP_USE_PEP517=1 \
    "${wheel[@]}" -r "$here/requirements.txt"
if [ ${#options[@]} -gt 0 ]; then "${wheel[@]}" -r "$here/requirements-test.txt"; fi
# What pip builds hoplab itself with.
"${wheel[@]}" 'setuptools>=77' wheel 'babel>=2.12'
machine >"$folder/made-for"
printf 'bundle: %s, %s packages, %s wheels, %s, for %s\n' "$folder" \
    "$(find "$folder/debs" -name '*.deb' | wc -l)" "$(find "$folder/wheels" -name '*.whl' | wc -l)" \
    "$(du -sh "$folder" | cut -f 1)" "$(<"$folder/made-for")"
