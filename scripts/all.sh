#!/usr/bin/env bash
# Starts all four servers, each behind a line on its own port, and stops them all on Ctrl-C. A line
# makes its server as far away as the slider of the comparison says.
#
#   scripts/all.sh                 then open the comparison (a desktop opens it by itself)
#   scripts/all.sh --no-open       a desktop does not (nor with NO_OPEN=1)
#   QUIET=1 scripts/all.sh         no generated updates: whatever comes was written by somebody
#   HOST=0.0.0.0 scripts/all.sh    for a classroom: other machines in the network can take part; with
#                                  qrencode installed, phones find the way by a QR code
#
# While it runs, a port and Enter (8003) stop the server that is reached there; once more, and it
# starts again: so one can see what its clients do meanwhile.

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

# Starts a server, at this port; 0 is a free one.
start() {
    PORT=$2 cargo run --quiet -p "$1" > >(follow "$1") 2>&1 &
    processes[$(port_of "$1")]=$!
}

# What is typed while the servers run: the port of a line.
typed() {
    local server
    for server in $servers; do
        [ "${server#*:}" = "$1" ] || continue
        case ${stopped[$1]:-} in
        '')
            stopped[$1]=soon
            kill "${processes[$1]}" 2>/dev/null || true # it may have ended just now
            ;;
        yes)
            unset "stopped[$1]"
            start "${server%:*}" "${ports[$1]}"
            ;;
        esac
        return
    done
    echo "Type one of the four ports and Enter: its server stops; once more, and it starts again."
}

# Hands over what is typed. In the background there is nobody who types: that must not stop all.
listen_to_keys() {
    local line
    trap '' TTIN
    while IFS= read -r line 2>/dev/null; do echo "keys typed $line" >&3; done
}

# The addresses, with the machine called by this name; the comparison with this query.
addresses() {
    local server
    printf '\n  %-18s  http://%s:%s\n' "compare all four" "$1" "$comparison$2"
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

# As the others in the network call this machine; nothing, when they cannot reach it.
outside() {
    case ${HOST:-localhost} in
    127.* | localhost | ::1) ;;
    0.0.0.0 | ::) name_in_network ;;
    *:*) echo "[$HOST]" ;;
    *) echo "$HOST" ;;
    esac
}

welcome() {
    local slider="?line=$control"
    case ${HOST:-localhost} in
    127.* | localhost | ::1 | 0.0.0.0 | ::)
        addresses localhost "$slider"
        slider= # what somebody else moves would move for all
        ;;
    esac
    if [ -n "$outside" ]; then
        addresses "$outside" "$slider"
        if [ -f "$folder/qr.svg" ]; then
            printf '\nFor phones (the comparison shows it large: "Invite phones"):\n'
            qrencode -t ANSIUTF8 "$invitation"
        fi
        printf '\nWarning: with HOST=%s everybody in this network can read along and write.\n' "$HOST"
    fi
    printf '\nA port and Enter (%s) stop that server, and start it again.\n' "${servers##*:}"
    printf 'Ctrl-C stops all four.\n\n'
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
processes=() # of the servers, by the ports of their lines
ports=()     # their own ports
stopped=()   # which of them are: soon, yes
for server in $servers; do start "${server%:*}" 0; done

# Where the servers are for the lines: on this machine.
case ${HOST:-localhost} in
localhost | 0.0.0.0 | ::) behind=127.0.0.1 ;;
*:*) behind="[$HOST]" ;;
*) behind=$HOST ;;
esac

outside=$(outside)
invitation=http://$outside:$comparison
lines=()
if [ -n "$outside" ] && qrencode -t SVG -o "$folder/qr.svg" "$invitation" 2>/dev/null; then
    lines+=(--invite "$invitation" "$folder/qr.svg")
fi
control=
while read -r name news port <&3; do
    case $name:$news in
    line:control) control=$port ;;
    line:listens)
        welcome && open_comparison
        listen_to_keys <&0 & # which a job in the background would not have
        ;;
    keys:typed) typed "$port" ;;
    line:taken)
        echo "Port $port is in use by another program: stop that one first." >&2
        exit 1
        ;;
    *:listens)
        line=$(port_of "$name")
        [ -z "${ports[$line]:-}" ] || continue # it was started again: its line knows the way
        ports[line]=$port
        lines+=("$line=$behind:$port")
        if [ ${#ports[@]} = 4 ]; then # no list with ||: its job would be a shell between
            cargo run --quiet -p line -- "${lines[@]}" > >(follow line) 2>&1 &
        fi
        ;;
    *:ended)
        line=$(port_of "$name") # the line itself has none
        if [ "${stopped[${line:-0}]:-}" != soon ]; then
            echo "$name has ended: the others are stopped too." >&2
            exit 1
        fi
        stopped[line]=yes
        printf '%-18s  stopped; %s and Enter start it again\n' "$name" "$line"
        ;;
    esac
done
