# shellcheck shell=bash
# What the four scripts share: they start a server on a free port, show a command and what comes
# back, say what is wrong, and leave nothing behind. They source this file; it does nothing by
# itself. It keeps to what bash 3.2 knows, which is what macOS has.
#
# With --step, a script waits for Enter before each command that it shows. Ctrl-D (the end of its
# input) lets it run to its end, Ctrl-C ends it.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source-path=SCRIPTDIR source=build.bash
source scripts/build.bash

option=${script_option:---step} # what a script takes; it may have set another one
case $#:${1:-} in
0: | 1:"$option") ;;
1:-h | 1:--help) usage && printf '\nusage: scripts/%s [%s]\n' "${0##*/}" "$option" && exit ;;
*) echo "usage: scripts/${0##*/} [$option]" >&2 && exit 2 ;;
esac
by_step=false
longest=15 # seconds that a curl may take
if [ "${1:-}" = --step ]; then
    by_step=true longest=3600 # somebody may have something to say between two steps
fi

folder=$(mktemp -d) # for the pipes
url=                # where the server is
answer=             # what came last: `expect` looks into it
shown=              # the line that was shown last
connection=         # the process of the curl that is still connected
again=              # while B waits for something: what to do when the server has ended its connection
# curl 7.82 has --json for that and what it implies; this is known to every curl.
export json='Content-Type: application/json'
export url no_proxy="localhost,${no_proxy:-}" # a school's proxy does not know our localhost

clean_up() {
    local process
    trap '' HUP INT TERM # a second Ctrl-C must not leave half of it behind
    for process in $(jobs -p); do
        kill "$process" 2>/dev/null || true
    done
    wait
    rm -rf "$folder"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# Ends the script: something is not as it should be.
fail() {
    printf '\n%s: %s\n' "${0##*/}" "$1" >&2
    exit 1
}

show() {
    printf '%s\n' "$1"
    shown=$1
}

# Says in one sentence what to look at.
explain() {
    [[ -z $shown || $shown == "# "* ]] || echo # a second sentence stands under the first
    if [ -t 1 ]; then printf "\e[36m# %s\e[0m\n" "$1"; else printf "# %s\n" "$1"; fi
    shown="# $1"
}

# Shows a command as one types it, and waits for Enter with --step. One that gets too long goes on in the next line, as in a shell.
show_command() {
    local word part='' line='$'
    for word in "$@" -; do # an option begins a part; the last one only ends the part before
        if [[ $word == -* ]]; then
            ((${#line} + ${#part} < 96)) || { show "$line \\"; line='   '; }
            line+=$part part=''
        fi
        [[ $word != *[!A-Za-z0-9_./:=-]* || $word == '&' ]] || word="'$word'"
        part+=" $word"
    done
    show "$line"
    step
}

# Waits for Enter, with --step. Meanwhile the server may have ended the connection: it holds none
# for ever that says nothing.
step() {
    $by_step || return 0
    IFS= read -r -s _ || by_step=false
    [ -n "$again" ] && ! kill -0 "$connection" 2>/dev/null || return 0
    local by_step=false
    explain "Meanwhile the server has ended B's connection, as it does after a time. B connects again:"
    "$again"
    explain "Now the command from above."
}

# Builds a server, starts it on a free port, and waits until it says where it listens. It makes no
# updates of its own but the first: whatever comes after that is ours.
start() {
    ! $by_step || explain "Enter runs the command that is shown, Ctrl-D all the rest."
    explain "Build the server (the first time, this takes about a minute) and start it on a free port."
    show "$ cargo build -p $1"
    step
    cargo_shown build -p "$1" || fail "the server does not build"
    show "$ PORT=0 QUIET=1 cargo run --quiet -p $1 &"
    step
    mkfifo "$folder/server"
    HOST=127.0.0.1 PORT=0 QUIET=1 cargo run --quiet -p "$1" >"$folder/server" &
    exec 3<"$folder/server"
    IFS= read -r -t 60 answer <&3 || fail "the server did not start"
    show "$answer"
    expect 'Listening at http://localhost:'
    url=${answer#Listening at }
}

# Shows a curl command, runs it, and shows what came: the answer. (The options that are not shown
# change nothing where one types it: no progress meter, and no waiting for ever.)
run() {
    show_command "$@"
    answer=$("$@" --silent --show-error --max-time "$longest") || fail "curl failed"
    answer=${answer//$'\r'/}
    show "$answer"
}

# Shows a curl command and starts it, and goes on as soon as its request is on its way. What comes
# back, now or later, is read from file descriptor 4. There is one such connection at a time.
connect() {
    local line
    disconnect
    show_command "$@" '&'
    rm -f "$folder/sent" "$folder/received"
    mkfifo "$folder/sent" "$folder/received"
    # With --verbose, curl says on stderr what it has sent.
    "$@" --silent --verbose --no-buffer --max-time "$longest" >"$folder/received" 2>"$folder/sent" &
    connection=$!
    exec 4<"$folder/received" 5<"$folder/sent"
    while IFS= read -r -t 10 line <&5; do
        [[ $line != '> '* ]] || return 0
    done
    fail "curl sent no request"
}

# Goes away, as a client does: without a word.
disconnect() {
    [ -n "$connection" ] || return 0
    kill "$connection" 2>/dev/null || true
    wait "$connection" 2>/dev/null || true
    exec 4<&- 5<&-
    connection=
}

# Shows what comes over the connection, as it comes, up to the end of the part that has this text
# in it: the answer. An empty line ends a part, be it the headers or an event.
await() {
    local line more=true
    answer=
    while $more; do
        IFS= read -r -t 10 line <&4 || more=false
        line=${line%$'\r'}
        if $more || [ -n "$line" ]; then show "$line"; fi
        answer+=$line$'\n'
        if ! $more || [ -z "$line" ]; then
            [[ $answer != *"$1"* ]] || return 0
            answer=
        fi
    done
    fail "waited for \"$1\", and it did not come"
}

# Shows the next bytes that come over the connection, so many of them. They must begin with these.
# A WebSocket's ping (89 00) may come first, where somebody took their time.
await_bytes() {
    local dump=(xxd -g 1)
    command -v xxd >/dev/null || dump=(od -A x -t x1z)
    # One at a time, so that none is taken that belongs to the next frame.
    dd bs=1 count=2 <&4 >"$folder/bytes" 2>/dev/null
    if [[ $("${dump[@]}" "$folder/bytes") == *' 89 00 '* ]]; then
        explain "89 00: a ping. The server asks whether B is still there."
        await_bytes "$@"
        return
    fi
    dd bs=1 count=$(($1 - 2)) <&4 >>"$folder/bytes" 2>/dev/null
    answer=$("${dump[@]}" "$folder/bytes")
    show "$answer"
    expect " $2"
}

# This text must be in the answer, or the script ends here.
expect() {
    [[ $answer == *"$1"* ]] || fail "expected \"$1\" in what came last, and it is not there"
}

# The id of the newest update in the answer.
newest_id() {
    local last=${answer##*\"id\":}
    echo "${last%%[!0-9]*}"
}
