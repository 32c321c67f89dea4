"""Trends: counting the use of tags, and what is rising now, computed once a minute in a process for all who ask."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from time import monotonic, time
from weakref import WeakKeyDictionary

import msgspec

from tenfold.platform.db import Database, Tx
from tenfold.platform.ids import first_id, made_at
from tenfold.systems.feed.actions.context import Feed, relations_of, visible
from tenfold.systems.feed.rules import trends as rules
from tenfold.systems.feed.rules.timelines import hides
from tenfold.systems.feed.store import trends
from tenfold.systems.feed.types import Post

#: Days of a tag's history, today among them, and for how many days uses are kept.
HISTORY, KEPT = 7, 8
#: Tags and posts that are weighed, those that are kept as trends, and the newest posts that are looked at.
WEIGHED, TRENDS, DEPTH = 300, 100, 20_000
#: Hours in which a post can be a trend.
HOURS = 72
#: Seconds until trends are computed again.
FRESH = 60.0
#: Rows that one transaction removes.
SWEEP = 10_000


class Tagged(msgspec.Struct, frozen=True):
    """A new public post with tags, in lower case."""

    post_id: int
    author_id: int
    tags: Sequence[str]


async def count(tx: Tx, posts: Sequence[Tagged]) -> None:
    """Count the tags of posts, in the hours in which they were written."""
    oldest = time() - KEPT * 86_400
    uses = [
        (tag, _hour(datetime.fromtimestamp(made_at(post.post_id), UTC)), post.author_id)
        for post in posts
        if made_at(post.post_id) >= oldest
        for tag in post.tags
    ]
    if uses:
        await trends.add_uses(tx, uses)


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


# --- what is rising -------------------------------------------------------------------------------------------------


class Trends(msgspec.Struct, frozen=True):
    """What is rising, the steepest first."""

    tags: list[str]
    post_ids: list[int]


async def compute(feed: Feed) -> Trends:
    """What is rising now; see rules/trends.py."""
    half_life = feed.settings.trend_half_life
    now = datetime.now(UTC)
    recent = now - timedelta(hours=rules.RECENT)
    before = recent - timedelta(hours=rules.USUAL)
    async with feed.db.read() as tx:
        used = await trends.list_used(tx, recent, before, fewest=rules.FEWEST, most=WEIGHED)
        above = first_id(now.timestamp() - HOURS * 3600)
        liked = await trends.list_liked(tx, above, depth=DEPTH, most=WEIGHED)
    uses = [
        rules.Use(
            tag=each.tag,
            # Uses of an hour have happened in its middle, on average.
            hours=[max(0.0, (now - hour).total_seconds() / 3600 - 0.5) for hour in each.hours],
            people=each.people,
            before=each.before,
        )
        for each in used
    ]
    marked = [
        rules.Marked(
            id=each.id,
            author_id=each.author_id,
            age=max(0.0, (now.timestamp() - made_at(each.id)) / 3600),
            favourites=each.favourites,
            reblogs=each.reblogs,
            replies=each.replies,
        )
        for each in liked
    ]
    return Trends(rules.rising(uses, half_life)[:TRENDS], rules.liked(marked, half_life, TRENDS))


# What this process has computed, by the database it is of, and until when it is fresh: those who ask at the same time
# wait for one answer.
_computed: "WeakKeyDictionary[Database, tuple[float, asyncio.Task[Trends]]]" = WeakKeyDictionary()


async def current(feed: Feed) -> Trends:
    """What is rising, at most a minute old."""
    until, task = _computed.get(feed.db, (0.0, None))
    failed = task is not None and task.done() and (task.cancelled() or task.exception() is not None)
    if task is None or failed or until < monotonic():
        task = asyncio.create_task(compute(feed), name="feed-trends")
        _computed[feed.db] = (monotonic() + FRESH, task)
    return await asyncio.shield(task)  # who gives up doesn't take the others along


async def rising_tags(feed: Feed, *, limit: int, offset: int) -> list[str]:
    """Tags that more people use than usual."""
    return (await current(feed)).tags[offset : offset + limit]


async def rising_posts(feed: Feed, reader_id: int | None, *, limit: int, offset: int) -> list[Post]:
    """Public posts that are liked and passed on right now, without those of whom the reader doesn't see."""
    ids = (await current(feed)).post_ids[offset : offset + limit]
    hidden = await relations_of(feed, reader_id)
    found = await visible(feed, ids, reader_id)
    authors = await feed.accounts.get_many({post.author_id for post in found})
    shown = {each.id for each in authors.values() if each.discoverable and not hides(each.id, hidden)}
    return [post for post in found if post.author_id in shown]


# --- the use of tags -------------------------------------------------------------------------------------------------


class Day(msgspec.Struct, frozen=True):
    """The use of a tag on a day: midnight (UTC), how often, and by how many."""

    start: datetime
    uses: int
    people: int


async def histories(feed: Feed, tags: Sequence[str]) -> dict[str, list[Day]]:
    """The use of tags on the last seven days, today first, days without any among them."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    days = [today - timedelta(days=back) for back in range(HISTORY)]
    async with feed.db.read() as tx:
        used = {(row.tag, row.day): row for row in await trends.list_days(tx, tags, days[-1])}

    def day(tag: str, start: datetime) -> Day:
        row = used.get((tag, start.date()))
        return Day(start, row.uses if row else 0, row.people if row else 0)

    return {tag: [day(tag, start) for start in days] for tag in tags}


async def sweep(feed: Feed) -> None:
    """Forget uses that no history shows any more."""
    before = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=KEPT)
    while True:
        async with feed.db.transaction() as tx:
            gone = await trends.delete_hours(tx, before, SWEEP)
            gone += await trends.delete_people(tx, before.date(), SWEEP)
        if not gone:
            return
