"""Nothing is lost and nothing is there twice: bad lines, dead programs, and servers that answer nothing."""

import asyncio
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.contracts.messages.town import Town, heard, words

from tenfold.contracts.messages.client import Client
from tenfold.contracts.messages.content import Text, Unopened
from tenfold.contracts.messages.incoming import kept
from tenfold.contracts.messages.keep import FolderInUse


class Line:
    """What is between a client and its server, and breaks in the middle of bytes."""

    def __init__(self, to: str, seed: int) -> None:
        parts = urlsplit(to)
        self._to = str(parts.hostname), int(parts.port or 80)
        self._random = random.Random(seed)
        self._pipes: set[asyncio.Task[None]] = set()
        #: Bytes that each connection still carries.
        self._left: list[list[int]] = []
        self._cuts = 0
        self.cut = 0

    def break_often(self, cuts: int) -> None:
        """From now on connections break soon, until so many have been begun."""
        self._cuts = cuts
        for left in self._left:
            left[0] = self._soon()

    def _soon(self) -> int:
        return self._random.randrange(300, 15_000)

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._to)
        self._cuts -= 1
        left = [self._soon() if self._cuts >= 0 else 10**12]
        self._left.append(left)
        pipes = [asyncio.create_task(self._pipe(*each, left)) for each in ((reader, far_writer), (far_reader, writer))]
        self._pipes.update(pipes)
        await asyncio.wait(pipes, return_when=asyncio.FIRST_COMPLETED)
        for task in pipes:
            task.cancel()
        await asyncio.gather(*pipes, return_exceptions=True)
        self._pipes.difference_update(pipes)
        self._left.remove(left)
        for each in (writer, far_writer):
            each.transport.abort()

    def end(self) -> None:
        for task in self._pipes:
            task.cancel()

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: list[int]) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(4096):
                writer.write(data[: left[0]])
                await writer.drain()
                left[0] -= len(data)
                if left[0] <= 0:
                    self.cut += 1
                    return


@asynccontextmanager
async def line(town: Town, seed: int) -> AsyncIterator[tuple[Line, str]]:
    found = Line(town.address, seed)
    async with await asyncio.start_server(found.carry, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()[:2]
        try:
            yield found, f"http://{host}:{port}"
        finally:
            server.close()
            found.end()


def all_words(client: Client, talk: str) -> list[str]:
    rows = kept(client._keep, "WHERE conversation = ? ORDER BY seq", talk)
    return words([message for _, message in rows])


async def readable(client: Client, count: int) -> None:
    """Wait until so many messages are there and opened."""
    opened: set[tuple[str, str]] = set()
    async for _, message in client.messages():
        if not isinstance(message.content, Unopened):
            opened.add((message.device, message.id))
        if len(opened) == count:
            return


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_line_that_breaks_anywhere_loses_nothing_and_repeats_nothing(town: Town, seed: int) -> None:
    async with line(town, seed) as (bad, address), line(town, -seed) as (worse, another):
        alice, bob = await town.client("alice", address=address), await town.client("bob", address=another)
        carol = await town.client("carol")
        talk, group = await alice.direct(bob.account), await alice.group([bob.account, carol.account])
        bad.break_often(8)
        worse.break_often(8)
        for n in range(60):
            for client, name in ((alice, "alice"), (bob, "bob")):
                client.say((talk, group)[n % 2], f"{name} {n}")
            await asyncio.sleep(0.01)
        async with asyncio.timeout(120):
            for client in (alice, bob):
                await client.all_sent()
            await readable(alice, 120)
            await readable(bob, 120)
            await readable(carol, 60)
        assert bad.cut + worse.cut > 3
    for place, clients in ((talk, (alice, bob)), (group, (alice, bob, carol))):
        found = all_words(clients[0], place)
        for client in clients:
            assert all_words(client, place) == found
            rows = kept(client._keep, "WHERE conversation = ? ORDER BY seq", place)
            assert [message.seq for _, message in rows] == list(range(1, 61))
        for name in ("alice", "bob"):
            first = 0 if place == talk else 1
            assert [each for each in found if each.startswith(name)] == [f"{name} {n}" for n in range(first, 60, 2)]


async def test_a_program_that_is_killed_again_and_again_has_each_message_once(town: Town) -> None:
    alice = await town.client("alice")
    async with await town.made("bob") as bob:
        talk, his = await alice.direct(bob.account), bob.account
    folder, half = town.folder / "bob" / "one", 1500
    arguments = town.address, await town.token("bob"), str(folder), talk, str(half), str(half)

    async def begun() -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, str(Path(__file__).with_name("worker.py")), *arguments, stdout=asyncio.subprocess.PIPE
        )

    for n in range(half):
        alice.say(talk, f"alice {n}")
    dice, killed = random.Random(6), 0
    async with asyncio.timeout(240):
        for _ in range(8):
            process = await begun()
            assert process.stdout is not None
            for _ in range(dice.randrange(1, 400)):
                if not await process.stdout.readline():
                    break
            if process.returncode is None:
                process.kill()
            killed += await process.wait() != 0
        process = await begun()
        out, _ = await process.communicate()
        assert process.returncode == 0
        assert out.endswith(b"done\n")
        await heard(alice, 2 * half)
    assert killed > 3
    mine = [each for each in all_words(alice, talk) if not each.startswith("alice")]
    assert mine == [str(n) for n in range(half)]
    async with await town.made("bob") as bob:
        assert bob.account == his
        await bob.caught_up.wait()
        assert all_words(bob, talk) == all_words(alice, talk)
        assert all_words(bob, talk).count("alice 7") == 1


async def test_what_was_asked_for_is_kept_until_it_is_answered(town: Town) -> None:
    bob = await town.client("bob")
    async with await town.made("alice") as alice:
        talk = await alice.group([bob.account])
        await alice.sent(alice.say(talk, "one"))
        await heard(bob, 1)
        bob._keep.run("DELETE FROM inbound")
        await alice.sent(alice.say(talk, "two"))
        await alice.all_sent()
    assert isinstance((await heard(bob, 2))[1].content, Unopened)
    async with await town.made("alice"):
        assert words(await heard(bob, 3))[2:] == ["two"]


async def test_two_programs_cant_use_one_folder(town: Town) -> None:
    await town.client("alice")
    with pytest.raises(FolderInUse):
        await town.made("alice")


async def test_messages_that_come_behind_a_broken_one_are_said_again_too(town: Town) -> None:
    alice, bob = await town.client("alice"), await town.client("bob")
    talk = await alice.direct(bob.account)
    await alice.sent(alice.say(talk, "one"))
    await heard(bob, 1)
    await bob.sent(bob.say(talk, "two"))
    await heard(alice, 2)
    bob._keep.run("DELETE FROM olm")
    for n in range(20):
        alice.say(talk, f"{n}")
    await alice.all_sent()
    wanted = {f"{n}" for n in range(20)}
    opened: set[str] = set()
    async with asyncio.timeout(30):
        async for _, message in bob.messages():
            if isinstance(message.content, Text):
                opened.add(message.content.text)
            if wanted <= opened:
                break
    assert all_words(bob, talk) == ["one", "two", *(f"{n}" for n in range(20))]
