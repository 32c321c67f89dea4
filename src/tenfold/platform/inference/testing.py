"""For tests: a server that speaks the OpenAI API and says what it is told to, hangs, breaks or refuses on demand."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web

from tenfold.platform.settings import Endpoint


@dataclass
class Scripted:
    """How the endpoint behaves, and what it was asked."""

    words: list[str] = field(default_factory=lambda: ["one ", "two ", "three"])
    #: Answers at once with this status, and these words.
    refuses: tuple[int, str] | None = None
    #: Begins with a piece that has nothing but a role, as llama.cpp does.
    role_first: bool = False
    #: Whether it says why it ends.
    ends: bool = True
    #: Answers nothing at all any more, as a process that was stopped.
    hangs: bool = False
    #: Cuts the connection behind so many words; 0: before the first.
    breaks_after: int | None = None
    #: Set: it says the next word. Cleared: it waits.
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)
    #: Words of a stream that it says without waiting.
    unheld: int = 0
    #: Bodies of chat completions, oldest first.
    asked: list[dict[str, Any]] = field(default_factory=list)
    at_work: int = 0
    #: Of how many requests the client went away before the end.
    left: int = 0
    url: str = ""

    def endpoint(self, **values: Any) -> Endpoint:
        return Endpoint(url=self.url, **values)

    async def complete(self, request: web.Request) -> web.StreamResponse:
        body = msgspec.json.decode(await request.read())
        self.asked.append(body)
        await self._unless_hanging()
        if self.refuses:
            return web.json_response({"error": {"message": self.refuses[1]}}, status=self.refuses[0])
        self.at_work += 1
        try:
            return await (self._stream(request) if body.get("stream") else self._whole(request))
        except (asyncio.CancelledError, ConnectionError):
            self.left += 1
            raise
        finally:
            self.at_work -= 1

    async def list_models(self, _: web.Request) -> web.Response:
        await self._unless_hanging()
        return web.json_response({"object": "list", "data": []})

    async def _unless_hanging(self) -> None:
        if self.hangs:
            await asyncio.Event().wait()

    async def _whole(self, request: web.Request) -> web.StreamResponse:
        await self.goes_on.wait()
        if self.breaks_after is not None:
            assert request.transport
            request.transport.abort()
        message = {"role": "assistant", "content": "".join(self.words)}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        return web.json_response({"id": "up", "choices": choices, "usage": self._usage()})

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        if self.role_first:
            await self._say(response, [{"index": 0, "delta": {"role": "assistant", "content": None}}])
        for number, word in enumerate(self.words):
            if number >= self.unheld:
                await self.goes_on.wait()
            if number == self.breaks_after:
                assert request.transport
                request.transport.abort()
                return response
            await self._say(response, [{"index": 0, "delta": {"content": word}, "finish_reason": None}])
        if self.ends:
            await self._say(response, [{"index": 0, "delta": {}, "finish_reason": "stop"}])
        await self._say(response, [], usage=self._usage())
        await response.write(b"data: [DONE]\n\n")
        return response

    async def _say(self, response: web.StreamResponse, choices: list[Any], **more: object) -> None:
        event = {"id": "up", "object": "chat.completion.chunk", "choices": choices, **more}
        await response.write(b"data: " + msgspec.json.encode(event) + b"\n\n")

    def _usage(self) -> dict[str, Any]:
        count = len(self.words)
        return {
            "prompt_tokens": 7,
            "completion_tokens": count,
            "total_tokens": 7 + count,
            "prompt_tokens_details": {"cached_tokens": 3},
        }


async def _tokenize(request: web.Request) -> web.Response:
    body = msgspec.json.decode(await request.read())
    return web.json_response({"tokens": list(range(len(body["content"].split())))})


@asynccontextmanager
async def scripted(port: int = 0, **how: Any) -> AsyncIterator[Scripted]:
    """A server on loopback, at any free port or one that is named; it speaks at once unless `goes_on` is cleared."""
    script = Scripted(**how)
    script.goes_on.set()
    application = web.Application(client_max_size=32 * 1024 * 1024)
    application.router.add_post("/v1/chat/completions", script.complete)
    application.router.add_get("/v1/models", script.list_models)
    application.router.add_post("/tokenize", _tokenize)
    runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    script.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield script
    finally:
        script.goes_on.set()
        await runner.cleanup()
