"""The front door of the feed."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import msgspec
from litestar import Controller

from tenfold.platform import telemetry
from tenfold.platform.bus import Consumer
from tenfold.platform.cache import Cache
from tenfold.platform.jobs import Schedule
from tenfold.platform.runtime import Runtime
from tenfold.platform.system import Figure, System
from tenfold.systems.feed.actions import context, imports, instance
from tenfold.systems.feed.actions.context import Feed
from tenfold.systems.feed.capacity import capacity
from tenfold.systems.feed.consumers.counts import count_deleted, count_likes, count_posts
from tenfold.systems.feed.consumers.fan_out import fan_out, fan_out_pieces
from tenfold.systems.feed.consumers.follows import count_follows, refresh_homes
from tenfold.systems.feed.consumers.notifications import (
    forget_notifications,
    notify_of_edits,
    notify_of_favourites,
    notify_of_follows,
    notify_of_posts,
)
from tenfold.systems.feed.consumers.trends import count_tags
from tenfold.systems.feed.demo import demo
from tenfold.systems.feed.endpoints.accounts import AccountEndpoints, PeopleEndpoints, ProfileEndpoints
from tenfold.systems.feed.endpoints.api import COMPLAINTS
from tenfold.systems.feed.endpoints.apps import AppEndpoints
from tenfold.systems.feed.endpoints.instance import (
    HealthEndpoints,
    InstanceEndpoints,
    NodeInfoEndpoints,
    NothingEndpoints,
)
from tenfold.systems.feed.endpoints.lists import ListEndpoints, ListsWithEndpoints
from tenfold.systems.feed.endpoints.media import MediaEndpoints
from tenfold.systems.feed.endpoints.notifications import (
    ConversationEndpoints,
    GroupedNotificationEndpoints,
    MarkerEndpoints,
    NotificationEndpoints,
)
from tenfold.systems.feed.endpoints.pictures import PictureEndpoints
from tenfold.systems.feed.endpoints.relations import FollowRequestEndpoints, HiddenEndpoints, RelationEndpoints
from tenfold.systems.feed.endpoints.search import SearchEndpoints
from tenfold.systems.feed.endpoints.statuses import MarkedEndpoints, StatusEndpoints
from tenfold.systems.feed.endpoints.streaming import StreamingEndpoints
from tenfold.systems.feed.endpoints.timelines import Home, TimelineEndpoints
from tenfold.systems.feed.endpoints.trends import TrendEndpoints
from tenfold.systems.feed.hot import celebrities
from tenfold.systems.feed.hot.celebrities import Celebrities
from tenfold.systems.feed.hot.streams import open_streams
from tenfold.systems.feed.hot.timelines import Timelines
from tenfold.systems.feed.jobs.media import remove_abandoned_media
from tenfold.systems.feed.jobs.notifications import forget_old_notifications
from tenfold.systems.feed.jobs.relations import forget_ended_relations
from tenfold.systems.feed.jobs.sweeps import forget_idempotency_keys
from tenfold.systems.feed.jobs.trends import sweep_tags
from tenfold.systems.feed.settings import FeedSettings
from tenfold.systems.feed.state import FeedState
from tenfold.systems.feed.types import Account, Authored, Marks, Post, Relations

CONTROLLERS: tuple[type[Controller], ...] = (
    TimelineEndpoints,
    StatusEndpoints,
    MarkedEndpoints,
    MediaEndpoints,
    AccountEndpoints,
    PeopleEndpoints,
    ProfileEndpoints,
    RelationEndpoints,
    HiddenEndpoints,
    FollowRequestEndpoints,
    ListEndpoints,
    ListsWithEndpoints,
    PictureEndpoints,
    NotificationEndpoints,
    GroupedNotificationEndpoints,
    MarkerEndpoints,
    ConversationEndpoints,
    StreamingEndpoints,
    InstanceEndpoints,
    NothingEndpoints,
    NodeInfoEndpoints,
    HealthEndpoints,
    AppEndpoints,
    SearchEndpoints,
    TrendEndpoints,
)
CONSUMERS: tuple[Consumer[Any], ...] = (
    fan_out,
    fan_out_pieces,
    count_posts,
    count_likes,
    count_deleted,
    count_follows,
    refresh_homes,
    notify_of_posts,
    notify_of_edits,
    notify_of_favourites,
    notify_of_follows,
    forget_notifications,
    count_tags,
)
SCHEDULES: tuple[Schedule, ...] = (
    forget_ended_relations,
    remove_abandoned_media,
    forget_old_notifications,
    forget_idempotency_keys,
    sweep_tags,
)


@asynccontextmanager
async def start(runtime: Runtime) -> AsyncIterator[FeedState]:
    """Open the caches, which hear of changes until the process ends, and the streams to clients."""
    settings = runtime.settings.of(FeedSettings)
    db = runtime.db

    async def load_celebrities() -> list[int]:
        return await context.load_celebrities(db)

    known = Celebrities(load_celebrities)
    timelines = Timelines(runtime.hot, length=settings.timeline_length, seconds=settings.timeline_seconds)
    telemetry.watch("feed", timelines, counters="pushed rebuilt", door="timelines")
    async with AsyncExitStack() as stack:

        async def cache[V: msgspec.Struct](name: str, kind: type[V], load: Any, share: int) -> Cache[int, V]:
            made: Cache[int, V] = Cache(
                f"feed.{name}",
                kind,
                load,
                hot=runtime.hot,
                broadcast=runtime.bus.broadcast,
                entries=settings.memory_entries,
                max_bytes=settings.memory_bytes // share,
                ttl=settings.memory_ttl,
                shared_ttl=settings.cache_ttl,
            )
            telemetry.watch("cache", made, counters=made.COUNTERS, gauges="bytes", cache=f"feed.{name}")
            stack.push_async_callback(made.close)
            stack.push_async_callback(await runtime.bus.on_broadcast(made.subject, made.on_broadcast))
            stack.callback(runtime.bus.on_reconnect(made.on_reconnect))
            return made

        feed = Feed(
            db=db,
            ids=runtime.ids,
            bus=runtime.bus,
            limits=runtime.limits,
            identity=runtime.identity,
            blobs=runtime.blobs,
            settings=settings,
            url=(settings.url or f"{runtime.settings.address}/feed").rstrip("/"),
            accounts=await cache("accounts", Account, lambda ids: context.load_accounts(db, ids), 4),
            posts=await cache("posts", Post, lambda ids: context.load_posts(db, ids), 2),
            relations=await cache("relations", Relations, lambda ids: context.load_relations(db, known, ids), 12),
            marks=await cache("marks", Marks, lambda ids: context.load_marks(db, ids), 12),
            authored=await cache(
                "authored", Authored, lambda ids: context.load_authored(db, ids, settings.timeline_length), 12
            ),
            celebrities=known,
            timelines=timelines,
            streams=await stack.enter_async_context(open_streams(runtime.bus, settings)),
        )
        stack.push_async_callback(await runtime.bus.on_broadcast(celebrities.SUBJECT, known.reread))
        stop = asyncio.Event()
        reading = asyncio.create_task(known.run(stop), name="feed-celebrities")
        try:
            yield FeedState(runtime, feed)
        finally:
            stop.set()
            await reading


def provide(state: FeedState) -> Mapping[str, object]:
    return {"feed": state.feed}


def front(state: FeedState) -> Home:
    home = Home(state.feed, state.runtime.identity)
    telemetry.watch("feed", home, counters="reads", door="home")
    return home


def hosts(state: FeedState) -> frozenset[str]:
    """The host of the feed, where it has one of its own."""
    own = state.runtime.settings.of(FeedSettings).url
    return frozenset({urlsplit(own).netloc} if own and urlsplit(own).path in ("", "/") else ())


async def take_in(state: FeedState, lines: Iterable[bytes]) -> str:
    """Accounts, follows and posts, as actions/imports.py says."""
    done = await imports.import_graph(state.feed, lines)
    added = f"{done.accounts:,} accounts, {done.follows:,} follows, {done.posts:,} posts added"
    return "\n".join([added, *([f"{done.refused:,} lines refused:"] if done.refused else []), *done.problems])


async def figures(state: FeedState) -> Sequence[Figure]:
    """How much there is, about."""
    usage = await instance.usage(state.feed)
    return [
        Figure(label="Accounts", value=usage.accounts),
        Figure(label="Posts", value=usage.posts),
        Figure(label="Writing this month", value=usage.active),
    ]


system: System[FeedState] = System(
    name="feed",
    title="Feed",
    summary="A social network for existing Mastodon clients, whose home timelines are pushed and merged.",
    package="tenfold.systems.feed",
    settings=FeedSettings,
    start=start,
    controllers=CONTROLLERS,
    provide=provide,
    front=front,
    hosts=hosts,
    drain=lambda state: state.feed.streams.end(),
    cross_origin=True,
    complaints=COMPLAINTS,
    pages=frozenset({"", "explore", "search", "notifications", "bookmarks", "favourites", "lists", "tags", "@"}),
    consumers=CONSUMERS,
    schedules=SCHEDULES,
    demo=demo,
    take_in=take_in,
    figures=figures,
    capacity=capacity,
)
