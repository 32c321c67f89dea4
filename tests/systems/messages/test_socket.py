"""The socket, frame by frame, through the real server: what is promised in docs/messages-protocol.md."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.systems.messages.wire import Line, Person, add_conversation, add_device, dial, line, person
from websockets.exceptions import InvalidStatus

from tenfold.contracts.messages import frames
from tenfold.platform.identity.rules import KEY
from tenfold.systems.messages.settings import MessagesSettings

_decode = msgspec.json.Decoder(frames.FromClient).decode


@dataclass
class Pair:
    """Alice with a laptop and a phone, Bob with a phone, and what they have together."""

    stack: Any
    address: str
    alice: Person
    bob: Person
    laptop: int
    phone: int
    bobs: int
    direct: int
    group: int
    _open: AsyncExitStack

    async def line(self, who: Person, device_id: int, **options: Any) -> Line:
        return await self._open.enter_async_context(line(self.address, who, device_id, **options))

    def for_all(self, body: str = "sealed") -> dict[int, str]:
        """Envelopes of a message from Alice's laptop to both."""
        return {self.phone: body, self.bobs: body}


async def make_pair(stack: Any, address: str, open_: AsyncExitStack) -> Pair:
    alice, bob = await person(stack, "alice"), await person(stack, "bob")
    laptop, phone, bobs = [await add_device(stack, each) for each in (alice.id, alice.id, bob.id)]
    members = {alice.id: [laptop, phone], bob.id: [bobs]}
    direct = await add_conversation(stack, "direct", members)
    group = await add_conversation(stack, "group", members)
    return Pair(stack, address, alice, bob, laptop, phone, bobs, direct, group, open_)


@pytest.fixture
async def pair(stack: Any) -> AsyncIterator[Pair]:
    async with stack.served() as address, AsyncExitStack() as open_:
        yield await make_pair(stack, address, open_)


async def test_a_message_reaches_every_other_device_and_no_other(pair: Pair) -> None:
    laptop = await pair.line(pair.alice, pair.laptop)
    phone = await pair.line(pair.alice, pair.phone)
    bobs = await pair.line(pair.bob, pair.bobs)
    for each in (laptop, phone, bobs):
        await each.expect("caught_up")
    name = await laptop.send(pair.direct, {pair.phone: "for-the-phone", pair.bobs: "for-bob"})
    sent = await laptop.expect("sent", id=name, seq=1)
    for each, body in ((phone, "for-the-phone"), (bobs, "for-bob")):
        message = await each.expect("message")
        assert message == {
            "t": "message",
            "conversation": str(pair.direct),
            "seq": 1,
            "id": name,
            "account": str(pair.alice.id),
            "device": str(pair.laptop),
            "at": sent["at"],
            "envelope": {"type": 1, "body": body},
        }
    assert await laptop.quiet() == [], "one's own message doesn't come back"


async def test_a_groups_content_goes_to_all_and_envelopes_to_whom_they_are_for(pair: Pair) -> None:
    laptop = await pair.line(pair.alice, pair.laptop)
    phone = await pair.line(pair.alice, pair.phone)
    bobs = await pair.line(pair.bob, pair.bobs)
    await laptop.send(pair.group, {pair.bobs: "key"}, content="for-all")
    assert (await bobs.expect("message"))["envelope"] == {"type": 1, "body": "key"}
    message = await phone.expect("message")
    assert message["content"] == "for-all"
    assert "envelope" not in message
    await laptop.send(pair.group, {pair.bobs: "key"})
    assert (await laptop.expect("error"))["code"] == "content_missing"


async def test_many_at_once_are_numbered_in_the_order_in_which_they_were_sent(pair: Pair) -> None:
    laptop = await pair.line(pair.alice, pair.laptop)
    bobs = await pair.line(pair.bob, pair.bobs)
    names = [await laptop.send(pair.direct, pair.for_all()) for _ in range(300)]
    assert [(await laptop.expect("sent", id=name))["seq"] for name in names] == list(range(1, 301))
    assert [(await bobs.expect("message"))["id"] for _ in names] == names


async def test_the_same_id_is_the_same_message_on_any_connection(pair: Pair) -> None:
    laptop = await pair.line(pair.alice, pair.laptop)
    name = await laptop.send(pair.direct, pair.for_all())
    first = await laptop.expect("sent", id=name)
    again = await pair.line(pair.alice, pair.laptop)
    await again.send(pair.direct, pair.for_all("another"), id=name)
    assert await again.expect("sent", id=name) == first
    bobs = await pair.line(pair.bob, pair.bobs)
    await bobs.expect("caught_up")
    assert [frame["envelope"]["body"] for frame in await bobs.quiet() if frame["t"] == "message"] == ["sealed"]


async def test_what_was_not_acknowledged_comes_again_and_what_was_is_gone(pair: Pair) -> None:
    laptop = await pair.line(pair.alice, pair.laptop)
    for _ in range(3):
        await laptop.send(pair.direct, pair.for_all())
    first = await pair.line(pair.bob, pair.bobs)
    assert [(await first.expect("message"))["seq"] for _ in range(3)] == [1, 2, 3]
    await first.ack(pair.direct, 2)
    await laptop.expect("receipt", account=str(pair.bob.id), delivered=2)
    second = await pair.line(pair.bob, pair.bobs)
    assert (await second.expect("message"))["seq"] == 3
    await second.expect("caught_up")
    await second.ack(pair.direct, 3)
    await laptop.expect("receipt", delivered=3)
    left = await pair.stack.value("SELECT count(*) FROM messages.inbox WHERE device_id = $1", pair.bobs)
    assert left == 0, "nothing keeps a message that every device has"


async def test_who_acknowledges_nothing_gets_no_more_than_the_window(stack_with: Any) -> None:
    limits = {"messages": MessagesSettings(window=5)}
    async with stack_with(systems=limits) as stack, stack.served() as address, AsyncExitStack() as open_:
        pair = await make_pair(stack, address, open_)
        laptop = await pair.line(pair.alice, pair.laptop)
        bobs = await pair.line(pair.bob, pair.bobs)
        await bobs.expect("caught_up")
        names = [await laptop.send(pair.direct, pair.for_all()) for _ in range(12)]
        for name in names:
            await laptop.expect("sent", id=name)
        seen: list[int] = []
        while len(seen) < 12:
            got = [frame["seq"] for frame in await bobs.quiet() if frame["t"] == "message"]
            assert len(got) <= 5
            seen += got
            if got:
                await bobs.ack(pair.direct, seen[-1])
        assert seen == list(range(1, 13))


async def test_changed_members_are_told_and_nothing_is_sent(pair: Pair) -> None:
    laptop = await pair.line(pair.alice, pair.laptop)
    name = await laptop.send(pair.direct, {pair.bobs: "one-too-few"})
    refused = await laptop.expect("error", id=name)
    assert (refused["code"], refused["revision"], refused["conversation"]) == ("stale_members", 1, str(pair.direct))
    name = await laptop.send(pair.direct, pair.for_all(), revision=9)
    assert (await laptop.expect("error", id=name))["revision"] == 1
    await laptop.send(pair.direct, pair.for_all(), id=name)
    assert (await laptop.expect("sent", id=name))["seq"] == 1


async def test_strangers_can_do_nothing_in_a_conversation(pair: Pair) -> None:
    mallory = await person(pair.stack, "mallory")
    device_id = await add_device(pair.stack, mallory.id)
    there = await pair.line(mallory, device_id)
    place = str(pair.direct)
    await there.send(pair.direct, pair.for_all())
    envelope = {"type": 1, "body": "x"}
    await there.say(t="note", id="note-0001", conversation=place, envelopes={str(pair.bobs): envelope})
    await there.say(t="read", conversation=place, seq=1)
    await there.say(t="typing", conversation=place, on=True)
    for _ in range(4):
        assert (await there.expect("error"))["code"] == "conversation_not_found"
    await there.say(t="ack", seen={place: 1})
    assert (await there.expect("error"))["code"] == "ack_ahead"
    await there.say(t="watch", accounts=[str(pair.alice.id)])
    assert [frame for frame in await there.quiet() if frame["t"] == "presence"] == []


async def test_nobody_connects_as_anothers_device_or_without_a_credential(pair: Pair) -> None:
    async with dial(pair.address, pair.bob) as socket:
        there = Line(socket, 0)
        await there.say(t="hello", device=str(pair.laptop), protocol=1)
        code, said = await there.closed()
        assert (code, said[-1]["reason"]) == (frames.NO_DEVICE, "there is no such device")
    with pytest.raises(InvalidStatus):
        async with dial(pair.address, Person(0, "nonsense")):
            pass


async def test_notes_reach_single_devices_once_and_last_until_acknowledged(pair: Pair) -> None:
    laptop = await pair.line(pair.alice, pair.laptop)
    bobs = await pair.line(pair.bob, pair.bobs)
    note = {"t": "note", "id": "note-0001", "conversation": str(pair.group)}
    await laptop.say(**note, envelopes={str(pair.bobs): {"type": 0, "body": "key"}})
    first = await laptop.expect("sent", id="note-0001")
    await laptop.say(**note, envelopes={str(pair.bobs): {"type": 0, "body": "key"}})
    assert await laptop.expect("sent", id="note-0001") == first
    assert "seq" not in first
    came = await bobs.expect("note")
    assert came["envelope"] == {"type": 0, "body": "key"}
    again = await pair.line(pair.bob, pair.bobs)
    assert await again.expect("note") == came
    await again.say(t="ack", notes=[came["note"]])
    await until_empty(pair.stack, "note")
    third = await pair.line(pair.bob, pair.bobs)
    await third.expect("caught_up")
    assert [frame["t"] for frame in await third.quiet()] == []
    await laptop.say(t="note", id="note-0002", conversation=str(pair.group), envelopes={"99": {"type": 0, "body": "k"}})
    assert (await laptop.expect("error", id="note-0002"))["code"] == "foreign_device"


async def until_empty(stack: Any, table: str) -> None:
    """Acknowledging has no answer; its end is that nothing waits."""
    async with asyncio.timeout(10):
        while await stack.value(f"SELECT EXISTS (SELECT FROM messages.{table})"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_ticks_reach_the_sender_and_reading_ones_other_devices(pair: Pair) -> None:
    laptop = await pair.line(pair.alice, pair.laptop)
    bobs = await pair.line(pair.bob, pair.bobs)
    second = await add_device(pair.stack, pair.bob.id)
    tablet = await pair.line(pair.bob, second)
    await laptop.send(pair.direct, pair.for_all())
    await bobs.expect("message")
    await bobs.ack(pair.direct, 1)
    receipt = {"t": "receipt", "conversation": str(pair.direct), "account": str(pair.bob.id)}
    assert await laptop.expect("receipt", delivered=1) == {**receipt, "delivered": 1}
    await bobs.say(t="read", conversation=str(pair.direct), seq=1)
    assert await laptop.expect("receipt", read=1) == {**receipt, "read": 1}
    assert await tablet.expect("receipt", read=1) == {**receipt, "read": 1}
    await bobs.say(t="read", conversation=str(pair.direct), seq=2)
    assert (await bobs.expect("error"))["code"] == "read_ahead"


@pytest.mark.parametrize("silent", ["reader", "sender"])
async def test_who_keeps_reading_to_themselves_neither_tells_nor_is_told(pair: Pair, silent: str) -> None:
    who = pair.bob if silent == "reader" else pair.alice
    async with pair.stack.db.transaction() as tx:
        await tx.execute("INSERT INTO messages.person (account_id, read_receipts) VALUES ($1, false)", who.id)
    laptop = await pair.line(pair.alice, pair.laptop)
    bobs = await pair.line(pair.bob, pair.bobs)
    await laptop.send(pair.direct, pair.for_all())
    await bobs.expect("message")
    await bobs.say(t="read", conversation=str(pair.direct), seq=1)
    await bobs.ack(pair.direct, 1)
    await bobs.quiet()
    assert [f for f in await laptop.quiet() if f["t"] == "receipt" and "read" in f] == []


async def test_the_blocked_are_not_told_and_not_heard(pair: Pair) -> None:
    async with pair.stack.db.transaction() as tx:
        await tx.execute(
            "UPDATE messages.member SET blocks = true WHERE conversation_id = $1 AND account_id = $2",
            pair.direct,
            pair.bob.id,
        )
    laptop = await pair.line(pair.alice, pair.laptop)
    bobs = await pair.line(pair.bob, pair.bobs)
    await laptop.send(pair.direct, pair.for_all())
    assert (await laptop.expect("sent"))["seq"] == 1
    await laptop.say(t="typing", conversation=str(pair.direct), on=True)
    await laptop.quiet()
    await bobs.expect("caught_up")
    assert await bobs.quiet() == []


async def test_typing_and_presence_are_seen_by_those_who_may(pair: Pair) -> None:
    laptop = await pair.line(pair.alice, pair.laptop)
    bob = str(pair.bob.id)
    await laptop.say(t="watch", accounts=[bob])
    assert await laptop.expect("presence") == {"t": "presence", "account": bob, "online": False}
    async with line(pair.address, pair.bob, pair.bobs) as bobs:
        await laptop.expect("presence", online=True)
        await bobs.say(t="typing", conversation=str(pair.direct), on=True)
        assert (await laptop.expect("typing"))["account"] == bob
    gone = await laptop.expect("presence", online=False)
    assert gone["seen"] > 0
    async with pair.stack.db.transaction() as tx:
        await tx.execute("UPDATE messages.person SET last_seen = 'nobody' WHERE account_id = $1", pair.bob.id)
    async with line(pair.address, pair.bob, pair.bobs) as bobs:
        await bobs.expect("caught_up")
        await laptop.say(t="watch", accounts=[bob])
        assert [frame for frame in await laptop.quiet() if frame["t"] == "presence"] == []


async def test_a_newer_connection_takes_the_place_of_a_devices_older_one(pair: Pair) -> None:
    older = await pair.line(pair.alice, pair.laptop)
    newer = await pair.line(pair.alice, pair.laptop)
    assert (await older.closed())[0] == frames.REPLACED
    await newer.expect("caught_up")


async def test_an_ended_device_is_hung_up_on(pair: Pair) -> None:
    phone = await pair.line(pair.alice, pair.phone)
    await pair.stack.state("messages").routes.end(pair.alice.id, pair.phone, frames.NO_DEVICE)
    code, said = await phone.closed()
    assert (code, said[-1]) == (frames.NO_DEVICE, {"t": "bye", "reason": "ended"})


async def test_whoever_is_connected_is_told_to_spread_when_the_process_stops(pair: Pair) -> None:
    laptop = await pair.line(pair.alice, pair.laptop)
    await pair.stack.state("messages").connections.drain()
    code, said = await laptop.closed()
    assert (code, said[-1]) == (1001, {"t": "bye", "reason": "stopping", "after": 60})
    async with dial(pair.address, pair.alice) as socket:
        there = Line(socket, pair.laptop)
        await there.say(t="hello", device=str(pair.laptop), protocol=1)
        assert (await there.closed())[0] == 1001


async def test_any_process_holds_any_connection(pair: Pair) -> None:
    async with pair.stack.beside() as beside, beside.served() as elsewhere:
        laptop = await pair.line(pair.alice, pair.laptop)
        async with line(elsewhere, pair.bob, pair.bobs) as bobs, line(elsewhere, pair.alice, pair.phone) as phone:
            for each in (bobs, phone):
                await each.expect("caught_up")
            for _ in range(50):
                await laptop.send(pair.direct, pair.for_all())
            assert [(await bobs.expect("message"))["seq"] for _ in range(50)] == list(range(1, 51))
            for _ in range(50):
                await bobs.send(pair.direct, {pair.laptop: "b", pair.phone: "b"})
            assert [(await phone.expect("message"))["seq"] for _ in range(100)] == list(range(1, 101))


async def test_both_processes_number_one_conversation_without_gaps(pair: Pair) -> None:
    async with pair.stack.beside() as beside, beside.served() as elsewhere:
        laptop = await pair.line(pair.alice, pair.laptop)
        phone = await pair.line(pair.alice, pair.phone)
        async with line(elsewhere, pair.bob, pair.bobs) as bobs:
            for _ in range(100):
                await laptop.send(pair.direct, pair.for_all())
                await bobs.send(pair.direct, {pair.laptop: "b", pair.phone: "b"})
            got = [(await phone.expect("message"))["seq"] for _ in range(200)]
            assert got == list(range(1, 201))


async def test_a_word_that_is_lost_costs_no_message(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    laptop = await pair.line(pair.alice, pair.laptop)
    bobs = await pair.line(pair.bob, pair.bobs)
    await bobs.expect("caught_up")
    messages = pair.stack.state("messages")
    say = messages.routes.send

    async def lose(*_: object) -> None:
        return None

    monkeypatch.setattr(type(messages.routes), "send", lose)
    await laptop.send(pair.direct, pair.for_all("lost"))
    await laptop.expect("sent")
    monkeypatch.undo()
    assert messages.routes.send == say
    await laptop.send(pair.direct, pair.for_all("told"))
    assert [(await bobs.expect("message"))["envelope"]["body"] for _ in range(2)] == ["lost", "told"]


async def test_what_no_word_came_of_is_found(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    laptop = await pair.line(pair.alice, pair.laptop)
    bobs = await pair.line(pair.bob, pair.bobs)
    await bobs.expect("caught_up")
    messages = pair.stack.state("messages")

    async def lose(*_: object) -> None:
        return None

    monkeypatch.setattr(type(messages.routes), "send", lose)
    await laptop.send(pair.direct, pair.for_all("lost"))
    await laptop.expect("sent")
    async with pair.stack.db.transaction() as tx:  # as if it had been a while ago
        await tx.execute("UPDATE messages.inbox SET at = at - 60000")
    await messages.connections._keep(recheck=True)
    assert (await bobs.expect("message"))["envelope"]["body"] == "lost"


async def test_a_credential_that_ends_ends_the_connection(pair: Pair) -> None:
    laptop = await pair.line(pair.alice, pair.laptop)
    async with pair.stack.db.transaction() as tx:
        key_id = await tx.value("DELETE FROM platform.api_key WHERE account_id = $1 RETURNING id", pair.alice.id)
    await pair.stack.process.runtime.identity.revoked(KEY, pair.alice.id, [key_id])
    await pair.stack.state("messages").connections._keep(recheck=True)
    assert (await laptop.closed())[0] == frames.SIGNED_OUT


BAD = [
    "no json",
    "{}",
    '{"t":"sned"}',
    '{"t":"ping","n":"one"}',
    '{"t":"ping","n":1,"more":true}',
    '{"t":"send","id":"x","conversation":"1","revision":1}',
    '{"t":"send","id":"message-1","conversation":"-1","revision":1}',
    '{"t":"send","id":"message-1","conversation":"1","revision":0}',
    '{"t":"send","id":"message-1","conversation":"1","revision":1,"content":"not ascii \\u00e9"}',
    '{"t":"send","id":"message-1","conversation":"1","revision":1,"content":"null\\u0000"}',
    '{"t":"send","id":"message-1","conversation":"1","revision":1,"envelopes":{"1":{"type":2,"body":"x"}}}',
    '{"t":"ack","seen":{"1":0}}',
    '{"t":"ack","seen":[]}',
    '{"t":"hello","device":"1","protocol":1}',
    "[" * 100_000,
]


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
async def test_a_frame_that_cannot_be_read_is_refused_and_the_connection_stays(pair: Pair, text: str) -> None:
    laptop = await pair.line(pair.alice, pair.laptop)
    await laptop.say_raw(text)
    assert (await laptop.expect("error"))["code"] == "bad_frame"
    await laptop.send(pair.direct, pair.for_all())
    await laptop.expect("sent")


async def test_who_sends_nothing_but_nonsense_is_hung_up_on(pair: Pair) -> None:
    laptop = await pair.line(pair.alice, pair.laptop)
    for _ in range(10):
        await laptop.say_raw("\x00")
    code, said = await laptop.closed()
    assert code == frames.BAD_FRAMES
    assert sum(frame["t"] == "error" for frame in said) == 10


async def test_what_is_too_large_is_refused(pair: Pair) -> None:
    laptop = await pair.line(pair.alice, pair.laptop)
    await laptop.send(pair.direct, pair.for_all("x" * 65_537))
    assert (await laptop.expect("error"))["code"] == "content_too_large"
    await laptop.send(pair.group, content="x" * 65_537)
    assert (await laptop.expect("error"))["code"] == "content_too_large"
    await laptop.send(pair.group, content="x" * 65_536)
    await laptop.expect("sent")
    await laptop.say_raw(json.dumps({"t": "ping", "n": 1, "x": "y" * 1024 * 1024}))
    assert (await laptop.closed())[0] == frames.TOO_LARGE


async def test_the_first_frame_must_be_hello(pair: Pair) -> None:
    for first in ('{"t":"ping","n":1}', "nonsense", '{"t":"hello","device":"' + "1" * 2000 + '","protocol":1}'):
        async with dial(pair.address, pair.alice) as socket:
            there = Line(socket, 0)
            await there.say_raw(first)
            code, said = await there.closed()
            assert (code, said[0]["code"]) == (frames.BAD_FRAMES, "bad_frame")
    async with dial(pair.address, pair.alice) as socket:
        there = Line(socket, 0)
        await there.say(t="hello", device=str(pair.laptop), protocol=2)
        assert (await there.closed())[0] == frames.BAD_FRAMES


async def test_a_message_that_has_ended_is_not_delivered(pair: Pair) -> None:
    laptop = await pair.line(pair.alice, pair.laptop)
    await laptop.send(pair.direct, pair.for_all("short"), expires=60)
    await laptop.expect("sent")
    async with pair.stack.db.transaction() as tx:
        await tx.execute("UPDATE messages.inbox SET ends_at = ends_at - 60000")
    await laptop.send(pair.direct, pair.for_all("long"))
    await laptop.expect("sent")
    bobs = await pair.line(pair.bob, pair.bobs)
    await bobs.expect("caught_up")
    assert [f["envelope"]["body"] for f in await bobs.quiet() if f["t"] == "message"] == ["long"]


async def test_the_database_keeps_no_more_than_the_sealed_text(pair: Pair) -> None:
    laptop = await pair.line(pair.alice, pair.laptop)
    await laptop.send(pair.direct, pair.for_all())
    await laptop.expect("sent")
    columns = await pair.stack.value(
        """SELECT array_agg(column_name::text ORDER BY column_name) FROM information_schema.columns
           WHERE table_schema = 'messages' AND table_name = 'sent'"""
    )
    assert columns == ["account_id", "at", "conversation_id", "device_id", "id", "seq"]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_whatever_comes_is_a_frame_or_a_clean_refusal(data: bytes) -> None:
    with pytest.raises((msgspec.MsgspecError, UnicodeDecodeError)):
        _decode(data)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
_members = st.sampled_from(
    ["id", "conversation", "revision", "content", "envelopes", "expires", "seen", "notes", "seq", "on", "accounts", "n"]
)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["hello", "send", "note", "ack", "read", "typing", "watch", "ping", "sent"]),
    st.dictionaries(_members, _json, max_size=6),
)
def test_frames_of_any_members_are_decoded_within_their_bounds_or_refused(kind: str, members: dict[str, Any]) -> None:
    try:
        frame = _decode(json.dumps({"t": kind, **members}).encode())
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return
    assert type(frame).__name__.lower() == kind
    assert _decode(msgspec.json.encode(frame)) == frame


async def test_a_slow_reader_does_not_hold_up_others(pair: Pair) -> None:
    laptop = await pair.line(pair.alice, pair.laptop)
    phone = await pair.line(pair.alice, pair.phone)
    await pair.line(pair.bob, pair.bobs, max_queue=1)  # connected, and never reads
    body = "x" * 8000
    names = [await laptop.send(pair.direct, pair.for_all(body)) for _ in range(200)]
    for name in names:
        await laptop.expect("sent", id=name)
    async with asyncio.timeout(20):
        assert [(await phone.expect("message"))["seq"] for _ in names] == list(range(1, 201))
