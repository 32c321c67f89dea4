"""Lists, through HTTP."""

from typing import Any

import httpx

from tenfold.systems.feed.settings import FeedSettings

API = "/feed/api/v1"


async def id_of(client: httpx.AsyncClient) -> str:
    return str((await client.get(f"{API}/accounts/verify_credentials")).json()["id"])


async def make(client: httpx.AsyncClient, title: str = "Friends", **more: Any) -> str:
    made = await client.post(f"{API}/lists", data={"title": title, **more})
    assert made.status_code == 200, made.text
    return str(made.json()["id"])


async def test_a_list_is_made_changed_and_removed(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    list_id = await make(alice, exclusive="true")
    expected = {"id": list_id, "title": "Friends", "replies_policy": "list", "exclusive": True}
    assert (await alice.get(f"{API}/lists/{list_id}")).json() == expected
    assert (await alice.get(f"{API}/lists")).json() == [expected]
    changed = await alice.put(f"{API}/lists/{list_id}", json={"title": "Old friends", "replies_policy": "none"})
    assert changed.json() == expected | {"title": "Old friends", "replies_policy": "none"}
    for call in (
        bob.get(f"{API}/lists/{list_id}"),
        bob.put(f"{API}/lists/{list_id}", json={}),
        bob.delete(f"{API}/lists/{list_id}"),
    ):
        assert (await call).status_code == 404
    assert (await alice.delete(f"{API}/lists/{list_id}")).json() == {}
    assert (await alice.get(f"{API}/lists/{list_id}")).status_code == 404
    assert (await alice.get(f"{API}/lists")).json() == []
    for wrong in ({}, {"title": ""}, {"title": "x" * 300}, {"title": "x", "replies_policy": "all"}):
        assert (await alice.post(f"{API}/lists", json=wrong)).status_code == 422


async def test_one_can_keep_so_many_lists(stack_with: Any) -> None:
    async with stack_with(systems={"feed": FeedSettings(lists=1)}) as stack:
        dora = await stack.account("dora")
        await make(dora)
        assert (await dora.post(f"{API}/lists", json={"title": "more"})).status_code == 422


async def test_members_are_people_whom_one_follows(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    carol = await stack.account("carol")
    list_id, b, c = await make(alice), await id_of(bob), await id_of(carol)
    path = f"{API}/lists/{list_id}/accounts"
    assert (await alice.post(path, json={"account_ids": [b]})).status_code == 404  # isn't followed
    for each in (b, c):
        await alice.post(f"{API}/accounts/{each}/follow")
    assert (await alice.post(path, data={"account_ids[]": [b, c]})).json() == {}
    assert (await alice.post(path, json={"account_ids": [b]})).status_code == 200  # is there already
    first = await alice.get(path, params={"limit": 1})
    assert [each["username"] for each in first.json()] == ["carol"]
    second = await alice.get(first.links["next"]["url"])
    assert [each["username"] for each in second.json()] == ["bob"]
    assert len((await alice.get(path, params={"limit": 0})).json()) == 2
    assert [each["id"] for each in (await alice.get(f"{API}/accounts/{b}/lists")).json()] == [list_id]
    await alice.request("DELETE", path, data={"account_ids[]": [b]})
    assert (await alice.get(f"{API}/accounts/{b}/lists")).json() == []
    await alice.post(f"{API}/accounts/{c}/unfollow")  # takes them off all lists
    assert (await alice.get(path)).json() == []
    assert (await bob.get(path)).status_code == 404
    assert (await bob.post(path, json={"account_ids": []})).status_code == 404


async def test_an_exclusive_list_hides_its_members_from_home(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    a, b, feed = int(await id_of(alice)), await id_of(bob), stack.state("feed").feed
    await alice.post(f"{API}/accounts/{b}/follow")
    list_id = await make(alice)
    await alice.post(f"{API}/lists/{list_id}/accounts", json={"account_ids": [b]})
    assert (await feed.relations.get(a)).listed == frozenset()
    await alice.put(f"{API}/lists/{list_id}", json={"exclusive": True})
    assert (await feed.relations.get(a)).listed == {int(b)}
    await alice.delete(f"{API}/lists/{list_id}")
    assert (await feed.relations.get(a)).listed == frozenset()
