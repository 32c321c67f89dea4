"""Clicks are counted, shown, and kept small over time."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta

from tenfold.platform.db import Database, Tx
from tenfold.platform.identity import Principal
from tenfold.systems.links import rules, store
from tenfold.systems.links.actions.changing import SWEEP
from tenfold.systems.links.actions.context import Links, owner_of, visible
from tenfold.systems.links.types import Bucket, Count, Overview, Period, Stats, Totals


async def stats(links: Links, code: str, period: Period, principal: Principal) -> Stats:
    """The clicks of a link in a period. Statistics of a link without an owner are for all. Raises LinkNotFound."""
    now = datetime.now(UTC)
    buckets = rules.buckets_of(period, now)
    since, until = buckets[0].at, rules.hour_of(now) + timedelta(hours=1)
    async with links.db.read() as tx:
        await visible(tx, code, principal)
        counts = await store.list_counts(tx, code, since, until)
    values: dict[str, Counter[str]] = {dimension: Counter() for dimension in rules.DIMENSIONS}
    totals: list[Bucket] = []
    for each in counts:
        if each.at is not None:
            totals.append(Bucket(each.at, each.clicks, each.visitors, each.bots))
        elif each.dimension in values:
            values[each.dimension][each.value] += each.clicks
    series = rules.filled(buckets, totals)
    ranked = {name: [Count(*row) for row in rules.top(counter)] for name, counter in values.items()}
    return Stats(
        period=period,
        interval="hour" if period == "24h" else "day",
        from_=since,
        to=until,
        totals=_sum(series),
        series=series,
        countries=ranked["country"],
        referrers=ranked["referrer"],
        devices=ranked["device"],
        browsers=ranked["browser"],
        systems=ranked["system"],
    )


def _sum(series: Sequence[Bucket]) -> Totals:
    return Totals(
        sum(bucket.clicks for bucket in series),
        sum(bucket.visitors for bucket in series),
        sum(bucket.bots for bucket in series),
    )


async def overview(links: Links, principal: Principal) -> Overview:
    """All links of a person and their clicks of the last 24 hours. Raises NotYours for a stranger."""
    owner_id = owner_of(principal)
    async with links.db.read() as tx:
        count = await store.count_links(tx, owner_id)
    series = await day_of(links.db, rules.of_owner(owner_id))
    totals = _sum(series)
    return Overview(count, totals.clicks, totals.visitors, totals.bots, series)


async def estimate_links(db: Database) -> int:
    """How many links there are, about."""
    async with db.read() as tx:
        return await store.estimate_links(tx)


async def day_of(db: Database, code: str) -> list[Bucket]:
    """The last 24 hours of a code, pseudo-codes of the rollups included."""
    buckets = rules.buckets_of("24h", datetime.now(UTC))
    async with db.read() as tx:
        return rules.filled(buckets, await store.list_totals(tx, code, buckets[0].at))


async def count(tx: Tx, seen: Sequence[rules.Seen], admit: Callable[[str, datetime, str, str], bool]) -> None:
    """Add clicks to the rollups: two statements, however many clicks. The caller's transaction makes it once."""
    first = rules.first_visits(seen)
    new = await store.add_visitors(tx, list(first)) if first else set()
    rows = rules.rollup(seen, [click for key, click in first.items() if key in new], admit)
    if rows:
        await store.add_clicks(tx, rows)


async def fold_hours(links: Links, before: datetime) -> int:
    """Fold hours that began before a moment into their days. How many rows were folded."""
    folded = 0
    while True:
        async with links.db.transaction() as tx:
            some = await store.fold_hours(tx, before, 5 * SWEEP)
        folded += some
        if some < 5 * SWEEP:
            return folded


async def forget_visitors(links: Links, before: date) -> int:
    """Forget visitors of days before one. How many."""
    forgotten = 0
    while True:
        async with links.db.transaction() as tx:
            some = await store.forget_visitors(tx, before, 5 * SWEEP)
        forgotten += some
        if some < 5 * SWEEP:
            return forgotten
