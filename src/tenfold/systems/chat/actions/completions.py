"""Answering through the OpenAI API: whom to ask, what was answered before, and what it took."""

import hashlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from time import time
from typing import Any

import msgspec
import numpy as np
import structlog

from tenfold.platform.errors import Invalid, Unavailable
from tenfold.platform.identity import Principal
from tenfold.platform.inference import Chunk, Queued, Usage
from tenfold.platform.limits import Limit
from tenfold.systems.chat.actions import pictures, safety
from tenfold.systems.chat.actions.context import Chat
from tenfold.systems.chat.errors import ModelNotFound
from tenfold.systems.chat.rules import routing
from tenfold.systems.chat.rules.moderation import Moderation

log = structlog.get_logger(__name__)

#: Questions, of whatever kind; the case study's rates.
ASK = Limit("chat.ask", {"anonymous": "3/minute", "free": "3/minute", "plus": "50/minute", "enterprise": "6000/minute"})
#: Texts to embed, or to judge.
EMBED = Limit(
    "chat.embed", {"anonymous": "60/minute", "free": "600/minute", "plus": "6000/minute", "enterprise": "60000/minute"}
)
#: The name that lets the router choose between the first two tiers.
AUTO = "auto"
TIERS = ("fast", "smart", "code")
#: Characters of an answer that is kept for who asks the same.
MOST_KEPT = 65_536
#: Characters of a question by which a tier is chosen.
MOST_ROUTED = 8000


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A chat completion that somebody wants."""

    model: str
    #: As the API has them.
    messages: list[dict[str, Any]]
    options: dict[str, object] = {}
    most_tokens: int | None = None
    #: Requests with the same key begin alike: they go where the beginning is remembered.
    cache_key: str = ""


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    created: int
    model: str
    choices: msgspec.Raw
    usage: Usage
    #: Whether it was answered before.
    cached: bool = False


class Piece(msgspec.Struct, frozen=True):
    id: int
    created: int
    model: str
    chunk: Chunk


class Kept(msgspec.Struct, frozen=True):
    """An answer that a deterministic request always gets."""

    text: str
    finish: str
    usage: Usage


def list_models(chat: Chat) -> list[str]:
    """The names that a request may carry."""
    known = chat.runtime.inference.tiers
    return [AUTO, *(tier for tier in TIERS if tier in known), "embed"]


async def complete(chat: Chat, asked: Asked, principal: Principal) -> Answered:
    """A whole answer. Raises Unauthorized, TooManyRequests, ModelNotFound and what Inference raises."""
    account_id, tier = await _admit(chat, asked, principal)
    asked = await _told(chat, asked, tier, principal)
    new = msgspec.structs.replace
    answered = Answered(
        id=chat.runtime.ids.next(), created=int(time()), model=tier, choices=msgspec.Raw(b"[]"), usage=Usage()
    )
    if await _flagged(chat, account_id, answered.id, "question", _question(asked)):
        return new(answered, choices=_choices(safety.REFUSAL, "content_filter"))
    key = _key(chat, asked, tier)
    if key is not None and (kept := await _recall(chat, key)) is not None:
        return new(answered, choices=_choices(kept.text, kept.finish), usage=kept.usage, cached=True)
    completion = await chat.runtime.inference.complete(
        tier, _body(chat, asked), caller=f"account/{account_id}", sticky=_sticky(asked, account_id)
    )
    chat.ledger.add(account_id, tier, completion.usage)
    if await _flagged(chat, account_id, answered.id, "answer", completion.text):
        return new(answered, choices=_choices(safety.REFUSAL, "content_filter"), usage=completion.usage)
    await _keep(chat, key, Kept(completion.text, completion.finish or "", completion.usage))
    return new(answered, choices=completion.choices, usage=completion.usage)


async def stream(chat: Chat, asked: Asked, principal: Principal) -> AsyncGenerator[Piece]:
    """An answer in pieces, of which the last has the usage and no choices. Raises as `complete` does."""
    account_id, tier = await _admit(chat, asked, principal)
    asked = await _told(chat, asked, tier, principal)
    number, created = chat.runtime.ids.next(), int(time())
    key = _key(chat, asked, tier)
    kept = None
    if await _flagged(chat, account_id, number, "question", _question(asked)):
        kept = _REFUSED
    elif key is not None:
        kept = await _recall(chat, key)
    if kept is not None:
        for chunk in _pieces_of(kept):
            yield Piece(number, created, tier, chunk)
        return
    text, looked, pieces = "", 0, 0
    finish, usage = "", None
    caller, sticky = f"account/{account_id}", _sticky(asked, account_id)
    try:
        async with chat.runtime.inference.stream(tier, _body(chat, asked), caller=caller, sticky=sticky) as steps:
            async for step in steps:
                if isinstance(step, Queued):
                    continue
                text += step.text
                pieces += step.says
                finish, usage = step.finish or finish, step.usage or usage
                if step.finish or len(text) - looked >= safety.LOOK:
                    looked = len(text)
                    if await _flagged(chat, account_id, number, "answer", text[-4 * safety.LOOK :]):
                        yield Piece(number, created, tier, _chunk([_CUT]))
                        return
                yield Piece(number, created, tier, step)
    finally:  # whoever leaves early has used the model all the same
        if usage is None and pieces:
            asked_tokens = sum(len(_text(each)) for each in asked.messages) // 4
            usage = Usage(prompt_tokens=asked_tokens, completion_tokens=pieces, total_tokens=asked_tokens + pieces)
        if usage is not None:
            chat.ledger.add(account_id, tier, usage)
    await _keep(chat, key, Kept(text, finish, usage or Usage()))


async def embed(
    chat: Chat, model: str, texts: Sequence[str], dimensions: int | None, principal: Principal
) -> tuple[list[list[float]], int]:
    """Vectors of texts, and how many tokens they have, roughly. Raises ModelNotFound, Invalid, TooManyRequests."""
    account_id = principal.require("chat")
    if model not in ("embed", "minilm"):
        raise ModelNotFound(model=model[:100])
    if dimensions is not None and not 1 <= dimensions <= chat.dimensions:
        raise Invalid(fields={"dimensions": f"is at most {chat.dimensions}"})
    await chat.runtime.limits.take(EMBED, principal, cost=len(texts))
    vectors = await chat.runtime.inference.embed(texts)
    if dimensions is not None:
        short = np.array(vectors, np.float64)[:, :dimensions]
        vectors = (short / np.linalg.norm(short, axis=1, keepdims=True)).tolist()
    tokens = sum(len(text) // 4 + 1 for text in texts)
    chat.ledger.add(account_id, "embed", Usage(prompt_tokens=tokens, total_tokens=tokens), answers=0)
    return vectors, tokens


async def judge(chat: Chat, texts: Sequence[str], principal: Principal) -> list[Moderation]:
    """What moderation says of texts."""
    principal.require("chat")
    await chat.runtime.limits.take(EMBED, principal, cost=len(texts))
    return [await safety.judge(text) for text in texts]


async def _admit(chat: Chat, asked: Asked, principal: Principal) -> tuple[int, str]:
    """Whose request it is, and the tier that shall answer it."""
    account_id = principal.require("chat")
    await chat.runtime.limits.take(ASK, principal)
    await chat.ledger.check(account_id, principal.tier)
    if asked.model != AUTO:
        if asked.model not in chat.runtime.inference.tiers or asked.model == "embed":
            raise ModelNotFound(model=asked.model[:100])
        return account_id, asked.model
    before = sum(len(_text(each)) for each in asked.messages[:-1])
    complexity = routing.complexity(_text(asked.messages[-1])[:MOST_ROUTED], before // 4)
    return account_id, "fast" if complexity < routing.THRESHOLD else "smart"


async def _told(chat: Chat, asked: Asked, tier: str, principal: Principal) -> Asked:
    """What the model of a tier can be told; moderation reads it so too."""
    messages = await pictures.describe(chat, asked.messages, tier, principal)
    return msgspec.structs.replace(asked, messages=messages)


def _body(chat: Chat, asked: Asked) -> dict[str, object]:
    most = min(asked.most_tokens or chat.settings.answer_tokens, chat.settings.most_answer_tokens)
    return {"messages": asked.messages, "max_tokens": most, **asked.options}


def _question(asked: Asked) -> str:
    """What the last message of a person says."""
    last = next((each for each in reversed(asked.messages) if each["role"] == "user"), None)
    return "" if last is None else _text(last)


async def _flagged(chat: Chat, account_id: int, number: int, side: str, text: str) -> bool:
    """Whether a text may not be passed on; then it is kept for review."""
    if not chat.settings.moderate_api or not text:
        return False
    judged = await safety.find_harm(text)
    if judged is not None:
        async with chat.runtime.db.transaction() as tx:
            await safety.note_flagged(tx, account_id, number, side, judged, text)
    return judged is not None


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n".join(part.get("text") or "" for part in content)


def _sticky(asked: Asked, account_id: int) -> str:
    """What the requests of one conversation have in common: how it began."""
    begin = asked.cache_key or "\n".join(_text(each) for each in asked.messages[:2])
    return hashlib.blake2b(f"{account_id}\n{begin}".encode(), digest_size=12).hexdigest()


def _key(chat: Chat, asked: Asked, tier: str) -> str | None:
    """Where the answer of a deterministic request is kept; None: it is none, or needs more than its text."""
    options = asked.options
    if options.get("temperature") != 0 or options.keys() & {"n", "logprobs", "tools"}:
        return None
    wish = msgspec.json.encode([tier, asked.messages, options, asked.most_tokens], order="sorted")
    return chat.runtime.hot.key("chat", "answer", hashlib.blake2b(wish, digest_size=20).hexdigest())


async def _recall(chat: Chat, key: str) -> Kept | None:
    try:
        kept = await chat.runtime.hot.get(key)
    except Unavailable:
        return None
    return None if kept is None else msgspec.msgpack.decode(kept, type=Kept)


async def _keep(chat: Chat, key: str | None, answer: Kept) -> None:
    if key is None or answer.finish not in ("stop", "length") or len(answer.text) > MOST_KEPT:
        return
    packed = msgspec.msgpack.encode(answer)
    try:
        await chat.runtime.hot.set_many([(key, packed, chat.settings.answer_cache_seconds * 1000)])
    except Unavailable:
        log.info("answer_not_kept")


def _choices(text: str, finish: str) -> msgspec.Raw:
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    return msgspec.Raw(msgspec.json.encode([choice]))


#: Ends an answer that may not go on.
_CUT: dict[str, Any] = {"index": 0, "delta": {}, "finish_reason": "content_filter"}
_REFUSED = Kept(safety.REFUSAL, "content_filter", Usage())


def _pieces_of(kept: Kept) -> list[Chunk]:
    """An answer that is known, in the pieces of a stream."""
    delta = {"role": "assistant", "content": kept.text}
    return [_chunk([{"index": 0, "delta": delta, "finish_reason": kept.finish}]), _chunk([], kept.usage)]


def _chunk(choices: list[dict[str, Any]], usage: Usage | None = None) -> Chunk:
    return Chunk(b"", msgspec.Raw(msgspec.json.encode(choices)), "", None, usage, says=bool(choices))
