"""The words of asking: questions, answers and what they rest on."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Literal

import msgspec

from tenfold.systems.answers.types.library import Found, Id, Narrow

type Answerer = Literal["model", "quoted"]
type Question = Annotated[str, msgspec.Meta(min_length=1, max_length=2000, pattern=r"^[^\x00]*\S[^\x00]*$")]


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    question: Question
    #: To go on with; without one a conversation begins.
    conversation_id: Id | None = None
    filters: Narrow | None = None


class Sentence(msgspec.Struct, frozen=True, kw_only=True):
    """A sentence of an answer: characters of its text, and the passages that say so, counted from 1."""

    begins: int
    ends: int
    citations: Sequence[int]
    supported: bool


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    conversation_id: str
    collection_id: str
    question: str
    #: What was looked for, where the question needed its conversation.
    rewritten: str = ""
    text: str = ""
    #: False: nothing that was found answers it.
    known: bool = False
    #: How likely it is that the passages answer, 0 to 1.
    confidence: float = 0.0
    sentences: Sequence[Sentence] = ()
    passages: Sequence[Found] = ()
    #: Places of passages that contradict each other.
    conflicts: Sequence[tuple[int, int]] = ()
    #: Share of the sentences that a passage supports; null of nothing.
    faithfulness: float | None = None
    cached: bool = False
    variant: str = ""
    #: Milliseconds by stage.
    took: Mapping[str, float] = {}
    #: Whose words these are: a tier's, or "quoted" from the documents.
    model: str = ""
    #: Null until somebody has said.
    good: bool | None = None
    #: False while it is being answered.
    done: bool = True
    #: Why there is no answer, when something went wrong.
    reason: str = ""
    created_at: datetime

    @property
    def cited(self) -> str:
        """The text with the numbers of its passages behind each sentence, and what these are below it."""
        text, at = "", 0
        for each in self.sentences:
            text += self.text[at : each.ends] + "".join(f" [{number}]" for number in each.citations)
            at = each.ends
        text += self.text[at:]
        used = sorted({number for each in self.sentences for number in each.citations})
        named = [(number, self.passages[number - 1]) for number in used]
        told = [f"[{number}] {each.title}{f', page {each.page}' if each.page else ''}" for number, each in named]
        return text + ("\n\n" + "\n".join(told) if told else "")


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    collection_id: str
    title: str
    created_at: datetime
    updated_at: datetime


class Conversations(msgspec.Struct, frozen=True, kw_only=True):
    """Those that were gone on with last first."""

    items: Sequence[Conversation]
    next: str | None = None


class Dialogue(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation with its answers, the oldest first."""

    id: str
    collection_id: str
    title: str
    answers: Sequence[Answer]


class Feedback(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    good: bool
    note: Annotated[str, msgspec.Meta(max_length=2000, pattern=r"^[^\x00]*$")] = ""


class Click(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    #: Its place among the answer's, counted from 1.
    passage: Annotated[int, msgspec.Meta(ge=1, le=100)]


class Passages(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="passages"):
    """What was found, before anything is said."""

    id: str
    conversation_id: str
    rewritten: str
    confidence: float
    items: Sequence[Found]
    conflicts: Sequence[tuple[int, int]]


class Piece(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="text"):
    text: str


class Done(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="done"):
    """The answer as it is kept, which replaces what was shown so far."""

    answer: Answer


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="failed"):
    detail: str


type Event = Passages | Piece | Done | Failed
