"""The limit of every redirect: an application that knows one answer, served exactly as the product is served."""

import signal
import sys
from typing import Any

from tenfold.platform import server
from tenfold.platform.settings import Settings

TARGET = "https://example.org/articles/2026/11/a-title-of-common-length?utm_source=newsletter&utm_medium=email"

_START = {
    "type": "http.response.start",
    "status": 302,
    "headers": [(b"location", TARGET.encode()), (b"cache-control", b"no-store"), (b"content-length", b"0")],
}
_BODY = {"type": "http.response.body", "body": b"", "more_body": False}


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await send(_START)
        await send(_BODY)
    elif scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})


def create() -> Any:
    signal.signal(server.DRAIN, signal.SIG_IGN)  # there is nothing to drain, and nobody else to take it
    return application


if __name__ == "__main__":
    server.APPLICATION = "bare:create"
    server.serve(Settings(port=int(sys.argv[1])))
