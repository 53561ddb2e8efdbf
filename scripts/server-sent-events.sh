#!/usr/bin/env bash
# Server-sent events on the wire: one response that never ends, an event in it for each update.
# Starts the server on a free port, listens with curl, checks what comes, and stops it.

# shellcheck source-path=SCRIPTDIR source=common.bash
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"

start server-sent-events

explain "Client B opens the stream. After the headers come events; an empty line ends each of them."
connect curl -iN "$url/events?after=0"
await 'HTTP/1.1 200 OK'
expect 'content-type: text/event-stream'
await 'retry: '
await 'data: Real-Time Update 1'

explain "Client A sends a message …"
run curl "$url/api/messages" -H "$json" -d '{"update": "Hello"}'
expect '"update":"Hello"}'
sent=$(newest_id)

explain "… and B's response goes on with it: no new request, no new headers."
await 'data: Hello'
expect "id: $sent"

explain "A gives the next message a name, which a page can listen for: addEventListener('greeting', …)"
run curl "$url/api/messages" -H "$json" -d '{"update": "Good morning", "event": "greeting"}'
expect '"event":"greeting"'
seen=$(newest_id)

explain "B gets that name with the event."
await 'data: Good morning'
expect "id: $seen"
expect 'event: greeting'

explain "Now B loses its connection. A sends a message meanwhile: of two lines, this time."
disconnect
run curl "$url/api/messages" -H "$json" -d '{"update": "You were away.\nWelcome back!"}'
expect '"update":"You were away.'
missed=$(newest_id)

explain "B returns and says which event it saw last, as browsers do by themselves. It missed nothing."
connect curl -N "$url/events" -H "Last-Event-ID: $seen"
await 'retry: '
await 'id: '
expect "id: $missed"
expect $'data: You were away.\ndata: Welcome back!'
