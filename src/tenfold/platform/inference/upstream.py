"""One OpenAI-compatible endpoint over HTTP: asked, streamed from, looked after."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from time import monotonic

import aiohttp
import msgspec
import structlog

from tenfold.platform.errors import TenfoldError
from tenfold.platform.inference import tools
from tenfold.platform.inference.slots import Seat
from tenfold.platform.inference.types import Chunk, Completion, InferenceRefused, ReplicaState, Usage
from tenfold.platform.settings import Endpoint

log = structlog.get_logger(__name__)

#: Seconds between looks at an endpoint's health, and that one may take to answer.
HEALTH, HEALTH_TIMEOUT = 2.0, 3.0
#: Looks in a row that an endpoint may be too busy to answer. Afterwards it hangs.
MISSED = 3
#: Seconds to connect; until the first piece of an answer; between pieces; for an answer as a whole.
CONNECT, FIRST, NEXT, WHOLE = 3.0, 300.0, 30.0, 900.0
#: Bytes of an event, and of an answer that comes as a whole.
MOST_EVENT, MOST_ANSWER = 1024 * 1024, 16 * 1024 * 1024
#: Answers that say the request is wrong, which it would be anywhere.
_REFUSED = frozenset({400, 404, 413, 415, 422})


class EndpointFailed(TenfoldError):
    """{reason}"""


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    tool_calls: list[msgspec.Raw] | None = None

    @property
    def says(self) -> bool:
        return bool(self.content or self.reasoning_content or self.refusal or self.tool_calls)


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
        self._missed = 0
        #: How long requests still wait that have heard nothing yet.
        self._unheard: set[asyncio.Timeout] = set()
        self._session = session
        self._headers = {"Content-Type": "application/json"}
        if endpoint.key is not None:
            self._headers["Authorization"] = f"Bearer {endpoint.key.reveal()}"

    @property
    def state(self) -> ReplicaState:
        return ReplicaState(self.url, self.up, self.outstanding, self.endpoint.slots)

    async def look(self) -> None:
        """See whether the endpoint answers, and say so when that has changed.

        Whoever waits for the first word of one that has gone, or hangs, waits no longer.
        """
        self._missed += 1
        try:
            async with asyncio.timeout(HEALTH_TIMEOUT):
                async with self._session.get(f"{self.url}/models", headers=self._headers) as answer:
                    up = answer.status < 500
            self._missed = 0
        except TimeoutError:
            up = self.up and self._missed < MISSED
        except (aiohttp.ClientError, OSError):
            up = False
        if not up:
            for limit in self._unheard:
                limit.reschedule(asyncio.get_running_loop().time())
        if up != self.up and self._met:
            (log.info if up else log.warning)("inference_replica_up" if up else "inference_replica_down", url=self.url)
        self.up = up
        self._met = self._met or up

    async def stream(self, body: Mapping[str, object]) -> AsyncGenerator[Chunk]:
        """An answer in pieces. Raises EndpointFailed, at any time; InferenceRefused before the first piece.

        Leaving the iterator closes the connection, which ends the work of the endpoint.
        """
        pieces = self._pieces({**body, "stream": True, "stream_options": {"include_usage": True}})
        async with aclosing(_calling(pieces, tools.offered(body)) if body.get("tools") else pieces) as pieces:
            async for chunk in pieces:
                yield chunk

    async def _pieces(self, body: Mapping[str, object]) -> AsyncGenerator[Chunk]:
        ended = False
        async with self._post("/chat/completions", self._asked(body), FIRST) as answer:
            async for events in self._events(answer.content):
                last = len(events) - 1
                for at, data in enumerate(events):
                    chunk = _chunk(data, more=at < last)
                    ended = ended or chunk.finish is not None
                    yield chunk
        if not ended:
            raise EndpointFailed(reason="the connection ended in the middle of an answer")

    def _asked(self, body: Mapping[str, object]) -> bytes:
        if not self.endpoint.holds_to_tools and body.get("tool_choice") is not None:
            body = tools.forced(body)
        return _encode({**body, "model": self.model})

    async def complete(self, body: Mapping[str, object]) -> Completion:
        """A whole answer. Raises EndpointFailed, InferenceRefused."""
        async with self._post("/chat/completions", self._asked(body), WHOLE) as answer:
            raw = await _whole(answer)
        try:
            found = _decode(raw)
            if found.error is not None:
                raise EndpointFailed(reason=found.error.message)
            first = _first(_choices(found.choices))
        except msgspec.DecodeError as error:
            raise EndpointFailed(reason=f"what it sent is no completion: {error}") from error
        text = first.message.content or "" if first and first.message else ""
        finish, choices = first.finish_reason if first else None, found.choices
        if body.get("tools") and first and first.message and not first.message.tool_calls:
            text, calls = tools.read(text, tools.offered(body))
            if calls:
                finish, choices = "tool_calls", _message(text, calls)
        return Completion(raw, choices, text, finish, found.usage or Usage())

    async def ask(self, path: str, body: Mapping[str, object]) -> bytes:
        """Any other request of the API, below its address or with a leading slash beside it."""
        async with self._post(path, _encode(body), NEXT) as answer:
            return await _whole(answer)

    @asynccontextmanager
    async def _post(self, path: str, body: bytes, seconds: float) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer whose head has come within so many seconds."""
        url = self.url.removesuffix("/v1") + path.removeprefix("..") if path.startswith("..") else self.url + path
        self.outstanding += 1
        try:
            async with self._hearing(seconds):
                answer = await self._send(url, body)
            async with answer:
                if answer.status != 200:
                    await _complain(answer)
                yield answer
        except TimeoutError as error:
            raise EndpointFailed(reason="it doesn't answer") from error
        except (aiohttp.ClientError, OSError) as error:
            raise EndpointFailed(reason=str(error) or type(error).__name__) from error
        finally:
            self.outstanding -= 1

    @asynccontextmanager
    async def _hearing(self, seconds: float) -> AsyncIterator[None]:
        """Wait so long for the endpoint, or until it is known to be gone. Raises TimeoutError."""
        async with asyncio.timeout(seconds) as limit:
            self._unheard.add(limit)
            try:
                yield
            finally:
                self._unheard.discard(limit)

    async def _events(self, content: aiohttp.StreamReader) -> AsyncGenerator[list[bytes]]:
        """The data of server-sent events, one line each, as this API sends them: of all that came together."""
        rest = b""
        heard = False
        while True:
            async with asyncio.timeout(NEXT) if heard else self._hearing(FIRST):
                part = await content.readany()
            if not part:
                return
            heard = True
            *lines, rest = (rest + part).split(b"\n")
            if len(rest) > MOST_EVENT:
                raise EndpointFailed(reason="an event of its answer is too large")
            events = [line[5:].strip() for line in lines if line.startswith(b"data:")]
            done = b"[DONE]" in events
            yield events[: events.index(b"[DONE]")] if done else events
            if done:
                return

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


def _chunk(data: bytes, *, more: bool) -> Chunk:
    try:
        found = _decode(data)
        if found.error is not None:
            raise EndpointFailed(reason=found.error.message)
        choices = _choices(found.choices)
        first = _first(choices)
    except msgspec.DecodeError as error:
        raise EndpointFailed(reason=f"what it sent is no piece of a completion: {error}") from error
    says = any(each.finish_reason or (each.delta and each.delta.says) for each in choices)
    text = first.delta.content or "" if first and first.delta else ""
    return Chunk(data, found.choices, text, first.finish_reason if first else None, found.usage, bool(says), more)


async def _calling(pieces: AsyncGenerator[Chunk], names: Sequence[str]) -> AsyncGenerator[Chunk]:
    """The same pieces, with calls where the text has some."""
    reader = tools.Reader(names)
    async with aclosing(pieces):
        async for chunk in pieces:
            if not chunk.text and chunk.finish is None:
                yield chunk
                continue
            shown = reader.take(chunk.text)
            if chunk.finish is None:
                if shown:
                    yield chunk if shown == chunk.text else _delta({"content": shown}, shown)
                continue
            rest, calls = reader.end()
            if shown + rest:
                yield _delta({"content": shown + rest}, shown + rest)
            if calls:
                yield _delta({"tool_calls": [call.encoded(index) for index, call in enumerate(calls)]})
            yield _delta({}, finish="tool_calls" if calls else chunk.finish, usage=chunk.usage)


def _delta(delta: dict[str, object], text: str = "", finish: str | None = None, usage: Usage | None = None) -> Chunk:
    choices = _encode([{"index": 0, "delta": delta, "finish_reason": finish}])
    return Chunk(b"", msgspec.Raw(choices), text, finish, usage, says=True)


def _message(text: str, calls: Sequence[tools.Call]) -> msgspec.Raw:
    called = [call.encoded() for call in calls]
    message = {"role": "assistant", "content": text or None, "refusal": None, "tool_calls": called}
    return msgspec.Raw(_encode([{"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls"}]))


def _first(choices: Sequence[_Choice]) -> _Choice | None:
    return next((choice for choice in choices if choice.index == 0), None)
