"""Conversations of two and lists of them, through the doors: one for two people, and nobody else's business."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
from tests.systems.messages.devices import API, added, answered, direct, group, heard, number_of, read, refused

from tenfold.systems.messages.actions import conversations
from tenfold.systems.messages.settings import MessagesSettings

type OpenStack = Callable[..., AbstractAsyncContextManager[Any]]


async def ask(client: httpx.AsyncClient, *accounts: str, kind: str = "direct", **wish: Any) -> httpx.Response:
    return await client.post(f"{API}/conversations", json={"kind": kind, "accounts": accounts, **wish})


async def test_two_people_have_one_conversation(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    both = await asyncio.gather(*(direct(*pair) for pair in ((alice, bob), (bob, alice)) for _ in range(4)))
    assert len({each["id"] for each in both}) == 1
    shown = await read(alice, both[0])
    assert (shown["kind"], shown["revision"], shown["last"]) == ("direct", 1, 0)
    assert {each["account"]["name"] for each in shown["members"]} == {"alice", "bob"}
    listed = await answered(await bob.get(f"{API}/conversations"))
    assert ([each["id"] for each in listed["conversations"]], listed["next"]) == ([shown["id"]], None)


async def test_who_can_be_written_to(alice: httpx.AsyncClient, bob: httpx.AsyncClient, stranger: Any) -> None:
    me, other = await number_of(alice), await number_of(bob)
    for accounts in ((me,), (), (other, other), (me, other)):
        refused(await ask(alice, *accounts), 422, "invalid")
    refused(await ask(alice, "99"), 404, "person_not_found")
    refused(await ask(alice, str((1 << 63) + 5)), 404, "person_not_found")
    refused(await ask(alice, other, "99", kind="group"), 404, "person_not_found")
    assert (await ask(alice, "x")).status_code == 422
    assert (await ask(stranger, other)).status_code == 401
    assert (await ask(alice, other, name="a name is told in messages")).status_code == 422
    assert (await answered(await alice.get(f"{API}/conversations")))["conversations"] == []


async def test_a_conversation_is_there_for_its_members_only(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    conversation = await direct(alice, bob)
    carol = await stack.account("carol")
    for path in (conversation["id"], "99", "x", str(1 << 63)):
        refused(await carol.get(f"{API}/conversations/{path}"), 404, "conversation_not_found")
    assert (await answered(await carol.get(f"{API}/conversations")))["conversations"] == []
    place = f"{API}/conversations/{conversation['id']}"
    mine = await number_of(carol)
    for answer in (
        await carol.post(f"{place}/members", json={"accounts": [mine]}),
        await carol.post(f"{place}/members", json={"accounts": ["99"]}),
        await carol.patch(f"{place}/members/{mine}", json={"role": "admin"}),
        await carol.delete(f"{place}/members/{mine}"),
        await carol.delete(f"{place}/members/{await number_of(bob)}"),
        await carol.post(f"{place}/invite"),
        await carol.delete(f"{place}/invite"),
    ):
        refused(answer, 404, "conversation_not_found")


async def test_a_conversation_of_two_stays_one(stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    conversation = await direct(alice, bob)
    place, mine = f"{API}/conversations/{conversation['id']}", await number_of(alice)
    carol = await number_of(await stack.account("carol"))
    for answer in (
        await alice.post(f"{place}/members", json={"accounts": [carol]}),
        await alice.patch(f"{place}/members/{mine}", json={"role": "admin"}),
        await alice.delete(f"{place}/members/{mine}"),
        await alice.delete(f"{place}/members/{await number_of(bob)}"),
        await alice.post(f"{place}/invite"),
        await alice.delete(f"{place}/invite"),
    ):
        refused(answer, 409, "direct_is_for_two")
    assert await read(bob, conversation) == await read(alice, conversation)


async def test_all_members_devices_are_shown(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    devices = [await added(alice), await added(bob), await added(bob)]
    conversation = await direct(alice, bob)
    assert [each["id"] for each in conversation["devices"]] == [each["id"] for each in devices]
    [listed] = (await answered(await alice.get(f"{API}/conversations")))["conversations"]
    assert listed == conversation | {"devices": []}


async def test_lists_come_in_pages(stack: Any, alice: httpx.AsyncClient, monkeypatch: Any) -> None:
    monkeypatch.setattr(conversations, "PAGE", 2)
    made = [(await group(alice))["id"] for _ in range(5)]
    seen: list[str] = []
    after: str | None = "0"
    while after:
        page = await answered(await alice.get(f"{API}/conversations", params={"after": after}))
        assert len(page["conversations"]) <= 2
        seen += [each["id"] for each in page["conversations"]]
        after = page["next"]
    assert seen == made
    refused(await alice.get(f"{API}/conversations", params={"after": "x"}), 422, "invalid")


async def test_somebody_blocked_learns_nothing(stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    me, him = await number_of(alice), await number_of(bob)
    ear, his = await heard(stack, me), await heard(stack, him)
    assert (await alice.put(f"{API}/people/{him}/block")).status_code == 204
    conversation = await direct(bob, alice)
    assert await read(bob, conversation) == conversation
    blocking = "SELECT array_agg(account_id) FROM messages.member WHERE blocks AND conversation_id = $1"
    assert await stack.value(blocking, int(conversation["id"])) == [int(me)]
    assert (await alice.delete(f"{API}/people/{him}/block")).status_code == 204
    assert await stack.value(blocking, int(conversation["id"])) is None
    assert (await alice.put(f"{API}/people/{him}/block")).status_code == 204
    assert (await alice.put(f"{API}/people/{him}/block")).status_code == 204
    assert await stack.value(blocking, int(conversation["id"])) == [int(me)]
    assert [each["name"] for each in (await answered(await alice.get(f"{API}/me")))["blocked"]] == ["bob"]
    # Processes remember who gets what by the revision.
    assert (await read(bob, conversation))["revision"] == conversation["revision"] + 2
    async with asyncio.timeout(5):
        while len(ear.words) < 5 or not his.words:  # noqa: ASYNC110 - they come by the bus
            await asyncio.sleep(0.01)
    assert len(his.words) == 1, "that there is the conversation that he began"


async def test_who_is_blocked_is_bounded(stack_with: OpenStack) -> None:
    async with stack_with(systems={"messages": MessagesSettings(blocked=1)}) as stack:
        alice, bob, carol = [await stack.account(name) for name in ("alice", "bob", "carol")]
        assert (await alice.put(f"{API}/people/{await number_of(bob)}/block")).status_code == 204
        refused(await alice.put(f"{API}/people/{await number_of(carol)}/block"), 409, "too_many_blocked")
        refused(await alice.put(f"{API}/people/{await number_of(alice)}/block"), 422, "invalid")
        refused(await alice.put(f"{API}/people/99/block"), 404, "person_not_found")


async def test_what_was_read_is_told_by_those_who_tell_it(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    conversation = await direct(alice, bob)
    async with stack.db.transaction() as tx:
        await tx.execute("UPDATE messages.member SET delivered = 5, read = 4")

    async def marks(client: httpx.AsyncClient) -> dict[str, tuple[int, int]]:
        members = (await read(client, conversation))["members"]
        return {each["account"]["name"]: (each["delivered"], each["read"]) for each in members}

    assert await marks(alice) == await marks(bob) == {"alice": (5, 4), "bob": (5, 4)}
    mine = await answered(await alice.patch(f"{API}/me", json={"read_receipts": False, "last_seen": "nobody"}))
    assert (mine["read_receipts"], mine["last_seen"], mine["account"]["name"]) == (False, "nobody", "alice")
    assert await marks(alice) == {"alice": (5, 4), "bob": (5, 0)}
    assert await marks(bob) == {"alice": (5, 0), "bob": (5, 4)}
    mine = await answered(await alice.patch(f"{API}/me", json={"read_receipts": True}))
    assert (mine["read_receipts"], mine["last_seen"]) == (True, "nobody")
    assert (await alice.patch(f"{API}/me", json={"last_seen": "the moon"})).status_code == 422


async def test_people_are_found_by_the_beginning_of_their_name(stack: Any, stranger: Any) -> None:
    names = ("Ann_B", "annA", "ANN", "bann", "annXb", "an_n")
    clients = {name: await stack.account(name) for name in names}
    asking = clients["bann"]

    async def found(name: str) -> list[str]:
        answer = await asking.get(f"{API}/people", params={"name": name})
        return [each["name"] for each in await answered(answer)]

    assert await found("aNn") == ["ANN", "Ann_B", "annA", "annXb"]
    assert await found("ann_") == ["Ann_B"]
    assert await found("an_") == ["an_n"]
    assert await found("%%") == await found("ann%") == await found("zz") == await found("é\0") == []
    for query in ({"name": "a"}, {}, {"name": "x" * 31}):
        assert (await asking.get(f"{API}/people", params=query)).status_code == 422
    number = await number_of(clients["ANN"])
    person = await answered(await asking.get(f"{API}/people/{number}"))
    assert person == {"id": number, "name": "ANN", "display_name": "ANN"}
    refused(await asking.get(f"{API}/people/99"), 404, "person_not_found")
    assert (await stranger.get(f"{API}/people", params={"name": "ann"})).status_code == 401
    assert (await stranger.get(f"{API}/people/{number}")).status_code == 401


async def test_people_can_not_be_looked_through(stack_with: OpenStack) -> None:
    async with stack_with(limits={"messages.people": "2/hour"}) as stack:
        alice = await stack.account("alice")
        statuses = [
            (await alice.get(f"{API}/people", params={"name": name})).status_code for name in ("aa", "ab", "ac")
        ]
        assert statuses == [200, 200, 429]
