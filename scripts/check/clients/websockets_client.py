"""The package websockets of PyPI, and the smallest program around it: it comes back by itself."""
import asyncio, json, os, signal, sys
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, WebSocketException

async def listen():
    cursor, server = 0, os.environ["SERVER"].replace("http", "ws")
    while True:
        try:
            async with connect(f"{server}/websocket?after={cursor}", subprotocols=["json"]) as socket:
                async for text in socket:
                    update = json.loads(text)
                    print(json.dumps(update), flush=True)
                    cursor = update.get("id", cursor)
        except (OSError, WebSocketException, ConnectionClosed, asyncio.TimeoutError, ValueError) as error:
            print(error, file=sys.stderr)
        await asyncio.sleep(1)

async def main():
    task = asyncio.create_task(listen())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        pass

asyncio.run(main())
