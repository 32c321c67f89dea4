"""Answers under way: stopped from anywhere, cut off, refused, counted, and kept when their process ends."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest
from tests.systems.chat.conversations import answered, asked, begun, followed, until, until_left

from tenfold.platform.inference.testing import Scripted, scripted
from tenfold.platform.settings import Tier
from tenfold.systems.chat.actions import reading
from tenfold.systems.chat.actions.safety import REFUSAL
from tenfold.systems.chat.settings import ChatSettings
from tenfold.systems.chat.types import Message

type OpenStack = Callable[..., AbstractAsyncContextManager[Any]]

THREAT = "I will kill you and your family tonight, and burn your house down. "


@pytest.fixture
async def endpoint() -> AsyncIterator[Scripted]:
    async with scripted() as script:
        yield script


@pytest.fixture
def open_with(endpoint: Scripted, stack_with: OpenStack) -> OpenStack:
    """Opens a stack whose models are the endpoint, with these settings of chat."""

    def opened(**own: Any) -> AbstractAsyncContextManager[Any]:
        tier = Tier(endpoints=(endpoint.endpoint(slots=own.pop("slots", 16)),), price_in=1, price_out=2)
        chat = ChatSettings(**{"stop_patience": 0, **own})
        return stack_with(tiers={"fast": tier, "smart": tier}, systems={"chat": chat})

    return opened


@pytest.fixture
async def stack(open_with: OpenStack) -> AsyncIterator[Any]:
    async with open_with() as stack:
        yield stack


@pytest.fixture
async def alice(stack: Any) -> httpx.AsyncClient:
    client: httpx.AsyncClient = await stack.account("alice", "enterprise")
    return client


async def at(other: Any, client: httpx.AsyncClient) -> httpx.AsyncClient:
    """The same person at another process."""
    found: httpx.AsyncClient = await other.client(key=client.headers["authorization"].removeprefix("Bearer "))
    return found


async def read(client: httpx.AsyncClient, message: dict[str, Any]) -> dict[str, Any]:
    messages = (await client.get(f"/chat/api/threads/{message['thread_id']}")).json()["messages"]
    [found] = [each for each in messages if each["id"] == message["id"]]
    return dict(found)


async def test_an_answer_is_followed_and_stopped_at_another_process(
    stack: Any, alice: httpx.AsyncClient, endpoint: Scripted
) -> None:
    endpoint.goes_on.clear()
    thread = await begun(alice, model="fast")
    answer = (await asked(alice, thread["id"], "Count"))["answer"]
    await until(endpoint, 1)
    async with stack.beside() as other:
        there = await at(other, alice)
        following = asyncio.create_task(followed(there, answer["id"]))
        assert (await there.post(f"/chat/api/messages/{answer['id']}/stop")).status_code == 204
        done = (await following)[-1]["message"]
    assert (done["status"], done["error"]) == ("stopped", None)
    await until_left(endpoint)


async def test_an_answer_that_ended_before_anybody_listened_is_told_at_once(
    stack: Any, alice: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "SILENCE", 60.0)
    thread = await begun(alice, model="fast")
    answer = (await asked(alice, thread["id"], "Count"))["answer"]
    await stack.state("chat").answering.idle()
    account_id = int(await stack.value("SELECT account_id FROM chat.thread"))
    seen_before = msgspec.convert(answer, Message)
    assert seen_before.status == "queued"
    async with asyncio.timeout(10):
        told = [each async for each in reading.follow(stack.state("chat"), account_id, seen_before)]
    assert b"one two three" in told[-1]


async def test_a_silent_answer_is_stopped_without_its_process(
    stack: Any, alice: httpx.AsyncClient, endpoint: Scripted
) -> None:
    endpoint.goes_on.clear()
    thread = await begun(alice, model="fast")
    answer = (await asked(alice, thread["id"], "Count"))["answer"]
    await until(endpoint, 1)
    answering = stack.state("chat").answering
    for writing in answering.writing():
        answering.lose(writing)
    async with stack.db.transaction() as tx:
        await tx.execute("UPDATE chat.message SET beat_at = now() - interval '5 seconds' WHERE beat_at IS NOT NULL")
    assert (await alice.post(f"/chat/api/messages/{answer['id']}/stop")).status_code == 204
    assert (await read(alice, answer))["status"] == "stopped"


async def test_a_process_that_is_told_to_stop_says_so_in_its_answers(
    stack: Any, alice: httpx.AsyncClient, endpoint: Scripted
) -> None:
    endpoint.goes_on.clear()
    thread = await begun(alice, model="fast")
    async with stack.beside() as other:
        answer = (await asked(await at(other, alice), thread["id"], "Count"))["answer"]
        await until(endpoint, 1)
    kept = await read(alice, answer)
    assert kept["status"] == "failed"
    assert "has ended" in kept["error"]


async def test_a_process_that_is_told_to_stop_lets_its_answers_end(open_with: OpenStack, endpoint: Scripted) -> None:
    endpoint.goes_on.clear()
    async with open_with(stop_patience=30) as stack:
        alice = await stack.account("alice", "enterprise")
        thread = await begun(alice, model="fast")
        async with stack.beside() as other:
            answer = (await asked(await at(other, alice), thread["id"], "Count"))["answer"]
            await until(endpoint, 1)
            asyncio.get_running_loop().call_later(0.1, endpoint.goes_on.set)
        kept = await read(alice, answer)
    assert (kept["status"], kept["text"]) == ("complete", "one two three")


async def test_an_answer_that_was_taken_for_dead_is_kept_all_the_same(
    stack: Any, alice: httpx.AsyncClient, endpoint: Scripted
) -> None:
    endpoint.goes_on.clear()
    thread = await begun(alice, model="fast")
    answer = (await asked(alice, thread["id"], "Count"))["answer"]
    await until(endpoint, 1)
    [end_orphans] = [each for each in stack.process.systems["chat"][0].schedules if each.name == "chat-end-orphans"]
    async with stack.db.transaction() as tx:
        await tx.execute("UPDATE chat.message SET beat_at = now() - interval '16 seconds' WHERE beat_at IS NOT NULL")
    await end_orphans.job(stack.state("chat"))
    endpoint.goes_on.set()
    await stack.state("chat").answering.idle()
    kept = await read(alice, answer)
    assert (kept["status"], kept["error"], kept["text"]) == ("complete", None, "one two three")


async def test_a_conversation_may_be_deleted_while_it_is_answered(
    stack: Any, alice: httpx.AsyncClient, endpoint: Scripted
) -> None:
    endpoint.goes_on.clear()
    thread = await begun(alice, model="fast")
    answer = (await asked(alice, thread["id"], "Count"))["answer"]
    await until(endpoint, 1)
    assert (await alice.delete(f"/chat/api/threads/{thread['id']}")).status_code == 204
    await until_left(endpoint)
    await stack.state("chat").answering.idle()
    assert (await alice.get(f"/chat/api/messages/{answer['id']}/stream")).status_code == 404
    assert await stack.value("SELECT count(*) FROM chat.message") == 0


async def test_a_question_that_means_harm_is_refused_without_a_model(
    stack: Any, alice: httpx.AsyncClient, endpoint: Scripted
) -> None:
    thread = await begun(alice, model="fast")
    exchange = await asked(alice, thread["id"], f"{THREAT} Signed, ada@example.org")
    assert exchange["question"]["flagged"]
    done = (await followed(alice, exchange["answer"]["id"]))[-1]["message"]
    assert (done["text"], done["status"], done["flagged"]) == (REFUSAL, "complete", True)
    assert endpoint.asked == []
    async with stack.db.read(fresh=True) as tx:
        [row] = await tx.connection.fetch("SELECT side, scores, text FROM chat.flagged")
    assert row["side"] == "question"
    assert all(score >= 0.5 for score in row["scores"].values())
    assert "harassment/threatening" in row["scores"]
    assert "ada@example.org" not in row["text"]
    assert "burn your house" in row["text"]
    await answered(alice, thread["id"], "What is a lock?", done["id"])
    assert "kill" not in msgspec.json.encode(endpoint.asked[0]).decode()


async def test_an_answer_that_means_harm_is_cut_off(stack: Any, alice: httpx.AsyncClient, endpoint: Scripted) -> None:
    endpoint.words = ["All is well. "] * 30 + [THREAT] * 4 + ["And so on. "] * 200
    thread = await begun(alice, model="fast")
    done = await answered(alice, thread["id"], "Tell me a story")
    assert (done["text"], done["status"], done["flagged"]) == (REFUSAL, "complete", True)
    assert await stack.value("SELECT count(*) FROM chat.flagged WHERE side = 'answer' AND text LIKE '%burn%'") == 1
    assert done["tokens_out"] > 30


async def test_what_an_answer_took_is_in_the_ledger_also_when_it_broke(
    stack: Any, alice: httpx.AsyncClient, endpoint: Scripted
) -> None:
    thread = await begun(alice, model="smart", title="Named")
    first = await answered(alice, thread["id"], "Count")
    assert (first["tokens_in"], first["tokens_out"]) == (7, 3)
    endpoint.breaks_after = 2
    broken = await answered(alice, thread["id"], "Count again", first["id"])
    assert (broken["status"], broken["tokens_out"]) == ("failed", 2)
    assert broken["tokens_in"] > 10
    await stack.state("chat").answering.idle()
    rows = (await alice.get("/chat/api/usage")).json()["days"]
    [smart] = [each for each in rows if each["model"] == "smart"]
    tokens_in = 7 + broken["tokens_in"]
    assert (smart["requests"], smart["tokens_in"], smart["tokens_out"]) == (2, tokens_in, 5)
    assert smart["cost"] == pytest.approx((tokens_in + 2 * 5) / 1e6)


async def test_questions_are_limited_by_the_minute(stack: Any) -> None:
    bob = await stack.account("bob", "free")
    thread = (await begun(bob, model="fast"))["id"]
    for _ in range(3):
        await answered(bob, thread, "Count")
    refused = await bob.post(f"/chat/api/threads/{thread}/messages", json={"text": "Count"})
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_requests")
    assert 0 < int(refused.headers["retry-after"]) <= 20
    limit = (await bob.get("/chat/api/usage")).json()["limit"]
    assert limit == {"per_minute": 3, "remaining": 0}


async def test_tokens_are_limited_by_the_day(open_with: OpenStack) -> None:
    async with open_with(free_tokens_a_day=10) as stack:
        bob = await stack.account("bob", "free")
        thread = (await begun(bob, model="fast", title="Named"))["id"]
        await answered(bob, thread, "Count")
        stack.state("chat").ledger.forget()
        refused = await bob.post(f"/chat/api/threads/{thread}/messages", json={"text": "Count"})
        assert (refused.status_code, refused.json()["code"]) == (429, "budget_spent")


async def test_an_account_has_so_many_answers_written_at_once(open_with: OpenStack, endpoint: Scripted) -> None:
    endpoint.goes_on.clear()
    async with open_with(answers_at_once=2) as stack:
        alice = await stack.account("alice", "enterprise")
        thread = (await begun(alice, model="fast"))["id"]
        path = f"/chat/api/threads/{thread}/messages"
        answers = await asyncio.gather(*(alice.post(path, json={"text": "Count"}) for _ in range(5)))
        assert sorted(each.status_code for each in answers) == [201, 201, 429, 429, 429]
        refused = next(each for each in answers if each.status_code == 429)
        assert refused.json()["code"] == "too_many_answers"


@asynccontextmanager
async def listening(url: str, client: httpx.AsyncClient, message: str) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """The events of an answer as they come, from the real server."""
    headers = {"authorization": client.headers["authorization"]}
    path = f"/chat/api/messages/{message}/stream"
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=10) as far, far.stream("GET", path) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield (msgspec.json.decode(line[6:]) async for line in answer.aiter_lines() if line.startswith("data: "))


async def test_who_waits_is_told_the_place(open_with: OpenStack, endpoint: Scripted) -> None:
    endpoint.goes_on.clear()
    async with open_with(slots=1) as stack, stack.served() as url:
        alice = await stack.account("alice", "enterprise")
        thread = (await begun(alice, model="fast", title="Named"))["id"]
        first = (await asked(alice, thread, "Count"))["answer"]
        await until(endpoint, 1)
        second = (await asked(alice, thread, "Count too"))["answer"]
        async with listening(url, alice, second["id"]) as events:
            assert await anext(events) == {"type": "queued", "place": 1}
            endpoint.goes_on.set()
            rest = [each async for each in events]
        assert {"type": "start", "model": "fast"} in rest
        assert rest[-1]["message"]["text"] == "one two three"
        assert (await followed(alice, first["id"]))[-1]["message"]["status"] == "complete"


async def test_who_lost_the_connection_goes_on(stack: Any, alice: httpx.AsyncClient, endpoint: Scripted) -> None:
    class Pausing(list[str]):
        """Words of which the second half waits until it is asked for."""

        def __iter__(self) -> Iterator[str]:
            for number, word in enumerate(super().__iter__()):
                if number == len(self) // 2:
                    endpoint.goes_on.clear()
                yield word

    endpoint.words = Pausing(f"{number} " for number in range(100))
    thread = (await begun(alice, model="fast", title="Named"))["id"]
    async with stack.served() as url:
        answer = (await asked(alice, thread, "Count"))["answer"]
        text = ""
        for _ in range(2):
            async with listening(url, alice, answer["id"]) as events:
                async for event in events:
                    if event["type"] == "text":
                        assert event["at"] <= len(text)
                        text = text[: event["at"]] + event["text"]
                    if text.endswith("49 "):
                        break
        endpoint.goes_on.set()
        async with listening(url, alice, answer["id"]) as events:
            last = [each async for each in events][-1]
    assert last["message"]["text"] == "".join(endpoint.words)


async def test_a_question_goes_on_from_an_answer_only(alice: httpx.AsyncClient) -> None:
    thread = (await begun(alice, model="fast"))["id"]
    exchange = await asked(alice, thread, "Count")
    await followed(alice, exchange["answer"]["id"])
    wish = {"text": "More", "parent_id": exchange["question"]["id"]}
    refused = await alice.post(f"/chat/api/threads/{thread}/messages", json=wish)
    assert refused.status_code == 422
    for wish in ({"text": ""}, {"text": "x" * 32_001}, {"text": "a\0b"}, {"text": "a", "attachments": ["1"] * 9}):
        assert (await alice.post(f"/chat/api/threads/{thread}/messages", json=wish)).status_code == 422
    elsewhere = (await begun(alice))["id"]
    head = {"head_id": exchange["answer"]["id"]}
    assert (await alice.patch(f"/chat/api/threads/{thread}", json=head)).json()["head_id"] == head["head_id"]
    assert (await alice.patch(f"/chat/api/threads/{elsewhere}", json=head)).status_code == 404


async def test_the_model_of_a_conversation_is_obeyed(alice: httpx.AsyncClient) -> None:
    pinned = (await begun(alice, model="smart"))["id"]
    first = await answered(alice, pinned, "Hi")
    assert first["model"] == "smart"
    again = await alice.post(f"/chat/api/messages/{first['id']}/regenerate", json={"model": "fast"})
    assert (await followed(alice, again.json()["id"]))[-1]["message"]["model"] == "fast"
    routed = (await begun(alice))["id"]
    assert (await answered(alice, routed, "Hi"))["model"] == "fast"
    hard = "Prove that there are infinitely many primes, then implement a segmented sieve in Rust and analyse its cost."
    assert (await answered(alice, routed, hard))["model"] == "smart"


async def test_the_home_page_tells_of_the_last_day(stack: Any, alice: httpx.AsyncClient) -> None:
    thread = (await begun(alice, model="fast"))["id"]
    await answered(alice, thread, "Hi")
    for model in ("fast", "smart"):
        wish = {"model": model, "messages": [{"role": "user", "content": f"Hello {model}"}]}
        assert (await alice.post("/chat/v1/chat/completions", json=wish)).status_code == 200
    chat = stack.state("chat")
    await chat.answering.idle()  # the conversation has its title then, which took tokens and is no answer
    await chat.ledger.close()  # which writes down what is gathered
    async with stack.db.transaction() as tx:
        sql = (
            "INSERT INTO chat.hourly VALUES (date_trunc('hour', now(), 'UTC') - make_interval(hours => $1), $2, $3, 10)"
        )
        await tx.execute(sql, 5, "smart", 1)
        await tx.execute(sql, 24, "smart", 100)
    cards = (await (await stack.client()).get("/api/systems")).json()
    [card] = [each for each in cards if each["name"] == "chat"]
    figures = {each["label"]: each for each in card["figures"]}
    assert {label: each["value"] for label, each in figures.items()} == {
        "Conversations": 1,
        "Answers in 24 h": 4,
        "Tokens in 24 h": 4 * 10 + 10,
        "By the fast model": 50,
    }
    answers = figures["Answers in 24 h"]["series"]
    # The hour may end in between.
    assert (len(answers), sum(answers[17:19]), sum(answers[22:])) == (24, 1, 3)
