"""Reports through the door, and the review by whoever runs this; the demo, figures, and what goes by the clock."""

import secrets
import time
from typing import Any

import httpx
import pytest
from tests.systems.messages.devices import API, added, answered, direct, group, number_of, refused, run

from tenfold.systems.messages.capacity import capacity
from tenfold.systems.messages.demo import OTHERS, demo


async def test_a_report_is_held_until_somebody_has_looked(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    conversation, him = await direct(alice, bob), await number_of(bob)
    body = {
        "account": him, "conversation": conversation["id"], "reason": "Threats", "quoted": ["I know where", "you live"],
    }  # fmt: skip
    assert (await alice.post(f"{API}/reports", json=body)).status_code == 204
    assert (await alice.post(f"{API}/reports", json={"account": him, "reason": "Spam"})).status_code == 204
    reviews = stack.process.systems["messages"][0].reviews
    newest, first = await reviews.list(stack.db, 10)
    assert (first.kind, first.text) == ("alice reports bob", "Threats\n> I know where\n> you live")
    assert newest.text == "Spam"
    assert await reviews.close(stack.db, [first.id]) == 1
    assert [each.id for each in await reviews.list(stack.db, 10)] == [newest.id]
    carol = await stack.account("carol")
    refused(await carol.post(f"{API}/reports", json=body), 404, "conversation_not_found")
    refused(await alice.post(f"{API}/reports", json=body | {"account": "99"}), 404, "person_not_found")
    for change in ({"reason": ""}, {"reason": "x" * 2001}, {"quoted": ["x"] * 21}, {"quoted": ["x" * 4001]}):
        assert (await alice.post(f"{API}/reports", json=body | change)).status_code == 422, change
    assert (await stranger.post(f"{API}/reports", json=body)).status_code == 401
    async with stack.db.transaction() as tx:
        await tx.execute("UPDATE messages.report SET closed_at = closed_at - interval '31 days'")
    await run(stack, "messages-forget")
    assert await stack.value("SELECT array_agg(reason) FROM messages.report") == ["Spam"]


async def test_what_has_waited_long_enough_is_forgotten(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    device, conversation = await added(alice), await direct(alice, bob)
    row = int(await number_of(alice)), int(device["id"]), int(conversation["id"])
    now = time.time_ns() // 1_000_000
    async with stack.db.transaction() as tx:
        for number, ends_at in ((1, now - 1000), (2, now + 60_000)):
            await tx.execute(
                "INSERT INTO messages.inbox VALUES ($1, $2, $3, $4, 'id', 1, 1, 0, $5, 0, 'x')", *row, number, ends_at
            )
            await tx.execute(
                "INSERT INTO messages.note VALUES ($1, $2, $4, $3, 'id', 1, 1, 0, $5, 0, 'x')", *row, number, ends_at
            )
        for number, days in ((1, 31), (2, 29)):
            await tx.execute(
                "INSERT INTO messages.sent VALUES ($1, $2, $3, $4, 1, $5)",
                row[2], row[1], f"id-{number}", number, now - days * 86_400_000,
            )  # fmt: skip
    await group(alice, key="a-key-of-old")
    async with stack.db.transaction() as tx:
        await tx.execute("UPDATE messages.begun SET created_at = now() - interval '31 days'")
    await run(stack, "messages-end-waiting")
    await run(stack, "messages-forget")
    assert await stack.value("SELECT array_agg(seq) FROM messages.inbox") == [2]
    assert await stack.value("SELECT array_agg(id) FROM messages.note") == [2]
    assert await stack.value("SELECT array_agg(seq) FROM messages.sent") == [2]
    assert await stack.value("SELECT count(*) FROM messages.begun") == 0


async def test_the_demo_is_made_once_and_can_be_joined(stack: Any, alice: httpx.AsyncClient) -> None:
    messages = stack.state("messages")
    first = await demo(messages)
    assert (await demo(messages)).startswith("is there already")
    for name in ("demo", *(name for name, _ in OTHERS)):
        client = await stack.client()
        password = {"name": name, "password": first.rpartition(" ")[2]}
        await answered(await client.post("/api/identity/signin", json=password))
        listed = (await answered(await client.get(f"{API}/conversations")))["conversations"]
        assert len(listed) == (4 if name == "demo" else 2)
    code = first.partition("/join/")[2].partition(";")[0]
    joined = await answered(await alice.post(f"{API}/invites/{code}/accept"))
    assert {each["account"]["name"] for each in joined["members"]} == {"demo", "alice"}
    figures = {each.label: each for each in await stack.process.systems["messages"][0].figures(messages)}
    assert figures["Conversations"].value == 4
    assert (figures["Devices"].value, figures["Messages in 24 h"].value) == (0, 0)


async def test_messages_are_counted_by_the_hour(stack: Any) -> None:
    system, messages = stack.process.systems["messages"]
    hour = time.time_ns() // 3_600_000_000_000 * 3_600_000

    async def send(*times: int, seq: int = 1) -> None:
        async with stack.db.transaction() as tx:
            for at in times:
                sql = "INSERT INTO messages.sent VALUES (1, 1, $1, $2, 1, $3)"
                await tx.execute(sql, secrets.token_hex(8), seq, at)

    async def counted() -> list[int]:
        await run(stack, "messages-count")
        [figure] = [each for each in await system.figures(messages) if each.label == "Messages in 24 h"]
        assert (len(figure.series), figure.value) == (24, sum(figure.series))
        return [int(each) for each in figure.series]

    # The hour may turn while this runs, so only how far they are apart is sure.
    await send(hour - 3_600_000, hour - 3_600_001, hour - 3_600_001, hour - 5 * 3_600_000, hour - 40 * 3_600_000)
    await send(hour - 3_600_000, seq=0)  # a note
    series = await counted()
    places = [place for place, count in enumerate(series) if count]
    assert ([series[place] for place in places], [place - places[0] for place in places]) == ([1, 2, 1], [0, 3, 4])
    assert await counted() == series, "each is counted once"
    await send(hour + 7_200_000)
    assert await counted() == series, "what may not have been committed yet waits"


def test_the_arithmetic_is_that_of_the_case_study() -> None:
    rows = {each.name: each.value for each in capacity()}
    assert rows["Messages a day, if all were kept"] == pytest.approx(10)
    assert rows["Messages, if all were kept"] == pytest.approx(18.25)
    assert rows["Media a day"] == pytest.approx(10)
    assert rows["Messages, mean"] == pytest.approx(1_157_407, rel=1e-6)
    assert rows["Machines for connections"] == 750
    measured = {each.name: each.value for each in capacity(measured={"messages_per_core": 1e4})}
    assert measured["Machines for messages"] == 44
