"""Asking a tier: a slot at a replica, the answer in pieces, another replica when one fails before it says anything."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from time import monotonic

import aiohttp
import msgspec
import structlog

from tenfold.platform import telemetry
from tenfold.platform.bus import Bus
from tenfold.platform.errors import Unavailable
from tenfold.platform.hot import Hot
from tenfold.platform.inference.embedding import Embedder
from tenfold.platform.inference.slots import Slots
from tenfold.platform.inference.types import (
    Chunk,
    Completion,
    InferenceBusy,
    InferenceFailed,
    NoSuchTier,
    Queued,
    ReplicaState,
    Usage,
)
from tenfold.platform.inference.upstream import CONNECT, HEALTH, EndpointFailed, Replica
from tenfold.platform.settings import Settings

log = structlog.get_logger(__name__)

#: Tokens that are guessed where no tokenizer answers: so many characters each.
CHARACTERS_A_TOKEN = 3.5
#: Pieces of an answer that may say nothing before it says something.
MOST_HELD = 100


class _Counted(msgspec.Struct):
    tokens: list[object] = []
    count: int | None = None


class _Embedding(msgspec.Struct):
    embedding: list[float]


class _Embeddings(msgspec.Struct):
    data: list[_Embedding]


class _Numbers:
    """What a tier has done for this process, for telemetry."""

    __slots__ = ("cached_tokens", "completion_tokens", "failures", "prompt_tokens", "requests")

    def __init__(self) -> None:
        self.requests = self.failures = self.prompt_tokens = self.cached_tokens = self.completion_tokens = 0

    def add(self, usage: Usage) -> None:
        self.requests += 1
        self.prompt_tokens += usage.prompt_tokens
        self.completion_tokens += usage.completion_tokens
        if usage.prompt_tokens_details is not None:
            self.cached_tokens += usage.prompt_tokens_details.cached_tokens


class Inference:
    """The models of an installation, for one process. Made by `open_inference`."""

    def __init__(self, settings: Settings, slots: Slots, session: aiohttp.ClientSession) -> None:
        self._settings = settings
        self._slots = slots
        self._tiers = {
            name: [Replica(name, endpoint, session) for endpoint in settings.tier(name).endpoints]
            for name in settings.tier_names
        }
        self._embedder = Embedder(settings)
        self._numbers = {name: _Numbers() for name in self._tiers}
        for name, numbers in self._numbers.items():
            telemetry.watch("inference", numbers, counters=" ".join(_Numbers.__slots__), tier=name)

    @property
    def tiers(self) -> Sequence[str]:
        return list(self._tiers)

    def states(self, tier: str) -> list[ReplicaState]:
        """The replicas of a tier. Raises NoSuchTier."""
        return [replica.state for replica in self._replicas(tier)]

    @asynccontextmanager
    async def stream(
        self, tier: str, body: Mapping[str, object], *, caller: str, sticky: str = ""
    ) -> AsyncIterator[AsyncIterator[Queued | Chunk]]:
        """Ask for a chat completion, and take it in pieces; what waits is told its place about once a second.

        `body` is the request of the OpenAI API without model and stream. `caller` is whose turn it is in the queue;
        requests of the same `sticky` key go to the same replica while it has room. Leaving the context ends the work.
        Iterating raises InferenceFailed, InferenceRefused, InferenceBusy, Unavailable; this call NoSuchTier.
        """
        self._replicas(tier)
        async with AsyncExitStack() as stack:
            answer = self._answer(tier, body, caller, sticky)
            stack.push_async_callback(answer.aclose)
            yield answer

    async def complete(self, tier: str, body: Mapping[str, object], *, caller: str, sticky: str = "") -> Completion:
        """Ask for a chat completion as a whole. Raises what iterating a stream does."""
        failed: set[str] = set()
        while True:
            async with AsyncExitStack() as stack:
                replica = None
                async for step in self._admitted(stack, tier, caller, sticky, failed):
                    replica = step if isinstance(step, Replica) else None
                assert replica is not None
                try:
                    completion = await replica.complete(body)
                except EndpointFailed as error:
                    self._take_out(replica, failed, error)
                    continue
                self._numbers[tier].add(completion.usage)
                return completion

    async def _answer(
        self, tier: str, body: Mapping[str, object], caller: str, sticky: str
    ) -> AsyncGenerator[Queued | Chunk]:
        failed: set[str] = set()
        while True:
            async with AsyncExitStack() as stack:
                replica = None
                async for step in self._admitted(stack, tier, caller, sticky, failed):
                    if isinstance(step, Queued):
                        yield step
                    else:
                        replica = step
                assert replica is not None
                # A role alone is shown to nobody: until there is more, another replica can begin anew.
                held: list[Chunk] = []
                shown, began = False, monotonic()
                pieces = replica.stream(body)
                stack.push_async_callback(pieces.aclose)
                try:
                    async for chunk in pieces:
                        if not shown and not chunk.says:
                            if len(held) == MOST_HELD:
                                raise EndpointFailed(reason="it says nothing")
                            held.append(chunk)
                            continue
                        if not shown:
                            telemetry.observe("first_token", monotonic() - began, tier=tier)
                            shown = True
                            for each in held:
                                yield each
                        if chunk.usage is not None:
                            self._numbers[tier].add(chunk.usage)
                        yield chunk
                except EndpointFailed as error:
                    if shown:
                        replica.up = False
                        raise InferenceFailed(reason=error.values["reason"]) from error
                    self._take_out(replica, failed, error)
                    continue
                return

    async def _admitted(
        self, stack: AsyncExitStack, tier: str, caller: str, sticky: str, failed: set[str]
    ) -> AsyncIterator[Queued | Replica]:
        """Wait for a slot, which the stack gives back; last comes the replica."""

        def fit() -> list[Replica]:
            return [each for each in self._replicas(tier) if each.up and each.url not in failed]

        deadline = monotonic() + self._settings.inference_patience
        known = {replica.url: replica for replica in self._replicas(tier)}
        if not known or failed.issuperset(known):
            raise Unavailable(part=f"A model of the tier {tier}")
        lease = await self._slots.take(tier, [each.seat for each in fit()], caller, sticky)
        stack.callback(lambda: self._slots.free(lease, [each.seat for each in fit()]))
        shown = -1
        while not lease.granted.done():
            if lease.place != shown:
                shown = lease.place
                yield Queued(shown)
            if monotonic() > deadline:
                if not fit():
                    raise Unavailable(part=f"A model of the tier {tier}")
                raise InferenceBusy(retry_after=10)
            await self._slots.wait(lease, [each.seat for each in fit()])
        yield known[lease.granted.result()]

    def _take_out(self, replica: Replica, failed: set[str], error: EndpointFailed) -> None:
        """Ask elsewhere, and let the next look decide when this one is back. Raises InferenceFailed: nobody is left."""
        log.warning("inference_replica_failed", url=replica.url, reason=error.values["reason"])
        replica.up = False
        self._numbers[replica.tier].failures += 1
        failed.add(replica.url)
        if failed.issuperset(each.url for each in self._replicas(replica.tier)):
            raise InferenceFailed(reason=error.values["reason"]) from error

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """A vector of length 1 for each text: by the tier `embed` where it has endpoints, else in this process."""
        replicas = [each for each in self._tiers.get("embed", ()) if each.up]
        if not replicas:
            return await self._embedder.embed(texts)
        replica = min(replicas, key=lambda each: each.outstanding)
        raw = await replica.ask("/embeddings", {"model": replica.model, "input": list(texts)})
        return [each.embedding for each in msgspec.json.decode(raw, type=_Embeddings).data]

    async def count(self, tier: str, text: str) -> int:
        """Tokens of a text, by the model's own tokenizer where its endpoint has one to ask (llama.cpp, vLLM)."""
        for replica in self._replicas(tier):
            if replica.up:
                try:
                    asked = {"model": replica.model, "content": text, "prompt": text}
                    found = msgspec.json.decode(await replica.ask("../tokenize", asked), type=_Counted)
                except (EndpointFailed, msgspec.DecodeError):
                    continue
                return len(found.tokens) if found.count is None else found.count
        return int(len(text) / CHARACTERS_A_TOKEN) + 1

    def _replicas(self, tier: str) -> list[Replica]:
        try:
            return self._tiers[tier]
        except KeyError:
            raise NoSuchTier(tier=tier, known=", ".join(self._tiers)) from None

    async def watch(self) -> None:
        """Look after the health of all replicas, until cancelled."""
        while True:
            await asyncio.gather(*(replica.look() for replicas in self._tiers.values() for replica in replicas))
            await asyncio.sleep(HEALTH)


@asynccontextmanager
async def open_inference(settings: Settings, hot: Hot, bus: Bus) -> AsyncIterator[Inference]:
    """The models that the settings name. What isn't there yet is asked again and again until it is."""
    timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT, sock_connect=CONNECT)
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=20)
    async with AsyncExitStack() as stack:
        session = aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())
        await stack.enter_async_context(session)
        slots = Slots(hot, bus, most=settings.inference_queue, each=settings.inference_queue_each)
        await slots.open()
        stack.push_async_callback(slots.close)
        inference = Inference(settings, slots, session)
        watching = asyncio.create_task(inference.watch())
        stack.callback(watching.cancel)
        yield inference
