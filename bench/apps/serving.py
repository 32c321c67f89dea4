"""How bare applications are served: as the product is, with nothing to open, drain or close unless they say so."""

import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from tenfold.platform import server
from tenfold.platform.settings import Settings

type Answer = Callable[[Any, Any, Any], Awaitable[None]]


@asynccontextmanager
async def _nothing() -> AsyncIterator[None]:
    yield


def application(answer: Answer, opened: Callable[[], AbstractAsyncContextManager[object]] = _nothing) -> Answer:
    """An ASGI application of what answers HTTP requests; `opened` is open as long as it is served."""
    signal.signal(server.DRAIN, signal.SIG_IGN)  # there is nothing to drain, and nobody else to take it

    async def asked(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await answer(scope, receive, send)
        elif scope["type"] == "lifespan":
            await receive()
            async with opened():
                await send({"type": "lifespan.startup.complete"})
                await receive()
            await send({"type": "lifespan.shutdown.complete"})

    return asked


def serve(factory: str) -> None:
    """Serve what `module:function` makes at the port that the command names."""
    server.APPLICATION = factory
    server.serve(Settings(port=int(sys.argv[1])))
