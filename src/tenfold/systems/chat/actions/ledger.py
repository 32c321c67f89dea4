"""What models have done for whom: gathered here, written down a few times a second, and held against budgets."""

import asyncio
from datetime import UTC, date, datetime
from time import monotonic

import structlog

from tenfold.platform.db import Database
from tenfold.platform.errors import Unavailable
from tenfold.platform.inference import Usage
from tenfold.platform.settings import Settings
from tenfold.systems.chat.errors import BudgetSpent
from tenfold.systems.chat.settings import ChatSettings
from tenfold.systems.chat.store import usage as store
from tenfold.systems.chat.types import Hour, Spent

log = structlog.get_logger(__name__)

#: Seconds that entries wait to be written together. A process that is killed loses as much of the ledger.
GATHER = 0.2
#: Seconds for which what an account has spent is believed, and accounts of which it is known.
BELIEVED, MOST_ACCOUNTS = 5.0, 10_000


class Ledger:
    """One process's part of the ledger. Prices are of `settings.tiers`, in dollars a million tokens."""

    def __init__(self, db: Database, settings: Settings, own: ChatSettings) -> None:
        self._db = db
        self._settings = settings
        self._own = own
        self._waiting: dict[tuple[int, date, str], Spent] = {}
        self._hours: dict[tuple[datetime, str], Hour] = {}
        self._spent: dict[int, tuple[float, int]] = {}
        self._writer: asyncio.Task[None] | None = None

    def add(self, account_id: int, model: str, usage: Usage, *, answers: int = 1) -> None:
        """Write down, in a moment, what a model was asked. A title, say, is no answer."""
        _gather(self._waiting, self.entry(account_id, model, usage))
        self.count(model, usage, answers=answers)

    def count(self, model: str, usage: Usage, *, answers: int = 1) -> None:
        """Write down, in a moment, what counts for all accounts together. `add` does; what makes an `entry` must."""
        hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        _gather_hour(self._hours, Hour(hour, model, answers, usage.prompt_tokens + usage.completion_tokens))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_soon())

    def entry(self, account_id: int, model: str, usage: Usage) -> Spent:
        """What an answer took, for who writes it down with the answer itself."""
        return Spent(
            account_id=account_id,
            day=datetime.now(UTC).date(),
            model=model,
            requests=1,
            tokens_in=usage.prompt_tokens,
            tokens_out=usage.completion_tokens,
            cost=self.cost(model, usage),
        )

    def cost(self, model: str, usage: Usage) -> int:
        """What an answer costs, in millionths of a dollar."""
        tier = self._settings.tier(model)
        return round(usage.prompt_tokens * tier.price_in + usage.completion_tokens * tier.price_out)

    async def check(self, account_id: int, tier: str) -> None:
        """Raises BudgetSpent when today's tokens are used up."""
        budget = self._own.tokens_a_day(tier)
        if not budget:
            return
        now = monotonic()
        known = self._spent.get(account_id)
        if known is None or now > known[0]:
            today = datetime.now(UTC).date()
            async with self._db.read(fresh=True) as tx:
                tokens = await store.count_tokens(tx, account_id, today)
            if len(self._spent) >= MOST_ACCOUNTS:
                self._spent.clear()
            known = self._spent[account_id] = now + BELIEVED, tokens
        if known[1] >= budget:
            raise BudgetSpent(tokens=budget)

    def forget(self) -> None:
        """Ask anew what accounts have spent."""
        self._spent.clear()

    async def close(self) -> None:
        """Write down what is left."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        if self._waiting or self._hours:
            await self._write()

    async def _write_soon(self) -> None:
        while self._waiting or self._hours:
            await asyncio.sleep(GATHER)
            try:
                await self._write()
            except Unavailable:
                log.warning("ledger_waits", entries=len(self._waiting) + len(self._hours))

    async def _write(self) -> None:
        waiting, self._waiting = self._waiting, {}
        hours, self._hours = self._hours, {}
        try:
            async with self._db.transaction() as tx:
                await store.add_usage(tx, list(waiting.values()))
                await store.add_hours(tx, list(hours.values()))  # last: all processes wait for each other here
        except Unavailable:
            for spent in waiting.values():
                _gather(self._waiting, spent)
            for hour in hours.values():
                _gather_hour(self._hours, hour)
            raise


def _gather(into: dict[tuple[int, date, str], Spent], new: Spent) -> None:
    known = into.setdefault((new.account_id, new.day, new.model), Spent(new.account_id, new.day, new.model))
    known.requests += new.requests
    known.tokens_in += new.tokens_in
    known.tokens_out += new.tokens_out
    known.cost += new.cost


def _gather_hour(into: dict[tuple[datetime, str], Hour], new: Hour) -> None:
    known = into.setdefault((new.at, new.model), Hour(new.at, new.model))
    known.answers += new.answers
    known.tokens += new.tokens
