"""The package aiohttp of PyPI, and the smallest program around it: long polling with a cursor."""
import asyncio, json, os, sys
import aiohttp

async def main():
    cursor, url = 0, os.environ["SERVER"] + "/api/messages/long-poll"
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=35)) as session:
        while True:
            try:
                async with session.get(url, params={"after": cursor}, raise_for_status=True) as response:
                    if response.status == 200:
                        updates = await response.json()
                        if "Feed-Gap" in response.headers:
                            print(json.dumps({"gap": True}), flush=True)
                        for update in updates:
                            print(json.dumps(update), flush=True)
                            cursor = update["id"]
            except (aiohttp.ClientError, asyncio.TimeoutError, ValueError) as error:
                print(error, file=sys.stderr)
                await asyncio.sleep(1)

asyncio.run(main())
