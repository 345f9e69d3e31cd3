#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Checks types. The content folders are checked one by one, each from inside, because that is how
# their files are loaded: as scripts that import siblings by bare name. Two folders may hold files
# of the same name (a hub topology and a hub controller), so they cannot share one run.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

mypy=("$PWD/.venv/bin/python" -m mypy --config-file "$PWD/pyproject.toml")
code=0
check() { # check NAME PATH...: each with a cache of its own
    local name=$1
    shift
    printf 'types: %s: ' "$name"
    "${mypy[@]}" --cache-dir "$PWD/.mypy_cache/$name" "$@" || code=1
}

check hoplab hoplab
check truth truth/*.py
for folder in controllers apps bench scripts; do
    if compgen -G "$folder/*.py" >/dev/null; then
        check "$folder" "$folder"
    fi
done
# Topologies are written as Mininet's own examples are, without annotations; what can be inferred
# is checked. Each node class adds parameters of its own to config(), as Mininet's do.
if compgen -G "topologies/*.py" >/dev/null; then
    check topologies topologies --allow-untyped-defs --allow-incomplete-defs \
        --allow-untyped-calls --check-untyped-defs --disable-error-code override
fi
exit "$code"
