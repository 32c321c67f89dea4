"""Files through the doors: sent, read, told to models or shown to those that see, and removed."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from io import BytesIO
from typing import Any

import httpx
import pytest
from PIL import Image
from tests.systems.chat.conversations import asked, begun, followed

from tenfold.platform.inference.testing import Scripted, scripted
from tenfold.platform.settings import Tier
from tenfold.systems.chat.settings import ChatSettings

type OpenStack = Callable[..., AbstractAsyncContextManager[Any]]


@pytest.fixture
async def endpoint() -> AsyncIterator[Scripted]:
    async with scripted() as script:
        yield script


@pytest.fixture
async def stack(endpoint: Scripted, stack_with: OpenStack) -> AsyncIterator[Any]:
    blind, seeing = (Tier(endpoints=(endpoint.endpoint(sees=sees),)) for sees in (False, True))
    chat = ChatSettings(file_bytes=100_000, reading_seconds=120)
    async with stack_with(tiers={"fast": blind, "smart": seeing}, systems={"chat": chat}) as stack:
        yield stack


@pytest.fixture
async def alice(stack: Any) -> httpx.AsyncClient:
    client: httpx.AsyncClient = await stack.account("alice", "enterprise")
    return client


async def sent(client: httpx.AsyncClient, name: str, data: bytes, media_type: str = "") -> httpx.Response:
    headers = {"content-type": media_type} if media_type else {}
    return await client.post("/chat/api/files", params={"name": name}, content=data, headers=headers)


def picture() -> bytes:
    out = BytesIO()
    Image.new("RGB", (60, 40), "red").save(out, "PNG")
    return out.getvalue()


async def stored(stack: Any) -> list[str]:
    return [each.key async for each in stack.process.runtime.blobs.list("chat/files")]


async def test_a_file_comes_back_as_it_was_sent(stack: Any, alice: httpx.AsyncClient) -> None:
    file = (await sent(alice, 'a "red" wäll.png', picture(), "image/png")).json()
    assert (file["name"], file["type"], file["size"]) == ('a "red" wäll.png', "image/png", len(picture()))
    back = await alice.get(file["url"])
    assert (back.content, back.headers["content-type"]) == (picture(), "image/png")
    assert back.headers["content-disposition"] == "inline; filename*=UTF-8''a%20%22red%22%20w%C3%A4ll.png"
    assert back.headers["x-content-type-options"] == "nosniff"
    assert back.headers["cache-control"].startswith("private")
    part = await alice.get(file["url"], headers={"range": "bytes=1-3"})
    assert (part.status_code, part.content) == (206, b"PNG")
    own = await stack.client(key=alice.headers["authorization"].removeprefix("Bearer "), host="chat.localhost:8080")
    there = (await own.post("/api/files", params={"name": "a.txt"}, content=b"text")).json()
    assert (await own.get(there["url"])).text == "text"


async def test_what_a_browser_might_run_is_saved_instead(alice: httpx.AsyncClient) -> None:
    page = b"<script>alert(1)</script>"
    for media_type in ("text/html", "image/svg+xml", "application/x-unheard-of", "no type at all"):
        file = (await sent(alice, "page.html", page, media_type)).json()
        back = await alice.get(file["url"])
        assert back.headers["content-disposition"].startswith("attachment")
        assert "sandbox" in back.headers["content-security-policy"]
    assert file["type"] == "application/octet-stream"


async def test_what_can_be_sent_is_bounded(stack: Any, alice: httpx.AsyncClient) -> None:
    assert (await sent(alice, "empty.txt", b"")).status_code == 422
    assert (await sent(alice, "big.bin", bytes(10_000_001))).status_code == 413
    for name in ("", "x" * 201, "a\0b", "../secret"):
        assert (await sent(alice, name, b"text")).status_code in (400, 422), name
    assert (await sent(alice, "half.txt", b"x" * 60_000)).status_code == 201
    refused = await sent(alice, "other.txt", b"x" * 60_000)
    assert (refused.status_code, refused.json()["code"]) == (409, "files_full")
    stranger = await stack.client()
    assert (await sent(stranger, "a.txt", b"text")).status_code == 401


async def test_a_file_is_told_without_what_identifies_somebody(alice: httpx.AsyncClient, endpoint: Scripted) -> None:
    text = b"Dear ada@example.org, the meeting is on Monday."
    file = (await sent(alice, "letter.txt", text, "text/plain")).json()
    thread = (await begun(alice, model="fast", title="Letter"))["id"]
    first = await asked(alice, thread, "When is it?", attachments=[file["id"]])
    await followed(alice, first["answer"]["id"])
    told = endpoint.asked[0]["messages"][1]["content"]
    assert "the meeting is on Monday" in told
    assert "letter.txt" in told
    assert "ada@example.org" not in told
    second = await asked(alice, thread, "And where?", first["answer"]["id"])
    await followed(alice, second["answer"]["id"])
    assert endpoint.asked[1]["messages"][1]["content"] == told


async def test_a_file_is_judged_as_a_question_is(stack: Any, alice: httpx.AsyncClient, endpoint: Scripted) -> None:
    innocent = "The garden was full of roses and the children played near the old wall. " * 900
    # In the middle, further from both ends than moderation reads of one text.
    text = f"{innocent} I will kill you, you stupid bitch, says eve@example.org. {innocent}"
    refused = await sent(alice, "letter.txt", text.encode(), "text/plain")
    assert (refused.status_code, refused.json()["code"]) == (422, "file_refused")
    named = await sent(alice, "how I will kill you, you stupid bitch.txt", b"Roses", "text/plain")
    assert (named.status_code, named.json()["code"]) == (422, "file_refused")
    assert not await stored(stack)
    async with stack.db.read() as tx:
        rows = await tx.connection.fetch("SELECT side, scores, text FROM chat.flagged ORDER BY id")
    assert [each["side"] for each in rows] == ["file", "file"]
    assert rows[0]["scores"]["harassment"] >= 0.98
    assert "I will kill you" in rows[0]["text"]
    assert len(rows[0]["text"]) < 11_000
    assert "eve@example.org" not in rows[0]["text"]
    # What would be too much in a question is no reason to refuse a long document: it has many words to be wrong about.
    manual = f"{innocent[:9000]} you are an idiot {innocent[:9000]}"
    for text, status in ((innocent[:9000], 201), ("you are an idiot", 422), (manual, 201)):
        assert (await sent(alice, "letter.txt", text.encode(), "text/plain")).status_code == status
    assert len(await stored(stack)) == 2


async def test_a_picture_is_shown_to_models_that_see_and_described_to_others(
    alice: httpx.AsyncClient, endpoint: Scripted
) -> None:
    file = (await sent(alice, "wall.png", picture(), "image/png")).json()
    for model in ("fast", "smart"):
        thread = (await begun(alice, model=model, title="Wall"))["id"]
        file = (await sent(alice, "wall.png", picture(), "image/png")).json()
        exchange = await asked(alice, thread, "What colour is it?", attachments=[file["id"]])
        await followed(alice, exchange["answer"]["id"])
    blind, seeing = (each["messages"] for each in endpoint.asked)
    assert "No vision model has looked at this picture" in blind[1]["content"]
    assert blind[-1]["content"] == "What colour is it?"
    assert len(seeing) == 2
    text, image = seeing[-1]["content"]
    assert text == {"type": "text", "text": "What colour is it?"}
    assert image["image_url"]["url"].startswith("data:image/png;base64,")


async def test_a_file_that_no_question_wants_is_removed_after_a_day(stack: Any, alice: httpx.AsyncClient) -> None:
    old, new = [(await sent(alice, name, b"text")).json() for name in ("old.txt", "new.txt")]
    used = (await sent(alice, "used.txt", b"text")).json()
    thread = (await begun(alice, model="fast", title="Files"))["id"]
    await followed(alice, (await asked(alice, thread, "Hi", attachments=[used["id"]]))["answer"]["id"])
    async with stack.db.transaction() as tx:
        old_ones = [int(each["id"]) for each in (old, used)]
        await tx.execute("UPDATE chat.file SET created_at = now() - interval '25 hours' WHERE id = ANY($1)", old_ones)
    name = "chat-remove-abandoned-files"
    [remove] = [each for each in stack.process.systems["chat"][0].schedules if each.name == name]
    await remove.job(stack.state("chat"))
    statuses = [(await alice.get(each["url"])).status_code for each in (old, new, used)]
    assert statuses == [404, 200, 200]
    assert len(await stored(stack)) == 2
    assert (await alice.delete(f"/chat/api/threads/{thread}")).status_code == 204
    assert len(await stored(stack)) == 1
