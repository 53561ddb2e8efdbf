"""The package httpx-sse of PyPI, and the smallest program around it: a cursor, and a wait."""
import json, os, sys, time
import httpx
from httpx_sse import connect_sse

cursor, retry = "0", 1000
while True:
    try:
        with httpx.Client(timeout=httpx.Timeout(10, read=45), follow_redirects=True) as client:
            url, headers = os.environ["SERVER"] + "/server-sent-events", {"Last-Event-ID": cursor}
            with connect_sse(client, "GET", url, headers=headers) as source:
                source.response.raise_for_status()
                for event in source.iter_sse():
                    retry = event.retry or retry
                    if event.event == "gap":
                        print(json.dumps({"gap": True}), flush=True)
                        continue
                    cursor = event.id or cursor
                    update = {"id": int(cursor), "update": event.data}
                    if event.event != "message":
                        update["event"] = event.event
                    print(json.dumps(update), flush=True)
    except (httpx.HTTPError, ValueError) as error:
        print(error, file=sys.stderr)
    time.sleep(retry / 1000)
