"""Deliveries through the real processes: killed in the middle they lose none, and nobody sees a post twice."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.journeys.conftest import children_of

from tenfold.platform.errors import Unavailable
from tenfold.systems.feed.actions import accounts, imports, posts, timelines
from tenfold.systems.feed.actions.posts import WritePost
from tenfold.systems.feed.settings import FeedSettings
from tenfold.systems.feed.types import Range
from tenfold.systems.links.settings import LinksSettings

pytestmark = pytest.mark.journey

FOLLOWERS, PIECE, POSTS, KILLS = 1000, 25, 12, 4


async def works(call: Callable[[], Awaitable[None]]) -> None:
    """Do it until it works: on a busy machine Valkey may take longer than a request would wait."""
    while True:
        try:
            return await call()
        except Unavailable:
            await asyncio.sleep(0.2)


async def begin_to_read(feed: Any, reader: int) -> None:
    assert await feed.timelines.fill(reader, await feed.timelines.begin(reader), [])


async def test_a_fan_out_killed_in_the_middle_loses_no_delivery_and_shows_none_twice(
    stack_with: Callable[..., AbstractAsyncContextManager[Any]], tmp_path: Path
) -> None:
    """Workers die by kill -9 while posts go out to 1,000 followers; then Valkey loses all that it holds."""
    systems = {"feed": FeedSettings(fan_out_piece=PIECE), "links": LinksSettings()}
    more = {"TENFOLD_FEED_FAN_OUT_PIECE": str(PIECE)}
    async with (
        stack_with(systems=systems) as stack,
        children_of(stack, tmp_path, **more) as children,
        asyncio.timeout(240),
    ):
        feed = stack.state("feed").feed
        names = [f"reader_{number}" for number in range(FOLLOWERS)]
        lines = [{"type": "account", "username": name} for name in ("author", *names)]
        lines += [{"type": "follow", "follower": name, "followee": "author"} for name in names]
        done = await imports.import_graph(feed, map(msgspec.json.encode, lines))
        assert (done.accounts, done.follows, done.problems) == (FOLLOWERS + 1, FOLLOWERS, [])
        author = await accounts.look_up(feed, "author")
        async with stack.db.read(fresh=True) as tx:
            readers = await tx.value("SELECT array_agg(follower_id) FROM feed.follower")
        for reader in readers:  # somebody is reading: what isn't delivered to them isn't found later
            await works(partial(begin_to_read, feed, reader))

        written = [(await posts.publish(feed, author, WritePost(status=f"Number {n}"))).id for n in range(POSTS)]
        pieces = "SELECT count(*) FROM platform.inbox WHERE consumer = 'feed-fan-out-pieces'"
        for number in range(KILLS):
            before = await stack.value(pieces)
            worker = await children.start("work", "feed")
            while await stack.value(pieces) <= before:  # noqa: ASYNC110  # nothing tells us
                await asyncio.sleep(0.02)
            await children.kill(worker)
            assert await stack.value(pieces) < POSTS * FOLLOWERS / PIECE or number > 0, "all was done before the kill"
        await stack.settle()

        wanted = sorted(written)
        for reader in readers:
            held = await feed.timelines.read(reader)
            assert held is not None
            assert sorted({*held} - {0}) == wanted
        for reader in readers[::300]:
            found = await timelines.read_home(feed, reader, Range(limit=40))
            assert [post.id for post in found] == wanted[::-1]

        await feed.timelines.drop(readers)  # as if Valkey had lost everything
        for reader in readers[::300]:
            found = await timelines.read_home(feed, reader, Range(limit=40))
            assert [post.id for post in found] == wanted[::-1]
