"""Polling with Flask: a list, and two routes that show it."""

import os
import threading

from flask import Flask, jsonify, request
from werkzeug.serving import make_server

app = Flask(__name__)
updates = [{"id": 1, "update": "Real-Time Update 1"}]
lock = threading.Lock()  # each request has a thread of its own


@app.post("/api/messages")
def publish():
    text = request.get_json()["update"]
    with lock:
        update = {"id": len(updates) + 1, "update": text}
        updates.append(update)
    return jsonify(update), 201


@app.get("/")
def newest():
    return jsonify(updates[-1])


@app.get("/api/messages")
def every():
    return jsonify(updates)


port = int(os.environ.get("PORT", 8001))
server = make_server("localhost", port, app, threaded=True)
print(f"Listening at http://localhost:{port}", flush=True)
server.serve_forever()
