"""Favourites, bookmarks, reposts, muted conversations and pins through the doors."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

STATUSES = "/feed/api/v1/statuses"


async def post(client: httpx.AsyncClient, text: str, **more: Any) -> dict[str, Any]:
    answered = await client.post(STATUSES, json={"status": text, **more})
    assert answered.status_code == 200, answered.text
    found: dict[str, Any] = answered.json()
    return found


async def do(client: httpx.AsyncClient, id: str, verb: str, **more: Any) -> dict[str, Any]:
    answered = await client.post(f"{STATUSES}/{id}/{verb}", json=more)
    assert answered.status_code == 200, answered.text
    found: dict[str, Any] = answered.json()
    return found


@pytest.mark.parametrize(("verb", "flag"), [("favourite", "favourited"), ("bookmark", "bookmarked"), ("mute", "muted")])
async def test_a_mark_shows_at_once_and_can_be_undone(alice: httpx.AsyncClient, verb: str, flag: str) -> None:
    made = await post(alice, "mine")
    assert made[flag] is False
    for _ in range(2):
        assert (await do(alice, made["id"], verb))[flag] is True
    assert (await alice.get(f"{STATUSES}/{made['id']}")).json()[flag] is True
    for _ in range(2):
        assert (await do(alice, made["id"], f"un{verb}"))[flag] is False
    assert (await alice.get(f"{STATUSES}/{made['id']}")).json()[flag] is False


async def test_marks_are_ones_own(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    made = await post(alice, "hers")
    marked = await do(bob, made["id"], "favourite")
    assert (marked["favourited"], marked["favourites_count"]) == (True, 1)
    assert (await alice.get(f"{STATUSES}/{made['id']}")).json()["favourited"] is False
    assert (await do(bob, made["id"], "unfavourite"))["favourites_count"] == 0
    assert (await bob.post(f"{STATUSES}/{made['id']}/pin")).status_code == 422
    assert (await bob.post(f"{STATUSES}/{made['id']}/destroy")).status_code == 404
    assert (await bob.post(f"{STATUSES}/xyz/favourite")).status_code == 404


async def test_muting_is_for_the_whole_conversation(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    root = await post(alice, "root")
    reply = await post(bob, "reply", in_reply_to_id=root["id"])
    assert (await do(alice, reply["id"], "mute"))["muted"] is True
    assert (await alice.get(f"{STATUSES}/{root['id']}")).json()["muted"] is True


async def test_reposts(stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    made = await post(alice, "again!")
    again = await do(bob, made["id"], "reblog")
    assert again["reblog"]["id"] == made["id"]
    assert again["reblog"]["reblogged"] is True
    assert (again["account"]["username"], again["content"]) == ("bob", "")
    assert (await do(bob, made["id"], "reblog"))["id"] == again["id"]
    assert (await do(bob, again["id"], "reblog"))["id"] == again["id"]  # a repost of a repost is one of the original
    marked = await do(alice, again["id"], "favourite")
    assert marked["id"] == made["id"]
    undone = await do(bob, made["id"], "unreblog")
    assert (undone["id"], undone["reblogged"]) == (made["id"], False)
    assert (await bob.get(f"{STATUSES}/{again['id']}")).status_code == 404
    # Deleting the repost is the other way to take it back.
    again = await do(bob, made["id"], "reblog")
    assert (await bob.delete(f"{STATUSES}/{again['id']}")).status_code == 200
    assert (await bob.get(f"{STATUSES}/{made['id']}")).json()["reblogged"] is False
    await stack.settle()
    assert await stack.value("SELECT reblogs FROM feed.post_count") == 0


async def test_what_is_not_public_is_repeated_by_nobody_else(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    await bob.get("/feed/api/v1/accounts/verify_credentials")
    private = await post(alice, "@bob quietly", visibility="private")
    assert (await bob.post(f"{STATUSES}/{private['id']}/reblog")).status_code == 403
    assert (await do(alice, private["id"], "reblog", visibility="public"))["visibility"] == "private"
    public = await post(alice, "loudly")
    assert (await bob.post(f"{STATUSES}/{public['id']}/reblog", json={"visibility": "direct"})).status_code == 422
    assert (await do(bob, public["id"], "reblog", visibility="unlisted"))["visibility"] == "unlisted"


async def test_who_liked_and_who_repeated(stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    carol = await stack.account("carol")
    made = await post(alice, "popular")
    for client in (bob, carol):
        await do(client, made["id"], "favourite")
    await do(bob, made["id"], "reblog", visibility="public")
    await do(carol, made["id"], "reblog", visibility="private")

    async def names(client: httpx.AsyncClient, what: str) -> list[str]:
        found = await client.get(f"{STATUSES}/{made['id']}/{what}")
        assert found.status_code == 200, found.text
        return sorted(each["username"] for each in found.json())

    stranger = await stack.client()
    assert await names(stranger, "favourited_by") == ["bob", "carol"]
    assert await names(stranger, "reblogged_by") == ["bob"]
    assert await names(carol, "reblogged_by") == ["bob", "carol"]
    first = await stranger.get(f"{STATUSES}/{made['id']}/favourited_by", params={"limit": 1})
    second = await stranger.get(first.links["next"]["url"].partition("8080")[2])
    assert {each["username"] for page in (first, second) for each in page.json()} == {"bob", "carol"}


@pytest.mark.parametrize(("verb", "place"), [("favourite", "favourites"), ("bookmark", "bookmarks")])
async def test_lists_of_marks_go_by_when_it_was_marked(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient, verb: str, place: str
) -> None:
    made = [(await post(alice, f"{number}"))["id"] for number in range(5)]
    order = [made[number] for number in (2, 0, 4, 1, 3)]
    for each in order:
        await do(bob, each, verb)
    seen: list[str] = []
    path = f"/feed/api/v1/{place}?limit=2"
    while path:
        page = await bob.get(path)
        assert page.status_code == 200
        seen += [each["id"] for each in page.json()]
        following = page.links.get("next", {}).get("url", "")
        path = following.partition("8080")[2]
        if path:
            assert parse_qs(urlsplit(path).query)["limit"] == ["2"]
    assert seen == order[::-1]
    newer = (await bob.get(f"/feed/api/v1/{place}?limit=2")).links["prev"]["url"].partition("8080")[2]
    assert (await bob.get(newer)).json() == []
    await do(bob, made[0], verb)  # marked already: its place stays
    assert [each["id"] for each in (await bob.get(newer)).json()] == []
    # What is gone or hidden leaves a gap, and the pages go on.
    await alice.delete(f"{STATUSES}/{order[-1]}")
    page = await bob.get(f"/feed/api/v1/{place}?limit=2")
    assert [each["id"] for each in page.json()] == [order[-2]]
    assert "next" in page.links
    assert (await alice.get(f"/feed/api/v1/{place}")).json() == []


async def test_pins_stand_on_the_profile(alice: httpx.AsyncClient, stranger: httpx.AsyncClient) -> None:
    made = [await post(alice, f"{number}") for number in range(6)]
    for each in made[:5]:
        assert (await do(alice, each["id"], "pin"))["pinned"] is True
    assert (await alice.post(f"{STATUSES}/{made[5]['id']}/pin")).status_code == 422
    await do(alice, made[0]["id"], "pin")  # once more changes nothing
    profile = f"/feed/api/v1/accounts/{made[0]['account']['id']}/statuses?pinned=true"
    pinned = [each["id"] for each in (await stranger.get(profile)).json()]
    assert pinned == [each["id"] for each in made[4::-1]]
    assert (await do(alice, made[4]["id"], "unpin"))["pinned"] is False
    await do(alice, made[5]["id"], "pin")
    assert (await stranger.get(profile)).json()[0]["id"] == made[5]["id"]
    direct = await post(alice, "psst", visibility="direct")
    assert (await alice.post(f"{STATUSES}/{direct['id']}/pin")).status_code == 422
