"""The Python client against the real server: many devices, and all that can go wrong between them."""

import asyncio
import base64
import hashlib
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.contracts.messages.town import Town, heard, words

from tenfold.contracts.messages import backup, frames
from tenfold.contracts.messages.connection import DeviceEnded, NotSent
from tenfold.contracts.messages.content import About, Reaction, Text, To, Unopened
from tenfold.contracts.messages.files import FileBroken, Sealed, seal, unseal
from tenfold.contracts.messages.safety import safety_number


async def test_two_people_talk_and_every_device_has_all_of_it_in_order(town: Town) -> None:
    alice, phone = await town.client("alice"), await town.client("alice", "phone")
    bob = await town.client("bob")
    (found,) = await alice.people("bo")
    talk = await alice.direct(found.id)
    assert talk == await bob.direct(alice.account)
    for n in range(30):
        await alice.sent(alice.say(talk, f"from alice {n}"))
        await bob.sent(bob.say(talk, f"from bob {n}"))
    wanted = [f"from {who} {n}" for n in range(30) for who in ("alice", "bob")]
    for each in (alice, phone, bob):
        # One's own come when the server has them, which may be before another's that has the number before.
        messages = sorted(await heard(each, 60), key=lambda message: message.seq)
        assert words(messages) == wanted
        assert [message.seq for message in messages] == list(range(1, 61))


async def test_a_client_that_comes_back_goes_on_where_it_was(town: Town) -> None:
    alice = await town.client("alice")
    async with await town.made("bob") as bob:
        talk = await bob.direct(alice.account)
        await bob.sent(bob.say(talk, "hello"))
        await heard(alice, 1)
        await alice.sent(alice.say(talk, "hi"))
        await heard(bob, 2)
    for n in range(20):
        alice.say(talk, f"while you were away {n}")
    await alice.all_sent()
    async with await town.made("bob") as bob:
        assert words(await heard(bob, 22)) == ["hello", "hi", *(f"while you were away {n}" for n in range(20))]
        await bob.sent(bob.say(talk, "back"))
    assert words(await heard(alice, 23))[-1] == "back"


async def test_what_is_said_without_a_connection_is_sent_when_there_is_one(town: Town) -> None:
    alice, bob = await town.client("alice"), await town.client("bob")
    talk = await alice.direct(bob.account)
    await alice.connected.wait()
    assert alice._socket is not None
    await alice._socket.close()
    names = [alice.say(talk, f"{n}") for n in range(5)]
    for name in names:
        await alice.sent(name)
    assert words(await heard(bob, 5)) == ["0", "1", "2", "3", "4"]


async def test_a_group_talks_and_who_comes_later_gets_what_is_said_from_then_on(town: Town) -> None:
    alice, bob, carol = [await town.client(name) for name in ("alice", "bob", "carol")]
    talk = await alice.group([bob.account], "Garden")
    await alice.sent(alice.say(talk, "one"))
    assert words(await heard(bob, 2)) == [repr(About(name="Garden")), "one"]
    await alice.add(talk, [carol.account])
    await alice.sent(alice.say(talk, "two"))
    await bob.sent(bob.say(talk, "three"))
    assert words(await heard(carol, 2)) == ["two", "three"]
    assert words(await heard(alice, 4))[-1] == "three"


async def test_whoever_leaves_a_group_can_open_nothing_that_is_said_afterwards(town: Town) -> None:
    alice, bob, carol = [await town.client(name) for name in ("alice", "bob", "carol")]
    talk = await alice.group([bob.account, carol.account])
    await alice.sent(alice.say(talk, "one"))
    await heard(carol, 1)
    before = alice._keep.one("SELECT session FROM outbound")
    await alice.remove(talk, carol.account)
    name = alice.say(talk, "two")
    await alice.sent(name)
    assert alice._keep.one("SELECT session FROM outbound") != before
    assert words(await heard(bob, 2)) == ["one", "two"]
    with pytest.raises(NotSent, match="conversation_not_found"):
        await carol.sent(carol.say(talk, "still here?"))


async def test_a_new_device_is_noticed_and_included(town: Town) -> None:
    alice, bob = await town.client("alice"), await town.client("bob")
    talk = await alice.direct(bob.account)
    await alice.sent(alice.say(talk, "one"))
    before = await alice.safety_number(bob.account)
    assert before == await bob.safety_number(alice.account)
    phone = await town.client("bob", "phone")
    await phone.caught_up.wait()
    await alice.sent(alice.say(talk, "two"))
    assert words(await heard(phone, 1)) == ["two"]
    assert alice.new_devices == [(bob.account, phone.device)]
    alice.told_of(phone.device)
    assert alice.new_devices == []
    assert await alice.safety_number(bob.account) != before


async def test_a_key_that_is_missing_is_asked_for_and_what_it_opens_is_shown(town: Town) -> None:
    alice, bob = await town.client("alice"), await town.client("bob")
    talk = await alice.group([bob.account])
    await alice.sent(alice.say(talk, "one"))
    await heard(bob, 1)
    bob._keep.run("DELETE FROM inbound")  # as after a store that was restored from an older copy
    await alice.sent(alice.say(talk, "two"))
    seen = await heard(bob, 3)
    assert isinstance(seen[1].content, Unopened)
    assert words(seen[2:]) == ["two"]


async def test_a_broken_session_is_replaced_and_what_was_lost_is_said_again(town: Town) -> None:
    alice, bob = await town.client("alice"), await town.client("bob")
    talk = await alice.direct(bob.account)
    await alice.sent(alice.say(talk, "one"))
    await heard(bob, 1)
    await bob.sent(bob.say(talk, "two"))
    await heard(alice, 2)
    bob._keep.run("DELETE FROM olm")
    await alice.sent(alice.say(talk, "three"))
    seen = await heard(bob, 4)
    assert isinstance(seen[2].content, Unopened)
    assert words(seen[3:]) == ["three"]
    await alice.sent(alice.say(talk, "four"))
    assert words(await heard(bob, 4))[-1] == "four"


async def test_what_was_sealed_for_one_place_is_refused_in_another(town: Town) -> None:
    alice, bob = await town.client("alice"), await town.client("bob")
    talk = await alice.direct(bob.account)
    group = await alice.group([bob.account])
    await alice.sent(alice.say(group, "for the group"))
    await heard(bob, 1)
    place = await alice._place(talk)
    await alice._meet(place.id, alice._outgoing.needs(place))
    queued = alice._outgoing.queue(talk, Text(text="for the two"))
    row = alice._outgoing.next({})
    assert row is not None
    assert row.id == queued
    (frame,) = alice._outgoing.seal(row, place)
    assert isinstance(frame, frames.Send)
    # Mallory, who runs the server, has it delivered in the group, and under another id.
    envelope = frame.envelopes[bob.device]
    forged = frames.Message(
        conversation=group, seq=2, id=frame.id, account=alice.account, device=alice.device, at=1, envelope=envelope
    )
    assert bob._incoming.take(forged)
    assert (await heard(bob, 2))[1].content == Unopened("it was sealed for another place")
    again = msgspec.structs.replace(forged, conversation=talk, seq=1, id="another-id")
    assert bob._incoming.take(again)
    assert isinstance((await heard(bob, 3))[2].content, Unopened)


async def test_a_groups_message_is_not_taken_twice(town: Town) -> None:
    alice, bob = await town.client("alice"), await town.client("bob")
    talk = await alice.group([bob.account])
    spied: list[frames.Message] = []
    bob.listeners.append(lambda frame: spied.append(frame) if isinstance(frame, frames.Message) else None)
    await alice.sent(alice.say(talk, "pay 10"))
    await heard(bob, 1)
    replayed = msgspec.structs.replace(spied[0], seq=2, id="another-id")
    assert bob._incoming.take(replayed)
    assert (await heard(bob, 2))[1].content == Unopened("it was said before")


async def test_a_file_is_sealed_before_it_is_uploaded(town: Town) -> None:
    alice, bob = await town.client("alice"), await town.client("bob")
    talk = await alice.direct(bob.account)
    data = b"picture " * 200_000
    await alice.sent(await alice.send_file(talk, "garden.png", "image/png", data))
    (message,) = await heard(bob, 1)
    file: Any = message.content
    assert (file.name, file.type, file.size) == ("garden.png", "image/png", len(data))
    assert await bob.fetch_file(file) == data
    sealed = await bob.api.call("GET", f"/media/{file.upload}")
    assert b"picture" not in sealed


async def test_ticks_and_reactions_reach_the_sender(town: Town) -> None:
    alice, bob = await town.client("alice"), await town.client("bob")
    talk = await alice.direct(bob.account)
    ticks: asyncio.Queue[frames.Receipt] = asyncio.Queue()
    alice.listeners.append(lambda frame: ticks.put_nowait(frame) if isinstance(frame, frames.Receipt) else None)
    sent = await alice.sent(alice.say(talk, "hello"))
    async with asyncio.timeout(10):
        assert (await ticks.get()).delivered == sent.seq
        await bob.read(talk, sent.seq)
        assert (await ticks.get()).read == sent.seq
    await bob.sent(bob.send(talk, Reaction(to=To(alice.account, sent.id), emoji="🌻")))
    assert (await heard(alice, 2))[1].content == Reaction(to=To(alice.account, sent.id), emoji="🌻")


async def test_a_device_that_was_ended_says_so(town: Town) -> None:
    alice = await town.client("alice")
    phone = await town.client("alice", "phone")
    await phone.caught_up.wait()
    await alice.api.call("DELETE", f"/devices/{phone.device}")
    with pytest.raises(DeviceEnded):
        await heard(phone, 1)


async def test_nothing_that_was_said_is_anywhere_at_the_server(town: Town) -> None:
    alice, bob = await town.client("alice"), await town.client("bob")
    talk, group = await alice.direct(bob.account), await alice.group([bob.account], "secret-group-name")
    for place in (talk, group):
        await alice.sent(alice.say(place, "secret-plaintext"))
    await alice.sent(await alice.send_file(talk, "secret-file-name", "text/plain", b"secret-bytes"))
    await heard(bob, 4)
    async with town.stack.db.read(fresh=True) as tx:
        tables = await tx.connection.fetch(
            "SELECT tablename FROM pg_tables WHERE schemaname IN ('messages', 'platform')"
        )
        assert len(tables) > 20
        for schema in ("messages", "platform"):
            for (table,) in await tx.connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = $1", schema):
                found = await tx.value(f"SELECT count(*) FROM {schema}.{table} t WHERE t::text LIKE '%secret-%'")
                assert found == 0, table
    everything = [path for path in Path(town.stack.settings.data).rglob("*") if path.is_file()]
    assert all(b"secret-" not in path.read_bytes() for path in everything)


def test_safety_numbers_are_the_same_for_both_and_change_with_any_key() -> None:
    alice, bob = ("1", ["a" * 43, "b" * 43]), ("2", ["c" * 43])
    number = safety_number(alice, bob)
    assert len(number) == 60
    assert number.isdecimal()
    assert number == safety_number(bob, ("1", ["b" * 43, "a" * 43]))
    assert number != safety_number(alice, ("2", ["c" * 43, "d" * 43]))


@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 1000])
def test_a_file_opens_whole_or_not_at_all(size: int) -> None:
    data = bytes(n % 251 for n in range(size))
    sealed = seal(data, part=100)
    assert unseal(sealed) == data

    def changed(data: bytes) -> Sealed:
        digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
        return Sealed(data, sealed.key, sealed.iv, digest, sealed.part)

    step = 116
    broken = [sealed.data[:-1], sealed.data[:step] if size > 100 else b"", sealed.data + b"x"]
    if size > 200:
        broken.append(sealed.data[step : 2 * step] + sealed.data[:step] + sealed.data[2 * step :])
    for each in broken:
        with pytest.raises(FileBroken):
            unseal(changed(each))


def test_a_backup_opens_with_its_passphrase_only() -> None:
    key = bytes(range(32))
    head = backup.make_head("correct horse", key)
    assert backup.open_head("correct horse", head) == key
    with pytest.raises(backup.WrongPassphrase):
        backup.open_head("wrong horse", head)
    with pytest.raises(backup.BackupBroken):
        backup.open_head("correct horse", "nonsense")
    part = backup.seal_part(key, 3, 0, [{"message": 1}, {"session": 2}])
    assert list(backup.open_part(key, 3, 0, part)) == [b'{"message":1}', b'{"session":2}']
    for version, number in ((2, 0), (3, 1)):
        with pytest.raises(backup.BackupBroken):
            list(backup.open_part(key, version, number, part))


async def test_two_terminals_talk(town: Town) -> None:
    async def terminal(name: str) -> asyncio.subprocess.Process:
        client = await town.made(name)
        client._keep.close()
        arguments = ("--server", town.address, "--key", client.api.token, "--folder", str(town.folder / name / "tty"))
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tenfold.contracts.messages.terminal",
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )

    async def until(process: asyncio.subprocess.Process, wanted: str) -> str:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            while wanted not in (line := (await process.stdout.readline()).decode()):
                assert line, f"it ended without saying {wanted}"
            return line

    alice, bob = await terminal("alice"), await terminal("bob")
    assert alice.stdin is not None
    assert bob.stdin is not None
    for each in (alice, bob):
        await until(each, "/help")
    alice.stdin.write(b"/to bob\nhello\x1b[2J there\n")
    assert "hello\N{REPLACEMENT CHARACTER}[2J there" in await until(bob, "hello")
    bob.stdin.write(b"/to alice\nand you\n")
    assert "bob: and you" in await until(alice, "and you")
    for each in (alice, bob):
        each.stdin.write(b"/quit\n")  # type: ignore[union-attr]
        assert await each.wait() == 0
