"""Bulk import: what is added once however often it is sent, and what is refused."""

import json
from typing import Any

import httpx

from tenfold.contracts.feed import FollowChanged
from tenfold.systems.feed.actions import imports
from tenfold.systems.feed.actions.imports import Imported, import_graph
from tenfold.systems.feed.settings import FeedSettings

API = "/feed/api/v1"
GRAPH: list[dict[str, Any]] = [
    {"type": "account", "username": "Ada", "display_name": " Ada  Lovelace ", "note": "Notes"},
    {"type": "account", "username": "bert"},
    {"type": "follow", "follower": "bert", "followee": "ADA"},
    {"type": "follow", "follower": "bert", "followee": "ada"},
    {"type": "post", "author": "ada", "text": "Hello @Bert #Tea #tea", "at": "2026-03-01T12:00:00+01:00"},
    {"type": "post", "author": "bert", "text": "Hi", "at": "2026-03-02T00:00:00Z", "id": 77},
]


async def run(stack: Any, *lines: dict[str, Any] | bytes) -> Imported:
    raw = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    return await import_graph(stack.state("feed").feed, raw)


async def test_a_graph_is_there_once_however_often_it_is_sent(stack: Any, stranger: httpx.AsyncClient) -> None:
    done = await run(stack, *GRAPH)
    assert (done.accounts, done.follows, done.posts, done.problems) == (2, 1, 2, [])
    for _ in range(2):
        ada = (await stranger.get(f"{API}/accounts/lookup", params={"acct": "ada"})).json()
        assert (ada["username"], ada["display_name"], ada["note"]) == ("Ada", "Ada Lovelace", "<p>Notes</p>")
        assert (ada["followers_count"], ada["statuses_count"], ada["last_status_at"]) == (1, 1, "2026-03-01")
        [post] = (await stranger.get(f"{API}/accounts/{ada['id']}/statuses")).json()
        assert post["created_at"] == "2026-03-01T11:00:00.000Z"
        assert [each["acct"] for each in post["mentions"]] == ["bert"]
        assert [each["name"] for each in post["tags"]] == ["tea"]
        assert (await stranger.get(f"{API}/timelines/tag/tea")).json() == [post]
        assert [each["id"] for each in (await stranger.get(f"{API}/timelines/public")).json()] == [post["id"], "77"]
        again = await run(stack, *reversed(GRAPH))
        assert (again.accounts, again.follows, again.posts, again.problems) == (0, 0, 0, [])


async def test_what_cannot_be_taken_is_told_and_the_rest_goes_on(stack: Any) -> None:
    done = await run(
        stack,
        GRAPH[0],
        b"\n",
        b"{",
        b"\xff",
        {"type": "house"},
        {"type": "account", "username": "no space"},
        {"type": "follow", "follower": "ada", "followee": "nobody"},
        {"type": "follow", "follower": "ada", "followee": "ada"},
        {"type": "post", "author": "nobody", "text": "Hi", "at": "2026-03-01T12:00:00Z"},
        {"type": "post", "author": "ada", "text": " ", "at": "2026-03-01T12:00:00Z"},
        {"type": "post", "author": "ada", "text": "Hi", "at": "2026-03-01T12:00:00"},
        {"type": "post", "author": "ada", "text": "Hi", "at": "2016-03-01T12:00:00Z"},
        {"type": "post", "author": "ada", "text": "Hi", "at": "2016-03-01T12:00:00Z", "id": 5},
        b" " * (imports.MOST_LINE + 1),
    )
    assert (done.accounts, done.follows, done.posts, done.refused) == (1, 0, 1, 11)
    assert "line 3: " in done.problems[0]


async def test_people_who_are_here_are_met_and_not_changed(stack: Any, alice: httpx.AsyncClient) -> None:
    bob = await stack.account("bob")  # has an account, and has never been to the feed
    await alice.get(f"{API}/accounts/verify_credentials")
    lines = [
        {"type": "account", "username": "ALICE", "display_name": "Somebody else"},
        {"type": "account", "username": "bob", "display_name": "Bob B."},
        {"type": "follow", "follower": "bob", "followee": "alice"},
    ]
    done = await run(stack, *lines)
    assert (done.accounts, done.follows) == (1, 1)
    me = (await alice.get(f"{API}/accounts/verify_credentials")).json()
    assert (me["display_name"], me["followers_count"]) == ("alice", 1)
    his = (await bob.get(f"{API}/accounts/verify_credentials")).json()
    assert (his["username"], his["display_name"], his["following_count"]) == ("bob", "Bob B.", 1)


async def test_an_import_and_the_living_count_together(stack: Any, alice: httpx.AsyncClient) -> None:
    await run(stack, *GRAPH)
    ada = (await alice.get(f"{API}/accounts/lookup", params={"acct": "ada"})).json()["id"]
    me = (await alice.get(f"{API}/accounts/verify_credentials")).json()["id"]
    await alice.post(f"{API}/accounts/{ada}/follow")
    done = await run(stack, {"type": "follow", "follower": "alice", "followee": "ada"})
    assert done.follows == 0  # it is there, and its event is on the way
    await stack.settle()
    assert (await alice.get(f"{API}/accounts/{ada}")).json()["followers_count"] == 2
    await stack.deliver(FollowChanged(follower_id=int(me), followee_id=int(ada), following=False))
    assert (await alice.get(f"{API}/accounts/{ada}")).json()["followers_count"] == 1


async def test_who_is_imported_with_many_followers_is_a_celebrity(stack_with: Any) -> None:
    async with stack_with(systems={"feed": FeedSettings(celebrity_followers=1)}) as stack:
        await run(stack, *GRAPH)
        feed = stack.state("feed").feed
        await feed.celebrities.reread()
        assert feed.celebrities.ids == {await stack.value("SELECT account_id FROM feed.username WHERE name = 'ada'")}
