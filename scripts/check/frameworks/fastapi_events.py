"""Server-sent events with FastAPI and sse-starlette: a queue for each client."""

import asyncio
import os

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sse_starlette import EventSourceResponse

app = FastAPI()
queues = set()
newest = 0


class Message(BaseModel):
    update: str


@app.post("/api/messages", status_code=201)
async def publish(message: Message):
    global newest
    newest += 1
    for queue in queues:
        queue.put_nowait({"data": message.update})
    return {"id": newest, "update": message.update}


async def events(queue):
    try:
        while True:
            yield await queue.get()
    finally:
        queues.discard(queue)


@app.get("/events")
@app.get("/server-sent-events")
async def stream():
    queue = asyncio.Queue()
    queues.add(queue)
    return EventSourceResponse(events(queue))


class Server(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets)
        print(f"Listening at http://localhost:{port}", flush=True)


port = int(os.environ.get("PORT", 8003))
Server(uvicorn.Config(app, port=port, log_level="warning")).run()
