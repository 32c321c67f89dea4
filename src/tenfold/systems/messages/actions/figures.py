"""What goes on in messages for all together, as the home page tells. The server knows how many, and never what."""

import time
from collections.abc import Sequence
from typing import NamedTuple

from tenfold.systems.messages.actions.context import Messages
from tenfold.systems.messages.store import conversations, devices

HOURS = 24
_HOUR = 3_600_000


class Day(NamedTuple):
    devices: int
    conversations: int
    #: Messages of the last 24 hours, this one included, oldest first.
    messages: Sequence[int]


async def read_day(messages: Messages) -> Day:
    first = time.time_ns() // 1_000_000 // _HOUR - HOURS + 1
    series = [0] * HOURS
    async with messages.runtime.db.read() as tx:
        for hour, count in await conversations.count_sent_by_hour(tx, first * _HOUR):
            series[min(hour - first, HOURS - 1)] += count  # another process may be in the next hour already
        return Day(await devices.estimate_devices(tx), await conversations.estimate_conversations(tx), series)
