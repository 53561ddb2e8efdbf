#!/usr/bin/env bash
# curl, and the smallest program around it: polling, or long polling, with a cursor. It needs jq.
# `SERVER=http://localhost:8002 curl.sh long-polling`
declare -A paths=([polling]=api/messages [long-polling]=api/messages/long-poll)
set -o pipefail
cursor=0
while :; do
    updates=$(curl -sfL --max-time 35 "$SERVER/${paths[$1]}?after=$cursor" | jq -c '.[]') || sleep 1
    [ "$1" != polling ] || sleep 1
    [ -n "$updates" ] || continue
    printf '%s\n' "$updates"
    cursor=$(jq .id <<<"$updates" | tail -n 1)
done
