"""Following, blocking and muting, through HTTP: what both sides see, what is counted, and whose home changes."""

import asyncio
from typing import Any

import httpx
import pytest

from tenfold.contracts.feed import FollowChanged
from tenfold.systems.feed.settings import FeedSettings

API = "/feed/api/v1"


async def id_of(client: httpx.AsyncClient) -> str:
    own = await client.get(f"{API}/accounts/verify_credentials")
    assert own.status_code == 200, own.text
    return str(own.json()["id"])


async def do(client: httpx.AsyncClient, account_id: str, what: str, **body: Any) -> dict[str, Any]:
    done = await client.post(f"{API}/accounts/{account_id}/{what}", json=body)
    assert done.status_code == 200, done.text
    answer: dict[str, Any] = done.json()
    return answer


async def relationship(client: httpx.AsyncClient, account_id: str) -> dict[str, Any]:
    found = await client.get(f"{API}/accounts/relationships", params={"id[]": [account_id]})
    [answer] = found.json()
    return dict(answer)


async def counts(client: httpx.AsyncClient, account_id: str) -> tuple[int, int]:
    account = (await client.get(f"{API}/accounts/{account_id}")).json()
    return account["followers_count"], account["following_count"]


async def people(client: httpx.AsyncClient, path: str, **query: Any) -> list[str]:
    found = await client.get(f"{API}/{path}", params=query)
    assert found.status_code == 200, found.text
    return [each["username"] for each in found.json()]


async def test_following_shows_on_both_sides_and_is_counted(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    a, b = await id_of(alice), await id_of(bob)
    told = await do(alice, b, "follow", notify=True)
    assert told == {
        "id": b, "following": True, "showing_reblogs": True, "notifying": True, "followed_by": False,
        "blocking": False, "blocked_by": False, "muting": False, "muting_notifications": False,
        "muting_expires_at": None, "requested": False, "requested_by": False, "note": "", "languages": None,
        "domain_blocking": False, "endorsed": False,
    }  # fmt: skip
    assert (await relationship(bob, a))["followed_by"]
    assert await people(bob, f"accounts/{b}/followers") == ["alice"]
    assert await people(bob, f"accounts/{a}/following") == ["bob"]
    await do(alice, b, "follow", reblogs=False)  # changes what is shown, and isn't a second follow
    assert (await relationship(alice, b))["showing_reblogs"] is False
    assert (await relationship(alice, b))["notifying"] is True
    await stack.settle()
    assert (await counts(alice, a), await counts(alice, b)) == ((0, 1), (1, 0))
    await do(alice, b, "unfollow")
    await do(alice, b, "unfollow")
    await stack.settle()
    assert (await counts(alice, a), await counts(alice, b)) == ((0, 0), (0, 0))
    assert await people(bob, f"accounts/{b}/followers") == []


async def test_an_event_delivered_twice_counts_once(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    a, b = await id_of(alice), await id_of(bob)
    await stack.deliver(FollowChanged(follower_id=int(a), followee_id=int(b), following=True), times=3)
    assert await counts(alice, b) == (1, 0)


async def test_nobody_follows_themselves_or_nobody(alice: httpx.AsyncClient, stranger: httpx.AsyncClient) -> None:
    a = await id_of(alice)
    assert (await alice.post(f"{API}/accounts/{a}/follow")).status_code == 403
    assert (await alice.post(f"{API}/accounts/{a}/block")).status_code == 403
    assert (await alice.post(f"{API}/accounts/4711/follow")).status_code == 404
    assert (await alice.post(f"{API}/accounts/nobody/follow")).status_code == 404
    assert (await stranger.post(f"{API}/accounts/{a}/follow")).status_code == 401


async def test_one_can_follow_so_many(stack_with: Any) -> None:
    async with stack_with(systems={"feed": FeedSettings(follows=1)}) as stack:
        dora, first, locked = [await stack.account(name) for name in ("dora", "first", "locked")]
        await do(dora, await id_of(first), "follow")
        await do(dora, await id_of(first), "follow")
        await locked.patch(f"{API}/accounts/update_credentials", json={"locked": True})
        refused = await dora.post(f"{API}/accounts/{await id_of(locked)}/follow")
        assert (refused.status_code, refused.json()["error_description"]) == (422, "too_many_follows")


async def test_a_locked_account_decides_who_follows(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    carol = await stack.account("carol")
    a, b, c = await id_of(alice), await id_of(bob), await id_of(carol)
    await bob.patch(f"{API}/accounts/update_credentials", json={"locked": True})
    for client in (alice, carol):
        told = await do(client, b, "follow")
        assert (told["requested"], told["following"]) == (True, False)
    await do(alice, b, "follow")  # asking twice is asking once
    assert await people(bob, "follow_requests") == ["carol", "alice"]
    assert (await relationship(bob, a))["requested_by"]
    own = (await bob.get(f"{API}/accounts/verify_credentials")).json()
    assert own["source"]["follow_requests_count"] == 2
    assert (await bob.post(f"{API}/follow_requests/{a}/authorize")).json()["followed_by"]
    assert not (await bob.post(f"{API}/follow_requests/{c}/reject")).json()["requested_by"]
    assert (await bob.post(f"{API}/follow_requests/{c}/authorize")).status_code == 404
    assert (await relationship(alice, b))["following"]
    assert not (await relationship(carol, b))["requested"]
    await stack.settle()
    assert await counts(bob, b) == (1, 0)
    await do(carol, b, "follow")
    await do(carol, b, "unfollow")  # takes the request back
    assert await people(bob, "follow_requests") == []
    await stack.settle()
    assert await counts(bob, b) == (1, 0)


async def test_who_waits_follows_once_an_account_is_unlocked(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    b = await id_of(bob)
    await bob.patch(f"{API}/accounts/update_credentials", json={"locked": True})
    await do(alice, b, "follow", reblogs=False)
    await bob.patch(f"{API}/accounts/update_credentials", json={"locked": False})
    told = await relationship(alice, b)
    assert (told["following"], told["requested"], told["showing_reblogs"]) == (True, False, False)
    await stack.settle()
    assert await counts(bob, b) == (1, 0)


async def test_a_block_ends_following_both_ways(stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    a, b = await id_of(alice), await id_of(bob)
    await do(alice, b, "follow")
    await do(bob, a, "follow")
    told = await do(alice, b, "block")
    assert (told["blocking"], told["following"], told["followed_by"]) == (True, False, False)
    assert (await relationship(bob, a))["blocked_by"]
    assert (await bob.post(f"{API}/accounts/{a}/follow")).status_code == 403
    assert (await alice.post(f"{API}/accounts/{b}/follow")).status_code == 403
    assert await people(alice, "blocks") == ["bob"]
    assert await people(bob, f"accounts/{a}/followers") == []
    await stack.settle()
    assert (await counts(alice, a), await counts(alice, b)) == ((0, 0), (0, 0))
    assert not (await do(alice, b, "unblock"))["blocking"]
    assert (await do(bob, a, "follow"))["following"]


async def test_a_follow_never_outlives_a_block_at_the_same_moment(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    a, b = await id_of(alice), await id_of(bob)
    for _ in range(10):
        await asyncio.gather(
            alice.post(f"{API}/accounts/{b}/follow"),
            bob.post(f"{API}/accounts/{a}/block"),
            bob.post(f"{API}/accounts/{a}/follow"),
        )
        told = await relationship(bob, a)
        assert (told["blocking"], told["following"], told["followed_by"]) == (True, False, False)
        await do(bob, a, "unblock")
    await stack.settle()
    assert (await counts(alice, a), await counts(alice, b)) == ((0, 0), (0, 0))


async def test_a_mute_may_end_and_may_leave_notifications(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    b = await id_of(bob)
    told = await do(alice, b, "mute")
    assert (told["muting"], told["muting_notifications"], told["muting_expires_at"]) == (True, True, None)
    assert (await alice.get(f"{API}/mutes")).json()[0]["mute_expires_at"] is None
    told = await do(alice, b, "mute", duration=3600, notifications=False)
    assert (told["muting_notifications"], told["muting_expires_at"] is None) == (False, False)
    [muted] = (await alice.get(f"{API}/mutes")).json()
    assert muted["username"] == "bob"
    assert muted["mute_expires_at"].endswith("Z")
    assert not (await do(alice, b, "unmute"))["muting"]
    assert (await alice.post(f"{API}/accounts/{b}/mute", json={"duration": -1})).status_code == 422


async def test_mutes_that_are_over_are_forgotten(stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    b = await id_of(bob)
    await do(alice, b, "mute", duration=3600)
    await do(alice, b, "follow")
    await do(alice, b, "unfollow")
    async with stack.db.transaction() as tx:
        await tx.execute("UPDATE feed.relation SET until = until - interval '2 hours'")
    assert not (await relationship(alice, b))["muting"]
    assert await people(alice, "mutes") == []
    [forget] = [
        each for each in stack.process.systems["feed"][0].schedules if each.name == "feed-forget-ended-relations"
    ]
    await forget.job(stack.state("feed"))
    assert await stack.value("SELECT array_agg(kind) FROM feed.relation") == ["unfollowed"]  # not a day old yet


async def test_somebody_is_removed_from_followers(stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    a, b = await id_of(alice), await id_of(bob)
    await do(alice, b, "follow")
    assert not (await do(bob, a, "remove_from_followers"))["followed_by"]
    assert not (await relationship(alice, b))["following"]


async def test_a_note_is_its_authors_alone(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    a, b = await id_of(alice), await id_of(bob)
    assert (await do(alice, b, "note", comment=" met at the lake "))["note"] == "met at the lake"
    assert (await relationship(bob, a))["note"] == ""
    assert (await do(alice, b, "note"))["note"] == ""


async def test_people_are_paged_by_links(stack: Any, alice: httpx.AsyncClient) -> None:
    a = await id_of(alice)
    for number in range(5):
        await do(await stack.account(f"fan_{number}"), a, "follow")
    first = await alice.get(f"{API}/accounts/{a}/followers", params={"limit": 2})
    assert [each["username"] for each in first.json()] == ["fan_4", "fan_3"]
    second = await alice.get(first.links["next"]["url"])
    assert [each["username"] for each in second.json()] == ["fan_2", "fan_1"]
    third = await alice.get(second.links["next"]["url"])
    assert [each["username"] for each in third.json()] == ["fan_0"]
    back = await alice.get(third.links["prev"]["url"])
    assert [each["username"] for each in back.json()] == ["fan_2", "fan_1"]


async def test_relationships_leave_out_who_does_not_exist(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    a, b = await id_of(alice), await id_of(bob)
    found = await alice.get(f"{API}/accounts/relationships", params={"id[]": [b, "4711", "x", a, b]})
    assert [each["id"] for each in found.json()] == [b, a]
    assert (await alice.get(f"{API}/accounts/relationships")).json() == []


async def test_familiar_followers_are_those_one_follows(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    carol = await stack.account("carol")
    b, c = await id_of(bob), await id_of(carol)
    await do(alice, b, "follow")
    await do(bob, c, "follow")
    for asked in ({"params": {"id[]": [c]}}, {"json": {"id": c}}, {"json": {"id": [c]}}):
        found = await alice.request("GET", f"{API}/accounts/familiar_followers", **asked)  # type: ignore[arg-type]
        [known] = found.json()
        assert (known["id"], [each["username"] for each in known["accounts"]]) == (c, ["bob"])


async def test_who_has_many_followers_becomes_a_celebrity_once(stack_with: Any) -> None:
    async with stack_with(systems={"feed": FeedSettings(celebrity_followers=2)}) as stack:
        star = await stack.account("star")
        s = await id_of(star)
        fans = [await stack.account(f"fan_{number}") for number in range(3)]
        feed = stack.state("feed").feed
        await do(fans[0], s, "follow")
        await stack.settle()
        assert int(s) not in feed.celebrities.ids
        await do(fans[1], s, "follow")
        await stack.settle()
        account = await feed.accounts.get(int(s))
        assert (account.celebrity, account.followers) == (True, 2)
        await feed.celebrities.reread()
        assert feed.celebrities.ids == {int(s)}
        since = await stack.value("SELECT celebrity_since FROM feed.account_count WHERE account_id = $1", int(s))
        await do(fans[0], s, "unfollow")
        await do(fans[2], s, "follow")
        await stack.settle()
        now = await stack.value("SELECT celebrity_since FROM feed.account_count WHERE account_id = $1", int(s))
        assert now == since


@pytest.mark.parametrize("what", ["follow", "unfollow"])
async def test_home_is_filled_anew_when_the_followed_change(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient, what: str
) -> None:
    a, b = await id_of(alice), await id_of(bob)
    feed = stack.state("feed").feed
    if what == "unfollow":
        await do(alice, b, "follow")
        await stack.settle()
    build = await feed.timelines.begin(int(a))
    await feed.timelines.fill(int(a), build, [1, 2])
    assert await feed.timelines.read(int(a)) is not None
    await do(alice, b, what)
    assert await feed.timelines.read(int(a)) is None
