#!/usr/bin/env bash
# Clients by other hands, and ours, by the contract (feed/WIRE.md): tries each on all sentences, and
# writes what was found into the table of README.md.
#
#   scripts/check/clients/table.sh                    all that this machine can run: 15 minutes
#   scripts/check/clients/table.sh ws chromium-polling       only these, without the table
#
# What a client needs is fetched into target/clients: from npm, PyPI and crates.io.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

here=$PWD root=$(cd ../../.. && pwd)
# shellcheck source-path=SCRIPTDIR source=../../strangers.bash
source "$root/scripts/strangers.bash"
build=${CARGO_TARGET_DIR:-$root/target}
target=$build/clients
ours=(polling long-polling server-sent-events websockets)
clients=(curl-polling curl-long-polling aiohttp eventsource httpx-sse reqwest-eventsource
    eventsource-client ws websockets tokio-tungstenite)
for technique in "${ours[@]}"; do clients+=("ours-$technique"); done
pages=()
for browser in chromium firefox webkit; do
    for technique in "${ours[@]}"; do pages+=("$browser-$technique"); done
    pages+=("$browser-fetch")
done
names=("$@")
[ $# -gt 0 ] || names=("${clients[@]}" "${pages[@]}")

# A client's technique, and the command that starts it. Fails where something is missing, and says what.
prepare() {
    at_once=16
    case $1 in
    curl-*) technique=${1#curl-} && needs jq && command=(bash "$here/curl.sh" "$technique") ;;
    aiohttp) technique=long-polling && in_python aiohttp_client ;;
    httpx-sse) technique=server-sent-events && in_python httpx_sse_client ;;
    websockets) technique=websockets && in_python websockets_client ;;
    eventsource) technique=server-sent-events && in_node eventsource ;;
    ws) technique=websockets && in_node ws ;;
    reqwest-eventsource | eventsource-client) technique=server-sent-events && compiled "$1" ;;
    tokio-tungstenite) technique=websockets && compiled "$1" ;;
    ours-*) technique=${1#ours-} && command=(node --experimental-websocket "$here/ours.mjs" "$technique") ;;
    chromium-* | firefox-* | webkit-*)
        technique=${1#*-} at_once=3 # a browser is heavy
        command=(node "$here/page.mjs" "$technique" "${1%%-*}")
        [ "$technique" != fetch ] || {
            technique=server-sent-events
            command=(node "$here/page.mjs" "$technique" "${1%%-*}" fetch)
        }
        # It has no headless mode.
        [[ $1 != webkit-* || -n ${DISPLAY:-} ]] || { echo "there is no screen: xvfb-run -a ${BASH_SOURCE[0]}" && return 1; }
        ;;
    *) echo "there are: ${clients[*]} ${pages[*]}" && return 1 ;;
    esac
}

# The crate is no part of the workspace: it takes what it finds newest.
compiled() {
    command=("$target/debug/$1")
    cp -r "$here/rust" "$target"
    cargo build --target-dir "$target" --manifest-path "$target/rust/Cargo.toml"
}

mkdir -p "$target"
cargo build --manifest-path "$root/Cargo.toml" --package check
results=()
for name in "${names[@]}"; do
    printf '\n== %s\n' "$name"
    prepare "$name" || { echo "not tried" && continue; }
    "$build/debug/check" "$technique" --client --at-once "$at_once" --json="$target/$name.json" -- \
        "${command[@]}" >"$target/$name.txt" || true
    grep -e '^  FAILS' -e '^  *not tried' "$target/$name.txt" || echo "all holds"
    results+=("$name=$target/$name.json")
done
[ $# = 0 ] || exit 0

page=$(<README.md)
for part in clients pages; do
    found=()
    for result in "${results[@]}"; do
        is=clients
        [[ " ${pages[*]} " != *" ${result%%=*} "* ]] || is=pages
        [ "$is" != "$part" ] || found+=("$result")
    done
    [ ${#found[@]} -gt 0 ] || continue
    table=$(node ../table.mjs "${found[@]}")
    page="${page%%"<!-- $part: begin -->"*}<!-- $part: begin -->

$table

<!-- $part: end -->${page##*"<!-- $part: end -->"}"
done
printf '%s\n' "$page" >README.md
