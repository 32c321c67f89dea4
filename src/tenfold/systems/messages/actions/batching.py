"""Group commit: what many ask for at the same time is done in one transaction."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice

import structlog

from tenfold.platform.errors import TenfoldError, Unavailable

log = structlog.get_logger(__name__)


class Batcher[Q, A]:
    """Gathers what is asked while a transaction is under way, for the next one. Keeps the order.

    `flush` gets what was gathered and answers each, in order, with an outcome or an error.
    """

    def __init__(self, flush: Callable[[Sequence[Q]], Awaitable[Sequence[A | TenfoldError]]], *, most: int) -> None:
        self.batches = 0
        self.asked = 0
        self._flush = flush
        self._most = most
        self._waiting: deque[tuple[Q, asyncio.Future[A]]] = deque()
        self._running: asyncio.Task[None] | None = None

    def put(self, asked: Q) -> asyncio.Future[A]:
        """What will come of it. Its error is what `flush` says, or Unavailable."""
        future: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, future))
        self.asked += 1
        if self._running is None:
            self._running = asyncio.create_task(self._run(), name="messages-batch")
        return future

    async def _run(self) -> None:
        try:
            while self._waiting:
                taken = list(islice(self._waiting, self._most))
                for _ in taken:
                    self._waiting.popleft()
                self.batches += 1
                await self._do(taken)
        finally:
            self._running = None

    async def _do(self, taken: Sequence[tuple[Q, asyncio.Future[A]]]) -> None:
        try:
            outcomes = await self._flush([asked for asked, _ in taken])
        except TenfoldError as error:
            outcomes = [error] * len(taken)
        except Exception:
            if len(taken) > 1:  # one of them may be what is wrong; the others needn't suffer for it
                for each in taken:
                    await self._do([each])
                return
            log.exception("batch_failed")
            outcomes = [Unavailable(part="Messages")]
        for (_, future), outcome in zip(taken, outcomes, strict=True):
            if future.cancelled():
                continue
            if isinstance(outcome, TenfoldError):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

    async def close(self) -> None:
        """Do what was asked."""
        while self._running is not None:
            await asyncio.wait([self._running])
