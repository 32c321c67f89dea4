"""Counts, and what hangs on posts: whatever people do, they agree with what is there."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenfold.contracts.feed import PostMarked, PostPublished
from tenfold.systems.feed.actions import counts

STATUSES = "/feed/api/v1/statuses"
VERBS = ["favourite", "unfavourite", "reblog", "unreblog", "bookmark"]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["post", "reply", "whisper", "delete", "settle", *VERBS]), st.booleans(), st.integers(0, 9)
    ),
    min_size=3,
    max_size=25,
)

#: Differences between what is counted or noted and what is there. Each must be 0.
DISAGREE = {
    "favourites": """SELECT count(*) FROM feed.post_count c WHERE favourites <>
                     (SELECT count(*) FROM feed.marked_by m WHERE m.post_id = c.post_id AND kind = 'favourite')""",
    "reblogs": """SELECT count(*) FROM feed.post_count c WHERE reblogs <>
                  (SELECT count(*) FROM feed.post p WHERE p.reblog_of_id = c.post_id)""",
    "replies": """SELECT count(*) FROM feed.post_count c WHERE replies <>
                  (SELECT count(*) FROM feed.post p WHERE p.in_reply_to_id = c.post_id AND p.visibility <> 'direct')""",
    "statuses": """SELECT count(*) FROM feed.account_count c WHERE statuses <>
                   (SELECT count(*) FROM feed.post p WHERE p.author_id = c.account_id AND p.visibility <> 'direct')""",
    "counted posts": """SELECT count(*) FROM feed.post_count c FULL JOIN
                        (SELECT id FROM feed.post WHERE reblog_of_id IS NULL) p ON p.id = c.post_id
                        WHERE p.id IS NULL OR c.post_id IS NULL""",
    "authored": """SELECT count(*) FROM feed.authored a FULL JOIN feed.post p ON p.id = a.post_id
                   WHERE p.id IS NULL OR a.post_id IS NULL""",
    "tagged": "SELECT count(*) FROM feed.tagged t WHERE NOT EXISTS (SELECT FROM feed.post p WHERE p.id = t.post_id)",
    "marks": """SELECT count(*) FROM feed.marked_by b FULL JOIN
                (SELECT * FROM feed.mark WHERE kind IN ('favourite', 'reblog')) m
                ON (m.account_id, m.kind, m.post_id, m.id) = (b.account_id, b.kind, b.post_id, b.id)
                WHERE m.id IS NULL OR b.id IS NULL""",
    "reposts": """SELECT count(*) FROM feed.post r FULL JOIN (SELECT * FROM feed.mark WHERE kind = 'reblog') m
                  ON m.id = r.id WHERE (r.reblog_of_id IS NOT NULL AND m.id IS NULL) OR r.id IS NULL""",
    "orphans": "SELECT count(*) FROM feed.marked_by m WHERE NOT EXISTS (SELECT FROM feed.post WHERE id = m.post_id)",
}


@dataclass
class House:
    stack: Any
    people: list[httpx.AsyncClient] = field(default_factory=list)


@pytest.fixture(scope="module")
async def house(stack_with: Callable[..., AbstractAsyncContextManager[Any]]) -> AsyncIterator[House]:
    async with stack_with() as stack:
        yield House(stack, [await stack.account("alice", "enterprise"), await stack.account("bob", "enterprise")])


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(steps=STEPS)
async def test_counts_are_what_is_there(house: House, steps: list[tuple[str, bool, int]]) -> None:
    made: list[str] = []
    for what, first, number in steps:
        client = house.people[0 if first else 1]
        target = made[number % len(made)] if made else None
        if what == "settle":
            await house.stack.settle()
        elif what == "post" or target is None:
            made.append((await client.post(STATUSES, json={"status": f"hello #{'abc'[number % 3]}"})).json()["id"])
        elif what in ("reply", "whisper"):
            wish = {"status": "yes", "in_reply_to_id": target, "visibility": "public" if what == "reply" else "direct"}
            answered = await client.post(STATUSES, json=wish)
            if answered.status_code == 200:  # what was answered may be gone, or a whisper
                made.append(answered.json()["id"])
        elif what == "delete":
            await client.delete(f"{STATUSES}/{target}")
        else:
            await client.post(f"{STATUSES}/{target}/{what}")
    await house.stack.settle()
    found = {what: await house.stack.value(sql) for what, sql in DISAGREE.items()}
    assert found == dict.fromkeys(DISAGREE, 0), steps


async def test_a_count_that_is_overtaken_is_never_less_than_nothing(house: House) -> None:
    """What undoes something may be counted before it, by another worker."""
    alice = house.people[0]
    made = (await alice.post(STATUSES, json={"status": "x"})).json()
    await house.stack.settle()
    about: dict[str, Any] = {"post_id": int(made["id"]), "author_id": int(made["account"]["id"]), "account_id": 1}

    async def seen() -> int:
        found: int = (await alice.get(f"{STATUSES}/{made['id']}")).json()["favourites_count"]
        return found

    await house.stack.deliver(PostMarked(**about, on=False))
    assert await seen() == 0
    await house.stack.deliver(PostMarked(**about, on=True))
    assert await seen() == 0
    await house.stack.deliver(PostMarked(**about, on=True), times=3)
    assert await seen() == 1


async def test_what_is_delivered_twice_counts_once(house: House) -> None:
    alice = house.people[0]
    made = (await alice.post(STATUSES, json={"status": "x"})).json()
    await house.stack.settle()
    before = (await alice.get("/feed/api/v1/accounts/verify_credentials")).json()["statuses_count"]
    event = PostPublished(post_id=int(made["id"]), author_id=int(made["account"]["id"]), visibility="public")
    await house.stack.deliver(event, times=3)
    after = (await alice.get("/feed/api/v1/accounts/verify_credentials")).json()
    assert after["statuses_count"] == before + 1


async def test_much_that_hangs_on_a_post_goes_with_it(
    stack: Any, alice: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "PIECE", 2)
    made = (await alice.post(STATUSES, json={"status": "popular"})).json()
    path = f"{STATUSES}/{made['id']}"
    for number in range(5):
        fan = await stack.account(f"fan_{number}")
        for verb in ("favourite", "reblog"):
            assert (await fan.post(f"{path}/{verb}")).status_code == 200
    await stack.settle()
    assert (await alice.delete(path)).status_code == 200
    await stack.settle()
    assert {what: await stack.value(sql) for what, sql in DISAGREE.items()} == dict.fromkeys(DISAGREE, 0)
    assert (await fan.get("/feed/api/v1/accounts/verify_credentials")).json()["statuses_count"] == 0
