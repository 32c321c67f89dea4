"""Documents on their way to us: on the disk until all of one is there, so that slow clients hold no memory."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import BinaryIO

from tenfold.platform.errors import PayloadTooLarge, TooManyRequests
from tenfold.systems.answers.errors import SentTooSlowly
from tenfold.systems.answers.settings import AnswersSettings

#: Seconds after which somebody who sends too much at once may try again.
AGAIN = 2


class Sending:
    """What is being sent to one process."""

    def __init__(self, settings: AnswersSettings) -> None:
        self._settings = settings
        self._by_account: Counter[int] = Counter()
        #: Held by those whose bytes are in memory; others wait for them.
        self.room = asyncio.Semaphore(settings.sending_together)
        #: Held by the one whose archive is unpacked, which takes far more memory than it has itself.
        self.unpacking = asyncio.Lock()

    @contextmanager
    def receiving(self, account_id: int) -> Iterator[BinaryIO]:
        """A place on the disk for a document of an account. Raises TooManyRequests."""
        if self._by_account[account_id] >= self._settings.sending:
            raise TooManyRequests(retry_after=AGAIN)
        self._by_account[account_id] += 1
        try:
            with TemporaryFile() as file:
                yield file
        finally:
            self._by_account[account_id] -= 1
            if not self._by_account[account_id]:
                del self._by_account[account_id]


async def receive(body: AsyncIterator[bytes], file: BinaryIO, settings: AnswersSettings) -> None:
    """Write what is sent to a file. Raises PayloadTooLarge as soon as it is, and SentTooSlowly."""
    try:
        async with asyncio.timeout(settings.sending_seconds):
            async for part in body:
                if file.tell() + len(part) > settings.archive_bytes:
                    raise PayloadTooLarge(limit=settings.archive_bytes)
                file.write(part)  # into the system's cache: some microseconds
    except TimeoutError:
        raise SentTooSlowly(seconds=settings.sending_seconds) from None


def whole(file: BinaryIO) -> bytes:
    """All that a file holds."""
    file.seek(0)
    return file.read()
