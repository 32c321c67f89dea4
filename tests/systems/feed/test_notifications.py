"""Notifications: who is told of what, who isn't, and what is taken back."""

from typing import Any

import httpx
import pytest

from tenfold.contracts.feed import PostMarked
from tenfold.systems.feed.jobs.notifications import KEPT_DAYS, forget_old_notifications

API = "/feed/api/v1"


async def post(who: httpx.AsyncClient, text: str, **more: Any) -> dict[str, Any]:
    answer = await who.post(f"{API}/statuses", json={"status": text, **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def do(who: httpx.AsyncClient, path: str, **more: Any) -> Any:
    answer = await who.post(f"{API}/{path}", json=more)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def me(who: httpx.AsyncClient) -> str:
    found: str = (await who.get(f"{API}/accounts/verify_credentials")).json()["id"]
    return found


async def told(who: httpx.AsyncClient, query: str = "") -> list[Any]:
    answer = await who.get(f"{API}/notifications?{query}")
    assert answer.status_code == 200, answer.text
    found: list[Any] = answer.json()
    return found


async def kinds(who: httpx.AsyncClient, query: str = "") -> list[str]:
    return [each["type"] for each in await told(who, query)]


@pytest.fixture
async def ids(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> tuple[str, str]:
    """Both have been here, so that they can be mentioned."""
    return await me(alice), await me(bob)


async def test_all_that_somebody_does_is_told(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient, ids: tuple[str, str]
) -> None:
    written = await post(alice, "hello")
    await do(bob, f"accounts/{ids[0]}/follow")
    await do(bob, f"statuses/{written['id']}/favourite")
    await do(bob, f"statuses/{written['id']}/reblog")
    reply = await post(bob, "@alice hi", in_reply_to_id=written["id"])
    await stack.settle()
    found = await told(alice)
    assert {each["type"] for each in found} == {"follow", "favourite", "reblog", "mention"}
    assert all(each["account"]["username"] == "bob" and each["group_key"] for each in found)
    by_kind = {each["type"]: each for each in found}
    assert "status" not in by_kind["follow"]
    assert by_kind["favourite"]["status"]["id"] == by_kind["reblog"]["status"]["id"] == written["id"]
    assert by_kind["mention"]["status"]["id"] == reply["id"]
    assert [int(each["id"]) for each in found] == sorted((int(each["id"]) for each in found), reverse=True)
    assert await told(bob) == []


async def test_what_was_undone_is_no_longer_told(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient, ids: tuple[str, str]
) -> None:
    written = await post(alice, "hello")
    await do(bob, f"accounts/{ids[0]}/follow")
    await do(bob, f"statuses/{written['id']}/favourite")
    await do(bob, f"statuses/{written['id']}/reblog")
    mention = await post(bob, "@alice hi")
    await stack.settle()
    assert len(await told(alice)) == 4
    await do(bob, f"accounts/{ids[0]}/unfollow")
    await do(bob, f"statuses/{written['id']}/unfavourite")
    await do(bob, f"statuses/{written['id']}/unreblog")
    await bob.delete(f"{API}/statuses/{mention['id']}")
    await stack.settle()
    assert await told(alice) == []


async def test_an_event_that_comes_late_tells_nothing_that_is_over(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient, ids: tuple[str, str]
) -> None:
    written = await post(alice, "hello")
    event = PostMarked(post_id=int(written["id"]), author_id=int(ids[0]), account_id=int(ids[1]), on=True)
    await stack.deliver(event, times=2)
    assert await told(alice) == []


async def test_who_follows_with_a_bell_hears_of_each_post(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient, ids: tuple[str, str]
) -> None:
    await do(bob, f"accounts/{ids[0]}/follow", notify=True)
    written = await post(alice, "news")
    reply = await post(alice, "more of it", in_reply_to_id=written["id"])
    await post(alice, "@bob you", visibility="direct")
    to_bob = await post(bob, "mine")
    await post(alice, "to a stranger", in_reply_to_id=to_bob["id"])
    await stack.settle()
    found = {each["status"]["id"] for each in await told(bob, "types[]=status")}
    assert found == {written["id"], reply["id"]}


async def test_nobody_hears_from_whom_they_silenced(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient, ids: tuple[str, str]
) -> None:
    carol, dora = await stack.account("carol"), await stack.account("dora")
    written = await post(alice, "hello")
    others = {"bob": ids[1], "carol": await me(carol), "dora": await me(dora)}
    await do(alice, f"accounts/{others['bob']}/block")
    await do(alice, f"accounts/{others['carol']}/mute")
    await do(alice, f"accounts/{others['dora']}/mute", notifications=False)
    for who in (bob, carol, dora):
        await post(who, "@alice hey")
        await who.post(f"{API}/statuses/{written['id']}/favourite")
    await stack.settle()
    assert {each["account"]["username"] for each in await told(alice)} == {"dora"}
    assert (await alice.get(f"{API}/notifications/unread_count")).json() == {"count": 2}


async def test_a_muted_conversation_is_silent(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient, ids: tuple[str, str]
) -> None:
    written = await post(alice, "hello")
    await do(alice, f"statuses/{written['id']}/mute")
    await post(bob, "@alice hi", in_reply_to_id=written["id"])
    await do(bob, f"statuses/{written['id']}/favourite")
    await stack.settle()
    assert await told(alice) == []
    await post(bob, "@alice elsewhere")
    await stack.settle()
    assert await kinds(alice) == ["mention"]


async def test_nobody_hears_of_themselves(stack: Any, alice: httpx.AsyncClient, ids: tuple[str, str]) -> None:
    written = await post(alice, "@alice a note to myself")
    await do(alice, f"statuses/{written['id']}/favourite")
    await stack.settle()
    assert await told(alice) == []


async def test_who_repeated_a_post_hears_of_its_edit(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient, ids: tuple[str, str]
) -> None:
    carol = await stack.account("carol")
    await me(carol)
    written = await post(alice, "hello")
    await do(bob, f"statuses/{written['id']}/reblog")
    await stack.settle()
    await alice.put(f"{API}/statuses/{written['id']}", json={"status": "hello @carol"})
    await stack.settle()
    assert await kinds(bob) == ["update"]
    assert await kinds(carol) == ["mention"]


async def test_a_locked_account_is_asked(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient, ids: tuple[str, str]
) -> None:
    await alice.patch(f"{API}/accounts/update_credentials", json={"locked": True})
    await do(bob, f"accounts/{ids[0]}/follow")
    await stack.settle()
    assert await kinds(alice) == ["follow_request"]
    await do(alice, f"follow_requests/{ids[1]}/authorize")
    await stack.settle()
    assert await kinds(alice) == ["follow"]


async def test_pages_and_filters(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient, ids: tuple[str, str]
) -> None:
    for number in range(5):
        await post(bob, f"@alice {number}")
        await stack.settle()
    await do(bob, f"accounts/{ids[0]}/follow")
    await stack.settle()
    every = [each["id"] for each in await told(alice)]
    assert len(every) == 6
    answer = await alice.get(f"{API}/notifications?limit=4")
    older = answer.links["next"]["url"].partition("/feed")[2]
    newer = answer.links["prev"]["url"].partition("/feed")[2]
    assert [each["id"] for each in answer.json()] == every[:4]
    assert [each["id"] for each in (await alice.get(f"/feed{older}")).json()] == every[4:]
    assert (await alice.get(f"/feed{newer}")).json() == []
    assert [each["id"] for each in await told(alice, f"min_id={every[5]}&limit=2")] == every[3:5]
    assert await kinds(alice, "types[]=follow") == ["follow"]
    assert await kinds(alice, "exclude_types[]=mention") == ["follow"]
    assert await kinds(alice, "types[]=poll") == []
    assert len(await told(alice, f"account_id={ids[1]}")) == 6
    assert await told(alice, "account_id=nobody") == []


async def test_one_is_read_and_dismissed_by_its_owner_alone(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient, ids: tuple[str, str]
) -> None:
    await post(bob, "@alice one")
    await post(bob, "@alice two")
    await stack.settle()
    first, second = await told(alice)
    assert (await alice.get(f"{API}/notifications/{first['id']}")).json() == first
    for path in (first["id"], "nothing", "1"):
        assert (await bob.get(f"{API}/notifications/{path}")).status_code == 404
    assert (await bob.post(f"{API}/notifications/{first['id']}/dismiss")).status_code == 404
    assert await do(alice, f"notifications/{first['id']}/dismiss") == {}
    assert await told(alice) == [second]
    assert await do(alice, "notifications/clear") == {}
    assert await told(alice) == []


async def test_unread_is_what_came_after_the_marker(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient, ids: tuple[str, str]
) -> None:
    for number in range(3):
        await post(bob, f"@alice {number}")
        await stack.settle()
    second = (await told(alice))[1]["id"]
    assert (await alice.get(f"{API}/markers?timeline[]=home&timeline[]=notifications")).json() == {}
    given = await alice.post(f"{API}/markers", data={"notifications[last_read_id]": second})
    assert given.json()["notifications"]["last_read_id"] == second
    again = (await alice.post(f"{API}/markers", json={"notifications": {"last_read_id": second}})).json()
    assert again["notifications"]["version"] == given.json()["notifications"]["version"] + 1
    kept = (await alice.get(f"{API}/markers?timeline[]=notifications")).json()
    assert kept["notifications"]["last_read_id"] == second
    assert (await alice.get(f"{API}/notifications/unread_count")).json() == {"count": 1}
    assert (await alice.get("/feed/api/v2/notifications/unread_count")).json() == {"count": 1}
    assert (await alice.post(f"{API}/markers", json={"home": {"last_read_id": "x"}})).status_code == 422


async def test_likes_of_a_post_are_one_group(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient, ids: tuple[str, str]
) -> None:
    carol = await stack.account("carol")
    written = await post(alice, "hello")
    for who in (bob, carol):
        await do(who, f"statuses/{written['id']}/favourite")
        await stack.settle()
    await post(bob, "@alice hi")
    await stack.settle()
    single = await told(alice)
    found = (await alice.get("/feed/api/v2/notifications")).json()
    mention, likes = found["notification_groups"]
    assert (mention["type"], mention["notifications_count"]) == ("mention", 1)
    assert (likes["type"], likes["notifications_count"]) == ("favourite", 2)
    assert likes["sample_account_ids"] == [await me(carol), ids[1]]
    assert likes["status_id"] == written["id"]
    assert (likes["page_max_id"], likes["page_min_id"]) == (single[1]["id"], single[2]["id"])
    assert likes["most_recent_notification_id"] == single[1]["id"]
    assert likes["group_key"] == single[1]["group_key"] == single[2]["group_key"]
    assert {each["id"] for each in found["accounts"]} == {ids[1], await me(carol)}
    assert written["id"] in {each["id"] for each in found["statuses"]}
    path = f"/feed/api/v2/notifications/{likes['group_key']}"
    [one] = (await alice.get(path)).json()["notification_groups"]
    assert (one["group_key"], one["notifications_count"]) == (likes["group_key"], 2)
    assert {each["username"] for each in (await alice.get(f"{path}/accounts")).json()} == {"bob", "carol"}
    ungrouped = (await alice.get("/feed/api/v2/notifications?grouped_types[]=follow")).json()
    assert [each["notifications_count"] for each in ungrouped["notification_groups"]] == [1, 1, 1]
    first = (await alice.get("/feed/api/v2/notifications?limit=1")).json()["notification_groups"]
    assert [each["group_key"] for each in first] == [mention["group_key"]]
    assert (await bob.get(path)).status_code == 404
    assert (await alice.post(f"{path}/dismiss")).json() == {}
    assert await kinds(alice) == ["mention"]
    assert (await alice.get("/feed/api/v2/notifications/nonsense")).status_code == 404


async def test_the_policy_accepts_all(alice: httpx.AsyncClient) -> None:
    path = "/feed/api/v2/notifications/policy"
    policy = (await alice.get(path)).json()
    assert policy["for_not_following"] == "accept"
    assert (await alice.patch(path, json={"for_new_accounts": "accept"})).json() == policy
    assert (await alice.patch(path, json={"for_new_accounts": "drop"})).status_code == 422


async def test_direct_conversations(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient, ids: tuple[str, str]
) -> None:
    first = await post(bob, "@alice psst", visibility="direct")
    await post(bob, "@alice aloud")
    await stack.settle()
    [found] = (await alice.get(f"{API}/conversations")).json()
    assert found["last_status"]["id"] == first["id"]
    assert [each["username"] for each in found["accounts"]] == ["bob"]
    assert found["unread"]
    answer = await post(alice, "@bob what?", visibility="direct", in_reply_to_id=first["id"])
    [found] = (await alice.get(f"{API}/conversations")).json()
    assert (found["last_status"]["id"], found["unread"]) == (answer["id"], False)


async def test_old_ones_are_forgotten(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient, ids: tuple[str, str]
) -> None:
    await post(bob, "@alice old")
    await post(bob, "@alice new")
    await stack.settle()
    async with stack.db.transaction() as tx:
        await tx.execute(
            """UPDATE feed.notification SET created_at = now() - make_interval(days => $1)
               WHERE id = (SELECT min(id) FROM feed.notification)""",
            KEPT_DAYS + 1,
        )
    await forget_old_notifications.job(stack.state("feed"))
    assert len(await told(alice)) == 1


async def test_a_stranger_has_none(stranger: httpx.AsyncClient) -> None:
    for path in ("v1/notifications", "v2/notifications", "v1/markers", "v1/conversations", "v1/notifications/1"):
        assert (await stranger.get(f"/feed/api/{path}")).status_code == 401
