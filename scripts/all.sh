#!/usr/bin/env bash
# Starts all four servers, each behind a line on its own port, and stops them all on Ctrl-C. A line
# makes its server as far away as the slider of the comparison says.
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

# The port of a server's line.
port_of() {
    local port=" $servers" # a space before each name: polling is no long-polling
    port=${port##*" $1:"}
    echo "${port%% *}"
}

# Prints a server's lines behind its name, and reports what matters here: that it listens, that its
# port is taken, that it has ended.
follow() {
    local line
    while IFS= read -r line; do
        case $1:$line in
        line:*) ;;
        # Behind its line: nobody needs to know where it really is.
        *:'Listening at '*) printf '%-18s  %s\n' "$1" "${line%:*}:$(port_of "$1")" ;;
        *) printf '%-18s  %s\n' "$1" "$line" ;;
        esac
        case $line in
        'Listening at '*) echo "$1 listens ${line##*:}" ;;
        'Control at '*) echo "$1 control ${line##*:}" ;;
        'Listening') echo "$1 listens" ;;
        "Error: "*"ddress already in use"*) line=${line#*port } && echo "$1 taken ${line%%:*}" ;;
        esac >&3
    done
    echo "$1 ended" >&3
}

# The addresses, with the machine called by this name.
addresses() {
    local server
    printf '\n  %-18s  http://%s:%s\n' "compare all four" "$1" "$comparison?line=$control"
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
    local address="http://localhost:$comparison?line=$control"
    if [ "$(uname)" = Darwin ]; then
        open "$address" || true
    elif [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] && command -v xdg-open >/dev/null; then
        (xdg-open "$address" >/dev/null 2>&1 &)
    fi
}

echo "Building the four servers; this takes a moment the first time."
packages=()
for server in $servers; do packages+=(-p "${server%:*}"); done
packages+=(-p line)
cargo build --quiet "${packages[@]}"

mkfifo "$folder/news"
exec 3<>"$folder/news" # for reading and writing: neither waits until the other is opened too
for server in $servers; do
    name=${server%:*}
    PORT=0 cargo run --quiet -p "$name" > >(follow "$name") 2>&1 &
done

# Where the servers are for the lines: on this machine.
case ${HOST:-localhost} in
localhost | 0.0.0.0 | ::) behind=127.0.0.1 ;;
*:*) behind="[$HOST]" ;;
*) behind=$HOST ;;
esac

lines=()
control=
while read -r name news port <&3; do
    case $name:$news in
    line:control) control=$port ;;
    line:listens) welcome && open_comparison ;;
    line:taken)
        echo "Port $port is in use by another program: stop that one first." >&2
        exit 1
        ;;
    *:listens)
        lines+=("$(port_of "$name")=$behind:$port")
        if [ ${#lines[@]} = 4 ]; then # no list with ||: its job would be a shell between
            cargo run --quiet -p line -- "${lines[@]}" > >(follow line) 2>&1 &
        fi
        ;;
    *:ended)
        echo "$name has ended: the others are stopped too." >&2
        exit 1
        ;;
    esac
done
