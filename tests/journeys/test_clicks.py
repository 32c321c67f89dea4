"""Clicks through the real processes: killed in the middle they lose none and double none, stopped they lose none."""

import asyncio
import itertools
import random
import signal
import socket
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.journeys.conftest import children_of

from tenfold.contracts.links import Click, LinksClicked

pytestmark = pytest.mark.journey

CLICKS, KILLS = 50_000, 6
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


def clicks() -> list[Click]:
    """Clicks of people and bots on 20 links, as several processes and hours bring them."""
    dice, now = random.Random(62), datetime.now(UTC).timestamp()
    return [
        Click(
            code=f"link-{dice.randrange(20)}",
            at=now - dice.randrange(6 * 3600),
            owner_id=dice.randrange(1, 4),
            visitor=dice.randrange(1000),
            country=dice.choice(["DE", "US", "FR", ""]),
            referrer=dice.choice(["", "news.example"]),
            agent=GOOGLEBOT if dice.random() < 0.1 else FIREFOX,
        )
        for _ in range(CLICKS)
    ]


async def test_consumers_killed_in_the_middle_lose_no_click_and_double_none(
    stack_with: Callable[..., AbstractAsyncContextManager[Any]], tmp_path: Path
) -> None:
    async with stack_with() as stack, children_of(stack, tmp_path) as children, asyncio.timeout(150):
        counted = "SELECT coalesce(sum(clicks + bots), 0)::bigint FROM links.hourly WHERE code = '*' AND dimension = ''"
        bus = stack.process.runtime.bus
        all_clicks = clicks()
        events = [LinksClicked(clicks=list(some)) for some in itertools.batched(all_clicks, 25)]
        workers = [await children.start("work") for _ in range(2)]
        before = 0
        for turn, some in enumerate(itertools.batched(events, len(events) // KILLS)):
            await bus.publish_many(some)
            while (now := await stack.value(counted)) <= before:  # noqa: ASYNC110 (until they are at it)
                await asyncio.sleep(0.005)
            before = now
            await children.kill(workers[turn % 2])
            workers[turn % 2] = await children.start("work")
        while (await bus.backlog())["links-count-clicks"]:  # noqa: ASYNC110 (the server only answers)
            await asyncio.sleep(0.1)
        await children.stop()

        assert await stack.value(counted) == CLICKS, children.said
        people = [click for click in all_clicks if click.agent == FIREFOX]
        visits = {(click.code, datetime.fromtimestamp(click.at, UTC).date(), click.visitor) for click in people}
        expected = {
            code: (clicks, sum(visit[0] == code for visit in visits), bots)
            for code, clicks, bots in (
                (code, count, sum(click.code == code and click.agent == GOOGLEBOT for click in all_clicks))
                for code, count in Counter(click.code for click in people).items()
            )
        }
        async with stack.db.read(fresh=True) as tx:
            totals = await tx.connection.fetch(
                """SELECT code, sum(clicks)::bigint, sum(visitors)::bigint, sum(bots)::bigint FROM links.hourly
                   WHERE code LIKE 'link-%' AND dimension = '' GROUP BY 1"""
            )
            countries = await tx.connection.fetch(
                "SELECT code, value, sum(clicks)::bigint FROM links.hourly WHERE dimension = 'country' GROUP BY 1, 2"
            )
        assert {code: tuple(counts) for code, *counts in totals} == expected
        by_country = Counter((click.code, click.country) for click in people)
        assert {(code, country): count for code, country, count in countries} == dict(by_country)


async def test_a_web_process_that_is_stopped_loses_no_click(
    stack_with: Callable[..., AbstractAsyncContextManager[Any]], tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    async with stack_with() as stack, children_of(stack, tmp_path) as children, asyncio.timeout(90):
        alice = await stack.account("alice")
        code = (await alice.post("/links/api/links", json={"url": "https://example.org/"})).json()["code"]
        web = await children.start("serve", "--port", str(port))
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=dict(alice.headers)) as client:
            while not await answers(client):
                assert web.returncode is None, children.said
                await asyncio.sleep(0.05)
            sent = acknowledged = 0

            async def follow() -> None:
                nonlocal sent, acknowledged
                while True:
                    sent += 1
                    try:
                        answer = await client.get(f"/links/{code}", headers={"user-agent": FIREFOX})
                    except httpx.TransportError:
                        return  # the server has gone; whether it counted this one is open
                    assert answer.status_code == 302
                    acknowledged += 1

            # Somebody watches, too: a stream that is open must not hold up the stop.
            async with client.stream("GET", f"/links/api/links/{code}/live") as feed:
                lines = feed.aiter_lines()
                assert await anext(lines)
                visitors = [asyncio.create_task(follow()) for _ in range(16)]
                while acknowledged < 1000:  # noqa: ASYNC110 (a number sends no events)
                    await asyncio.sleep(0.01)
                web.send_signal(signal.SIGTERM)
                assert await web.wait() == 0, children.said
                await asyncio.gather(*visitors)
                async for _ in lines:  # it comes to an end as it should
                    pass
        await stack.settle()
        total = "SELECT sum(clicks)::bigint FROM links.hourly WHERE code = $1 AND dimension = ''"
        assert acknowledged <= await stack.value(total, code) <= sent
        assert "clicks_lost" not in children.said


async def answers(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/healthz")).status_code == 200
    except httpx.TransportError:
        return False
