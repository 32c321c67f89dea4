"""The words of chat: what is kept, what is asked, what is answered."""

from datetime import date, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class Spent(msgspec.Struct):
    """What an account has used of a model on a day."""

    account_id: int
    day: date
    model: str
    requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    #: In millionths of a dollar.
    cost: int = 0


class Hour(msgspec.Struct):
    """What all accounts together were answered by a model in an hour."""

    at: datetime
    model: str
    answers: int = 0
    #: Read and written.
    tokens: int = 0


type Model = Literal["auto", "fast", "smart"]
type Status = Literal["queued", "streaming", "complete", "stopped", "failed"]
type Id = Annotated[str, Meta(pattern=r"^\d{1,19}$")]
type Title = Annotated[str, Meta(min_length=1, max_length=200, pattern="^[^\\x00]*$")]
#: Files of a question, and characters of a file's name.
MOST_FILES, MOST_NAME = 8, 200
#: What a person writes; a question without a letter asks nothing.
type Question = Annotated[str, Meta(min_length=1, max_length=32_000, pattern="^[^\\x00]*$")]


class Thread(msgspec.Struct, kw_only=True):
    """A conversation."""

    id: str
    #: Empty until somebody, or a model, has named it.
    title: str
    model: Model
    created_at: datetime
    updated_at: datetime
    head_id: str | None = None


class File(msgspec.Struct, kw_only=True):
    """Something that was attached to a question."""

    id: str
    name: str
    #: Its media type, as whoever sent it says.
    type: str
    #: Bytes.
    size: int
    url: str = ""


class StoredFile(msgspec.Struct, kw_only=True):
    """A row of chat.file; with the question through which it was found, if it was."""

    id: str
    name: str
    type: str
    size: int
    key: str
    #: As models are told it, and its tokens, estimated.
    text: str
    tokens: int
    #: How it was read, or why not.
    how: str
    message_id: str | None = None


class Message(msgspec.Struct, kw_only=True):
    """A question or an answer. Those with the same parent are branches of one conversation."""

    id: str
    thread_id: str
    parent_id: str | None
    role: Literal["user", "assistant"]
    text: str
    status: Status
    model: str | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    error: str | None = None
    flagged: bool = False
    created_at: datetime
    attachments: list[File] = []


class Said(msgspec.Struct, frozen=True):
    """A message as prompts are made of it; so many were said before it on its path."""

    id: int
    role: Literal["user", "assistant"]
    text: str
    flagged: bool
    depth: int


class Flagged(msgspec.Struct, frozen=True):
    """What moderation has flagged, without what identifies somebody."""

    id: int
    side: str
    #: By category.
    scores: dict[str, float]
    text: str
    created_at: datetime


class Threads(msgspec.Struct):
    items: list[Thread]
    next: str | None


class Conversation(msgspec.Struct):
    thread: Thread
    messages: list[Message]


class Exchange(msgspec.Struct):
    question: Message
    answer: Message


class BeginThread(msgspec.Struct, forbid_unknown_fields=True):
    title: Title | None = None
    model: Model = "auto"


class ChangeThread(msgspec.Struct, forbid_unknown_fields=True):
    title: Title | None = None
    model: Model | None = None
    head_id: Id | None = None


class Ask(msgspec.Struct, forbid_unknown_fields=True):
    text: Question
    #: The message that it goes on from; None: the beginning.
    parent_id: Id | None = None
    attachments: Annotated[list[Id], Meta(max_length=MOST_FILES)] = []


class AskAgain(msgspec.Struct, forbid_unknown_fields=True):
    model: Model | None = None


class UsageRow(msgspec.Struct):
    """What was used of a model on a day; the cost in dollars."""

    day: date
    model: str
    requests: int
    tokens_in: int
    tokens_out: int
    cost: float


class RateLeft(msgspec.Struct):
    per_minute: int
    remaining: int


class UsageReport(msgspec.Struct):
    days: list[UsageRow]
    tier: str
    limit: RateLeft


class ReplicaLoad(msgspec.Struct):
    state: Literal["up", "down"]
    outstanding: int


class TierState(msgspec.Struct):
    name: str
    title: str
    model: str | None
    state: Literal["ready", "pulling", "starting", "down"]
    #: Bytes of its model that are here, and of it all.
    done: int
    size: int
    replicas: list[ReplicaLoad]


class TierStates(msgspec.Struct):
    tiers: list[TierState]
