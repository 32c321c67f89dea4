"""What goes on in messages for all together, as the home page tells. The server knows how many, and never what."""

import time
from collections.abc import Sequence
from typing import NamedTuple

from tenfold.systems.messages.actions.context import Messages
from tenfold.systems.messages.store import conversations, devices
from tenfold.systems.messages.store import figures as store
from tenfold.systems.messages.store.figures import Hour

HOURS = 24
#: Milliseconds of an hour, and in which what was sent has surely been committed.
_HOUR, _SETTLED = 3_600_000, 15_000


class Day(NamedTuple):
    devices: int
    conversations: int
    #: Messages of the last 24 hours, this one included, oldest first.
    messages: Sequence[int]


async def read_day(messages: Messages) -> Day:
    first = _first()
    series = [0] * HOURS
    async with messages.runtime.db.read() as tx:
        for row in await store.list_hours(tx, first):
            series[min(row.hour - first, HOURS - 1)] += row.sent  # another process may be in the next hour already
        return Day(await devices.estimate_devices(tx), await conversations.estimate_conversations(tx), series)


async def count(messages: Messages) -> None:
    """Count the messages that have been sent since the last time."""
    first, settled = _first(), time.time_ns() // 1_000_000 - _SETTLED
    async with messages.runtime.db.read(fresh=True) as tx:
        known = {row.hour: row for row in await store.list_hours(tx, first)}
    for hour in range(first, settled // _HOUR + 1):
        row = known.get(hour, Hour(hour, 0, hour * _HOUR))
        until = min(settled, (hour + 1) * _HOUR)
        if row.until < until:
            async with messages.runtime.db.transaction() as tx:
                sent = row.sent + await store.count_sent(tx, row.until, until)
                await store.put_hour(tx, Hour(hour, sent, until))
    async with messages.runtime.db.transaction() as tx:
        await store.delete_hours(tx, first - HOURS)


def _first() -> int:
    return time.time_ns() // 1_000_000 // _HOUR - HOURS + 1
