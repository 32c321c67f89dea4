"""Chat when a replica of its model is killed in the middle of twenty answers, against the real command."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI
from tests.journeys.conftest import ENVIRONMENT, House, free_port

pytestmark = pytest.mark.journey

#: A server of a model, whose answers begin with its name. One that holds says a word of each answer and waits for
#: SIGUSR1; after SIGUSR2 new answers wait before their first word too.
REPLICA = """
import asyncio, functools, signal, sys
from tenfold.platform.inference.testing import scripted

async def main(name, port, holds):
    async with scripted(int(port), words=[f"{name} ", "speaks ", "on."], unheld=1) as script:
        if holds == "holds":
            script.goes_on.clear()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, script.goes_on.set)
        loop.add_signal_handler(signal.SIGUSR2, functools.partial(setattr, script, "unheld", 0))
        print("ready", flush=True)
        await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""
#: Fewer than what one replica is asked for when the other is gone: some wait in the queue.
SLOTS = 12


@dataclass
class Replica:
    name: str
    port: int = field(default_factory=free_port)
    process: asyncio.subprocess.Process | None = None

    @property
    def endpoint(self) -> dict[str, Any]:
        return {"url": f"http://127.0.0.1:{self.port}/v1", "slots": SLOTS}

    async def start(self, *, holds: bool) -> None:
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", REPLICA, self.name, str(self.port), "holds" if holds else "speaks"),
            stdout=asyncio.subprocess.PIPE,
            env=ENVIRONMENT,
        )
        assert self.process.stdout
        assert await asyncio.wait_for(self.process.stdout.readline(), 60) == b"ready\n"

    async def tell(self, sign: signal.Signals) -> None:
        assert self.process
        self.process.send_signal(sign)
        if sign == signal.SIGKILL:
            await self.process.wait()


@pytest.fixture
async def replicas() -> AsyncIterator[tuple[Replica, Replica]]:
    both = Replica("east"), Replica("west")
    await asyncio.gather(*(each.start(holds=True) for each in both))
    yield both
    for each in both:
        if each.process and each.process.returncode is None:
            await each.tell(signal.SIGKILL)


@dataclass
class Clients:
    """One person, by both doors."""

    openai: AsyncOpenAI
    http: httpx.AsyncClient

    async def loads(self) -> list[tuple[str, int]]:
        """Of each replica, whether it is up and what it works on."""
        [fast, *_] = (await self.http.get("/chat/api/models")).json()["tiers"]
        return [(each["state"], each["outstanding"]) for each in fast["replicas"]]

    async def until(self, condition: Callable[[list[tuple[str, int]]], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition(await self.loads()):  # noqa: ASYNC110 - it is of another process
                await asyncio.sleep(0.05)


@asynccontextmanager
async def clients_of(house: House) -> AsyncIterator[Clients]:
    account = ("--name", "ada", "--password", "correct horse battery", "--tier", "enterprise")
    status, said = await house.run("account", "create", *account)
    assert status == 0, said
    _, said = await house.run("account", "key", "--name", "ada")
    key = next(word for word in said.split() if word.startswith("tf_"))
    headers = {"authorization": f"Bearer {key}"}
    async with (
        AsyncOpenAI(base_url=f"{house.url}/chat/v1", api_key=key, max_retries=0, timeout=60) as client,
        httpx.AsyncClient(base_url=house.url, headers=headers, timeout=60) as http,
    ):
        yield Clients(client, http)


@dataclass
class Stream:
    """An answer while it comes."""

    thread: str | None
    said: str = ""
    error: str | None = None
    status: str = ""
    answer_id: str = ""
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, text: str) -> None:
        self.said += text
        if self.said:
            self.begun.set()

    @property
    def who(self) -> str:
        return self.said.partition(" ")[0]


async def complete(clients: Clients, stream: Stream, question: str) -> None:
    """By the OpenAI API."""
    try:
        chunks = await clients.openai.chat.completions.create(
            model="fast", messages=[{"role": "user", "content": question}], stream=True
        )
        async for chunk in chunks:
            for choice in chunk.choices:
                stream.hear(choice.delta.content or "")
                stream.status = choice.finish_reason or stream.status
    except openai.APIError as error:
        stream.error, stream.status = error.message, "failed"


async def converse(clients: Clients, stream: Stream, question: str, parent: str | None = None) -> None:
    """In a conversation."""
    asked = await clients.http.post(
        f"/chat/api/threads/{stream.thread}/messages", json={"text": question, "parent_id": parent}
    )
    assert asked.status_code == 201, asked.text
    stream.answer_id = asked.json()["answer"]["id"]
    async with clients.http.stream("GET", f"/chat/api/messages/{stream.answer_id}/stream") as answer:
        async for line in answer.aiter_lines():
            if not line.startswith("data: "):
                continue
            event = json.loads(line.removeprefix("data: "))
            if event["type"] == "text" and event["at"] == len(stream.said):
                stream.hear(event["text"])
            elif event["type"] == "done":
                message = event["message"]
                assert message["text"].startswith(stream.said), "what was shown stays"
                stream.said, stream.error, stream.status = message["text"], message["error"], message["status"]


async def begun(clients: Clients, count: int) -> list[Stream]:
    """As many streams, each other one in a conversation of its own."""
    streams: list[Stream] = []
    for number in range(count):
        thread = None
        if number % 2:
            # With a title, so that no model is asked for one.
            wish = {"title": f"Story {number}", "model": "fast"}
            thread = (await clients.http.post("/chat/api/threads", json=wish)).json()["id"]
        streams.append(Stream(thread))
    return streams


def asking(clients: Clients, streams: Sequence[Stream], about: str) -> list[Awaitable[None]]:
    return [
        asyncio.create_task((converse if each.thread else complete)(clients, each, f"{about} {number}?"))
        for number, each in enumerate(streams)
    ]


async def test_a_killed_replica_breaks_only_what_it_was_saying(house: House, replicas: tuple[Replica, Replica]) -> None:
    east, west = replicas
    tiers = {"fast": {"endpoints": [each.endpoint for each in replicas]}, "smart": {"same_as": "fast"}}
    house.environment |= {
        "TENFOLD_TIERS": json.dumps(tiers),
        "TENFOLD_ONLY": "chat",
        "TENFOLD_CHAT_ANSWERS_AT_ONCE": "20",
    }
    house.empty()
    await house.up()
    async with clients_of(house) as clients, asyncio.timeout(120):
        speaking, silent = await begun(clients, 10), await begun(clients, 10)
        tasks = asking(clients, speaking, "What do you say")
        await asyncio.gather(*(each.begun.wait() for each in speaking))
        for each in replicas:
            await each.tell(signal.SIGUSR2)
        tasks += asking(clients, silent, "What would you say")
        await clients.until(lambda loads: sum(count for _, count in loads) == 20)
        broken = [each for each in speaking if each.who == "east"]
        spared = [each for each in speaking if each.who == "west"]
        assert {len(broken), len(spared)} == {5}, "work is shared evenly"
        assert not any(each.said for each in silent)

        await east.tell(signal.SIGKILL)
        await clients.until(lambda loads: loads == [("down", 0), ("up", SLOTS)])
        await west.tell(signal.SIGUSR1)
        await asyncio.gather(*tasks)

        for each in broken:
            assert (each.said, each.status) == ("east ", "failed")
            assert each.error
            assert "stopped answering" in each.error
        for each in (*spared, *silent):
            assert (each.said, each.error) == ("west speaks on.", None)
            assert each.status == ("complete" if each.thread else "stop")

        threads = [each for each in (*speaking, *silent) if each.thread]
        for each in threads:
            kept = (await clients.http.get(f"/chat/api/threads/{each.thread}")).json()["messages"]
            assert [(one["role"], one["status"]) for one in kept] == [("user", "complete"), ("assistant", each.status)]
            assert kept[-1]["text"] == each.said
        again = [Stream(each.thread) for each in threads]
        pairs = zip(again, threads, strict=True)
        await asyncio.gather(*(converse(clients, new, "And now?", old.answer_id) for new, old in pairs))
        assert {(each.said, each.status) for each in again} == {("west speaks on.", "complete")}

        await east.start(holds=False)
        await clients.until(lambda loads: [state for state, _ in loads] == ["up", "up"])
        fresh = await begun(clients, 10)
        await asyncio.gather(*asking(clients, fresh, "Who is there"))
        assert {each.error for each in fresh} == {None}
        assert "east" in {each.who for each in fresh}, "who comes back is asked again"
