"""Devices and keys through the doors: signed, counted, claimed once, and gone with all that was theirs."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import pytest
from tests.systems.messages.devices import (
    API,
    Keys,
    added,
    answered,
    armoured,
    direct,
    group,
    heard,
    number_of,
    read,
    refused,
    run,
)

from tenfold.contracts.messages import frames
from tenfold.systems.messages.settings import MessagesSettings
from tenfold.systems.messages.types import Ended, Told

type OpenStack = Callable[..., AbstractAsyncContextManager[Any]]


async def claimed(client: httpx.AsyncClient, *devices: dict[str, Any]) -> dict[str, Any]:
    wish = {"devices": [each["id"] for each in devices]}
    return dict(await answered(await client.post(f"{API}/keys/claim", json=wish), 200))


async def test_a_device_is_added_and_listed_and_its_keys_are_counted(alice: httpx.AsyncClient) -> None:
    keys = Keys()
    device = await added(alice, keys, prekeys=5)
    assert (device["identity_key"], device["signing_key"]) == (keys.identity, keys.signing)
    assert (device["name"], device["one_time_keys"], device["pushed"]) == ("laptop", 5, False)
    assert (device["seen_at"], device["online"]) == (None, False)
    more = {"one_time_keys": [keys.prekey() for _ in range(4)], "fallback_key": keys.prekey()}
    grown = await answered(await alice.post(f"{API}/devices/{device['id']}/keys", json=more), 200)
    assert grown["one_time_keys"] == 9
    again = await answered(await alice.post(f"{API}/devices/{device['id']}/keys", json=more))
    assert again["one_time_keys"] == 9
    assert (await answered(await alice.get(f"{API}/devices"))) == [again]


async def test_adding_a_device_again_adds_no_second_one(alice: httpx.AsyncClient) -> None:
    body = Keys().device(await number_of(alice))
    answers = await asyncio.gather(*(alice.post(f"{API}/devices", json=body) for _ in range(4)))
    assert len({each.json()["id"] for each in answers}) == 1
    assert len(await answered(await alice.get(f"{API}/devices"))) == 1


async def test_what_is_forged_is_refused(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    mine, keys = await number_of(alice), Keys()
    good = keys.device(mine)
    stolen = keys.device(await number_of(bob))
    broken = {
        "signature": [stolen["signature"], armoured(bytes(64)), Keys().device(mine)["signature"]],
        "signing_key": [Keys().signing, armoured(bytes(32))],
        "fallback_key": [Keys().prekey(), {**good["fallback_key"], "id": "another"}],
        "one_time_keys": [[Keys().prekey()], [keys.prekey(), {**keys.prekey(), "key": keys.identity}]],
    }
    for name, values in broken.items():
        for value in values:
            refused(await alice.post(f"{API}/devices", json={**good, name: value}), 422, "bad_signature")
    device = await added(alice, keys)
    more = {"one_time_keys": [keys.prekey(), Keys().prekey()]}
    answer = await alice.post(f"{API}/devices/{device['id']}/keys", json=more)
    refused(answer, 422, "bad_signature")
    assert list(answer.json()["fields"]) == ["one_time_keys"]
    forged = {"fallback_key": Keys().prekey()}
    refused(await alice.post(f"{API}/devices/{device['id']}/keys", json=forged), 422, "bad_signature")
    assert [each["one_time_keys"] for each in await answered(await alice.get(f"{API}/devices"))] == [3]


async def test_an_account_has_so_many_devices_and_a_device_so_many_keys(stack_with: OpenStack) -> None:
    async with stack_with(systems={"messages": MessagesSettings(devices=2)}) as stack:
        alice = await stack.account("alice")
        keys = Keys()
        device = await added(alice, keys, prekeys=150)
        await added(alice)
        body = Keys().device(await number_of(alice))
        refused(await alice.post(f"{API}/devices", json=body), 409, "devices_full")
        more = {"one_time_keys": [keys.prekey() for _ in range(100)]}
        grown = await answered(await alice.post(f"{API}/devices/{device['id']}/keys", json=more))
        assert grown["one_time_keys"] == 200
        more = {"one_time_keys": [keys.prekey() for _ in range(201)]}
        assert (await alice.post(f"{API}/devices/{device['id']}/keys", json=more)).status_code == 422


async def test_others_devices_and_strangers_are_refused(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    device = await added(alice)
    for path in (f"{API}/devices/{device['id']}", f"{API}/devices/99", f"{API}/devices/x", f"{API}/devices/{1 << 63}"):
        refused(await bob.delete(path), 404, "device_not_found")
    keys = {"one_time_keys": [Keys().prekey()]}
    refused(await bob.post(f"{API}/devices/{device['id']}/keys", json=keys), 404, "device_not_found")
    assert (await stranger.get(f"{API}/devices")).status_code == 401
    assert (await stranger.post(f"{API}/devices", json=Keys().device("1"))).status_code == 401
    assert (await stranger.post(f"{API}/keys/claim", json={"devices": [device["id"]]})).status_code == 401


async def test_a_one_time_key_is_given_out_once_and_then_the_fallback(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    keys = Keys()
    body = keys.device(await number_of(alice), prekeys=4)
    device = await answered(await alice.post(f"{API}/devices", json=body))
    await direct(bob, alice)
    answers = await asyncio.gather(*(claimed(bob, device) for _ in range(6)))
    given = [each["keys"][0] for each in answers]
    once = [each for each in given if not each["fallback"]]
    assert {each["id"] for each in once} == {each["id"] for each in body["one_time_keys"]}
    assert len(once) == 4
    fallback = {**body["fallback_key"], "device": device["id"], "fallback": True}
    assert [each for each in given if each["fallback"]] == [fallback] * 2
    assert (await answered(await alice.get(f"{API}/devices")))[0]["one_time_keys"] == 0


async def test_only_who_shares_a_conversation_is_given_keys(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    device = await added(alice)
    answer = await claimed(bob, device, {"id": "99"})
    assert answer == {"keys": [], "missing": [device["id"], "99"]}
    carol = await stack.account("carol")
    await group(carol, alice, bob)
    assert [each["device"] for each in (await claimed(bob, device))["keys"]] == [device["id"]]
    another = await added(alice)  # one's own need no conversation
    assert [each["device"] for each in (await claimed(alice, another))["keys"]] == [another["id"]]


async def test_nobody_uses_up_somebodys_one_time_keys(stack_with: OpenStack) -> None:
    async with stack_with(limits={"messages.claimed.one": "2/hour", "messages.claimed.all": "3/hour"}) as stack:
        alice, bob, carol = [await stack.account(name) for name in ("alice", "bob", "carol")]
        device = await added(alice, prekeys=9)
        await direct(bob, alice)
        await direct(carol, alice)
        kinds = [(await claimed(bob, device))["keys"][0]["fallback"] for _ in range(4)]
        assert kinds == [False, False, True, True]
        kinds = [(await claimed(carol, device))["keys"][0]["fallback"] for _ in range(3)]
        assert kinds == [False, True, True]
        assert (await answered(await alice.get(f"{API}/devices")))[0]["one_time_keys"] == 6


async def test_somebody_is_told_when_few_keys_are_left(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    device = await added(alice, prekeys=20)
    await direct(bob, alice)
    ear = await heard(stack, await number_of(alice))
    await claimed(bob, device)
    async with asyncio.timeout(5):
        while not ear.words:  # noqa: ASYNC110 - it comes by the bus
            await asyncio.sleep(0.01)
    assert [word.frame for word in ear.words] == [b'{"t":"changed","what":"self"}']


async def test_a_new_device_is_in_all_conversations_and_an_ended_one_in_none(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    both, many = await direct(alice, bob), await group(bob, alice)
    ear = await heard(stack, await number_of(bob))
    device = await added(alice)
    for before in (both, many):
        now = await read(bob, before)
        assert now["revision"] == before["revision"] + 1
        [shown] = now["devices"]
        assert (shown["id"], shown["account"]) == (device["id"], await number_of(alice))
        assert shown["identity_key"] == device["identity_key"]
    number = int(device["id"])
    async with stack.db.transaction() as tx:
        row = (int(await number_of(alice)), number, int(both["id"]))
        await tx.execute("INSERT INTO messages.inbox VALUES ($1, $2, $3, 1, 'a-message', 1, 1, 0, 1, 0, 'x')", *row)
        await tx.execute("INSERT INTO messages.note VALUES ($1, $2, 7, $3, 'a-note', 1, 1, 0, 1, 0, 'x')", *row)
    mine = await heard(stack, await number_of(alice))
    assert (await alice.delete(f"{API}/devices/{device['id']}")).status_code == 204
    for before in (both, many):
        now = await read(bob, before)
        assert (now["revision"], now["devices"]) == (before["revision"] + 2, [])
    for table in ("inbox", "note", "one_time_key", "member_device"):
        assert await stack.value(f"SELECT count(*) FROM messages.{table} WHERE device_id = $1", number) == 0, table
    refused(await alice.delete(f"{API}/devices/{device['id']}"), 404, "device_not_found")
    async with asyncio.timeout(5):
        while len(ear.words) < 4 or not any(isinstance(word, Ended) for word in mine.words):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    told = [word.frame.decode() for word in ear.words]
    assert sorted(told) == sorted(
        f'{{"t":"changed","what":"conversation","conversation":"{each["id"]}"}}' for each in (both, many) for _ in "12"
    )
    assert [word for word in mine.words if isinstance(word, Ended)] == [Ended(number, frames.NO_DEVICE)]
    assert {word.but for word in mine.words if isinstance(word, Told)} == {0}


async def test_devices_and_conversations_that_are_made_at_once_miss_none_of_each_other(
    stack: Any, alice: httpx.AsyncClient
) -> None:
    others = [await stack.account(f"other{number}") for number in range(4)]
    made = await asyncio.gather(
        *(added(alice) for _ in range(3)),
        *(direct(other, alice) for other in others[:2]),
        *(group(other, alice, others[0]) for other in others[2:]),
    )
    devices = {each["id"] for each in made[:3]}
    for other, conversation in zip(others, made[3:], strict=True):
        assert {each["id"] for each in (await read(other, conversation))["devices"]} == devices


async def test_devices_that_were_left_behind_are_ended(stack_with: OpenStack) -> None:
    async with stack_with(systems={"messages": MessagesSettings(days=10, inbox=2)}) as stack:
        alice = await stack.account("alice")
        old, full, good = [await added(alice, name=name) for name in ("old", "full", "good")]
        account_id = int(await number_of(alice))
        async with stack.db.transaction() as tx:
            sql = "UPDATE messages.device SET {} = now() - interval '21 days' WHERE id = $1"
            await tx.execute(sql.format("added_at"), int(old["id"]))
            await tx.execute(sql.format("added_at"), int(good["id"]))
            await tx.execute("UPDATE messages.device SET seen_at = now() WHERE id = $1", int(good["id"]))
            for device, count in ((full, 3), (good, 2)):
                for seq in range(count):
                    await tx.execute(
                        "INSERT INTO messages.inbox VALUES ($1, $2, 7, $3, 'id', 1, 1, 0, 1, 0, 'x')",
                        account_id, int(device["id"]), seq,
                    )  # fmt: skip
        await run(stack, "messages-end-devices")
        assert [each["name"] for each in await answered(await alice.get(f"{API}/devices"))] == ["good"]


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"name": "x" * 81},
        {"name": "a\0"},
        {"identity_key": "short"},
        {"unknown": 1},
        {"signature": "é" * 86},
    ],
)
async def test_what_is_no_device_is_named(alice: httpx.AsyncClient, change: dict[str, Any]) -> None:
    answer = await alice.post(f"{API}/devices", json=Keys().device(await number_of(alice)) | change)
    assert answer.status_code == 422
    assert list(answer.json()["fields"]) == list(change)
