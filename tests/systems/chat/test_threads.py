"""Conversations over HTTP: asked, followed, stopped, branched, and nobody else's."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import msgspec
import pytest
from tests.systems.chat.conversations import asked, begun, followed, until, until_left

from tenfold.platform.inference.testing import Scripted, scripted
from tenfold.platform.settings import Tier

type OpenStack = Callable[..., AbstractAsyncContextManager[Any]]


@pytest.fixture
async def endpoint() -> AsyncIterator[Scripted]:
    async with scripted() as script:
        yield script


@pytest.fixture
async def stack(endpoint: Scripted, stack_with: OpenStack) -> AsyncIterator[Any]:
    tier = Tier(endpoints=(endpoint.endpoint(),))
    async with stack_with(tiers={"fast": tier, "smart": tier}) as stack:
        yield stack


@pytest.fixture
async def alice(stack: Any) -> httpx.AsyncClient:
    client: httpx.AsyncClient = await stack.account("alice", "enterprise")
    return client


async def test_a_question_is_answered_behind_it(alice: httpx.AsyncClient) -> None:
    thread = await begun(alice)
    exchange = await asked(alice, thread["id"], "What is one and one?")
    assert exchange["question"]["status"] == "complete"
    assert exchange["answer"]["status"] == "queued"
    assert exchange["answer"]["parent_id"] == exchange["question"]["id"]
    events = await followed(alice, exchange["answer"]["id"])
    done = events[-1]
    assert done["type"] == "done"
    assert (done["message"]["text"], done["message"]["status"]) == ("one two three", "complete")
    assert (done["message"]["tokens_in"], done["message"]["tokens_out"]) == (7, 3)
    kept = (await alice.get(f"/chat/api/threads/{thread['id']}")).json()
    assert [each["text"] for each in kept["messages"]] == ["What is one and one?", "one two three"]
    assert kept["thread"]["head_id"] == exchange["answer"]["id"]


async def test_who_comes_late_is_told_all_of_it_once(alice: httpx.AsyncClient, endpoint: Scripted) -> None:
    endpoint.goes_on.clear()
    thread = await begun(alice, model="fast")
    exchange = await asked(alice, thread["id"], "Count")
    await until(endpoint, 1)
    following = asyncio.create_task(followed(alice, exchange["answer"]["id"]))
    await asyncio.sleep(0)
    endpoint.goes_on.set()
    events = await following
    text = ""
    for event in events:
        if event["type"] == "text":
            assert event["at"] <= len(text)
            text = text[: event["at"]] + event["text"]
    assert "one two three".startswith(text)
    assert events[-1]["message"]["text"] == "one two three"


async def test_stopping_keeps_what_was_said(alice: httpx.AsyncClient, endpoint: Scripted) -> None:
    endpoint.goes_on.clear()
    thread = await begun(alice)
    answer = (await asked(alice, thread["id"], "Count"))["answer"]
    await until(endpoint, 1)
    assert (await alice.post(f"/chat/api/messages/{answer['id']}/stop")).status_code == 204
    done = (await followed(alice, answer["id"]))[-1]["message"]
    assert done["status"] == "stopped"
    await until_left(endpoint)


async def test_editing_makes_a_branch_and_asking_again_a_sibling(alice: httpx.AsyncClient, endpoint: Scripted) -> None:
    thread = await begun(alice)
    first = await asked(alice, thread["id"], "Red?")
    await followed(alice, first["answer"]["id"])
    second = await asked(alice, thread["id"], "And blue?", first["answer"]["id"])
    await followed(alice, second["answer"]["id"])
    edited = await asked(alice, thread["id"], "And green?", first["answer"]["id"])
    await followed(alice, edited["answer"]["id"])
    said = [message["content"] for message in endpoint.asked[-1]["messages"] if message["role"] == "user"]
    assert said == ["Red?", "And green?"]
    again = await alice.post(f"/chat/api/messages/{edited['answer']['id']}/regenerate", json={})
    assert again.status_code == 201
    assert again.json()["parent_id"] == edited["question"]["id"]
    await followed(alice, again.json()["id"])
    messages = (await alice.get(f"/chat/api/threads/{thread['id']}")).json()["messages"]
    assert len(messages) == 7
    assert len([each for each in messages if each["parent_id"] == edited["question"]["id"]]) == 2


async def test_a_broken_model_leaves_an_error_and_no_open_answer(alice: httpx.AsyncClient, endpoint: Scripted) -> None:
    endpoint.breaks_after = 2
    thread = await begun(alice)
    answer = (await asked(alice, thread["id"], "Count"))["answer"]
    done = (await followed(alice, answer["id"]))[-1]["message"]
    assert (done["status"], done["text"]) == ("failed", "one two ")
    assert "Ask again" in done["error"]


async def test_answers_of_a_dead_process_are_ended(stack: Any, alice: httpx.AsyncClient, endpoint: Scripted) -> None:
    endpoint.goes_on.clear()
    thread = await begun(alice)
    answer = (await asked(alice, thread["id"], "Count"))["answer"]
    await until(endpoint, 1)
    chat = stack.state("chat")
    for writing in chat.answering.writing():
        chat.answering.lose(writing)  # as kill -9 does: nothing is noted any more
    async with stack.db.transaction() as tx:
        await tx.execute("UPDATE chat.message SET beat_at = now() - interval '16 seconds' WHERE beat_at IS NOT NULL")
    [end_orphans] = [each for each in stack.process.systems["chat"][0].schedules if each.name == "chat-end-orphans"]
    await end_orphans.job(chat)
    done = (await followed(alice, answer["id"]))[-1]["message"]
    assert done["status"] == "failed"
    assert "has ended" in done["error"]


async def test_what_is_somebody_elses_is_not_there(stack: Any, alice: httpx.AsyncClient) -> None:
    thread = await begun(alice)
    exchange = await asked(alice, thread["id"], "Secret")
    await followed(alice, exchange["answer"]["id"])
    bob = await stack.account("bob", "enterprise")
    base, answer = f"/chat/api/threads/{thread['id']}", exchange["answer"]["id"]
    assert [
        (await bob.get(base)).status_code,
        (await bob.patch(base, json={"title": "Mine"})).status_code,
        (await bob.delete(base)).status_code,
        (await bob.post(f"{base}/messages", json={"text": "Hello"})).status_code,
        (await bob.get(f"/chat/api/messages/{answer}/stream")).status_code,
        (await bob.post(f"/chat/api/messages/{answer}/stop")).status_code,
        (await bob.post(f"/chat/api/messages/{answer}/regenerate", json={})).status_code,
    ] == [404] * 7
    mine = await begun(bob)
    other = await bob.post(f"/chat/api/threads/{mine['id']}/messages", json={"text": "Hi", "parent_id": answer})
    assert other.status_code == 404
    assert (await (await stack.client()).get("/chat/api/threads")).status_code == 401


async def test_conversations_are_listed_found_changed_and_deleted(alice: httpx.AsyncClient) -> None:
    ids = [(await begun(alice, title=f"Talk about {each}"))["id"] for each in ("owls", "foxes", "bears")]
    page = (await alice.get("/chat/api/threads", params={"limit": 2})).json()
    assert [each["id"] for each in page["items"]] == [ids[2], ids[1]]
    rest = (await alice.get("/chat/api/threads", params={"limit": 2, "cursor": page["next"]})).json()
    assert ([each["id"] for each in rest["items"]], rest["next"]) == ([ids[0]], None)
    answer = (await asked(alice, ids[0], "Do they hoot?"))["answer"]
    await followed(alice, answer["id"])
    for query, found in (("owl", ids[0]), ("hoo", ids[0]), ("FOX", ids[1]), ("Talk foxes ?", ids[1])):
        seen = (await alice.get("/chat/api/threads", params={"q": query})).json()["items"]
        assert [each["id"] for each in seen] == [found]
    for odd in ("it's:*", "a' | 'b", "x\\", "(", "!owl", "\0", "zebra & <->"):
        strange = await alice.get("/chat/api/threads", params={"q": odd})
        assert strange.status_code == 200, odd
    for wrong in ({"limit": "-1"}, {"limit": "0"}, {"limit": "101"}, {"q": "x" * 201}, {"cursor": "1" * 65}):
        assert (await alice.get("/chat/api/threads", params=wrong)).status_code == 422, wrong
    changed = await alice.patch(f"/chat/api/threads/{ids[1]}", json={"title": "Vixens", "model": "smart"})
    assert (changed.json()["title"], changed.json()["model"]) == ("Vixens", "smart")
    assert (await alice.delete(f"/chat/api/threads/{ids[0]}")).status_code == 204
    assert (await alice.get(f"/chat/api/messages/{answer['id']}/stream")).status_code == 404
    usage = (await alice.get("/chat/api/usage")).json()
    assert usage["limit"]["per_minute"] > 0


async def test_models_say_how_they_are(alice: httpx.AsyncClient) -> None:
    tiers = (await alice.get("/chat/api/models")).json()["tiers"]
    assert [(each["name"], each["state"]) for each in tiers] == [("fast", "ready"), ("smart", "ready")]


async def test_models_are_not_told_who_somebody_is(alice: httpx.AsyncClient, endpoint: Scripted) -> None:
    thread = await begun(alice)
    exchange = await asked(alice, thread["id"], "Write to ada@example.org, please")
    await followed(alice, exchange["answer"]["id"])
    assert "ada@example.org" not in msgspec.json.encode(endpoint.asked[0]).decode()
    kept = (await alice.get(f"/chat/api/threads/{thread['id']}")).json()["messages"][0]["text"]
    assert "ada@example.org" in kept


async def test_files_are_read_and_told(stack: Any, alice: httpx.AsyncClient, endpoint: Scripted) -> None:
    text = "The secret ingredient is cardamom."
    headers = {"content-type": "text/plain"}
    sent = await alice.post("/chat/api/files", params={"name": "recipe.txt"}, content=text, headers=headers)
    assert sent.status_code == 201, sent.text
    file = sent.json()
    assert (file["name"], file["size"]) == ("recipe.txt", len(text))
    thread = await begun(alice)
    path = f"/chat/api/threads/{thread['id']}/messages"
    exchange = (await alice.post(path, json={"text": "What is in it?", "attachments": [file["id"]]})).json()
    assert exchange["question"]["attachments"] == [file]
    await followed(alice, exchange["answer"]["id"])
    assert "cardamom" in endpoint.asked[0]["messages"][1]["content"]
    kept = (await alice.get(f"/chat/api/threads/{thread['id']}")).json()["messages"][0]
    assert kept["attachments"] == [file]
    assert (await alice.get(file["url"])).text == text
    bob = await stack.account("bob", "enterprise")
    assert (await bob.get(file["url"])).status_code == 404
    mine = await begun(bob)
    stolen = await bob.post(
        f"/chat/api/threads/{mine['id']}/messages", json={"text": "Mine", "attachments": [file["id"]]}
    )
    assert stolen.status_code == 404
    edited = await alice.post(path, json={"text": "What else is in it?", "attachments": [file["id"]]})
    assert edited.json()["question"]["attachments"] == [file]
    await followed(alice, edited.json()["answer"]["id"])
    other = (await begun(alice))["id"]
    twice = await alice.post(f"/chat/api/threads/{other}/messages", json={"text": "Hi", "attachments": [file["id"]]})
    assert twice.status_code == 404
    assert (await alice.delete(f"/chat/api/threads/{thread['id']}")).status_code == 204
    assert (await alice.get(file["url"])).status_code == 404


async def test_a_question_that_is_sent_twice_is_asked_once(
    stack: Any, alice: httpx.AsyncClient, endpoint: Scripted
) -> None:
    thread, other = [(await begun(alice, title="Twice"))["id"] for _ in range(2)]

    async def send(thread: str, key: str, text: str = "Once?", who: httpx.AsyncClient = alice) -> httpx.Response:
        wish, headers = {"text": text}, {"idempotency-key": key}
        return await who.post(f"/chat/api/threads/{thread}/messages", json=wish, headers=headers)

    # More of them than answers are written at once: the others are none.
    same = await asyncio.gather(*(send(thread, "k") for _ in range(6)))
    assert {each.status_code for each in same} == {201}
    assert len({(each.json()["question"]["id"], each.json()["answer"]["id"]) for each in same}) == 1
    first = same[0].json()
    await followed(alice, first["answer"]["id"])
    again = (await send(thread, "k")).json()
    assert (again["question"], again["answer"]["id"]) == (first["question"], first["answer"]["id"])
    assert (again["answer"]["status"], again["answer"]["text"]) == ("complete", "one two three")
    assert len(endpoint.asked) == 1

    reused = await send(thread, "k", "Something else?")
    assert (reused.status_code, reused.json()["code"]) == (422, "key_reused")
    assert (await send(thread, "x" * 201)).status_code in (400, 422)
    bob = await stack.account("bob", "enterprise")
    assert (await send(thread, "k", who=bob)).status_code == 404
    for each in (await send(thread, "l"), await send(other, "k")):
        assert each.json()["answer"]["id"] != first["answer"]["id"]
        await followed(alice, each.json()["answer"]["id"])
    assert await stack.value("SELECT count(*) FROM chat.message WHERE role = 'user'") == 3


async def test_keys_of_questions_are_forgotten_after_a_day_and_with_their_conversation(
    stack: Any, alice: httpx.AsyncClient
) -> None:
    gone, kept = [(await begun(alice, title="Keys"))["id"] for _ in range(2)]
    for thread, key in ((gone, "a"), (kept, "b"), (kept, "c")):
        path, headers = f"/chat/api/threads/{thread}/messages", {"idempotency-key": key}
        asked_once = await alice.post(path, json={"text": "Hi"}, headers=headers)
        await followed(alice, asked_once.json()["answer"]["id"])
    async with stack.db.transaction() as tx:
        await tx.execute("UPDATE chat.idempotency SET created_at = now() - interval '25 hours' WHERE key = 'b'")
    name = "chat-forget-idempotency-keys"
    [forget] = [each for each in stack.process.systems["chat"][0].schedules if each.name == name]
    await forget.job(stack.state("chat"))
    assert (await alice.delete(f"/chat/api/threads/{gone}")).status_code == 204
    assert await stack.value("SELECT string_agg(key, ',') FROM chat.idempotency") == "c"
