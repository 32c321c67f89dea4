"""The benchmark of the feed: what it claims, what was measured, and the limit on the same machine.

One run boots its own engines and processes, and fills them with a network of 200,000 accounts. The process under test
has a core for itself; all others share the rest. What can be compared is measured in turns, and the medians are told.
"""

import asyncio
import http.client
import os
import random
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import batched, count
from pathlib import Path
from urllib.parse import quote

import asyncpg
import msgspec

import chart
import load
import measure
from apps import feed_bare
from house import House, command, on_our_core, open_house
from measure import OURS, Program, Report, Row, free_port, median, quantile
from network import Network, fill, word
from tenfold.contracts.feed import PostPublished
from tenfold.platform import outbox
from tenfold.platform.db import Tx
from tenfold.platform.hot import Script, open_hot
from tenfold.platform.identity.actions import create_key
from tenfold.platform.ids import Ids
from tenfold.systems.feed.consumers.fan_out import fan_out, fan_out_pieces
from tenfold.systems.feed.hot.timelines import Timelines
from tenfold.systems.feed.rules import search
from tenfold.systems.feed.rules.timelines import Ids as Timeline
from tenfold.systems.feed.settings import FeedSettings
from tenfold.systems.feed.store import posts, timelines
from tenfold.systems.feed.types import Post

HOME, POST, SEARCH = "/feed/api/v1/timelines/home", "/feed/api/v1/statuses", "/feed/api/v2/search"
#: The limiters work and cost what they cost; they just don't refuse.
LIMITS = {"feed.post": "1000000/s", "feed.search": "1000000/s"}
PEER = (
    "For scale: another network's reference stack served 17-27 timelines/s and 19-22 posts/s (measured elsewhere on "
    "this kind of machine)."
)
DATA = (
    "{accounts:,} accounts, of which {writers:,} write and read and {silent:,} only follow: an audience of {largest:,} "
    "needs that many. {follows:,} follows by a power law, {posts:,} posts of the last {days} days."
)
#: For the 1.3 GB of 200,000 timelines.
VALKEY_MEMORY = "4gb"
SETTINGS = FeedSettings()


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    network: Network
    rounds: int
    #: Seconds of one turn at full speed, and at a constant rate.
    turn: float
    steady: float
    readers: int
    #: Posts of the largest author in one measurement, and posts that are followed one by one.
    waves: int
    followed: int
    searches: int


FULL = Size(Network(100_000, 100_001, 5_000_000, 200_000, 1_000_000), 3, 4, 4, 300, 5, 100, 300)
QUICK = Size(Network(5_000, 5_001, 200_000, 10_000, 20_000), 1, 1, 1.5, 100, 5, 20, 40)


@dataclass(frozen=True)
class Reader:
    number: int
    id: int
    key: str


@dataclass(frozen=True)
class Town:
    """The house, who lives in it, and what is measured there."""

    house: House
    report: Report
    size: Size
    timelines: Timelines
    #: Who follows some dozens of others, and who follows thousands.
    readers: Sequence[Reader]
    avid: Sequence[Reader]
    numbers: "count[int]" = field(default_factory=count)

    @property
    def network(self) -> Network:
        return self.size.network

    @asynccontextmanager
    async def bare(self, port: int, readers: Sequence[Reader]) -> AsyncIterator[Program]:
        """The application that has the pages of these readers, which are read from the web process now."""
        pages = [await asyncio.to_thread(self.page, reader) for reader in readers]
        file, url = self.house.folder / "pages", self.house.runtime.settings.valkey_url
        file.write_bytes(msgspec.json.encode(pages))
        assert url
        environment = {feed_bare.PAGES: str(file), feed_bare.VALKEY: url.reveal()}
        command, log = (str(Path(feed_bare.__file__)), str(port)), self.house.folder / "bare.log"
        async with measure.running(command, cores=OURS, log=log, environment=environment) as program:
            await measure.answers(program, port)
            yield program

    def page(self, reader: Reader) -> feed_bare.Page:
        connection = http.client.HTTPConnection("127.0.0.1", self.house.port, timeout=60)
        connection.request("GET", HOME, headers={"authorization": f"Bearer {reader.key}"})
        response = connection.getresponse()
        statuses = msgspec.json.decode(response.read(), type=list[msgspec.Raw])
        return feed_bare.Page(self.timelines.key(reader.id), statuses, response.headers["link"])

    async def drop(self, readers: Iterable[Reader]) -> None:
        await self.timelines.drop([reader.id for reader in readers])

    async def settled(self) -> None:
        """Wait until the workers that run have delivered all that was posted."""
        async with asyncio.timeout(300):
            while await self.unfinished():  # noqa: ASYNC110  # nothing tells us
                await asyncio.sleep(0.1)

    async def unfinished(self) -> int:
        """Posts and pieces of fan-outs that wait."""
        backlog = await self.house.runtime.bus.backlog()
        queued = sum(backlog.get(each.name, 0) for each in (fan_out, fan_out_pieces))
        return queued + await outbox.waiting(self.house.db)

    async def followers(self, number: int) -> list[int]:
        async with self.house.db.read() as tx:
            return await timelines.list_follower_ids(tx, self.network.id_of(number), 0, 1 << 62, 1 << 31)

    async def post(self, reader: Reader) -> int:
        """Post something. Its id."""
        body = msgspec.json.encode({"status": f"{word(next(self.numbers))} {word(3)}"})
        answer = await asyncio.to_thread(self.house.call, "POST", POST, body, reader.key)
        return int(msgspec.json.decode(answer)["id"])

    async def fill_timelines(self, account_ids: Sequence[int], posts: Iterable[int] = (1, 2, 3)) -> None:
        """Have accounts a timeline each: copies of one that is filled as all are."""
        first = account_ids[0]
        assert await self.timelines.fill(first, await self.timelines.begin(first), posts)
        for some in batched(account_ids[1:], 500):
            await self.house.runtime.hot.run(_COPY, [self.timelines.key(each) for each in (first, *some)], [])


_COPY = Script("for i = 2, #KEYS do redis.call('COPY', KEYS[1], KEYS[i], 'REPLACE') end return 1")


def request(path: str, key: str, body: bytes | None = None) -> bytes:
    """What a client asks, through a proxy."""
    more = () if body is None else ("Content-Type: application/json", f"Content-Length: {len(body)}")
    return "\r\n".join((
        f"{'GET' if body is None else 'POST'} {path} HTTP/1.1",
        "Host: localhost",
        "User-Agent: bench/1.0",
        "Accept: application/json",
        "Accept-Encoding: gzip, deflate, br",
        f"Authorization: Bearer {key}",
        *more, "", "",
    )).encode() + (body or b"")  # fmt: skip


def add_times(
    report: Report,
    claim: str,
    seen: Sequence[Sequence[float]],
    wanted: float | None = None,
    limits: Sequence[Sequence[float]] = (),
    limit_of: str = "",
    note: str = "",
) -> None:
    """Rows of p50 and p99, medians of rounds of sorted seconds; p99 is wanted below so many ms."""
    for share, name in ((0.5, "p50"), (0.99, "p99")):
        measured = median(quantile(each, share) * 1000 for each in seen)
        wish = wanted if share > 0.9 else None
        report.add(Row(
            claim=f"{claim}, {name}", measured=measured, unit="ms",
            limit=median(quantile(each, share) * 1000 for each in limits) if limits else None, limit_of=limit_of,
            wanted=f"< {wish:g} ms" if wish else "", met=measured < wish if wish else None,
            note=note if share < 0.9 else "",
        ))  # fmt: skip


# 1, 2, 7: reading homes


@dataclass
class Turn:
    """Reads a second, and a second of the process's processor time."""

    rate: float
    per_cpu: float


def middle(turns: Sequence[Turn]) -> Turn:
    return Turn(median(turn.rate for turn in turns), median(turn.per_cpu for turn in turns))


async def home(town: Town) -> None:
    """Homes that are in Valkey, whose posts the process has in memory."""
    house, report, size = town.house, town.report, town.size
    bare_port = free_port()
    readers = town.readers
    async with house.web() as web, town.bare(bare_port, readers) as limit:
        order = random.Random(1).choices(range(len(readers)), k=5000)
        requests = {"ours": [request(HOME, readers[each].key) for each in order]}
        for name in ("encoded", "joined"):
            requests[name] = [request(f"/{name}/{each}", readers[each].key) for each in order]
        files = {name: load.keep(house.folder / name, some) for name, some in requests.items()}
        turns: dict[str, list[Turn]] = {name: [] for name in requests}
        for number in range(size.rounds + 1):
            for name, file in files.items():
                program, port = (web, house.port) if name == "ours" else (limit, bare_port)
                before = program.cpu
                seen = await load.replay(port, file, seconds=size.turn if number else 1)
                if number:  # the first round warms up
                    turns[name].append(Turn(seen.rate, seen.answered / (program.cpu - before)))
        ours, encoded, joined = (middle(turns[name]) for name in requests)
        page = sum(len(bytes(each)) for each in town.page(readers[0]).statuses)
        report.add(Row(
            claim="Home reads, 20 posts, warm, one core", measured=ours.rate, unit="/s", limit=encoded.rate,
            limit_of="bare ASGI: same call to Valkey, same bytes encoded", wanted="ratio >= 0.5",
            met=ours.rate >= 0.5 * encoded.rate, note=f"{len(readers)} readers at random, {page:,} bytes a page.",
        ))  # fmt: skip
        report.add(Row(
            claim="... for each second of processor time", measured=ours.per_cpu, unit="/s", limit=encoded.per_cpu,
            limit_of="bare ASGI", wanted="ratio >= 0.5", met=ours.per_cpu >= 0.5 * encoded.per_cpu,
        ))  # fmt: skip
        report.add(Row(
            claim="... against bytes that only have to be joined", measured=ours.rate, unit="/s", limit=joined.rate,
            limit_of="bare ASGI: same call, 20 pieces joined",
        ))  # fmt: skip
        report.figures["home_reads_per_core"] = ours.rate
        rate = ours.rate / 2
        found: dict[str, list[list[float]]] = {"ours": [], "encoded": []}
        for _ in range(size.rounds):
            for name, results in found.items():
                port = house.port if name == "ours" else bare_port
                results.append(await steady(port, requests[name], rate, size.steady))
        claim = f"Home read at half load ({rate:,.0f}/s, constant)"
        add_times(report, claim, found["ours"], 50, found["encoded"], "bare ASGI, same rate; the case study asks < 1 s")
        mib = 1024**2
        report.add(Row(
            claim="Memory of the web process after that", measured=measure.memory(web.pid) / mib, unit="MiB",
            limit=measure.memory(limit.pid) / mib, limit_of="bare ASGI with the pages of these readers",
        ))  # fmt: skip


async def steady(port: int, requests: Sequence[bytes], rate: float, seconds: float) -> list[float]:
    return await asyncio.to_thread(load.constant_rate, port, requests, rate=rate, seconds=seconds, status=b"200")


async def memory(town: Town) -> None:
    """What a timeline takes where it is kept."""
    readers = [1 << 40 | number for number in range(200)]
    now = int(time.time() * 1000) << 22
    length = SETTINGS.timeline_length
    await town.fill_timelines(readers, range(now, now + length))
    await town.timelines.push_many({now + length + each: readers for each in range(length)})
    client = town.house.runtime.hot.client
    sizes = [
        await client.custom_command(["MEMORY", "USAGE", town.timelines.key(reader), "SAMPLES", "0"])
        for reader in readers
    ]
    await town.timelines.drop(readers)
    town.report.figures["bytes_per_timeline"] = held = median(int(str(each)) for each in sizes)
    town.report.add(Row(
        claim=f"Memory of a timeline of {length} ids, pushed to as often again", measured=held, unit="bytes",
        limit=8 * length, limit_of="the ids alone",
    ))  # fmt: skip


# 3: cold homes


async def cold(town: Town) -> None:
    """Each request by another reader, whose timeline has lapsed, to a process that has just started."""
    for who, readers, rate in (("some dozens", town.readers, 50), ("500 to 5,000", town.avid, 10)):
        seen, limits = list[list[float]](), list[list[float]]()
        for _ in range(town.size.rounds):
            await town.drop(readers)
            async with town.house.web():
                requests = [request(HOME, reader.key) for reader in readers]
                seen.append(await steady(town.house.port, requests, rate, len(readers) / rate))
            limits.append(sorted([await rebuilt(town, reader) for reader in readers]))
        claim = f"Home of who was away and follows {who}, {rate}/s"
        add_times(town.report, claim, seen, 300, limits, "its ids by SQL alone, one after the other")


async def rebuilt(town: Town, reader: Reader) -> float:
    """Seconds to find the ids of a home."""
    began = time.perf_counter()
    async with town.house.db.read() as tx:
        followees = await timelines.list_followee_ids(tx, reader.id)
        await timelines.list_home_ids(tx, reader.id, [*followees, reader.id], followees, 0, SETTINGS.timeline_length)
    return time.perf_counter() - began


# 4: posting


async def posting(town: Town) -> None:
    """Posts over the API while a worker delivers them, and the same rows without it."""
    house, size, dice = town.house, town.size, random.Random(4)
    texts = [" ".join(word(dice.randrange(2000)) for _ in range(dice.randrange(6, 28))) for _ in range(20_000)]
    requests = [request(POST, dice.choice(town.readers).key, msgspec.json.encode({"status": each})) for each in texts]
    file = load.keep(house.folder / "posts", requests)
    ours, limits = list[float](), list[float]()
    async with house.web(), house.worker(nice=10):
        await load.replay(house.port, file, seconds=1, connections=32)
        for _ in range(size.rounds):
            await town.settled()
            ours.append((await load.replay(house.port, file, seconds=size.turn, connections=32)).rate)
            await town.settled()
            limits.append(await asyncio.to_thread(on_our_core, partial(insert_posts, town, texts, size.turn)))
        await town.settled()
        town.report.add(Row(
            claim="Posts, 32 connections, a worker delivers", measured=median(ours), unit="/s", limit=median(limits),
            limit_of="asyncpg, the same rows, a transaction each",
        ))  # fmt: skip
        town.report.figures["posts_per_second"] = median(ours)
    async with house.web(), house.worker():
        seen = [await until_home(town) for _ in range(size.followed)]
        add_times(town.report, "Until a post is in a follower's home", [sorted(seen)])


async def insert_posts(town: Town, texts: Sequence[str], seconds: float) -> float:
    """Posts a second, each a transaction, over 32 connections."""
    done, ids = 0, Ids(1023)
    encoder = partial(msgspec.json.encode)

    async def prepare(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        await connection.set_type_codec(
            "jsonb", schema="pg_catalog", encoder=lambda value: b"\x01" + encoder(value), decoder=bytes, format="binary"
        )

    async with (
        asyncpg.create_pool(town.house.database, min_size=32, max_size=32, init=prepare) as pool,
        asyncio.TaskGroup() as group,
    ):
        until = time.perf_counter() + seconds

        async def insert() -> None:
            nonlocal done
            async with pool.acquire() as connection:
                while time.perf_counter() < until:
                    post = post_of(ids.next(), town.readers[done % len(town.readers)].id, texts[done % len(texts)])
                    done += 1
                    event = PostPublished(post_id=post.id, author_id=post.author_id, visibility="public", pushed=False)
                    async with connection.transaction():
                        tx = Tx(connection)
                        await posts.insert_post(tx, post, search.words(post))
                        await outbox.emit(tx, event)

        for _ in range(32):
            group.create_task(insert())
    return done / seconds


def post_of(id: int, author_id: int, text: str) -> Post:
    return Post(
        id=id, author_id=author_id, text=text, spoiler_text="", visibility="public", sensitive=False, language=None,
        in_reply_to_id=None, in_reply_to_account_id=None, conversation_id=id, reblog_of_id=None, mentions=[], tags=[],
        media=[], application=None, created_at=datetime.now(UTC), edited_at=None, favourites=0, reblogs=0, replies=0,
    )  # fmt: skip


async def until_home(town: Town) -> float:
    """Seconds from a post's being sent until a follower's timeline has it."""
    author = town.readers[next(town.numbers) % len(town.readers)]
    follower, *_ = await town.followers(author.number)
    await town.fill_timelines([follower])
    began = time.perf_counter()
    post_id = await town.post(author)
    return await arrival(town, post_id, [follower]) - began


def ids_of(timeline: Timeline | None) -> list[int]:
    """What somebody's timeline holds; nothing while it isn't there."""
    found: list[int] = [] if timeline is None else timeline.tolist()
    return found


async def arrival(town: Town, post_id: int, readers: Sequence[int], look: float = 0.002) -> float:
    """When the timelines of all these readers have a post, of time.perf_counter()."""
    waiting = list(readers)
    async with asyncio.timeout(120):
        while waiting:
            waiting = [each for each in waiting if post_id not in ids_of(await town.timelines.read(each))]
            if waiting:
                await asyncio.sleep(look)
    return time.perf_counter()


# 5: fan-out


async def fanning(town: Town) -> None:
    """Posts of who has the largest audience, all of which have timelines; and small authors meanwhile."""
    house, report, size = town.house, town.report, town.size
    [big] = await make_readers(house, town.network, [0])
    everybody = await town.followers(0)
    await town.fill_timelines(everybody)
    piece = SETTINGS.fan_out_piece
    # The last of each piece, and some in between.
    watched = sorted({everybody[min(at + piece - 1, len(everybody) - 1)] for at in range(0, len(everybody), piece)})
    rates, limits, lasts = list[float](), list[float](), list[float]()
    async with house.web(cores=measure.OTHERS), house.worker(cores=OURS) as worker:
        await deliver_wave(town, big, watched, len(everybody), 1)  # the first round warms up
        for _ in range(size.rounds):
            lasts.append((await deliver_wave(town, big, watched, len(everybody), 1)).last)
            with worker.paused():
                limits.append(await asyncio.to_thread(on_our_core, partial(push_alone, town, everybody)))
            rates.append((await deliver_wave(town, big, watched, len(everybody), size.waves, worker)).rate)
        report.add(Row(
            claim="Deliveries into timelines, one worker", measured=median(rates), unit="/s", limit=median(limits),
            limit_of="the same pushes, nothing else", wanted=">= 100,000/s", met=median(rates) >= 100_000,
            note=f"{size.waves} posts to {len(everybody):,} followers each.",
        ))  # fmt: skip
        report.figures["deliveries_per_worker"] = median(rates)
        report.add(Row(
            claim=f"Until the last of {len(everybody):,} followers has a post", measured=median(lasts), unit="s",
        ))  # fmt: skip
        small = [reader for reader in town.readers if await is_small(town, reader)]
        quiet = sorted([await small_delivery(town, small) for _ in range(size.followed)])
        async with waves_on(town, big):
            busy = sorted([await small_delivery(town, small) for _ in range(size.followed)])
        await town.settled()
        add_times(report, "Until ten followers have a post, while that author's go out", [busy], None, [quiet], "alone")


@dataclass
class Wave:
    #: Seconds until the last reader had all, and deliveries a second after the first.
    last: float
    rate: float


async def deliver_wave(
    town: Town, author: Reader, watched: Sequence[int], audience: int, posts: int, worker: Program | None = None
) -> Wave:
    """Post, and see it arrive. The worker, if given, stands still until all is posted."""
    if worker:
        with worker.paused():
            began = time.perf_counter()
            ids = {await town.post(author) for _ in range(posts)}
    else:
        began = time.perf_counter()
        ids = {await town.post(author) for _ in range(posts)}
    first: tuple[float, int] | None = None
    seen, deadline = 0, time.perf_counter() + 300
    while seen < len(watched) * posts:
        if time.perf_counter() > deadline:
            raise SystemExit(f"{seen} of {len(watched) * posts} watched deliveries in time")
        await asyncio.sleep(0.01)
        held = await asyncio.gather(*map(town.timelines.read, watched))
        seen = sum(len(ids.intersection(ids_of(each))) for each in held)
        if seen and first is None:
            first = time.perf_counter(), seen
    assert first is not None
    at, there = first
    ended = time.perf_counter()
    rest = audience * posts * (1 - there / (len(watched) * posts))
    return Wave(ended - began, rest / (ended - at) if ended > at and rest else 0.0)


async def push_alone(town: Town, readers: Sequence[int]) -> float:
    """Deliveries a second of the class alone, in pieces as the worker makes them."""
    hot = await open_hot(town.house.runtime.settings)
    own = Timelines(hot, length=SETTINGS.timeline_length, seconds=3600)
    began, done, post_id = time.perf_counter(), 0, int(time.time() * 1000) << 22
    while time.perf_counter() < began + town.size.turn:
        for some in batched(readers, SETTINGS.fan_out_piece):
            done += await own.push(post_id, some)
            if time.perf_counter() > began + town.size.turn:
                break
        post_id += 1
    seconds = time.perf_counter() - began
    await hot.close()
    return done / seconds


async def is_small(town: Town, reader: Reader) -> bool:
    return (
        5 <= await town.house.value("SELECT followers FROM feed.account_count WHERE account_id = $1", reader.id) <= 40
    )


async def small_delivery(town: Town, authors: Sequence[Reader]) -> float:
    author = authors[next(town.numbers) % len(authors)]
    followers = (await town.followers(author.number))[:10]
    await town.fill_timelines(followers)
    began = time.perf_counter()
    return await arrival(town, await town.post(author), followers) - began


@asynccontextmanager
async def waves_on(town: Town, author: Reader) -> AsyncIterator[None]:
    """The largest audience gets posts without a pause."""

    async def go_on() -> None:
        while True:
            await town.post(author)
            while await town.unfinished() > 20:  # noqa: ASYNC110  # nothing tells us
                await asyncio.sleep(0.05)

    task = asyncio.create_task(go_on())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


# 6: search


def questions(network: Network, dice: random.Random) -> Mapping[str, list[str]]:
    """What people look for: the kind, and questions of it."""

    def words(low: int, high: int, many: int = 1) -> str:
        return " ".join(word(dice.randrange(low, min(high, network.words))) for _ in range(many))

    def ask(kind: Callable[[], str]) -> list[str]:
        return [kind() for _ in range(50)]

    statuses = {
        "a rare word": ask(lambda: words(5000, 20_000)),
        "a common word": ask(lambda: words(0, 20)),
        "two common words": ask(lambda: words(0, 100, 2)),
        "a common and a rare word": ask(lambda: f"{words(0, 20)} {words(5000, 20_000)}"),
        "a phrase": ask(lambda: f'"{words(0, 60, 2)}"'),
        "a rare phrase": ask(lambda: f'"{words(500, 2000, 2)}"'),
        "from: and a word": ask(lambda: f"from:person{dice.randrange(network.writers)} {words(0, 50)}"),
        "a tag": ask(lambda: f"#tag{dice.randrange(500)}"),
    }
    asked = {name: [f"{SEARCH}?type=statuses&q={quote(each)}" for each in some] for name, some in statuses.items()}
    people = ask(lambda: f"person{dice.randrange(10, 999)}")
    return asked | {"people by the beginning": [f"{SEARCH}?type=accounts&q={each}" for each in people]}


async def searching(town: Town) -> None:
    """Questions of all kinds in turn, as people ask them; then each kind by itself."""
    port, key, rate, alone = town.house.port, town.readers[0].key, 20, 10
    asked = {
        kind: [request(path, key) for path in paths]
        for kind, paths in questions(town.network, random.Random(6)).items()
    }
    async with town.house.web():
        mixed = [each for some in zip(*asked.values(), strict=True) for each in some]
        await steady(port, mixed, rate, 10)  # each connection plans each kind of question once
        seen = await steady(port, mixed, rate, 2 * town.size.searches / rate)
        add_times(town.report, f"Search, {len(mixed)} questions of {len(asked)} kinds, {rate}/s", [seen], 100)
        for kind, requests in asked.items():
            seen = await steady(port, requests, alone, town.size.searches / 2 / alone)
            add_times(town.report, f"... for {kind}, {alone}/s", [seen])


# 8: the hybrid


async def hybrid(town: Town) -> None:
    """What pushing less costs readers: the same homes at several thresholds."""
    house, report, size = town.house, town.report, town.size
    points: list[chart.Point] = []
    requests = [request(HOME, reader.key) for reader in random.Random(8).choices(town.readers, k=5000)]
    file = load.keep(house.folder / "hybrid", requests)
    for threshold in (1_000, 10_000, 100_000, 1_000_000):
        deliveries, biggest = await costs(house, threshold)
        await house.value(
            """WITH changed AS (UPDATE feed.account_count
                   SET celebrity_since = CASE WHEN followers >= $1 THEN now() END RETURNING 1)
               SELECT count(*) FROM changed""",
            threshold,
        )
        celebrities = await house.value("SELECT count(*) FROM feed.account_count WHERE celebrity_since IS NOT NULL")
        await town.drop(town.readers)
        async with house.web(feed_celebrity_followers=threshold):
            everybody = [request(HOME, reader.key) for reader in town.readers]
            await steady(house.port, everybody, 50, len(everybody) / 50)  # the first look rebuilds
            await load.replay(house.port, file, seconds=1)
            rates = [(await load.replay(house.port, file, seconds=size.turn)).rate for _ in range(size.rounds)]
            seen = await steady(house.port, requests, median(rates) / 2, size.steady)
        report.add(Row(
            claim=f"Home reads, threshold {threshold:,} ({celebrities:,} celebrities), one core",
            measured=median(rates), unit="/s", limit=report.figures.get("home_reads_per_core"),
            limit_of="all pushed",
            note=f"{deliveries:,.1f} deliveries a post, {biggest:,.0f} of the 1% of authors with the most followers.",
        ))  # fmt: skip
        add_times(report, f"... threshold {threshold:,}, at half load", [seen])
        points.append(chart.Point(threshold, deliveries, median(rates), quantile(seen, 0.99) * 1000))
    if not report.quick:
        file = Path(__file__).parents[1] / "docs" / "feed-hybrid.svg"
        file.write_text(chart.hybrid(points))
        print(f"  written to {file}")


async def costs(house: House, threshold: int) -> tuple[float, float]:
    """Deliveries a post of all, and of the authors with the most followers."""
    sql = """SELECT avg(CASE WHEN c.followers < $1 THEN c.followers ELSE 0 END)::float8
             FROM feed.authored a JOIN feed.account_count c ON c.account_id = a.author_id
             WHERE c.followers >= $2"""
    most = """SELECT percentile_disc(0.99) WITHIN GROUP (ORDER BY followers)
              FROM feed.account_count WHERE statuses > 0"""
    return await house.value(sql, threshold, 0), await house.value(sql, threshold, await house.value(most))


PARTS = {
    "home": home,
    "memory": memory,
    "cold": cold,
    "searching": searching,
    "hybrid": hybrid,
    "fanning": fanning,
    "posting": posting,
}


async def make_readers(house: House, network: Network, numbers: Iterable[int]) -> list[Reader]:
    return [
        Reader(number, network.id_of(number), (await create_key(house.runtime.identity, network.name_of(number))).token)
        for number in numbers
    ]


async def run(report: Report, size: Size, parts: Sequence[str]) -> None:
    os.sched_setaffinity(0, measure.OTHERS)
    load.find_wrk()
    network = size.network
    with tempfile.TemporaryDirectory(prefix="tenfold-bench-") as folder:
        async with open_house(House, Path(folder), ("feed",), LIMITS) as house:
            # Timelines of everybody: more than the embedded server is given, which would forget the idlest.
            await house.runtime.hot.client.custom_command(["CONFIG", "SET", "maxmemory", VALKEY_MEMORY])
            began = time.perf_counter()
            await fill(house.db, network)
            follows = await house.value("SELECT count(*) FROM feed.following")
            report.say(DATA.format(
                accounts=network.accounts, writers=network.writers, silent=network.silent, follows=follows,
                largest=await house.value("SELECT max(followers) FROM feed.account_count"),
                posts=network.posts, days=network.days,
            ))  # fmt: skip
            print(f"  (filled in {time.perf_counter() - began:.0f} s)", flush=True)
            some = random.Random(2).sample(range(network.writers - network.avid), size.readers)
            own = Timelines(house.runtime.hot, length=SETTINGS.timeline_length, seconds=SETTINGS.timeline_seconds)
            town = Town(
                house, report, size, own,
                await make_readers(house, network, some), await make_readers(house, network, network.avid_readers()),
            )  # fmt: skip
            for name in parts:
                began = time.perf_counter()
                await PARTS[name](town)
                print(f"  ({name}: {time.perf_counter() - began:.0f} s)", flush=True)
    report.say(PEER)


if __name__ == "__main__":
    command("feed", __doc__, "two minutes", PARTS, FULL, QUICK, run)
