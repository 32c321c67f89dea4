"""Two people with two devices each, over two web processes, while web, worker, NATS and Valkey are killed once each.

Each device shows each message exactly once, in order, and nothing is lost. The server knows nothing of what was said.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import groupby
from pathlib import Path

import pytest
from tests.journeys.conftest import House, free_port

from tenfold.contracts.messages.client import Client
from tenfold.contracts.messages.content import Text
from tenfold.contracts.messages.incoming import Received

pytestmark = pytest.mark.journey

#: Messages of each of the four devices; all of them; messages of a device that wait in its program at most.
EACH, ALL, AHEAD = 2500, 10_000, 200
#: What all of them say, and nobody but them may know.
SECRET = "wombat"


class Web:
    """A web process of its own on the engines of a house, beside the one that `tenfold up` keeps."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._port = free_port()
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        with self._house.data.with_suffix(".web.log").open("a") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tenfold.cli", "serve", "--port", str(self._port)),
                stdout=log,
                stderr=log,
                env=self._house.variables(),
                cwd=self._house.data.parent,
            )
        await House.until(self._listens)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0

    async def end(self, sign: signal.Signals) -> None:
        assert self._process
        self._process.send_signal(sign)
        await self._process.wait()


@asynccontextmanager
async def another_web(house: House) -> AsyncIterator[Web]:
    web = Web(house)
    await web.start()
    try:
        yield web
    finally:
        await web.end(signal.SIGTERM)


class Shown:
    """What a device shows, as it comes."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.messages: list[Received] = []
        self._last = 0

    async def listen(self) -> None:
        async for last, message in self.client.messages():
            self._last = last
            self.messages.append(message)
            if len(self.messages) == ALL:
                return

    async def shows_more(self) -> bool:
        more = asyncio.create_task(anext(self.client.messages(self._last)))
        done, _ = await asyncio.wait([more], timeout=0.1)
        more.cancel()
        return bool(done)

    async def say(self, talk: str, name: str) -> None:
        for n in range(EACH):
            while self.client.unsent >= AHEAD:  # noqa: ASYNC110  # as somebody who doesn't talk into a void
                await asyncio.sleep(0.01)
            self.client.say(talk, f"{SECRET} {name} {n}")


async def test_nothing_is_lost_or_shown_twice_while_what_is_around_dies(house: House, tmp_path: Path) -> None:
    house.environment |= {"TENFOLD_ONLY": "messages"}
    house.empty()
    await house.up()
    keys = {}
    for name in ("alice", "bob"):
        await house.run("account", "create", "--name", name, "--password", "correct horse battery")
        keys[name] = (await house.run("account", "key", "--name", name))[1].strip()

    async with another_web(house) as web, AsyncExitStack() as stack, asyncio.timeout(420):
        devices = {}
        for name, number, url in (
            ("alice", 1, house.url),
            ("bob", 1, web.url),
            ("alice", 2, web.url),
            ("bob", 2, house.url),
        ):
            client = Client(url, keys[name], tmp_path / f"{name}-{number}", name=f"{name} {number}")
            devices[f"{name} {number}"] = Shown(await stack.enter_async_context(client))
        alice = devices["alice 1"].client
        talk = await alice.direct(devices["bob 1"].client.account)
        pids = await house.pids()

        async def kill(part: str) -> None:
            os.kill(pids[part], signal.SIGKILL)
            await house.until(lambda: f"{part} runs again." in house.said())

        async def kill_the_other_web() -> None:
            await web.end(signal.SIGKILL)
            await web.start()

        deaths: list[tuple[int, Callable[[], Awaitable[None]]]] = [
            (1500, lambda: kill("web")),
            (3000, lambda: kill("work")),
            (4500, lambda: kill("NATS")),
            (6000, lambda: kill("Valkey")),
            (7500, kill_the_other_web),
        ]

        async def reap() -> None:
            for heard, death in deaths:
                await House.until(lambda heard=heard: len(devices["bob 2"].messages) >= heard, 300)
                await death()
                assert len(devices["bob 2"].messages) < ALL, "it was over before"

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(reap())
            for name, shown in devices.items():
                tasks.create_task(shown.listen())
                tasks.create_task(shown.say(talk, name))
        for shown in devices.values():
            await shown.client.all_sent()

        spoken = {(name, n) for name in devices for n in range(EACH)}
        first = [(message.seq, message.id) for message in by_number(devices["alice 1"])]
        for shown in devices.values():
            messages = by_number(shown)
            assert [message.seq for message in messages] == list(range(1, ALL + 1))
            assert [(message.seq, message.id) for message in messages] == first
            assert all(isinstance(message.content, Text) for message in messages)
            said = [
                message.content.text.removeprefix(f"{SECRET} ").rsplit(" ", 1)
                for message in messages
                if isinstance(message.content, Text)
            ]
            assert {(name, int(n)) for name, n in said} == spoken
            for name, lines in groupby(sorted(said, key=lambda line: line[0]), key=lambda line: line[0]):
                assert [int(n) for _, n in lines] == list(range(EACH)), f"what {name} said is out of order"
        for shown in devices.values():
            assert not await shown.shows_more(), "something came once more"

    # Database, event log, what Valkey keeps, objects, logs of processes: all that there is of it.
    assert await house.tell(signal.SIGTERM) == 0
    files = [file for file in house.data.parent.rglob("*") if file.is_file() and not file.is_symlink()]
    kinds = {file.relative_to(house.data).parts[0] for file in files if file.is_relative_to(house.data)}
    assert {"postgres", "nats", "valkey"} <= kinds, kinds
    assert not [file for file in files if SECRET.encode() in file.read_bytes()]


def by_number(shown: Shown) -> list[Received]:
    return sorted(shown.messages, key=lambda message: message.seq)
