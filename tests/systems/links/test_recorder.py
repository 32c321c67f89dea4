"""Clicks on their way from the redirect to the bus: none lost while it is away, none sent twice, none too much."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.contracts.links import Click, LinksClicked
from tenfold.platform.bus.events import encode
from tenfold.platform.engines import Nats
from tenfold.platform.errors import Unavailable
from tenfold.platform.hot import open_hot
from tenfold.platform.proxies import Proxies
from tenfold.platform.settings import Secret
from tenfold.systems.links.hot import SLICE, Recorder, Salt, referring_host
from tenfold.systems.links.settings import LinksSettings

CLICKS = "SELECT coalesce(sum(clicks + bots), 0) FROM links.hourly WHERE code = $1 AND dimension = ''"
PROXIES = Proxies(("127.0.0.0/8", "10.0.0.0/8"))


class Sink:
    """Takes what a recorder publishes, or doesn't."""

    def __init__(self) -> None:
        self.away = False
        self.sent: list[tuple[str, LinksClicked]] = []

    async def __call__(self, event: LinksClicked, event_id: str) -> None:
        if self.away:
            raise Unavailable(part="The event bus")
        assert len(encode(event)) > 0  # small enough
        self.sent.append((event_id, event))

    @property
    def clicks(self) -> list[Click]:
        return [click for _, event in self.sent for click in event.clicks]


def recorder_for(
    publish: Callable[[LinksClicked, str], Any], salt: Salt, *, batch: int = 50, most: int = 100
) -> Recorder:
    return Recorder(publish, salt, seconds=0.01, batch=batch, most=most, proxies=PROXIES)


@pytest.fixture(scope="module")
def salt(stack: Any) -> Salt:
    return Salt(stack.process.runtime.hot, b"key of the tests")


def note(recorder: Recorder, code: str, *, peer: str = "192.0.2.1", **headers: bytes) -> None:
    named = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    recorder.record(code, time.time(), 7, {"client": (peer, 4711) if peer else None, "headers": list(named.items())})


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 (numbers send no events)
            await asyncio.sleep(0.01)


# --- losing nothing -------------------------------------------------------------------------------------------------


@pytest.fixture
async def own_nats() -> AsyncIterator[Nats]:
    with TemporaryDirectory(prefix="tf-") as folder:
        nats = Nats(Path(folder) / "nats", "password")
        await nats.start()
        yield nats
        await nats.stop()


async def test_clicks_wait_while_the_bus_is_away(
    stack_with: Callable[..., AbstractAsyncContextManager[Any]], own_nats: Nats
) -> None:
    async with stack_with(nats_url=Secret(own_nats.url)) as stack:
        alice = await stack.account("alice")
        code = (await alice.post("/links/api/links", json={"url": "https://example.org/"})).json()["code"]
        recorder = stack.state("links").recorder

        async def follow(times: int) -> None:
            for _ in range(times):
                assert (await alice.get(f"/links/{code}")).status_code == 302

        await follow(5)
        await recorder.flush()
        os.kill(own_nats.pid, signal.SIGKILL)
        await until(lambda: not stack.process.runtime.bus.connected)
        await follow(20)
        assert recorder.waiting == 20
        await own_nats.stop()
        await own_nats.start()
        await follow(5)
        await until(lambda: recorder.waiting == 0)
        await stack.settle()
        assert await stack.value(CLICKS, code) == 30
        assert (recorder.sent, recorder.dropped) == (30, 0)


async def test_a_batch_whose_acknowledgement_got_lost_counts_once(stack: Any, salt: Salt) -> None:
    bus = stack.process.runtime.bus
    ids: list[str] = []

    async def publish(event: LinksClicked, event_id: str) -> None:
        await bus.publish(event, id=event_id)
        ids.append(event_id)
        if len(ids) <= 2:
            raise Unavailable(part="The event bus")

    recorder = recorder_for(publish, salt)
    for _ in range(3):
        note(recorder, "lost-ack")
    for _ in range(2):
        with pytest.raises(Unavailable):
            await recorder.flush()
        note(recorder, "lost-ack")  # what comes meanwhile is not of that batch
    await recorder.flush()
    assert len(ids) == 4
    assert len(set(ids[:3])) == 1
    assert ids[3] != ids[0]
    await stack.settle()
    assert await stack.value(CLICKS, "lost-ack") == 5


async def test_a_batch_is_sent_once_however_many_flush(stack: Any) -> None:
    sink = Sink()
    recorder = recorder_for(sink, Salt(stack.process.runtime.hot, b"key"), batch=10)
    for number in range(35):
        note(recorder, f"code-{number}")
    await asyncio.gather(*(recorder.flush() for _ in range(5)))  # the first of them waits for today's salt
    assert [click.code for click in sink.clicks] == [f"code-{number}" for number in range(35)]
    assert [len(event.clicks) for _, event in sink.sent] == [10, 10, 10, 5]
    assert len({event_id for event_id, _ in sink.sent}) == 4


async def test_only_so_many_clicks_wait(salt: Salt) -> None:
    sink, stop = Sink(), asyncio.Event()
    sink.away = True
    recorder = recorder_for(sink, salt, batch=50, most=100)
    for number in range(1000):
        note(recorder, str(number))
    running = asyncio.create_task(recorder.run(stop))
    await until(lambda: recorder.dropped)
    assert (recorder.waiting, recorder.dropped) == (150, 850)
    sink.away = False
    stop.set()
    await running
    # The batch that was on its way when the bus went, and the newest of those behind it.
    assert [int(click.code) for click in sink.clicks] == [*range(50), *range(900, 1000)]
    assert (recorder.waiting, recorder.sent) == (0, 150)


async def test_a_clean_stop_sends_everything(stack: Any, alice: httpx.AsyncClient) -> None:
    code = (await alice.post("/links/api/links", json={"url": "https://example.org/"})).json()["code"]
    async with stack.beside() as other:
        visitor = await other.client()
        answers = await asyncio.gather(*(visitor.get(f"/links/{code}") for _ in range(200)))
        assert {answer.status_code for answer in answers} == {302}
    await stack.settle()
    assert await stack.value(CLICKS, code) == 200


async def test_a_stop_waits_for_a_bus_that_comes_back(salt: Salt) -> None:
    sink, stop = Sink(), asyncio.Event()
    sink.away = True
    recorder = recorder_for(sink, salt)
    note(recorder, "code")
    stop.set()
    running = asyncio.create_task(recorder.run(stop))
    await until(lambda: recorder._batches)
    sink.away = False
    await running
    assert len(sink.clicks) == 1


async def test_clicks_are_prepared_while_they_come_and_stay_in_order(salt: Salt) -> None:
    sink = Sink()
    recorder = recorder_for(sink, salt, batch=50)
    await recorder.flush()
    agents = [b"agent %d" % (number % 7) for number in range(3 * SLICE + 5)]
    for number, agent in enumerate(agents):
        note(recorder, str(number), user_agent=agent)
    assert len(recorder._noted) == 5
    await recorder.flush()
    assert [int(click.code) for click in sink.clicks] == [*range(len(agents))]
    assert [event.agent_of(click).encode() for _, event in sink.sent for click in event.clicks] == agents


async def test_a_flush_ends_though_clicks_keep_coming(salt: Salt) -> None:
    recorder: Recorder

    async def publish(event: LinksClicked, event_id: str) -> None:
        note(recorder, "meanwhile")

    recorder = recorder_for(publish, salt)
    note(recorder, "first")
    async with asyncio.timeout(20):
        await recorder.flush()
    assert (recorder.sent, recorder.waiting) == (1, 1)


# --- what a click says ----------------------------------------------------------------------------------------------


async def clicks_of(salt: Salt, *visits: dict[str, Any]) -> list[Click]:
    sink = Sink()
    recorder = recorder_for(sink, salt)
    for visit in visits:
        note(recorder, "code", **visit)
    await recorder.flush()
    return sink.clicks


async def test_what_is_kept_of_a_visit(salt: Salt) -> None:
    [click] = await clicks_of(
        salt,
        {
            "peer": "8.8.8.8",
            "user_agent": b"Mozilla/5.0 \xfcml\x00\x1faut" + b"x" * 1000,
            "referer": b"https://www.News.example:8443/a?b",
            "sec_purpose": b"prefetch;prerender",
        },
    )
    assert (click.code, click.owner_id, click.country, click.referrer) == ("code", 7, "US", "news.example")
    assert click.agent == "Mozilla/5.0 ümlaut" + "x" * (400 - 20)
    assert click.prefetch
    assert click.known
    assert b"8.8.8.8" not in msgspec.json.encode(click)


async def test_a_visitor_is_an_address_and_a_browser(salt: Salt) -> None:
    first, same, elsewhere, other_browser, nobody = await clicks_of(
        salt,
        {"user_agent": b"a"},
        {"user_agent": b"a", "referer": b"https://news.example/"},
        {"user_agent": b"a", "peer": "192.0.2.2"},
        {"user_agent": b"b"},
        {"user_agent": b"a", "peer": ""},
    )
    assert first.visitor == same.visitor
    assert len({click.visitor for click in (first, elsewhere, other_browser, nobody)}) == 4


async def test_only_proxies_of_ours_say_who_is_behind_them(salt: Salt) -> None:
    direct, spoofed, behind, through_two, nonsense, unknown_peer = await clicks_of(
        salt,
        {"peer": "192.0.2.1"},
        {"peer": "192.0.2.1", "x_forwarded_for": b"8.8.8.8"},
        {"peer": "127.0.0.1", "x_forwarded_for": b"8.8.8.8"},
        {"peer": "127.0.0.1", "x_forwarded_for": b"1.2.3.4, 8.8.8.8, 10.1.2.3"},
        {"peer": "192.0.2.1", "x_forwarded_for": b"\xff, ,,"},
        {"peer": "", "x_forwarded_for": b"8.8.8.8"},
    )
    alone, with_nul, twice_ours, spoofed_first = await clicks_of(
        salt,
        {"peer": "127.0.0.1", "x_forwarded_for": b"10.1.2.3"},
        {"peer": "127.0.0.1", "x_forwarded_for": b"8.8.8.8\x00"},
        {"peer": "127.0.0.1", "x_forwarded_for": b"10.1.2.3,10.1.2.4"},
        {"peer": "127.0.0.1", "x_forwarded_for": b"nobody, 8.8.8.8"},
    )
    assert alone.visitor == twice_ours.visitor != with_nul.visitor
    assert spoofed_first.visitor == behind.visitor
    assert direct.visitor == spoofed.visitor == nonsense.visitor
    assert behind.visitor == through_two.visitor != direct.visitor
    assert [click.country for click in (direct, spoofed, behind, through_two, nonsense, unknown_peer)] == [
        "", "", "US", "US", "", "",
    ]  # fmt: skip


async def test_all_processes_know_a_visitor_and_tomorrow_nobody_does(stack: Any) -> None:
    hot = stack.process.runtime.hot
    here, there = Salt(hot, b"key"), Salt(hot, b"another key")
    today = await here.of(20_000)
    assert len(today) == 32
    assert await there.of(20_000) == today
    assert await here.of(20_001) != today
    assert await here.of(20_000) == today  # clicks of last night still come


async def test_without_valkey_the_salt_comes_from_the_secret(stack: Any) -> None:
    away = await open_hot(msgspec.structs.replace(stack.settings, valkey_url=Secret("unix:///nowhere/valkey.sock")))
    try:
        here, there, elsewhere = Salt(away, b"key"), Salt(away, b"key"), Salt(away, b"another")
        assert await here.of(20_000) == await there.of(20_000) != await here.of(20_001)
        assert await elsewhere.of(20_000) != await here.of(20_000)
    finally:
        await away.close()


@pytest.mark.parametrize(
    ("header", "host"),
    [
        (b"https://news.example/a/b?c#d", "news.example"),
        (b"http://www.News.example", "news.example"),
        (b"https://user:word@news.example:8443/", "news.example"),
        (b"https://192.0.2.1/", "192.0.2.1"),
        (b"https://xn--bcher-kva.example/", "xn--bcher-kva.example"),
        (b"", ""),
        (b"news.example", ""),
        (b"android-app://com.example/", ""),
        (b"javascript:alert(1)", ""),
        (b"https://intranet/", ""),
        (b"https://[::1]/", ""),
        (b"https://[::1", ""),
        (b"https://b\xfccher.example/", ""),
        (b"https://a b.example/", ""),
        (b"https://a\x00.example/", ""),
        (b"https://" + b"a" * 200 + b".example/", ""),
        (b"https://\xff", ""),
    ],
)
def test_where_visitors_come_from(header: bytes, host: str) -> None:
    assert referring_host(header) == host


anything = st.binary(max_size=80)


@given(
    st.lists(st.tuples(anything, anything, anything, anything, st.ip_addresses().map(str) | st.just("")), max_size=5)
)
async def test_no_header_stops_the_recorder(salt: Salt, visits: list[tuple[bytes, bytes, bytes, bytes, str]]) -> None:
    names = ("user_agent", "referer", "x_forwarded_for", "sec_purpose")
    clicks = await clicks_of(salt, *({"peer": visit[-1]} | dict(zip(names, visit, strict=False)) for visit in visits))
    assert len(clicks) == len(visits)
    assert b"\\u00" not in msgspec.json.encode(clicks)


async def test_the_largest_batch_fits_into_an_event(salt: Salt) -> None:
    most = 600
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"flush_clicks": most + 1}, LinksSettings)
    sink = Sink()
    recorder = recorder_for(sink, salt, batch=msgspec.convert({"flush_clicks": most}, LinksSettings).flush_clicks)
    longest = {"user_agent": b'"' * 400, "referer": b"https://" + b"a." * 49 + b"aa/"}
    for _ in range(most):
        note(recorder, "x" * 64, peer="2001:4860:4860::8888", **longest)
    await recorder.flush()
    assert len(sink.sent) == 1
