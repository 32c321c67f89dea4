"""What models are told of long conversations: the last messages, a summary of the rest, and old turns that matter."""

import re
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest
from aiohttp import web
from tests.systems.chat.conversations import answered, asked, begun, followed

from tenfold.platform.inference.testing import Scripted, scripted
from tenfold.platform.settings import Endpoint, Tier
from tenfold.systems.chat.actions.memory import FLAGGED, SUMMARY, SYSTEM, TITLE
from tenfold.systems.chat.rules.context import KEPT, STEP

type OpenStack = Callable[..., AbstractAsyncContextManager[Any]]


async def embed(request: web.Request) -> web.Response:
    """Vectors that are alike where texts have words in common."""
    rows = []
    for text in msgspec.json.decode(await request.read())["input"]:
        vector = [0.0] * 384
        for word in re.findall(r"\w{4,}", text.lower()):
            vector[zlib.crc32(word.encode()) % 384] += 1.0
        length = sum(each * each for each in vector) ** 0.5 or 1.0
        rows.append({"embedding": [each / length for each in vector]})
    return web.json_response({"data": rows})


@asynccontextmanager
async def embedding() -> AsyncIterator[Endpoint]:
    """A server on loopback that embeds texts."""
    application = web.Application()
    application.router.add_post("/v1/embeddings", embed)
    application.router.add_get("/v1/models", nothing)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield Endpoint(url=f"http://127.0.0.1:{runner.addresses[0][1]}/v1")
    await runner.cleanup()


async def nothing(_: web.Request) -> web.Response:
    return web.json_response({"data": []})


@pytest.fixture
async def endpoint() -> AsyncIterator[Scripted]:
    async with scripted() as script:
        yield script


@pytest.fixture
async def stack(endpoint: Scripted, stack_with: OpenStack) -> AsyncIterator[Any]:
    tier = Tier(endpoints=(endpoint.endpoint(),), context=4096)
    async with embedding() as vectors:
        tiers = {"fast": tier, "smart": tier, "embed": Tier(endpoints=(vectors,))}
        async with stack_with(tiers=tiers) as stack:
            yield stack


@pytest.fixture
async def alice(stack: Any) -> httpx.AsyncClient:
    client: httpx.AsyncClient = await stack.account("alice", "enterprise")
    return client


def prompts(endpoint: Scripted) -> list[list[dict[str, Any]]]:
    """What was asked for answers, oldest first."""
    return [each["messages"] for each in endpoint.asked if each["messages"][0]["content"] == SYSTEM]


async def talk(stack: Any, client: httpx.AsyncClient, thread: str, texts: list[str], parent: str | None = None) -> str:
    """Ask these after each other. The id of the last answer."""
    for text in texts:
        parent = (await answered(client, thread, text, parent))["id"]
        await stack.state("chat").answering.idle()
    assert parent is not None
    return parent


async def test_a_conversation_is_named_by_a_model(stack: Any, alice: httpx.AsyncClient, endpoint: Scripted) -> None:
    thread = await begun(alice)
    assert thread["title"] == ""
    await talk(stack, alice, thread["id"], ["What do owls eat?", "And when?"])
    assert (await alice.get(f"/chat/api/threads/{thread['id']}")).json()["thread"]["title"] == "one two three"
    assert sum(each["messages"][0]["content"].startswith(TITLE) for each in endpoint.asked) == 1
    named = await begun(alice, title="Mine")
    await talk(stack, alice, named["id"], ["What do owls eat?"])
    assert (await alice.get(f"/chat/api/threads/{named['id']}")).json()["thread"]["title"] == "Mine"


async def test_without_a_model_its_first_words_name_it(
    stack: Any, alice: httpx.AsyncClient, endpoint: Scripted
) -> None:
    endpoint.refuses = (500, "out of order")
    thread = await begun(alice)
    exchange = await asked(alice, thread["id"], "What do\n owls eat?")
    done = (await followed(alice, exchange["answer"]["id"]))[-1]["message"]
    assert done["status"] == "failed"
    await stack.state("chat").answering.idle()
    assert (await alice.get(f"/chat/api/threads/{thread['id']}")).json()["thread"]["title"] == "What do owls eat?"


async def test_what_leaves_the_window_is_summarised(stack: Any, alice: httpx.AsyncClient, endpoint: Scripted) -> None:
    thread = (await begun(alice, title="Numbers"))["id"]
    turns = (KEPT + STEP) // 2
    last = await talk(stack, alice, thread, [f"Question {number}" for number in range(turns)])
    made = [each["messages"] for each in endpoint.asked if each["messages"][0]["content"] == SUMMARY]
    assert len(made) == 1
    told = made[0][1]["content"]
    assert "user: Question 0" in told
    assert f"Question {STEP // 2 - 1}" in told
    assert f"Question {STEP // 2}" not in told
    await talk(stack, alice, thread, ["Go on"], last)
    prompt = prompts(endpoint)[-1]
    assert prompt[1] == {"role": "system", "content": "Previous context: one two three"}
    assert prompt[2] == {"role": "user", "content": f"Question {STEP // 2}"}
    assert len(prompt) == 2 + KEPT + 1
    assert prompt[-1]["content"] == "Go on"
    # Another branch, from before the end of the summary, has none.
    messages = (await alice.get(f"/chat/api/threads/{thread}")).json()["messages"]
    await talk(stack, alice, thread, ["Elsewhere"], messages[3]["id"])
    assert [each["content"] for each in prompts(endpoint)[-1]][1:] == [
        *("Question 0", "one two three", "Question 1", "one two three"), "Elsewhere"
    ]  # fmt: skip


async def test_an_old_turn_that_matters_is_told_again(stack: Any, alice: httpx.AsyncClient, endpoint: Scripted) -> None:
    thread = (await begun(alice, title="Numbers"))["id"]
    begin = ["My parrot Archibald prefers roasted hazelnuts"]
    turns = (KEPT + STEP) // 2
    last = await talk(stack, alice, thread, begin + [f"Question {number}" for number in range(1, turns)])
    await talk(stack, alice, thread, ["Which hazelnuts does the parrot Archibald like?"], last)
    prompt = prompts(endpoint)[-1]
    assert prompt[-2]["role"] == "system"
    assert "user: My parrot Archibald prefers roasted hazelnuts" in prompt[-2]["content"]
    assert "Question 1" not in prompt[-2]["content"]
    # What is told in another branch isn't known in this one.
    messages = (await alice.get(f"/chat/api/threads/{thread}")).json()["messages"]
    other = await talk(stack, alice, thread, [f"Other {number}" for number in range(turns)])
    assert {messages[0]["id"]} & {other} == set()
    await talk(stack, alice, thread, ["Which hazelnuts does the parrot Archibald like?"], other)
    assert "roasted" not in msgspec.json.encode(prompts(endpoint)[-1]).decode()


async def test_only_what_fits_is_told(stack: Any, alice: httpx.AsyncClient, endpoint: Scripted) -> None:
    thread = (await begun(alice, title="Long"))["id"]
    long = "word " * 1200  # the endpoint counts 1,200 tokens; so do we
    last = await talk(stack, alice, thread, [f"First {long}", f"Second {long}", f"Third {long}"])
    await talk(stack, alice, thread, ["Short"], last)
    told = msgspec.json.encode(prompts(endpoint)[-1]).decode()
    assert "Third" in told
    assert "First" not in told
    assert prompts(endpoint)[-1][-1]["content"] == "Short"
    too_long = await answered(alice, thread, "word " * 4000, last)
    assert too_long["status"] == "failed"
    assert "Make it shorter" in too_long["error"]


async def test_what_was_refused_is_not_told_again(stack: Any, alice: httpx.AsyncClient, endpoint: Scripted) -> None:
    thread = (await begun(alice, title="Bad"))["id"]
    last = await talk(stack, alice, thread, ["I will kill you and your family tonight"])
    assert endpoint.asked == []
    await talk(stack, alice, thread, ["Sorry. What is a lock?"], last)
    assert prompts(endpoint)[-1][1] == {"role": "user", "content": FLAGGED}


async def test_a_deleted_conversation_leaves_nothing(stack: Any, alice: httpx.AsyncClient) -> None:
    thread = (await begun(alice, title="Numbers"))["id"]
    await talk(stack, alice, thread, [f"Question {number}" for number in range((KEPT + STEP) // 2)])
    tables = ("message", "turn", "summary")
    assert all([await stack.value(f"SELECT count(*) > 0 FROM chat.{table}") for table in tables])
    assert (await alice.delete(f"/chat/api/threads/{thread}")).status_code == 204
    assert not any([await stack.value(f"SELECT count(*) > 0 FROM chat.{table}") for table in tables])
