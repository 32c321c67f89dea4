"""The words of evaluation: labelled collections, variants of the pipeline, figures and what they should be."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Literal

import msgspec

type Mode = Literal["dense", "bm25", "hybrid", "reranked"]
type Answerer = Literal["model", "quoted"]


class Interval(msgspec.Struct, frozen=True):
    """A mean, and within what it lies with 95 %."""

    mean: float
    low: float
    high: float


class Difference(msgspec.Struct, frozen=True):
    """How much the second is above the first, and how likely so much would be by chance."""

    difference: float
    low: float
    high: float
    p_value: float


class LabelledDocument(msgspec.Struct, frozen=True):
    key: str
    title: str
    text: str


class LabelledQuestion(msgspec.Struct, frozen=True):
    key: str
    text: str
    #: Documents by key, and how relevant each is; what isn't named is not.
    relevant: Mapping[str, int]
    #: Answers that are right, where it is known.
    answers: Sequence[str] = ()


class Labelled(msgspec.Struct, frozen=True):
    """Documents, and questions of which it is known what answers them."""

    name: str
    documents: list[LabelledDocument]
    questions: list[LabelledQuestion]


class Pipeline(msgspec.Struct, frozen=True, kw_only=True):
    """How questions are answered: what a variant of an evaluation or of an experiment sets."""

    mode: Mode = "reranked"
    #: Passages that an answer is made of.
    top_k: Annotated[int, msgspec.Meta(ge=1, le=20)] = 5
    #: The confidence under which nothing is answered; that of the settings where it isn't named.
    threshold: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    #: Who makes the answer; that of the settings where it isn't named.
    answerer: Answerer | None = None


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A figure of the case study, and on which side of it a measured one should be."""

    name: str
    wanted: float
    below: bool = False
    unit: str = ""

    def met(self, value: float | None) -> bool | None:
        """None where nothing was measured."""
        if value is None or value != value:
            return None
        return value < self.wanted if self.below else value > self.wanted


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What a variant was measured to do."""

    variant: str
    #: By the name of a figure; each is the mean over all questions.
    figures: Mapping[str, Interval]
    #: Milliseconds of each stage: p50 and p95.
    took: Mapping[str, tuple[float, float]]
    #: By the name of a figure: how it differs from the first variant.
    differences: Mapping[str, Difference] = {}


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """What variants were measured to do on a labelled collection."""

    id: str
    name: str
    documents: int
    questions: int
    #: Tokens of pieces that documents were cut into; of several sizes each is a variant of its own.
    chunk_tokens: Sequence[int]
    variants: Sequence[Measured]
    created_at: datetime


class Evaluations(msgspec.Struct, frozen=True):
    items: Sequence[Evaluation]
    #: What the case study has measured, by variant: nDCG@10 and milliseconds.
    claims: Mapping[str, tuple[float, float]]
    next: str | None = None
