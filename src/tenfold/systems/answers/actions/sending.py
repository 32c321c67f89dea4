"""Documents on their way to us: as many at once as there is memory for, of nobody so many that others wait."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from tenfold.platform.errors import PayloadTooLarge, TooManyRequests
from tenfold.systems.answers.errors import SentTooSlowly
from tenfold.systems.answers.settings import AnswersSettings

#: Seconds after which somebody who sends too much at once may try again.
AGAIN = 2


class Sending:
    """What is being sent to one process."""

    def __init__(self) -> None:
        self._by_account: Counter[int] = Counter()
        #: Held by the one whose archive is unpacked, which takes far more memory than it has itself.
        self.unpacking = asyncio.Lock()

    @contextmanager
    def one_of(self, account_id: int, settings: AnswersSettings) -> Iterator[None]:
        """Have room for a document of an account. Raises TooManyRequests."""
        if self._by_account[account_id] >= settings.sending or self._by_account.total() >= settings.sending_together:
            raise TooManyRequests(retry_after=AGAIN)
        self._by_account[account_id] += 1
        try:
            yield
        finally:
            self._by_account[account_id] -= 1
            if not self._by_account[account_id]:
                del self._by_account[account_id]


async def read(body: AsyncIterator[bytes], settings: AnswersSettings) -> bytes:
    """All of what is sent. Raises PayloadTooLarge as soon as it is, and SentTooSlowly."""
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(settings.sending_seconds):
            async for part in body:
                size += len(part)
                if size > settings.archive_bytes:
                    raise PayloadTooLarge(limit=settings.archive_bytes)
                parts.append(part)
    except TimeoutError:
        raise SentTooSlowly(seconds=settings.sending_seconds) from None
    return b"".join(parts)
