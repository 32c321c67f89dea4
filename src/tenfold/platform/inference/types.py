"""What goes between those who ask models and the models, and what can go wrong between them."""

import msgspec

from tenfold.platform.errors import Invalid, NotFound, TenfoldError


class Details(msgspec.Struct, frozen=True):
    cached_tokens: int = 0


class Usage(msgspec.Struct, frozen=True):
    """Tokens of one request, as the model's own tokenizer counts them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    #: Of the prompt, those that the endpoint remembered from an earlier request.
    prompt_tokens_details: Details | None = None


class Queued(msgspec.Struct, frozen=True):
    """Not yet: `place` 1 is the next one that gets a free slot."""

    place: int


class Chunk(msgspec.Struct, frozen=True):
    """A piece of an answer."""

    #: One JSON object, as the endpoint sent it.
    raw: bytes
    #: Its list of choices, still encoded.
    choices: msgspec.Raw
    #: What the first choice says with it.
    text: str
    #: Why the first choice ends: "stop", "length", "tool_calls"; None: it doesn't yet.
    finish: str | None
    usage: Usage | None
    #: Whether it holds anything that somebody can be shown: not a role alone, as most answers begin.
    says: bool
    #: Whether the next piece is here already: what is sent on can wait for it, since each sending costs.
    more: bool = False


class Completion(msgspec.Struct, frozen=True):
    """A whole answer."""

    raw: bytes
    choices: msgspec.Raw
    text: str
    finish: str | None
    usage: Usage


class ReplicaState(msgspec.Struct, frozen=True):
    """One endpoint of a tier, as this process sees it."""

    name: str
    up: bool
    #: Requests of this process that it works on.
    outstanding: int
    slots: int


class NoSuchTier(NotFound):
    """There is no tier {tier}; there are {known}."""


class InferenceRefused(Invalid):
    """The model can't take this request: {reason}."""

    status = 400


class InferenceFailed(TenfoldError):
    """The model stopped answering: {reason}. Ask again."""

    status = 502


class InferenceBusy(TenfoldError):
    """All models are busy, and too many wait for them already. Try again in {retry_after} seconds."""

    status = 503

    def __init__(self, *, retry_after: int) -> None:
        super().__init__(headers={"Retry-After": str(retry_after)}, retry_after=retry_after)
