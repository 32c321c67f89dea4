"""One OpenAI-compatible endpoint over HTTP: asked, streamed from, looked after."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from time import monotonic

import aiohttp
import msgspec
import structlog

from tenfold.platform.errors import TenfoldError
from tenfold.platform.inference.slots import Seat
from tenfold.platform.inference.types import Chunk, Completion, InferenceRefused, ReplicaState, Usage
from tenfold.platform.settings import Endpoint

log = structlog.get_logger(__name__)

#: Seconds between looks at an endpoint's health, and that one may take to answer.
HEALTH, HEALTH_TIMEOUT = 2.0, 3.0
#: Seconds to connect; until the first piece of an answer; between pieces.
CONNECT, FIRST, NEXT = 3.0, 120.0, 30.0
#: Bytes of an event, and of an answer that comes as a whole.
MOST_EVENT, MOST_ANSWER = 1024 * 1024, 16 * 1024 * 1024
#: Answers that say the request is wrong, which it would be anywhere.
_REFUSED = frozenset({400, 404, 413, 415, 422})


class EndpointFailed(TenfoldError):
    """{reason}"""


class _Delta(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: str | None = None


class _Error(msgspec.Struct):
    message: str = "no reason"


class _Answer(msgspec.Struct):
    choices: msgspec.Raw = msgspec.Raw(b"[]")
    usage: Usage | None = None
    error: _Error | None = None


_decode = msgspec.json.Decoder(_Answer).decode
_choices = msgspec.json.Decoder(list[_Choice]).decode
_encode = msgspec.json.Encoder().encode


class Replica:
    """An endpoint that a process talks to, and what it thinks of its health."""

    def __init__(self, tier: str, endpoint: Endpoint, session: aiohttp.ClientSession) -> None:
        self.tier = tier
        self.endpoint = endpoint
        self.url = endpoint.url.rstrip("/")
        self.seat = Seat(self.url, endpoint.slots, endpoint.weight)
        self.model = endpoint.model or tier
        self.up = True
        self.outstanding = 0
        #: Whether it has ever answered: one that hasn't is being started, which is no news.
        self._met = False
        self._session = session
        self._headers = {"Content-Type": "application/json"}
        if endpoint.key is not None:
            self._headers["Authorization"] = f"Bearer {endpoint.key.reveal()}"

    @property
    def state(self) -> ReplicaState:
        return ReplicaState(self.url, self.up, self.outstanding, self.endpoint.slots)

    async def look(self) -> None:
        """See whether the endpoint answers, and say so when that has changed."""
        try:
            async with asyncio.timeout(HEALTH_TIMEOUT):
                async with self._session.get(f"{self.url}/models", headers=self._headers) as answer:
                    up = answer.status < 500
        except (TimeoutError, aiohttp.ClientError, OSError):
            up = False
        if up != self.up and self._met:
            (log.info if up else log.warning)("inference_replica_up" if up else "inference_replica_down", url=self.url)
        self.up = up
        self._met = self._met or up

    async def stream(self, body: Mapping[str, object]) -> AsyncGenerator[Chunk]:
        """An answer in pieces. Raises EndpointFailed, at any time; InferenceRefused before the first piece.

        Leaving the iterator closes the connection, which ends the work of the endpoint.
        """
        asked = {**body, "model": self.model, "stream": True, "stream_options": {"include_usage": True}}
        ended = False
        async with self._post("/chat/completions", _encode(asked)) as answer:
            async for events in _events(answer.content):
                last = len(events) - 1
                for at, data in enumerate(events):
                    if data == b"[DONE]":
                        return
                    chunk = _chunk(data, more=at < last and events[at + 1] != b"[DONE]")
                    ended = ended or chunk.finish is not None
                    yield chunk
        if not ended:
            raise EndpointFailed(reason="the connection ended in the middle of an answer")

    async def complete(self, body: Mapping[str, object]) -> Completion:
        """A whole answer. Raises EndpointFailed, InferenceRefused."""
        async with self._post("/chat/completions", _encode({**body, "model": self.model})) as answer:
            raw = await _whole(answer)
        try:
            found = _decode(raw)
            if found.error is not None:
                raise EndpointFailed(reason=found.error.message)
            first = _first(found.choices)
        except msgspec.DecodeError as error:
            raise EndpointFailed(reason=f"what it sent is no completion: {error}") from error
        text = first.message.content or "" if first and first.message else ""
        return Completion(raw, found.choices, text, first.finish_reason if first else None, found.usage or Usage())

    async def ask(self, path: str, body: Mapping[str, object]) -> bytes:
        """Any other request of the API, below its address or with a leading slash beside it."""
        async with self._post(path, _encode(body)) as answer:
            return await _whole(answer)

    @asynccontextmanager
    async def _post(self, path: str, body: bytes) -> AsyncIterator[aiohttp.ClientResponse]:
        url = self.url.removesuffix("/v1") + path.removeprefix("..") if path.startswith("..") else self.url + path
        self.outstanding += 1
        try:
            answer = await self._send(url, body)
            async with answer:
                if answer.status != 200:
                    await _complain(answer)
                yield answer
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise EndpointFailed(reason=str(error) or type(error).__name__) from error
        finally:
            self.outstanding -= 1

    async def _send(self, url: str, body: bytes) -> aiohttp.ClientResponse:
        # An endpoint may drop a kept connection just when it is used again; only then is the request sent twice.
        began = monotonic()
        while True:
            try:
                return await self._session.post(url, data=body, headers=self._headers)
            except aiohttp.ServerDisconnectedError:
                if monotonic() - began > 0.1:
                    raise
                began = 0.0


async def _complain(answer: aiohttp.ClientResponse) -> None:
    raw = await _whole(answer)
    try:
        error = _decode(raw).error
        reason = error.message if error else f"HTTP {answer.status}"
    except msgspec.DecodeError:
        reason = f"HTTP {answer.status}"
    if answer.status in _REFUSED:
        raise InferenceRefused(reason=reason)
    raise EndpointFailed(reason=reason)


async def _whole(answer: aiohttp.ClientResponse) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in answer.content.iter_any():
        size += len(part)
        if size > MOST_ANSWER:
            raise EndpointFailed(reason="its answer is too large")
        parts.append(part)
    return b"".join(parts)


async def _events(content: aiohttp.StreamReader) -> AsyncGenerator[list[bytes]]:
    """The data of server-sent events, one line each, as this API sends them: of all that came together."""
    rest = b""
    timeout = FIRST
    while True:
        async with asyncio.timeout(timeout):
            part = await content.readany()
        if not part:
            return
        timeout = NEXT
        *lines, rest = (rest + part).split(b"\n")
        if len(rest) > MOST_EVENT:
            raise EndpointFailed(reason="an event of its answer is too large")
        yield [line[5:].strip() for line in lines if line.startswith(b"data:")]


def _chunk(data: bytes, *, more: bool) -> Chunk:
    try:
        found = _decode(data)
        if found.error is not None:
            raise EndpointFailed(reason=found.error.message)
        first = _first(found.choices)
    except msgspec.DecodeError as error:
        raise EndpointFailed(reason=f"what it sent is no piece of a completion: {error}") from error
    if first is None:
        return Chunk(data, found.choices, "", None, found.usage, more)
    text = first.delta.content or "" if first.delta else ""
    return Chunk(data, found.choices, text, first.finish_reason, found.usage, more)


def _first(choices: msgspec.Raw) -> _Choice | None:
    return next((choice for choice in _choices(choices) if choice.index == 0), None)
