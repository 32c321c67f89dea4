"""Who is a celebrity, as every process knows it: few, and asked for at each reading of a home timeline."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from tenfold.platform.errors import Unavailable

log = structlog.get_logger(__name__)

#: Said by whoever makes a celebrity, heard by all processes.
SUBJECT = "feed.celebrities"
#: Seconds after which the list is read again even if nobody said anything: broadcasts arrive at most once.
REREAD = 30.0


class Celebrities:
    """Account ids. Nobody leaves the list, so its length is its version."""

    def __init__(self, load: Callable[[], Awaitable[Sequence[int]]]) -> None:
        self.ids: frozenset[int] = frozenset()
        self._load = load

    async def reread(self, _: bytes = b"") -> None:
        """Read the list now. For `bus.on_broadcast(SUBJECT, ...)`."""
        self.ids = frozenset(await self._load())

    async def run(self, stop: asyncio.Event) -> None:
        """Read the list again and again until told to stop."""
        while not stop.is_set():
            try:
                await self.reread()
            except Unavailable:
                log.warning("celebrities_unknown")
            try:
                await asyncio.wait_for(stop.wait(), REREAD)
            except TimeoutError:
                continue
