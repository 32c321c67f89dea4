"""The front door of the link shortener."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from tenfold.platform import telemetry
from tenfold.platform.cache import Cache
from tenfold.platform.http import Front
from tenfold.platform.leases import Counter
from tenfold.platform.runtime import Runtime
from tenfold.platform.settings import Settings
from tenfold.platform.system import Figure, System
from tenfold.systems.links import rules
from tenfold.systems.links.actions import following, statistics
from tenfold.systems.links.actions.context import Links
from tenfold.systems.links.capacity import capacity
from tenfold.systems.links.consumers import count_clicks, forget_changed
from tenfold.systems.links.demo import demo
from tenfold.systems.links.endpoints import LinkEndpoints, Redirects, VisitorEndpoints
from tenfold.systems.links.hot import Allowance, Blocklist, Recorder, Salt, Watching
from tenfold.systems.links.jobs import fold_hours, forget_visitors, sweep_expired
from tenfold.systems.links.settings import LinksSettings
from tenfold.systems.links.state import LinksState
from tenfold.systems.links.types import Target


@asynccontextmanager
async def start(runtime: Runtime) -> AsyncIterator[LinksState]:
    """Open the caches, and send clicks off in the background until the process ends; the last ones too."""
    settings = runtime.settings.of(LinksSettings)
    cache: Cache[str, Target] = Cache(
        "links",
        Target,
        lambda codes: following.load_targets(runtime.db, codes),
        hot=runtime.hot,
        broadcast=runtime.bus.broadcast,
        entries=settings.memory_links,
        ttl=settings.memory_ttl,
        shared_ttl=settings.cache_ttl,
        absent_ttl=settings.unknown_ttl,
    )
    short_url = (settings.short_url or f"{runtime.settings.address}/links").rstrip("/") + "/"
    links = Links(
        db=runtime.db,
        ids=runtime.ids,
        settings=settings,
        cache=cache,
        numbers=Counter(runtime.db, "links.codes", start=rules.FIRST_NUMBER, lease=settings.code_lease),
        scrambler=rules.Scrambler(runtime.settings.key("links.codes")),
        blocklist=Blocklist(settings.blocklist),
        own_hosts=own_hosts(runtime.settings, settings, short_url),
        short_url=short_url,
    )
    recorder = Recorder(
        lambda event, event_id: runtime.bus.publish(event, id=event_id),
        Salt(runtime.hot, runtime.settings.key("links.visitors")),
        seconds=settings.flush_seconds,
        batch=settings.flush_clicks,
        most=settings.buffered_clicks,
        proxies=runtime.proxies,
    )
    allowance = Allowance(lambda code, wanted: following.take_clicks(runtime.db, code, wanted))
    values = rules.ValueLimit(settings.values_per_hour)
    stop = asyncio.Event()
    telemetry.watch("cache", cache, counters=cache.COUNTERS, gauges="bytes", cache="links")
    telemetry.watch("links", recorder, counters="sent dropped", gauges="waiting")
    stop_listening = await runtime.bus.on_broadcast(cache.subject, cache.on_broadcast)
    stop_forgetting = runtime.bus.on_reconnect(cache.on_reconnect)
    sending = asyncio.create_task(recorder.run(stop), name="links-recorder")
    try:
        yield LinksState(runtime, links, recorder, allowance, values, runtime.live, Watching(runtime.hot))
    finally:
        stop.set()
        await sending
        stop_forgetting()
        await stop_listening()
        await cache.close()


def own_hosts(settings: Settings, own: LinksSettings, short_url: str) -> frozenset[str]:
    """The hosts that lead here, as host or host:port: a link to one of them would go in circles."""
    port = settings.port
    hosts = {urlsplit(url).netloc for url in (settings.address, short_url)}
    local = {f"{host}:{port}" for host in ("localhost", "links.localhost", "127.0.0.1", "[::1]", settings.host)}
    return frozenset(hosts | local | set(own.own_hosts))


def provide(state: LinksState) -> Mapping[str, object]:
    return {
        "links": state.links,
        "recorder": state.recorder,
        "allowance": state.allowance,
        "watching": state.watching,
    }


def front(state: LinksState) -> Front:
    redirects = Redirects(state.links, state.recorder, state.allowance)
    telemetry.watch("links", redirects, counters="redirects cold refused", door="redirect")
    return redirects.answer  # a method is called faster than an object


def hosts(state: LinksState) -> frozenset[str]:
    """The host of the short links, where they have one of their own, and others that lead here."""
    settings = state.links.settings
    return frozenset({*settings.own_hosts, *([urlsplit(settings.short_url).netloc] if settings.short_url else [])})


async def figures(state: LinksState) -> Sequence[Figure]:
    """Links, and what was clicked in the last 24 hours."""
    count = await statistics.estimate_links(state.runtime.db)
    day = await statistics.day_of(state.runtime.db, rules.ALL)
    return [
        Figure(label="Links", value=count),
        Figure(label="Clicks in 24 h", value=sum(hour.clicks for hour in day), series=[hour.clicks for hour in day]),
        Figure(label="Visitors", value=sum(hour.visitors for hour in day), series=[hour.visitors for hour in day]),
        Figure(label="Bots kept out", value=sum(hour.bots for hour in day), series=[hour.bots for hour in day]),
    ]


system: System[LinksState] = System(
    name="links",
    title="Links",
    summary="Short links that redirect from memory, with statistics that count every click once.",
    package="tenfold.systems.links",
    settings=LinksSettings,
    start=start,
    controllers=(LinkEndpoints, VisitorEndpoints),
    provide=provide,
    front=front,
    hosts=hosts,
    consumers=(count_clicks, forget_changed),
    schedules=(sweep_expired, fold_hours, forget_visitors),
    demo=demo,
    figures=figures,
    capacity=capacity,
)
