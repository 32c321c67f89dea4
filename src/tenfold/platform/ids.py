"""64-bit ids that sort by time: 41 bits of milliseconds, 10 of worker, 12 of sequence; 63 in all, so not negative."""

import time

from tenfold.platform.errors import Unavailable

EPOCH_MS = 1_735_689_600_000  # 2025-01-01; 41 bits last until 2094
WORKERS = 1 << 10
_SEQUENCES = 1 << 12


class Ids:
    """Makes ids for one process. Unique among processes whose worker numbers differ (see platform.leases)."""

    __slots__ = ("_last", "_worker")

    def __init__(self, worker: int) -> None:
        if not 0 <= worker < WORKERS:
            raise ValueError(f"worker numbers are 0 to {WORKERS - 1}")
        self._worker = worker << 12
        self._last = 0  # milliseconds << 12 | sequence: one number that only grows, whatever the clock does

    def next(self) -> int:
        """The next id. A burst of more than 4,096 in a millisecond borrows from the next one.

        Raises Unavailable when the clock has gone back by more than ten seconds.
        """
        now = (time.time_ns() // 1_000_000 - EPOCH_MS) << 12
        if now + 10_000 * _SEQUENCES < self._last:
            raise Unavailable(part="The clock")
        self._last = max(now, self._last + 1)
        return (self._last >> 12) << 22 | self._worker | (self._last & 0xFFF)


def made_at(id: int) -> float:
    """Seconds since 1970 at which an id was made."""
    return ((id >> 22) + EPOCH_MS) / 1000


def first_id(seconds: float) -> int:
    """The smallest id that can be made at a time (seconds since 1970), for ranges of time; 0 before the epoch."""
    return max(0, int(seconds * 1000) - EPOCH_MS) << 22
