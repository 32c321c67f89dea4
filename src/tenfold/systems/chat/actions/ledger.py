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
from tenfold.systems.chat.types import Spent

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
        self._spent: dict[int, tuple[float, int]] = {}
        self._writer: asyncio.Task[None] | None = None

    def add(self, account_id: int, model: str, usage: Usage) -> None:
        """Write down, in a moment, what an answer took."""
        new = self.entry(account_id, model, usage)
        key = account_id, new.day, model
        spent = self._waiting.setdefault(key, Spent(account_id=account_id, day=new.day, model=model))
        spent.requests += new.requests
        spent.tokens_in += new.tokens_in
        spent.tokens_out += new.tokens_out
        spent.cost += new.cost
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
        if self._waiting:
            await self._write()

    async def _write_soon(self) -> None:
        while self._waiting:
            await asyncio.sleep(GATHER)
            try:
                await self._write()
            except Unavailable:
                log.warning("ledger_waits", entries=len(self._waiting))

    async def _write(self) -> None:
        waiting, self._waiting = self._waiting, {}
        try:
            async with self._db.transaction() as tx:
                await store.add_usage(tx, list(waiting.values()))
        except Unavailable:
            for key, spent in waiting.items():
                later = self._waiting.setdefault(key, Spent(account_id=key[0], day=key[1], model=key[2]))
                later.requests += spent.requests
                later.tokens_in += spent.tokens_in
                later.tokens_out += spent.tokens_out
                later.cost += spent.cost
            raise
