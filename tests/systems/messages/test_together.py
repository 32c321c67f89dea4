"""Requests and the socket together: what is changed by the one is so for the other."""

from typing import Any

import httpx
from tests.systems.messages.devices import API, Keys, added, answered, direct, group, number_of, read
from tests.systems.messages.wire import Person, line


async def who(client: httpx.AsyncClient) -> Person:
    return Person(int(await number_of(client)), client.headers["authorization"].removeprefix("Bearer "))


def place(conversation: dict[str, Any], *more: str) -> str:
    return "/".join((API, "conversations", conversation["id"], *more))


async def test_a_conversation_that_is_begun_can_be_written_in(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    hers, his = [int((await added(each))["id"]) for each in (alice, bob)]
    conversation = await direct(alice, bob)
    number = int(conversation["id"])
    async with stack.served() as address, line(address, await who(alice), hers) as a:
        async with line(address, await who(bob), his) as b:  # he is gone before she goes on
            await a.expect("caught_up")
            await b.expect("caught_up")
            await a.send(number, {his: "sealed"}, revision=conversation["revision"])
            assert (await b.expect("message"))["envelope"]["body"] == "sealed"
            await b.ack(number, 1)
            await a.expect("receipt", delivered=1)
            # A new device: who seals for those before is told so.
            tablet = int((await added(bob))["id"])
            await a.expect("changed", what="conversation", conversation=conversation["id"])
            name = await a.send(number, {his: "sealed"}, revision=conversation["revision"])
            stale = await a.expect("error", id=name)
            now = await read(alice, conversation)
            assert (stale["code"], stale["revision"]) == ("stale_members", now["revision"])
            await a.send(number, {his: "again", tablet: "too"}, id=name, revision=now["revision"])
            assert (await b.expect("message"))["envelope"]["body"] == "again"
            # An ended device is hung up on, and gets nothing more.
            assert (await bob.delete(f"{API}/devices/{his}")).status_code == 204
            assert (await b.closed())[0] == 4403
            await a.expect("changed", conversation=conversation["id"])
        async with line(address, await who(bob), tablet) as t:
            assert (await t.expect("message"))["envelope"]["body"] == "too"
            await t.expect("caught_up")
            # Somebody blocked writes on, and notices nothing.
            assert (await bob.put(f"{API}/people/{(await who(alice)).id}/block")).status_code == 204
            now = await read(alice, conversation)
            name = await a.send(number, {tablet: "insult"}, revision=now["revision"])
            await a.expect("sent", id=name)
            assert [each for each in await t.quiet() if each["t"] == "message"] == []
            assert (await bob.delete(f"{API}/people/{(await who(alice)).id}/block")).status_code == 204
            now = await read(alice, conversation)
            name = await a.send(number, {tablet: "sorry"}, revision=now["revision"])
            assert (await t.expect("message"))["envelope"]["body"] == "sorry"


async def test_who_is_removed_gets_and_says_nothing_more(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    hers, his = [int((await added(each))["id"]) for each in (alice, bob)]
    conversation = await group(alice, bob)
    number = int(conversation["id"])
    async with stack.served() as address, line(address, await who(alice), hers) as a:  # noqa: SIM117
        async with line(address, await who(bob), his) as b:  # he is gone before she goes on
            await b.send(number, revision=1, content="hello")
            await a.expect("message", content="hello")
            assert (await alice.delete(place(conversation, "members", await number_of(bob)))).status_code == 204
            await b.expect("changed", conversation=conversation["id"])
            name = await b.send(number, revision=2, content="and?")
            assert (await b.expect("error", id=name))["code"] == "conversation_not_found"
            name = await a.send(number, revision=2, content="alone")
            await a.expect("sent", id=name)
            assert [each for each in await b.quiet() if each["t"] == "message"] == []
    code = (await answered(await alice.post(place(conversation, "invite"))))["code"]
    joined = await answered(await bob.post(f"{API}/invites/{code}/accept"))
    assert joined["last"] == 2


async def test_keys_of_a_device_without_any_left(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    device = await added(alice, Keys(), prekeys=0)
    await direct(bob, alice)
    wish = {"devices": [device["id"]]}
    [key] = (await answered(await bob.post(f"{API}/keys/claim", json=wish)))["keys"]
    assert key["fallback"]
