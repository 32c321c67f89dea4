"""Clicks become statistics: each once, by whom and where from, kept small over time, and shown to those who watch."""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tenfold.contracts.links import Click, LinksChanged, LinksClicked
from tenfold.systems.links import rules
from tenfold.systems.links.actions import statistics
from tenfold.systems.links.consumers import SHOWN_LIVE
from tenfold.systems.links.jobs import fold_hours, forget_visitors, sweep_expired
from tenfold.systems.links.settings import LinksSettings

API = "/links/api/links"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 "
    "Mobile/15E148 Safari/604.1"
)
IPAD = IPHONE.replace("iPhone; CPU iPhone OS", "iPad; CPU OS")
PIXEL = (
    "Mozilla/5.0 (Linux; Android 16; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile "
    "Safari/537.36"
)
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"

TOTAL = "SELECT coalesce(sum({}), 0)::bigint FROM links.hourly WHERE code = $1 AND dimension = ''"
_numbers = itertools.count(1)


@pytest.fixture
def code() -> str:
    """A code that no other test has clicks of."""
    return f"code-{next(_numbers)}"


def click(code: str, **fields: Any) -> Click:
    given = {"at": datetime.now(UTC), "owner_id": 0, "visitor": 1, "country": "", "referrer": "", "agent": FIREFOX}
    values = given | fields
    return Click(code=code, **values | {"at": values["at"].timestamp()})


async def totals(stack: Any, code: str) -> tuple[int, int, int]:
    """Clicks, visitors and bots of all hours."""
    clicks, visitors, bots = [await stack.value(TOTAL.format(name), code) for name in ("clicks", "visitors", "bots")]
    return clicks, visitors, bots


async def values(stack: Any, code: str, dimension: str) -> dict[str, int]:
    async with stack.db.read(fresh=True) as tx:
        rows = await tx.connection.fetch(
            "SELECT value, sum(clicks)::bigint FROM links.hourly WHERE code = $1 AND dimension = $2 GROUP BY 1",
            code,
            dimension,
        )
    return {value: clicks for value, clicks in rows}  # noqa: C416 (records are no pairs)


# --- counting -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("times", [1, 2, 5])
async def test_clicks_delivered_twice_count_once(stack: Any, code: str, times: int) -> None:
    event = LinksClicked(clicks=[click(code), click(code, visitor=2), click(code, agent=GOOGLEBOT)])
    await stack.deliver(event, times=times)
    assert await totals(stack, code) == (2, 2, 1)


async def test_events_of_many_processes_add_up(stack: Any, code: str) -> None:
    bus = stack.process.runtime.bus
    await bus.publish_many([LinksClicked(clicks=[click(code, visitor=n)] * 3) for n in range(200)])
    async with stack.beside() as other:  # two consumers share the events
        await asyncio.gather(stack.settle(), other.settle())
    assert await totals(stack, code) == (600, 200, 0)
    assert (await values(stack, code, "browser")) == {"Firefox": 600}


async def test_clicks_are_counted_by_what_visitors_are(stack: Any, alice: httpx.AsyncClient) -> None:
    code = (await alice.post(API, json={"url": "https://example.org/"})).json()["code"]
    visits = [
        {"agent": FIREFOX, "country": "DE", "referrer": "news.example"},
        {"agent": FIREFOX, "country": "DE", "referrer": "news.example"},
        {"agent": IPHONE, "country": "DE", "referrer": "t.co"},
        {"agent": IPAD, "country": "US", "referrer": ""},
        {"agent": PIXEL, "country": "", "referrer": ""},
        {"agent": GOOGLEBOT, "country": "US", "referrer": "google.com"},
        {"agent": "", "country": "US", "referrer": ""},
        {"agent": FIREFOX, "country": "US", "referrer": "", "prefetch": True},
    ]
    await stack.deliver(LinksClicked(clicks=[click(code, visitor=n, **visit) for n, visit in enumerate(visits)]))
    stats = (await alice.get(f"{API}/{code}/stats")).json()
    assert stats["totals"] == {"clicks": 5, "visitors": 5, "bots": 3}

    def counted(name: str) -> dict[str, int]:
        rows = stats[name]
        assert [row["clicks"] for row in rows] == sorted((row["clicks"] for row in rows), reverse=True)
        return {row["value"]: row["clicks"] for row in rows}

    assert counted("countries") == {"DE": 3, "US": 1, "": 1}
    assert counted("referrers") == {"news.example": 2, "t.co": 1, "": 2}
    assert counted("devices") == {"desktop": 2, "phone": 2, "tablet": 1}
    assert counted("browsers") == {"Firefox": 2, "Mobile Safari": 2, "Chrome Mobile": 1}
    assert counted("systems") == {"Linux": 2, "iOS": 2, "Android": 1}


async def test_an_account_and_the_whole_house_have_sums(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    owners = {}
    for client in (alice, bob):
        owners[client] = int((await client.get("/api/identity/me")).json()["account"]["id"])
    before = await totals(stack, rules.ALL)
    one, two, theirs, nobodys = (f"sum-{n}-{owners[alice]}" for n in range(4))
    hers, his = owners[alice], owners[bob]
    await stack.deliver(
        LinksClicked(
            clicks=[
                click(one, owner_id=hers),
                click(one, owner_id=hers),
                click(two, owner_id=hers),
                click(two, owner_id=hers, agent=GOOGLEBOT),
                click(theirs, owner_id=his),
                click(nobodys),
            ]
        )
    )
    overview = (await alice.get(f"{API}/overview")).json()
    assert (overview["clicks"], overview["visitors"], overview["bots"]) == (3, 2, 1)
    assert overview["series"][-1]["clicks"] == 3
    assert (await bob.get(f"{API}/overview")).json()["clicks"] == 1
    after = await totals(stack, rules.ALL)
    assert [b - a for a, b in zip(before, after, strict=True)] == [5, 4, 1]
    # Dimensions are counted by link only: a house of many links has too many of them.
    assert await values(stack, rules.ALL, "browser") == await values(stack, rules.of_owner(hers), "browser") == {}


async def test_a_visitor_is_counted_once_a_day_and_link(stack: Any, code: str) -> None:
    noon = datetime.now(UTC).replace(hour=12) - timedelta(days=2)
    days = [noon, noon + timedelta(hours=3), noon + timedelta(days=1)]
    for at in [*days, days[0]]:  # the last comes late
        await stack.deliver(
            LinksClicked(clicks=[click(code, at=at), click(code, at=at), click(code, at=at, visitor=-5)])
        )
    assert await totals(stack, code) == (12, 4, 0)
    await stack.deliver(LinksClicked(clicks=[click(f"{code}-b", at=noon)]))
    assert await totals(stack, f"{code}-b") == (1, 1, 0)


async def test_codes_that_lead_nowhere_stand_apart(stack: Any, code: str) -> None:
    everything, orphans = await totals(stack, rules.ALL), await totals(stack, rules.UNKNOWN)
    lost = [click(code, known=False), click(code, known=False, visitor=2), click(code, known=False, agent=GOOGLEBOT)]
    await stack.deliver(LinksClicked(clicks=lost))
    assert await totals(stack, code) == (0, 0, 0)
    assert await totals(stack, rules.ALL) == everything
    assert [b - a for a, b in zip(orphans, await totals(stack, rules.UNKNOWN), strict=True)] == [2, 0, 1]
    assert (await values(stack, rules.UNKNOWN, "code"))[code] == 3


async def test_a_stranger_does_not_choose_how_many_rows_there_are(stack: Any, code: str) -> None:
    most = LinksSettings().values_per_hour
    clicks = [click(code, referrer=f"spam{n}.example") for n in range(most + 50)]
    await stack.deliver(LinksClicked(clicks=clicks))
    counted = await values(stack, code, "referrer")
    assert len(counted) == most + 1
    assert counted[rules.OTHERS] == 50
    assert sum(counted.values()) == most + 50


async def test_a_link_that_changed_is_forgotten_by_a_process_that_was_not_told(
    stack: Any, carol: httpx.AsyncClient
) -> None:
    code = (await carol.post(API, json={"url": "https://example.org/1"})).json()["code"]
    assert (await carol.get(f"/links/{code}")).headers["location"] == "https://example.org/1"
    async with stack.db.transaction() as tx:  # as if whoever changed it had died right after
        await tx.execute("UPDATE links.link SET url = 'https://example.org/2' WHERE code = $1", code)
    assert (await carol.get(f"/links/{code}")).headers["location"] == "https://example.org/1"
    await stack.deliver(LinksChanged(codes=[code]))
    async with asyncio.timeout(10):
        while (await carol.get(f"/links/{code}")).headers["location"] != "https://example.org/2":  # noqa: ASYNC110 (a broadcast is on its way)
            await asyncio.sleep(0.02)


# --- keeping --------------------------------------------------------------------------------------------------------


async def everything(stack: Any, code: str) -> dict[tuple[str, str, str], tuple[int, int, int]]:
    """All sums of a code by day, dimension and value, hours and days together."""
    async with stack.db.read(fresh=True) as tx:
        rows = await tx.connection.fetch(
            """SELECT at, dimension, value, sum(clicks)::bigint, sum(visitors)::bigint, sum(bots)::bigint FROM (
                   SELECT code, (at AT TIME ZONE 'UTC')::date AS at, dimension, value, clicks, visitors, bots
                   FROM links.hourly UNION ALL SELECT * FROM links.daily) AS kept
               WHERE code = $1 GROUP BY 1, 2, 3""",
            code,
        )
    return {(str(at), dimension, value): tuple(counts) for at, dimension, value, *counts in rows}


def some_clicks(code: str, dice: random.Random, count: int, days: int) -> list[Click]:
    now = datetime.now(UTC)
    return [
        click(
            code,
            at=now - timedelta(minutes=dice.randrange(days * 1440)),
            visitor=dice.randrange(5),
            country=dice.choice(["DE", "US", ""]),
            referrer=dice.choice(["", "news.example"]),
            agent=dice.choice([FIREFOX, IPHONE, GOOGLEBOT]),
        )
        for _ in range(count)
    ]


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), before=st.floats(0, 40), count=st.integers(0, 400))
async def test_folding_hours_into_days_keeps_every_sum(stack: Any, seed: int, before: float, count: int) -> None:
    dice, code = random.Random(seed), f"fold-{next(_numbers)}"
    links = stack.state("links").links
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=before)
    end = end.replace(hour=0, minute=0, second=0, microsecond=0)
    await stack.deliver(LinksClicked(clicks=some_clicks(code, dice, count, 40)))
    whole = await everything(stack, code)
    await statistics.fold_hours(links, end)
    assert await everything(stack, code) == whole
    assert not await stack.value("SELECT count(*) FROM links.hourly WHERE at < $1", end)
    # Late clicks meet days that are folded already.
    await stack.deliver(LinksClicked(clicks=some_clicks(code, dice, count, 40)))
    whole = await everything(stack, code)
    assert sum(row[0] + row[2] for (_, dimension, _), row in whole.items() if dimension == "") == 2 * count
    await statistics.fold_hours(links, end)
    assert await statistics.fold_hours(links, end) == 0
    assert await everything(stack, code) == whole


async def test_statistics_are_the_same_before_and_after_folding(stack: Any, alice: httpx.AsyncClient) -> None:
    code = (await alice.post(API, json={"url": "https://example.org/"})).json()["code"]
    await stack.deliver(LinksClicked(clicks=some_clicks(code, random.Random(62), 450, 60)))

    async def seen() -> list[Any]:
        periods = [(await alice.get(f"{API}/{code}/stats?period={period}")).json() for period in rules.PERIODS]
        for period in periods:
            del period["to"], period["from"]
        return [*periods, (await alice.get(API)).json()["items"][0]]

    began, before = datetime.now(UTC), await seen()
    await fold_hours.job(stack.state("links"))
    days = LinksSettings().hourly_days
    assert await stack.value("SELECT count(*) FROM links.daily WHERE code = $1", code) > 0
    assert await stack.value("SELECT now() - min(at) FROM links.hourly WHERE code = $1", code) < timedelta(
        days=days + 1
    )
    assert await seen() == before or datetime.now(UTC).hour != began.hour
    assert sum(before[-1]["series"]) < before[-1]["clicks"] == sum(bucket["clicks"] for bucket in before[3]["series"])


async def test_clicks_come_while_hours_are_folded(stack: Any, code: str) -> None:
    clicks = some_clicks(code, random.Random(1), 3000, 20)
    expected = Counter(click.agent == GOOGLEBOT for click in clicks)
    bus = stack.process.runtime.bus
    await bus.publish_many([LinksClicked(clicks=list(some)) for some in itertools.batched(clicks, 20)])
    settling = asyncio.create_task(stack.settle())
    links = stack.state("links").links
    while not settling.done():
        await statistics.fold_hours(links, datetime.now(UTC) - timedelta(days=3))
    await settling
    sums = [row for (_, dimension, _), row in (await everything(stack, code)).items() if dimension == ""]
    assert sum(row[0] for row in sums) == expected[False]
    assert sum(row[2] for row in sums) == expected[True]


async def test_links_that_ended_long_ago_go_with_their_statistics(stack: Any, alice: httpx.AsyncClient) -> None:
    old, recent, lasting = [
        (await alice.post(API, json={"url": "https://example.org/", "ttl": ttl})).json()["code"]
        for ttl in (60, 60, None)
    ]
    await stack.deliver(LinksClicked(clicks=[click(code) for code in (old, recent, lasting)]))
    async with stack.db.transaction() as tx:
        for code, days in ((old, 31), (recent, 29)):
            end = datetime.now(UTC) - timedelta(days=days)
            await tx.execute("UPDATE links.link SET expires_at = $2 WHERE code = $1", code, end)
    await sweep_expired.job(stack.state("links"))
    await stack.settle()
    assert {link["code"] for link in (await alice.get(API)).json()["items"]} == {recent, lasting}
    assert await everything(stack, old) == {}
    assert await everything(stack, recent)
    assert (await alice.get(f"/links/{old}")).status_code == 404


async def test_who_visited_is_forgotten(stack: Any, code: str) -> None:
    now = datetime.now(UTC)
    clicks = [click(code, at=now - timedelta(days=days), visitor=days) for days in range(10)]
    await stack.deliver(LinksClicked(clicks=clicks))
    await forget_visitors.job(stack.state("links"))
    assert await stack.value("SELECT count(*) FROM links.visitor WHERE code = $1", code) == 5
    assert await totals(stack, code) == (10, 10, 0)  # how many there were is kept


async def test_deleting_a_link_removes_what_was_counted(stack: Any, alice: httpx.AsyncClient) -> None:
    code = (await alice.post(API, json={"url": "https://example.org/"})).json()["code"]
    await stack.deliver(LinksClicked(clicks=some_clicks(code, random.Random(3), 100, 30)))
    await fold_hours.job(stack.state("links"))
    assert await everything(stack, code)
    await alice.delete(f"{API}/{code}")
    assert await everything(stack, code) == {}
    assert not await stack.value("SELECT count(*) FROM links.visitor WHERE code = $1", code)


# --- watching -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def address(stack: Any) -> AsyncIterator[str]:
    """The product behind the real web server: streams must not wait for their end."""
    async with stack.served() as address:
        yield address


class Feed:
    """The server-sent events of an open answer."""

    def __init__(self, answer: httpx.Response) -> None:
        self._lines = answer.aiter_lines()
        self.last_id = ""

    async def opened(self) -> None:
        """Read on until whatever happens from now on will be shown."""
        assert [line async for line in self._until(": live")]

    async def take(self, count: int) -> list[dict[str, Any]]:
        """The data of the next so many events."""
        return [msgspec.json.decode(await anext(self._until("data: ")), type=dict) for _ in range(count)]

    async def _until(self, start: str) -> AsyncIterator[str]:
        async for line in self._lines:
            if line.startswith("id: "):
                self.last_id = line.removeprefix("id: ")
            if line.startswith(start):
                yield line.removeprefix(start)
                return

    async def rest(self) -> list[str]:
        return [line async for line in self._lines]


async def readers_gone(stack: Any) -> None:
    async with asyncio.timeout(10):
        while stack.process.runtime.live.readers:  # noqa: ASYNC110 (the server notices by and by)
            await asyncio.sleep(0.01)


async def test_a_click_is_shown_once_it_is_counted(stack: Any, alice: httpx.AsyncClient, address: str) -> None:
    code = (await alice.post(API, json={"url": "https://example.org/"})).json()["code"]
    async with (
        asyncio.timeout(30),
        httpx.AsyncClient(base_url=address, headers=dict(alice.headers)) as client,
        client.stream("GET", f"{API}/{code}/live") as answer,
        connect(
            f"{address.replace('http', 'ws')}{API}/{code}/live/ws",
            additional_headers={"authorization": alice.headers["authorization"]},
        ) as socket,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        feed = Feed(answer)
        await feed.opened()
        while stack.process.runtime.live.readers < 2:  # noqa: ASYNC110 (the socket is on its way)
            await asyncio.sleep(0.01)
        await client.get(f"/links/{code}", headers={"user-agent": IPHONE, "referer": "https://news.example/"})
        await stack.settle()
        [shown] = await feed.take(1)
        assert datetime.now(UTC) - datetime.fromisoformat(shown.pop("at")) < timedelta(minutes=1)
        assert shown == {
            "country": "", "referrer": "news.example", "device": "phone", "browser": "Mobile Safari",
            "system": "iOS", "bot": False,
        }  # fmt: skip
        framed = msgspec.json.decode(await socket.recv())
        assert framed["data"]["referrer"] == "news.example"
        assert (await totals(stack, code))[0] == 1
    await readers_gone(stack)


async def test_who_comes_back_gets_what_was_missed(stack: Any, alice: httpx.AsyncClient, address: str) -> None:
    code = (await alice.post(API, json={"url": "https://example.org/"})).json()["code"]
    async with asyncio.timeout(30), httpx.AsyncClient(base_url=address, headers=dict(alice.headers)) as client:
        async with client.stream("GET", f"{API}/{code}/live") as answer:
            feed = Feed(answer)
            await feed.opened()
            await stack.deliver(LinksClicked(clicks=[click(code, country="DE")]))
            assert [shown["country"] for shown in await feed.take(1)] == ["DE"]
        await stack.deliver(LinksClicked(clicks=[click(code, country="FR")]))  # still of interest for a while
        headers = {"last-event-id": feed.last_id}
        async with client.stream("GET", f"{API}/{code}/live", headers=headers) as answer:
            assert [missed["country"] for missed in await Feed(answer).take(1)] == ["FR"]
    await readers_gone(stack)


async def test_a_flood_is_shown_in_part_and_counted_whole(stack: Any, alice: httpx.AsyncClient, address: str) -> None:
    code = (await alice.post(API, json={"url": "https://example.org/"})).json()["code"]
    async with (
        asyncio.timeout(30),
        httpx.AsyncClient(base_url=address, headers=dict(alice.headers)) as client,
        client.stream("GET", f"{API}/{code}/live") as answer,
    ):
        feed = Feed(answer)
        await feed.opened()
        await stack.deliver(LinksClicked(clicks=[click(code, referrer=f"r{n}.example") for n in range(100)]))
        await stack.deliver(LinksClicked(clicks=[click(code, referrer="last.example")]))
        shown = [event["referrer"] for event in await feed.take(SHOWN_LIVE + 1)]
    assert shown == [*(f"r{n}.example" for n in range(100 - SHOWN_LIVE, 100)), "last.example"]
    assert (await totals(stack, code))[0] == 101


async def test_what_nobody_watches_is_sent_to_nobody(stack: Any, code: str) -> None:
    live = stack.process.runtime.live
    before = live.published
    await stack.deliver(LinksClicked(clicks=[click(code)]))
    assert live.published == before


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("nowhere/live", {}, 404),
        ("a.b/live", {}, 422),
        ("{code}/live", {"last-event-id": "yesterday"}, 400),
        ("{code}/live", {"last-event-id": "9" * 21}, 422),
        ("{code}/live", {"last-event-id": "\xff"}, 400),
    ],
)
async def test_a_feed_that_cannot_be_had(
    carol: httpx.AsyncClient, path: str, headers: dict[str, str], status: int
) -> None:
    code = (await carol.post(API, json={"url": "https://example.org/"})).json()["code"]
    encoded = {name: value.encode("latin-1") for name, value in headers.items()}
    answer = await carol.get(f"{API}/{path.format(code=code)}", headers=encoded)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_socket_that_cannot_be_had(alice: httpx.AsyncClient, bob: httpx.AsyncClient, address: str) -> None:
    code = (await alice.post(API, json={"url": "https://example.org/"})).json()["code"]
    for path in (code, "nowhere", "a.b"):
        feed = connect(
            f"{address.replace('http', 'ws')}{API}/{path}/live/ws",
            additional_headers={"authorization": bob.headers["authorization"]},
        )
        with pytest.raises(InvalidStatus):
            await feed


async def test_a_drain_ends_open_feeds(
    stack_with: Callable[..., AbstractAsyncContextManager[Any]],
) -> None:
    async with stack_with() as stack, stack.served() as address, asyncio.timeout(30):
        alice = await stack.account("alice")
        code = (await alice.post(API, json={"url": "https://example.org/"})).json()["code"]
        async with (
            httpx.AsyncClient(base_url=address, headers=dict(alice.headers)) as client,
            client.stream("GET", f"{API}/{code}/live") as answer,
        ):
            feed = Feed(answer)
            await feed.opened()
            await stack.process.runtime.live.end_readers()
            await feed.rest()
