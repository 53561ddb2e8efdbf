#!/usr/bin/env bash
# WebSockets on the wire: a handshake in HTTP, then frames, over one and the same connection.
# Starts the server on a free port, shakes hands by curl, checks what comes, and stops it.

# shellcheck source-path=SCRIPTDIR source=common.bash
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"

# What asks for a WebSocket. The key is the example of RFC 6455 §1.3.
handshake=(
    -H 'Connection: Upgrade'
    -H 'Upgrade: websocket'
    -H 'Sec-WebSocket-Version: 13'
    -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='
)

shake_hands() {
    connect curl -iN "$url/websocket?after=0" "${handshake[@]}"
    await 'HTTP/1.1 101 Switching Protocols'
}
first_frame() { await_bytes 20 '81 12 52 65 61 6c'; }
shake_hands_again() { shake_hands && first_frame; }

start websockets

explain "The handshake: client B asks for another protocol, and the server changes to it (101)."
explain "Sec-WebSocket-Accept is made of B's key: who sends it has understood what was asked."
shake_hands
expect 'upgrade: websocket'
expect 'sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo='

explain "From here on it is no longer HTTP. The first frame, byte for byte: 81 is a whole message (8)"
explain "of text (1), 12 says how long it is (18 bytes, in hexadecimal), then comes the text."
first_frame

again=shake_hands_again
explain "Client A sends a message, as to all four servers …"
run curl "$url/api/messages" -H "$json" -d '{"update": "Hello"}'
expect '"update":"Hello"}'

explain "… and B has the next frame: 7 bytes for a text of 5. No request, and no headers."
await_bytes 7 '81 05 48 65 6c 6c 6f'
again=

explain "A page of another site can try it too. But its browser says whose page it is: refused (403)."
run curl -i "$url/websocket" "${handshake[@]}" -H 'Origin: http://another-site.example'
expect 'HTTP/1.1 403 Forbidden'
