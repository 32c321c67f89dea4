"""What tests of conversations have in common: asking over HTTP, and following what is answered."""

import asyncio
from typing import Any

import httpx
import msgspec

from tenfold.platform.inference.testing import Scripted


async def begun(client: httpx.AsyncClient, **wish: Any) -> dict[str, Any]:
    answer = await client.post("/chat/api/threads", json=wish)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def asked(
    client: httpx.AsyncClient, thread: str, text: str, parent: str | None = None, **more: Any
) -> dict[str, Any]:
    wish = {"text": text, "parent_id": parent, **more}
    answer = await client.post(f"/chat/api/threads/{thread}/messages", json=wish)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def followed(client: httpx.AsyncClient, message: str) -> list[dict[str, Any]]:
    """The events of an answer, to its end."""
    async with asyncio.timeout(10):
        answer = await client.get(f"/chat/api/messages/{message}/stream")
    assert answer.status_code == 200, answer.text
    lines = [line for line in answer.text.splitlines() if line.startswith("data: ")]
    return [msgspec.json.decode(line[6:]) for line in lines]


async def answered(client: httpx.AsyncClient, thread: str, text: str, parent: str | None = None) -> dict[str, Any]:
    """The answer to a question, when it has ended."""
    exchange = await asked(client, thread, text, parent)
    message: dict[str, Any] = (await followed(client, exchange["answer"]["id"]))[-1]["message"]
    return message


async def until(endpoint: Scripted, count: int) -> None:
    """Wait until the endpoint works on so many requests."""
    async with asyncio.timeout(10):
        while endpoint.at_work < count:  # noqa: ASYNC110 - it is of another task
            await asyncio.sleep(0.005)


async def until_left(endpoint: Scripted) -> None:
    """Wait until the endpoint has seen somebody go away."""
    async with asyncio.timeout(10):
        while not endpoint.left:  # noqa: ASYNC110 - it is of another task
            await asyncio.sleep(0.005)
