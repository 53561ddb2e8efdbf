#!/usr/bin/env bash
# Past one machine: Redis keeps the feed, two servers of each technique serve it, nginx stands before
# them. Starts all of it on free ports, shows how A's message to one server reaches B at another,
# restarts servers, kills one and then Redis, and stops everything.
#
#   scripts/past-one-machine.sh           what happens, step by step
#   scripts/past-one-machine.sh --stay    leaves it running, with the addresses for a browser

export script_option=--stay
# shellcheck source-path=SCRIPTDIR source=common.bash
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"

for program in redis-server redis-cli nginx; do
    PATH=$PATH:/usr/sbin type -P "$program" >/dev/null ||
        fail "$program is missing. Debian: apt-get install redis-server nginx-light; macOS: brew install redis nginx (Valkey serves as well)"
done
PATH=$PATH:/usr/sbin

techniques=(polling long-polling server-sent-events websockets)
target=${CARGO_TARGET_DIR:-target}/redis

# A free port. (Between this and its use somebody could take it; then the script says so and ends.)
free_port() {
    local port
    while port=$((20000 + RANDOM % 20000)); do
        (exec 9<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port" && return; }
    done
}

start_redis() {
    redis-server --port "$redis" --bind 127.0.0.1 --dir "$folder" --appendonly yes --save '' \
        >/dev/null &
    redis_process=$!
    for _ in {1..100}; do
        [ "$(redis-cli -p "$redis" ping 2>/dev/null)" != PONG ] || return 0
        sleep 0.05
    done
    fail "Redis did not start"
}

# Starts a server, at this port or at a free one; sets `address` and `process`.
start_server() {
    local line
    rm -f "$folder/line" && mkfifo "$folder/line"
    REDIS_URL=redis://127.0.0.1:$redis HOST=127.0.0.1 PORT=${2:-0} QUIET=1 \
        "$target/debug/$1" >"$folder/line" 2>"$folder/complaint" &
    process=$!
    exec 6<"$folder/line"
    IFS= read -r -t 10 line <&6 || fail "$1 did not start: $(cat "$folder/complaint")"
    address=127.0.0.1:${line##*:}
    (cat <&6 >/dev/null) & # somebody reads what it prints
    exec 6<&-
}

explain "Build the servers with the engine, a feature that is off by default, and start Redis."
show "$ cargo build --features feed/redis -p polling -p long-polling -p server-sent-events -p websockets"
cargo_shown build --features feed/redis --target-dir "$target" "${techniques[@]/#/-p}" ||
    fail "the servers do not build"
redis=$(free_port)
show "$ redis-server --port $redis --appendonly yes &"
start_redis

explain "Two servers of each technique, all with the same engine."
edits=(-e "s|@FOLDER@|$folder|")
for technique in "${techniques[@]}"; do
    name=$(tr '[:lower:]' '[:upper:]' <<<"$technique")
    for number in 1 2; do
        start_server "$technique"
        show "$ REDIS_URL=redis://127.0.0.1:$redis PORT=${address#*:} $technique &"
        edits+=(-e "s|@$name-$number@|$address|")
        # shellcheck disable=SC2034 # read by name
        printf -v "${technique//-/_}_$number" %s "http://$address"
        printf -v "${technique//-/_}_process_$number" %s "$process"
    done
    port=$(free_port)
    edits+=(-e "s|@$name@|127.0.0.1:$port|")
    printf -v "${technique//-/_}" %s "http://127.0.0.1:$port"
done

explain "And nginx before them, with scripts/nginx.conf: no sticky sessions, no buffers."
sed "${edits[@]}" scripts/nginx.conf >"$folder/nginx.conf"
show "$ nginx -c nginx.conf &"
nginx -c "$folder/nginx.conf" 2>"$folder/nginx.log" &
for _ in {1..100}; do
    # shellcheck disable=SC2154 # set by printf -v
    ! curl -s -o "$folder/page" "$polling/" || break
    sleep 0.05
done
[ -s "$folder/page" ] || fail "nginx did not start: $(cat "$folder/nginx.log" "$folder/error.log" 2>/dev/null)"

# shellcheck disable=SC2154 # all of these are set by printf -v
{
    explain "Client A sends a message to the first polling server …"
    run curl "$polling_1/api/messages" -H "$json" -d '{"update": "from polling"}'
    seen=$(newest_id)
    explain "… and B has it from the second one: one feed. The id is the engine's."
    run curl "$polling_2/api/messages?after=$((seen - 1))"
    expect "[{\"id\":$seen,\"update\":\"from polling\"}]"

    explain "B's request is held by one long-polling server, A posts to the other: it is answered."
    connect curl -N "$long_polling_2/api/messages/long-poll?after=$seen"
    run curl "$long_polling_1/api/messages" -H "$json" -d '{"update": "from long polling"}'
    await 'from long polling'

    explain "The same with an event stream …"
    connect curl -N "$server_sent_events_2/events?after=$seen"
    await 'from long polling'
    run curl "$server_sent_events_1/api/messages" -H "$json" -d '{"update": "from the stream'"'"'s server"}'
    await "from the stream's server"

    explain "… and with a WebSocket: what was said to polling comes as a frame. The cursor is from polling, too."
    connect curl -iN "$websockets_2/?after=$((seen - 1))" -H 'Connection: Upgrade' -H 'Upgrade: websocket' \
        -H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='
    await 'HTTP/1.1 101 Switching Protocols'
    await_bytes 14 '81 0c 66 72 6f 6d 20 70 6f 6c 6c 69 6e 67'

    explain "Now through nginx. B listens to a stream; which of the two servers has it, B does not know."
    connect curl -N "$server_sent_events/events?after=$seen"
    await "from the stream's server"
    run curl "$polling/api/messages" -H "$json" -d '{"update": "one"}'
    await 'data: one'
    last=$(sed -n 's/^id: //p' <<<"$answer" | tail -n 1)
    explain "It is the first of the two: nginx begins with that one. It is killed, B's stream ends, and a message is sent."
    show "$ kill -9 $server_sent_events_process_1"
    kill -9 "$server_sent_events_process_1"
    wait "$server_sent_events_process_1" 2>/dev/null || true
    run curl "$polling/api/messages" -H "$json" -d '{"update": "two"}'
    explain "B connects again, as a browser does by itself, with the last id it saw: nothing missing, nothing twice."
    connect curl -N "$server_sent_events/events" -H "Last-Event-ID: $last"
    await 'id: '
    expect 'data: two'

    explain "A rolling restart: one polling server after the other, while A sends. nginx takes the one that is there."
    run curl "$polling/"
    seen=$(newest_id)
    for number in 1 2; do
        process=polling_process_$number address=polling_$number
        process=${!process} address=${!address}
        show "$ kill $process"
        kill "$process"
        wait "$process" || fail "a server that is told to stop ends with 0"
        run curl "$polling/api/messages" -H "$json" -d "{\"update\": \"without server $number\"}"
        expect "\"update\":\"without server $number\"}"
        show "$ REDIS_URL=redis://127.0.0.1:$redis PORT=${address##*:} polling &"
        start_server polling "${address##*:}"
    done
    run curl "$polling/api/messages?after=$seen"
    expect 'without server 1'
    expect 'without server 2'

    explain "Redis is killed. Whoever listens stays connected; whoever sends is told to come again (503)."
    show "$ kill -9 $redis_process"
    kill -9 "$redis_process"
    wait "$redis_process" 2>/dev/null || true
    run curl -i "$polling_1/api/messages" -H "$json" -d '{"update": "into the void"}'
    expect 'HTTP/1.1 503 Service Unavailable'
    expect 'retry-after: 1'
    explain "It comes back, with its file, and everybody goes on: B's stream has been open all the time."
    show "$ redis-server --port $redis --appendonly yes &"
    start_redis
    for _ in {1..100}; do
        code=$(curl -s -o "$folder/answer" -w '%{http_code}' "$polling_1/api/messages" -H "$json" -d '{"update": "three"}') || true
        [ "$code" != 201 ] || break
        sleep 0.05
    done
    show "$ curl $polling_1/api/messages -H '$json' -d '{\"update\": \"three\"}'"
    answer=$(cat "$folder/answer")
    show "$answer"
    expect '"update":"three"}'
    await 'data: three'

    if [ "${1:-}" = --stay ]; then
        printf '\nAll of it is running, but for the server that was killed. Through nginx:\n'
        # Each page is told where the others are: its links, and the comparison, lead there.
        elsewhere="?polling=${polling##*:}&long-polling=${long_polling##*:}"
        elsewhere+="&server-sent-events=${server_sent_events##*:}&websockets=${websockets##*:}"
        for technique in "${techniques[@]}"; do
            variable=${technique//-/_}
            printf '  %-18s  %s/html/index.html%s\n' "$technique" "${!variable}" "$elsewhere"
        done
        printf '  %-18s  %s/public/compare/index.html%s\n' 'all four compared' "$polling" "$elsewhere"
        printf '\nCtrl-C stops it.\n'
        wait
    fi
}
