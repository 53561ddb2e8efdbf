#!/usr/bin/env bash
# Polling on the wire: the client asks again and again, the server answers at once.
# Starts the server on a free port, asks it with curl, checks what comes, and stops it.

# shellcheck source-path=SCRIPTDIR source=common.bash
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"

start polling

explain "The newest update. The answer comes at once: there always is one."
run curl -i "$url/"
expect 'HTTP/1.1 200 OK'
expect '"update":"Real-Time Update 1"}'
seen=$(newest_id)

explain "All updates that the server keeps, oldest first."
run curl -i "$url/api/messages"
expect 'HTTP/1.1 200 OK'
expect "[{\"id\":$seen,\"update\":\"Real-Time Update 1\"}]"

explain "Client A sends a message. It becomes an update, and its id is greater than the one before."
run curl -i "$url/api/messages" -H "$json" -d '{"update": "Hello"}'
expect 'HTTP/1.1 201 Created'
expect '"update":"Hello"}'
sent=$(newest_id)
((sent > seen)) || fail "the id is not greater"

explain "Client B says which update it saw last (after=…), and gets only what is newer: A's message."
run curl -i "$url/api/messages?after=$seen"
expect 'HTTP/1.1 200 OK'
expect $'\n'"[{\"id\":$sent,\"update\":\"Hello\"}]"

explain "B asks again. Nothing is new: a whole request and all these headers for an empty list."
run curl -i "$url/api/messages?after=$sent"
expect 'HTTP/1.1 200 OK'
expect $'\n\n[]'
