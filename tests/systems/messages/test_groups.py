"""Groups through the doors: who comes and goes, who may what, codes that let people in."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.systems.messages.devices import API, added, answered, direct, group, heard, number_of, read, refused, run

from tenfold.systems.messages.rules import invites
from tenfold.systems.messages.rules.groups import Standing, successor
from tenfold.systems.messages.settings import MessagesSettings

type OpenStack = Callable[..., AbstractAsyncContextManager[Any]]


@pytest.fixture
async def carol(stack: Any) -> httpx.AsyncClient:
    client: httpx.AsyncClient = await stack.account("carol")
    return client


def place(conversation: dict[str, Any], *more: str) -> str:
    return "/".join((API, "conversations", conversation["id"], *more))


def roles(conversation: dict[str, Any]) -> dict[str, str]:
    return {each["account"]["name"]: each["role"] for each in conversation["members"]}


async def test_a_group_is_begun_once_by_its_key(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    made = await asyncio.gather(*(group(alice, bob, key="a-key-of-mine") for _ in range(5)))
    assert len({each["id"] for each in made}) == 1
    assert roles(made[0]) == {"alice": "admin", "bob": "member"}
    others = [await group(alice, bob, key="another-key"), await group(bob, alice, key="a-key-of-mine")]
    others += [await group(alice, bob), await group(alice, bob), await group(alice, alice)]
    assert len({each["id"] for each in [*made, *others]}) == 6
    assert roles(others[-1]) == {"alice": "admin"}
    bad = {"kind": "group", "key": "short"}
    assert (await alice.post(f"{API}/conversations", json=bad)).status_code == 422


async def test_people_come_and_go_and_everybody_is_told(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient, carol: httpx.AsyncClient
) -> None:
    device = await added(carol)
    made = await group(alice, bob)
    ears = [await heard(stack, await number_of(each)) for each in (alice, bob, carol)]
    accounts = [await number_of(carol), await number_of(bob), await number_of(carol)]
    grown = await answered(await alice.post(place(made, "members"), json={"accounts": accounts}), 200)
    assert roles(grown) == {"alice": "admin", "bob": "member", "carol": "member"}
    assert (grown["revision"], [each["id"] for each in grown["devices"]]) == (made["revision"] + 1, [device["id"]])
    again = await answered(await alice.post(place(made, "members"), json={"accounts": accounts}))
    assert again == grown, "nothing has changed, so nobody need seal anew"
    assert (await alice.delete(place(made, "members", accounts[0]))).status_code == 204
    refused(await carol.get(place(made)), 404, "conversation_not_found")
    left = await read(bob, made)
    assert (left["revision"], left["devices"], roles(left)) == (
        made["revision"] + 2, [], {"alice": "admin", "bob": "member"},
    )  # fmt: skip
    async with asyncio.timeout(5):
        while any(len(ear.words) < 2 for ear in ears):  # noqa: ASYNC110 - they come by the bus
            await asyncio.sleep(0.01)
    changed = f'{{"t":"changed","what":"conversation","conversation":"{made["id"]}"}}'.encode()
    assert [[word.frame for word in ear.words] for ear in ears] == [[changed] * 2] * 3


async def test_who_comes_counts_as_having_received_what_was_said_before(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    made = await group(alice)
    async with stack.db.transaction() as tx:
        await tx.execute("UPDATE messages.conversation SET last_seq = 41")
    accounts = [await number_of(bob)]
    grown = await answered(await alice.post(place(made, "members"), json={"accounts": accounts}))
    assert [(each["delivered"], each["read"]) for each in grown["members"]] == [(0, 0), (41, 41)]


async def test_only_admins_change_a_group(
    alice: httpx.AsyncClient, bob: httpx.AsyncClient, carol: httpx.AsyncClient
) -> None:
    made = await group(alice, bob)
    me, him, her = [await number_of(each) for each in (alice, bob, carol)]
    for answer in (
        await bob.post(place(made, "members"), json={"accounts": [her]}),
        await bob.patch(place(made, "members", him), json={"role": "admin"}),
        await bob.delete(place(made, "members", me)),
        await bob.post(place(made, "invite")),
        await bob.delete(place(made, "invite")),
    ):
        refused(answer, 403, "not_admin")
    refused(await alice.delete(place(made, "members", her)), 404, "member_not_found")
    refused(await alice.delete(place(made, "members", "x")), 404, "member_not_found")
    refused(await alice.patch(place(made, "members", her), json={"role": "admin"}), 404, "member_not_found")
    assert (await alice.patch(place(made, "members", him), json={"role": "king"})).status_code == 422
    assert (await alice.post(place(made, "members"), json={"accounts": []})).status_code == 422
    assert await read(alice, made) == made
    changed = await answered(await alice.patch(place(made, "members", him), json={"role": "admin"}))
    assert (roles(changed), changed["revision"]) == ({"alice": "admin", "bob": "admin"}, made["revision"] + 1)
    await answered(await bob.post(place(made, "members"), json={"accounts": [her]}))


async def test_a_group_has_an_admin_for_as_long_as_it_has_members(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient, carol: httpx.AsyncClient
) -> None:
    made = await group(alice)
    me, him, her = [await number_of(each) for each in (alice, bob, carol)]
    for each in (her, him):
        await answered(await alice.post(place(made, "members"), json={"accounts": [each]}))
    refused(await alice.patch(place(made, "members", me), json={"role": "member"}), 409, "last_admin")
    assert (await alice.delete(place(made, "members", me))).status_code == 204
    assert roles(await read(bob, made)) == {"carol": "admin", "bob": "member"}
    assert (await bob.delete(place(made, "members", him))).status_code == 204
    assert (await carol.delete(place(made, "members", her))).status_code == 204
    refused(await carol.get(place(made)), 404, "conversation_not_found")
    for table in ("conversation", "member", "membership", "member_device"):
        assert await stack.value(f"SELECT count(*) FROM messages.{table}") == 0, table


async def test_groups_and_what_somebody_is_in_are_bounded(stack_with: OpenStack) -> None:
    async with stack_with(systems={"messages": MessagesSettings(group_members=2, conversations=2)}) as stack:
        alice, bob, carol = [await stack.account(name) for name in ("alice", "bob", "carol")]
        full = [await number_of(bob), await number_of(carol)]
        body = {"kind": "group", "accounts": full}
        refused(await alice.post(f"{API}/conversations", json=body), 409, "group_full")
        made = await group(alice, bob)
        refused(await alice.post(place(made, "members"), json={"accounts": full[1:]}), 409, "group_full")
        code = (await answered(await alice.post(place(made, "invite"))))["code"]
        refused(await carol.post(f"{API}/invites/{code}/accept"), 409, "group_full")
        other = await direct(alice, bob)
        assert (await direct(bob, alice))["id"] == other["id"]
        for client, accounts in ((alice, []), (carol, full[:1])):
            wish = {"kind": "group", "accounts": accounts}
            refused(await client.post(f"{API}/conversations", json=wish), 409, "too_many_conversations")


async def test_a_code_lets_people_in(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient, carol: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    made = await group(alice, bob)
    invite = await answered(await alice.post(place(made, "invite")), 201)
    assert invite["url"] == f"http://localhost:8080/messages/app/join/{invite['code']}"
    left = invite["ends_at"] / 1000 - datetime.now(UTC).timestamp()
    assert 6.9 * 86_400 < left <= 7 * 86_400
    seen = await answered(await carol.get(f"{API}/invites/{invite['code']}"))
    assert (seen["conversation"], seen["members"], seen["joined"]) == (made["id"], 2, False)
    assert seen["by"]["name"] == "alice"
    assert (await stranger.get(f"{API}/invites/{invite['code']}")).status_code == 401
    joined = await asyncio.gather(*(carol.post(f"{API}/invites/{invite['code']}/accept") for _ in range(3)))
    assert [roles(await answered(each, 200)) for each in joined] == [
        {"alice": "admin", "bob": "member", "carol": "member"}
    ] * 3
    assert (await read(bob, made))["revision"] == made["revision"] + 1
    assert (await answered(await carol.get(f"{API}/invites/{invite['code']}")))["joined"]
    # The database alone lets nobody in.
    assert await stack.value("SELECT invite FROM messages.conversation") == invites.digest(invite["code"])


async def test_a_code_ends(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient, carol: httpx.AsyncClient
) -> None:
    made = await group(alice, bob)

    async def code() -> str:
        return str((await answered(await alice.post(place(made, "invite"))))["code"])

    async def gone(text: str) -> None:
        refused(await carol.get(f"{API}/invites/{text}"), 404, "invite_not_found")
        refused(await carol.post(f"{API}/invites/{text}/accept"), 404, "invite_not_found")

    first, second = await code(), await code()
    await gone(first)
    for text in (
        "x",
        second[:-1] + ("A" if second[-1] != "A" else "B"),
        f"{1 << 62:x}-{second[-22:]}",
        "f" * 16 + "-" + "A" * 22,
    ):
        await gone(text)
    assert (await alice.delete(place(made, "invite"))).status_code == 204
    await gone(second)
    third = await code()
    async with stack.db.transaction() as tx:
        await tx.execute("UPDATE messages.conversation SET invite_ends_at = now() - interval '1 second'")
    await gone(third)
    await run(stack, "messages-forget")
    assert await stack.value("SELECT invite FROM messages.conversation") is None
    fourth = await code()
    assert (await alice.delete(place(made, "members", await number_of(bob)))).status_code == 204
    await gone(fourth)  # who was removed may know it


async def test_people_who_come_go_and_change_at_once_leave_it_whole(stack: Any, alice: httpx.AsyncClient) -> None:
    others = [await stack.account(f"other{number}") for number in range(6)]
    numbers = [await number_of(each) for each in others]
    made = await group(alice, *others[:3])
    await asyncio.gather(
        *(alice.post(place(made, "members"), json={"accounts": numbers[at:]}) for at in (3, 4, 5)),
        *(other.delete(place(made, "members", number)) for other, number in zip(others[:3], numbers[:3], strict=True)),
        *(added(each) for each in others),
        alice.patch(place(made, "members", numbers[3]), json={"role": "admin"}),
    )
    now = await read(alice, made)
    assert {each["account"]["id"] for each in now["members"]} == {await number_of(alice), *numbers[3:]}
    assert {each["account"] for each in now["devices"]} == set(numbers[3:])


EARLY = datetime(2026, 1, 1, tzinfo=UTC)
standings = st.lists(
    st.builds(
        Standing,
        st.integers(1, 1 << 62),
        st.sampled_from(("admin", "member")),
        st.integers(0, 3).map(lambda days: EARLY + timedelta(days=days)),
    ),
    unique_by=lambda each: each.account_id,
)


@given(standings)
def test_the_longest_member_follows_the_last_admin(left: list[Standing]) -> None:
    heir = successor(left)
    if any(each.role == "admin" for each in left) or not left:
        assert heir is None
    else:
        assert heir == min((each.joined_at, each.account_id) for each in left)[1]


@given(st.integers(1, (1 << 63) - 1))
def test_a_code_says_where_to_look(conversation_id: int) -> None:
    code = invites.new_code(conversation_id)
    read = invites.read_code(code)
    assert read is not None
    assert read.conversation_id == conversation_id
    assert invites.fits(read, invites.digest(code))
    assert not invites.fits(read, None)
    assert not invites.fits(read, invites.digest(invites.new_code(conversation_id)))


@given(st.text())
def test_what_is_no_code_is_no_error(text: str) -> None:
    assert (invites.read_code(text) is None) or "-" in text
