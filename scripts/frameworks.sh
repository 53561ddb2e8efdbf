#!/usr/bin/env bash
# What a framework does to you by itself: tries the shortest honest server that each leads to on the
# contract (feed/WIRE.md).
#
#   scripts/frameworks.sh                     all that this machine can run, on all sentences, into the
#                                             table of scripts/check/frameworks/README.md: 30 minutes
#   scripts/frameworks.sh --level 1           level 1 only, without the table: 5 minutes
#   scripts/frameworks.sh --level 1 express ws       only these
#   scripts/frameworks.sh --measure --readme  what each costs, as ratios to ours, into scripts/COSTS.md:
#                                             5 minutes (without --readme not into the page)
#
# What a framework needs is fetched into target/frameworks: from npm, PyPI and crates.io.
# Exit code 0: those that were tried keep level 1.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source-path=SCRIPTDIR source=strangers.bash
source scripts/strangers.bash

frameworks=(actix-web axum express ws fastapi flask go nchan)
here=$PWD/scripts/check/frameworks
target=${CARGO_TARGET_DIR:-$PWD/target}/frameworks
level=3 measure=() profile=debug
while [[ ${1:-} == --* ]]; do
    case $1:${2:-} in
    --measure:* | --readme:*) measure+=("$1") && profile=release && shift ;;
    --level:[123]) level=$2 && shift 2 ;;
    *) sed -n '2,14s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit 2 ;;
    esac
done
names=("$@")
[ $# -gt 0 ] || names=("${frameworks[@]}")

# Prepares a framework's server: its technique, and the command that starts it. Fails where something
# is missing, and says what.
prepare() {
    case $1 in
    actix-web) technique=websockets && compiled actix-web ;;
    axum) technique=server-sent-events && compiled axum ;;
    express) technique=long-polling && in_node express ;;
    ws) technique=websockets && in_node ws ;;
    fastapi) technique=server-sent-events && in_python fastapi_events ;;
    flask) technique=polling && in_python flask_polling ;;
    go)
        needs go || return
        technique=server-sent-events command=("$target/go-events")
        (cd "$here/go" && go build -o "${command[0]}" .)
        ;;
    nchan)
        local nchan=${NCHAN:-/usr/lib/nginx/modules/ngx_nchan_module.so}
        [ -e "$nchan" ] || { echo "there is no nchan (Debian: libnginx-mod-nchan)" && return 1; }
        technique=server-sent-events && in_node nchan
        ;;
    *) echo "there are: ${frameworks[*]}" && return 1 ;;
    esac
}

# Its crate is no part of the workspace: it takes what it finds newest.
compiled() {
    command=("$target/$profile/framework-$1")
    cargo build --profile "${profile/debug/dev}" --target-dir "$target" --manifest-path "$here/$1/Cargo.toml"
}

mkdir -p "$target"
if [ ${#measure[@]} -gt 0 ]; then
    peers=()
    for name in "${names[@]}"; do
        # Flask's list knows no cursor: each answer holds all updates, which would be no comparison.
        [ "$name" != flask ] && prepare "$name" && peers+=(--peer "$name=$technique=${command[*]}")
    done
    exec scripts/measure.sh "${measure[@]:1}" "${peers[@]}"
fi
cargo build --package check
check=${CARGO_TARGET_DIR:-$PWD/target}/debug/check
results=() failed=()
for name in "${names[@]}"; do
    printf '\n== %s\n' "$name"
    prepare "$name" || { echo "not tried" && continue; }
    status=0
    "$check" "$technique" --level "$level" --json="$target/$name.json" -- "${command[@]}" \
        >"$target/$name.txt" || status=$?
    tail -n 1 "$target/$name.txt"
    if [ "$status" = 2 ] || grep -q '^  FAILS  *1\.' "$target/$name.txt"; then
        failed+=("$name")
        sed -n '/^Level 2/q; p' "$target/$name.txt"
    fi
    results+=("$name=$target/$name.json")
done

if [ "$level" = 3 ] && [ $# = 0 ]; then
    table=$(node scripts/check/table.mjs "${results[@]}")
    page=$(<"$here/README.md")
    printf '%s\n\n%s\n\n%s\n' "${page%%<!-- table: begin -->*}<!-- table: begin -->" "$table" \
        "<!-- table: end -->${page##*<!-- table: end -->}" >"$here/README.md"
fi
printf '\n'
[ ${#failed[@]} = 0 ] || { echo "level 1 does not hold: ${failed[*]}" && exit 1; }
echo "level 1 holds: ${#results[@]} of ${#names[@]} were tried"
