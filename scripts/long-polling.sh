#!/usr/bin/env bash
# Long polling on the wire: the client asks, the server answers when there is something to tell.
# Starts the server on a free port, asks it with curl, checks what comes, and stops it.

# shellcheck source-path=SCRIPTDIR source=common.bash
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"

start long-polling

explain "Client B has seen nothing so far, and there is something to tell: the answer comes at once."
run curl -i "$url/api/messages/long-poll?after=0"
expect 'HTTP/1.1 200 OK'
expect '"update":"Real-Time Update 1"}]'
seen=$(newest_id)

explain "B asks for what is newer than that. Nothing is: the server holds the request. No answer yet."
ask() { connect curl -i "$url/api/messages/long-poll?after=$seen"; }
ask
again=ask

explain "Meanwhile client A sends a message …"
run curl -i "$url/api/messages" -H "$json" -d '{"update": "Hello"}'
expect 'HTTP/1.1 201 Created'
sent=$(newest_id)

explain "… and now the request that was held has its answer."
await 'HTTP/1.1 200 OK'
await "[{\"id\":$sent,\"update\":\"Hello\"}]"
again=

explain "B asks again, and would rather not wait longer than 2 seconds. Nothing comes: 204, no body."
run curl -i "$url/api/messages/long-poll?after=$sent" \
    -H 'Prefer: wait=2' -w 'After %{time_total} seconds.\n'
expect 'HTTP/1.1 204 No Content'
expect 'preference-applied: wait=2'
[[ $answer =~ After\ ([0-9]+) ]] || fail "curl did not say how long it took"
((BASH_REMATCH[1] >= 2)) || fail "the request was held for less than 2 seconds"
