#!/usr/bin/env bash
# Starts all four servers, each on its own port, and stops them all on Ctrl-C.
#
#   scripts/all.sh                 then open the comparison (a desktop opens it by itself)
#   scripts/all.sh --no-open       a desktop does not (nor with NO_OPEN=1)
#   QUIET=1 scripts/all.sh         no generated updates: whatever comes was written by somebody
#   HOST=0.0.0.0 scripts/all.sh    for a classroom: other machines in the network can take part

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

servers='polling:8001 long-polling:8002 server-sent-events:8003 websockets:8004'
comparison=8001/public/compare/index.html

case ${1:-} in
'') ;;
--no-open) NO_OPEN=1 ;;
*) echo "usage: [HOST=0.0.0.0] [QUIET=1] scripts/all.sh [--no-open]" >&2 && exit 2 ;;
esac

folder=$(mktemp -d)
clean_up() {
    local process
    trap '' HUP INT TERM # a second Ctrl-C must not leave half of it running
    for process in $(jobs -p); do
        kill "$process" 2>/dev/null || true
    done
    wait
    rm -rf "$folder"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'echo; echo "Stopping."; exit 130' INT
trap 'exit 143' TERM

# Prints a server's lines behind its name, and reports what matters here: that it listens, that its
# port is taken, that it has ended.
follow() {
    local line
    while IFS= read -r line; do
        printf '%-18s  %s\n' "$1" "$line"
        case $line in
        'Listening at '*) echo "$1 listens" ;;
        "Error: "*"ddress already in use"*) echo "$1 taken" ;;
        esac >&3
    done
    echo "$1 ended" >&3
}

# The addresses, with the machine called by this name.
addresses() {
    local server
    printf '\n  %-18s  http://%s:%s\n' "compare all four" "$1" "$comparison"
    for server in $servers; do
        printf '  %-18s  http://%s:%s/html/index.html\n' "${server%:*}" "$1" "${server#*:}"
    done
}

# What other machines call this one: its address in the network, else its name.
name_in_network() {
    local name
    name=$(hostname -I 2>/dev/null | cut -d ' ' -f 1) || true
    [ -n "$name" ] || name=$(ipconfig getifaddr en0 2>/dev/null || hostname)
    echo "$name"
}

welcome() {
    case ${HOST:-127.0.0.1} in
    127.* | localhost | ::1) addresses localhost ;;
    *)
        case $HOST in
        0.0.0.0 | ::) addresses localhost && addresses "$(name_in_network)" ;;
        *:*) addresses "[$HOST]" ;;
        *) addresses "$HOST" ;;
        esac
        printf '\nWarning: with HOST=%s everybody in this network can read along and write.\n' "$HOST"
        ;;
    esac
    printf '\nCtrl-C stops all four.\n\n'
}

# Only where somebody looks at a screen. It outlives this script, as it may become the browser.
open_comparison() {
    [ -z "${NO_OPEN:-}" ] && [ -t 1 ] || return 0
    local address=http://localhost:$comparison
    if [ "$(uname)" = Darwin ]; then
        open "$address" || true
    elif [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] && command -v xdg-open >/dev/null; then
        (xdg-open "$address" >/dev/null 2>&1 &)
    fi
}

echo "Building the four servers; this takes a moment the first time."
packages=()
for server in $servers; do packages+=(-p "${server%:*}"); done
cargo build --quiet "${packages[@]}"

mkfifo "$folder/news"
exec 3<>"$folder/news" # for reading and writing: neither waits until the other is opened too
for server in $servers; do
    name=${server%:*}
    PORT=${server#*:} cargo run --quiet -p "$name" > >(follow "$name") 2>&1 &
done

waiting_for=4
while read -r name news <&3; do
    case $news in
    listens)
        waiting_for=$((waiting_for - 1))
        [ "$waiting_for" -gt 0 ] || { welcome && open_comparison; }
        ;;
    taken)
        port=${servers##*"$name:"} port=${port%% *}
        echo "Port $port, which $name takes, is in use by another program: stop that one first." >&2
        exit 1
        ;;
    ended)
        echo "$name has ended: the others are stopped too." >&2
        exit 1
        ;;
    esac
done
