"""Trends through HTTP: tags that rise, posts that are liked, and the history of a tag."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import httpx

from tenfold.contracts.feed import PostPublished
from tenfold.platform.ids import first_id
from tenfold.systems.feed.actions import trends
from tenfold.systems.feed.jobs.sweeps import forget_idempotency_keys
from tenfold.systems.feed.jobs.trends import sweep_tags

API = "/feed/api/v1"


async def say(client: httpx.AsyncClient, status: str, **wish: Any) -> str:
    made = await client.post(f"{API}/statuses", json={"status": status, **wish})
    assert made.status_code == 200, made.text
    return str(made.json()["id"])


async def rising(client: httpx.AsyncClient, **query: Any) -> list[str]:
    found = await client.get(f"{API}/trends/tags", params=query)
    assert found.status_code == 200, found.text
    return [each["name"] for each in found.json()]


async def today_of(client: httpx.AsyncClient, tag: str) -> tuple[str, str]:
    history = (await client.get(f"{API}/tags/{tag}")).json()["history"]
    return history[0]["uses"], history[0]["accounts"]


async def test_tags_of_public_posts_are_counted_once_and_people_once_a_day(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    made = await say(alice, "#Tea #tea")
    await say(alice, "more #tea")
    await say(bob, "#TEA")
    await say(bob, "#tea", visibility="unlisted")
    await say(bob, "#tea", visibility="private")
    await bob.post(f"{API}/statuses/{made}/reblog")
    await stack.settle()
    assert await today_of(stranger, "tea") == ("3", "2")


async def test_an_event_that_comes_twice_counts_once(stack: Any, stranger: httpx.AsyncClient) -> None:
    now = first_id(datetime.now(UTC).timestamp())
    await stack.deliver(PostPublished(post_id=now, author_id=1, visibility="public", tags=["tea"]), times=3)
    assert await today_of(stranger, "tea") == ("1", "1")


async def test_posts_from_long_ago_are_no_news(stack: Any, stranger: httpx.AsyncClient) -> None:
    old = first_id((datetime.now(UTC) - timedelta(days=30)).timestamp())
    await stack.deliver(PostPublished(post_id=old, author_id=1, visibility="public", tags=["tea"]))
    assert await stack.value("SELECT count(*) FROM feed.tag_hour") == 0


async def test_what_more_people_say_rises_and_shouting_does_not(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    carol = await stack.account("carol")
    for _ in range(5):
        await say(alice, "#buymine")
    for client in (alice, bob, carol):
        await say(client, "#eclipse")
    for client in (alice, bob):
        await say(client, "#coffee #cake")
    await stack.settle()
    # Of coffee two people have spoken every hour of the days before.
    usual = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    async with stack.db.transaction() as tx:
        await tx.execute(
            """INSERT INTO feed.tag_hour (tag, hour, uses, people)
               SELECT 'coffee', $1::timestamptz - make_interval(hours => n), 2, 2 FROM generate_series(2, 167) AS n""",
            usual,
        )
    feed = stack.state("feed").feed
    computed = await trends.compute(feed)
    assert computed.tags[:2] == ["eclipse", "cake"]
    assert "buymine" not in computed.tags
    assert await rising(stranger, limit=1) == ["eclipse"]
    assert await rising(stranger, limit=1, offset=1) == ["cake"]
    assert (await stranger.get(f"{API}/trends")).json()[0]["history"][0]["accounts"] == "3"
    assert (await stranger.get(f"{API}/trends/links")).json() == []


async def test_trends_are_computed_once_for_all_who_ask(stack: Any, alice: httpx.AsyncClient) -> None:
    feed = stack.state("feed").feed
    first = await trends.current(feed)
    await say(alice, "#late")
    await stack.settle()
    assert await trends.current(feed) is first
    assert await trends.compute(feed) is not first


async def test_posts_that_are_liked_are_trends_for_those_who_may_see_them(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    liked, better = await say(alice, "good"), await say(alice, "better")
    own, quiet = await say(bob, "mine"), await say(bob, "quiet", visibility="unlisted")
    for each in (liked, better, quiet):
        await bob.post(f"{API}/statuses/{each}/favourite")
    await bob.post(f"{API}/statuses/{better}/reblog")
    await alice.post(f"{API}/statuses/{own}/favourite")
    await stack.settle()
    found = await stranger.get(f"{API}/trends/statuses")
    assert [each["id"] for each in found.json()] == [better, own]
    a = (await alice.get(f"{API}/accounts/verify_credentials")).json()["id"]
    await bob.post(f"{API}/accounts/{a}/mute")
    assert [each["id"] for each in (await bob.get(f"{API}/trends/statuses")).json()] == [own]


async def test_a_tag_has_a_history_of_seven_days(stack: Any, alice: httpx.AsyncClient) -> None:
    await say(alice, "#Größe")
    await stack.settle()
    found = (await alice.get(f"{API}/tags/Größe")).json()
    assert found["name"] == "größe"
    assert found["url"].endswith("/feed/tags/gr%C3%B6%C3%9Fe")
    assert found["following"] is False
    days = [int(each["day"]) for each in found["history"]]
    assert [first - second for first, second in pairwise(days)] == [86_400] * 6
    assert days[0] % 86_400 == 0
    assert [each["uses"] for each in found["history"]] == ["1", *["0"] * 6]
    for no_tag in ("12", "a-b", "a%20b"):
        assert (await alice.get(f"{API}/tags/{no_tag}")).status_code == 404


async def test_old_uses_and_keys_are_forgotten(stack: Any, alice: httpx.AsyncClient) -> None:
    now = datetime.now(UTC)
    async with stack.db.transaction() as tx:
        for days in (0, 7, 9, 30):
            when = now - timedelta(days=days)
            await tx.execute(
                "INSERT INTO feed.tag_hour VALUES ('tea', date_trunc('hour', $1::timestamptz), 1, 1)", when
            )
            await tx.execute("INSERT INTO feed.tag_person VALUES ('tea', $1, 7)", when.date())
            await tx.execute("INSERT INTO feed.idempotency VALUES (7, $1, 1, $2)", str(days), when)
    state = stack.state("feed")
    await sweep_tags.job(state)
    await forget_idempotency_keys.job(state)
    assert await stack.value("SELECT count(*) FROM feed.tag_hour") == 2
    assert await stack.value("SELECT count(*) FROM feed.tag_person") == 2
    assert await stack.value("SELECT array_agg(key) FROM feed.idempotency") == ["0"]
