"""What chat has done of late for all together, as the home page tells."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from tenfold.systems.chat.actions.context import Chat
from tenfold.systems.chat.store import threads
from tenfold.systems.chat.store import usage as ledger

HOURS = 24


class Day(msgspec.Struct, frozen=True):
    """The last 24 hours, this one included, oldest first."""

    conversations: int
    answers: Sequence[int]
    tokens: Sequence[int]
    #: The share of answers, from 0 to 1, that the fast model gave.
    fast: float


async def read_day(chat: Chat) -> Day:
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    places = {now - timedelta(hours=HOURS - 1 - place): place for place in range(HOURS)}
    async with chat.runtime.db.read() as tx:
        conversations = await threads.estimate_threads(tx)
        hours = await ledger.list_hours(tx, min(places))
    answers, tokens = [0] * HOURS, [0] * HOURS
    for each in hours:
        place = places.get(each.at, HOURS - 1)  # another process may be in the next hour already
        answers[place] += each.answers
        tokens[place] += each.tokens
    fast = sum(each.answers for each in hours if each.model == "fast")
    return Day(conversations, answers, tokens, fast / max(1, sum(answers)))
