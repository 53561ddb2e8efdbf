#!/usr/bin/env bash
# Marks what a class has handed in: tries each server on the contract, as scripts/check.sh does, and
# says in one line for each how much of it holds. All that was seen is in its folder's check.txt.
#
#   scripts/mark.sh polling handed-in/*/
#   scripts/mark.sh polling --only 1.3,2.2 handed-in/*/     options of scripts/check.sh
#
# A folder has an executable file `start`, or server.mjs, server.js (Node) or server.py (Python).
set -euo pipefail
here=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
check=$PWD/scripts/check.sh
# shellcheck source-path=SCRIPTDIR source=build.bash
source scripts/build.bash

! asks_for_help "$@" || { usage && exit; }
[ $# -ge 2 ] || { usage >&2 && exit 2; }
technique=$1 && shift
options=()
while [[ $# -gt 0 && $1 == --* ]]; do
    [[ $1 == *=* || $# -lt 3 ]] || { options+=("$1") && shift; }
    options+=("$1") && shift
done
[ $# -ge 1 ] || { usage >&2 && exit 2; }

say_how_long debug/check 'one to two minutes'
cargo_shown build --package check # once, for all of them
export CARGO_TERM_QUIET=true

for folder in "$@"; do
    cd "$here"
    name=${folder%/}
    if ! cd "$folder" 2>/dev/null; then
        printf '%-24s  there is no such folder\n' "$name"
        continue
    fi
    if [ -x start ]; then
        command=("$PWD/start")
    elif [ -e server.mjs ]; then
        command=(node "$PWD/server.mjs")
    elif [ -e server.js ]; then
        command=(node "$PWD/server.js")
    elif [ -e server.py ]; then
        command=(python3 -u "$PWD/server.py")
    else
        printf '%-24s  nothing that can be started: start, server.mjs, server.js or server.py\n' "$name"
        continue
    fi
    # 1: something does not hold, which its last line says. More: it could not be tried.
    status=0
    "$check" "$technique" ${options[@]+"${options[@]}"} -- "${command[@]}" >check.txt || status=$?
    [ "$status" -le 1 ] || exit "$status"
    printf '%-24s  %s\n' "$name" "$(tail -n 1 check.txt)"
done
