#!/usr/bin/env bash
# Starts all four servers, each behind a line on its own port, and stops them all on Ctrl-C. A line
# makes its server as far away as the slider of the comparison says.
#
#   scripts/all.sh                 then open the comparison (a desktop opens it by itself)
#   scripts/all.sh --no-open       a desktop does not (nor with NO_OPEN=1)
#   scripts/all.sh --build         only builds what is needed, and starts nothing
#   QUIET=1 scripts/all.sh         no generated updates: whatever comes was written by somebody
#   HOST=0.0.0.0 scripts/all.sh    for a classroom: other machines in the network can take part; with
#                                  qrencode installed, phones find the way by a QR code
#
# While it runs, a port and Enter (8003) stop the server that is reached there; once more, and it
# starts again: so one can see what its clients do meanwhile. Enter alone shows the addresses again.
# On a terminal, the updates and messages that the servers print are left out: `scripts/all.sh | cat`
# shows them.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source-path=SCRIPTDIR source=build.bash
source scripts/build.bash

servers='polling:8001 long-polling:8002 server-sent-events:8003 websockets:8004'
comparison=8001/public/compare/index.html

starts=true
case $#:${1:-} in
0:) ;;
1:--no-open) NO_OPEN=1 ;;
1:--build) starts=false ;;
1:-h | 1:--help) usage && exit ;;
*) usage >&2 && exit 2 ;;
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

# Prints what a server says behind its name, and reports what matters here: that it listens, that
# its port is taken, that it has ended. (Where it really listens nobody needs to know: before that is
# its line.)
follow() {
    local line
    while IFS= read -r line; do
        case $1:$line in
        line:* | *:'Listening at '*) ;;
        *:'SENT: '* | *:'Received message => '*)
            [ -t 1 ] || printf '%-18s  %s\n' "$1" "$line" # there they would drown the addresses
            ;;
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

# Where a program is that was built.
program() { grep "/$1\$" <<<"$built"; }

# Starts a server, at this port; 0 is a free one.
start() {
    PORT=$2 "$(program "$1")" > >(follow "$1") 2>&1 &
    processes[$(port_of "$1")]=$!
}

# What is typed while the servers run: the port of a line, or nothing.
typed() {
    local server
    [ -n "$1" ] || { welcome && return; }
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
    echo "That is none of the four ports. Enter alone shows the addresses."
}

# Hands over what is typed. In the background there is nobody who types: that must not stop all.
listen_to_keys() {
    local line
    trap '' TTIN
    while read -r line 2>/dev/null; do echo "keys typed $line" >&3; done
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
    printf 'Enter alone shows the addresses again.\nCtrl-C stops all four.\n\n'
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

# Whether somebody listens at this port, where our lines are to listen.
is_taken() {
    local address addresses=${HOST:-localhost}
    case $addresses in
    localhost | 0.0.0.0 | ::) addresses='127.0.0.1 ::1' ;;
    esac
    for address in $addresses; do
        (exec 9<>"/dev/tcp/$address/$1") 2>/dev/null && return
    done
    return 1
}

# The process that listens at this port, and its command, as far as this user may know.
owner() {
    local process
    process=$(lsof -nP -t -iTCP:"$1" -sTCP:LISTEN 2>/dev/null) ||
        process=$(ss -Hltnp "sport = :$1" 2>/dev/null | sed -n 's/.*pid=\([0-9]*\).*/\1/p') || true
    process=${process%%[!0-9]*} # one of them is enough
    [ -z "$process" ] || echo "$process $(ps -o args= -p "$process")"
}

# Ends the script where a port is taken, before anything is built, and says whose it is.
look_at_the_ports() {
    local server process command name whose taken=''
    for server in $servers; do
        is_taken "${server#*:}" || continue
        read -r process command <<<"$(owner "${server#*:}")" || true
        name=${command%% *} name=${name##*/}
        case $name: in
        line:) whose='scripts/all.sh, which runs already' ;;
        polling: | long-polling: | server-sent-events: | websockets:) whose="our own $name" ;;
        :) whose='another program' ;;
        *) whose="another program, $name" ;;
        esac
        taken+="  ${server#*:}  $whose${process:+ (process $process)}"$'\n'
    done
    [ -n "$taken" ] || return 0
    printf 'These ports are in use already:\n\n%s\n' "$taken" >&2
    echo 'Stop what listens there: Ctrl-C in its terminal, or kill and the number.' >&2
    exit 1
}

! $starts || look_at_the_ports
echo "Building the four servers. The first time, this takes about a minute."
packages=()
for server in $servers; do packages+=(-p "${server%:*}"); done
built=$(programs "${packages[@]}" -p line)
$starts || exit 0

# In a Codespace a browser knows them by other names, which each have the port in them.
if [ -n "${CODESPACE_NAME:-}" ]; then
    domain=${GITHUB_CODESPACES_PORT_FORWARDING_DOMAIN:-app.github.dev}
    for server in $servers; do
        ALLOWED_HOSTS=${ALLOWED_HOSTS:+$ALLOWED_HOSTS,}$CODESPACE_NAME-${server#*:}.$domain
    done
    export ALLOWED_HOSTS
fi

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
        if [ -n "${ports[$line]:-}" ]; then # its line knows the way
            printf '%-18s  listens again at http://localhost:%s\n' "$name" "$line"
            continue
        fi
        ports[line]=$port
        lines+=("$line=$behind:$port")
        if [ ${#ports[@]} = 4 ]; then # no list with ||: its job would be a shell between
            "$(program line)" "${lines[@]}" > >(follow line) 2>&1 &
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
