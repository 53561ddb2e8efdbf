#!/usr/bin/env bash
# curl, and the smallest program around it: long polling with a cursor. It needs jq.
cursor=0
while :; do
    updates=$(curl -sfL --max-time 35 "$SERVER/api/messages/long-poll?after=$cursor" | jq -c '.[]') || sleep 1
    [ -z "$updates" ] && continue
    printf '%s\n' "$updates"
    cursor=$(jq .id <<<"$updates" | tail -n 1)
done
