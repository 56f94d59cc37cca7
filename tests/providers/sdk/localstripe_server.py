"""localstripe on a free port of the loopback alone, which is the first line that it prints. It keeps nothing on disk."""

import asyncio

from aiohttp import web
from localstripe.resources import store
from localstripe.server import app


async def serve():
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


store.dump_to_disk = lambda: None
asyncio.run(serve())
