"""The words of what happens in production: outcomes of questions, figures made of them, and experiments."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Annotated, Literal

import msgspec

from tenfold.systems.answers.types.evaluation import Difference, Interval, Pipeline

type State = Literal["answered", "unknown", "failed", "late"]
type Unit = Literal["conversation", "account"]
type Metric = Literal["acceptance", "clicks"]
type Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a question went."""

    id: int
    account_id: int
    conversation_id: int
    variant: str = ""
    state: State
    cached: bool = False
    #: Milliseconds.
    took: float
    faithfulness: float | None = None
    #: Passages.
    shown: int = 0


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """Outcomes, added up."""

    #: None where this is of all days, or of all variants.
    day: date | None = None
    variant: str | None = None
    questions: int
    users: int
    sessions: int
    #: Sessions with at least one answer.
    successful: int
    accepted: int
    rated: int
    good: int
    #: Answers that showed passages, those of which one was clicked, and the sum of 1 / rank of these.
    shown: int
    clicked: int
    reciprocal: float
    unknown: int
    failed: int
    late: int
    cached: int
    #: Milliseconds; None of nothing.
    latency_mean: float | None
    latency_p50: float | None
    latency_p95: float | None
    latency_p99: float | None
    faithfulness: float | None


class Beside(msgspec.Struct, frozen=True, kw_only=True):
    """A figure beside what the case study wants."""

    name: str
    value: float | None
    unit: str = ""
    wanted: float | None = None
    below: bool = False
    #: None where nothing was measured, or nothing is wanted.
    met: bool | None = None


class FiguresOf(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of a day or of a variant, by name."""

    name: str
    questions: int
    figures: Mapping[str, float | None]


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What a collection's questions came to."""

    days: int
    questions: int
    users: int
    items: Sequence[Beside]
    by_day: Sequence[FiguresOf]
    by_variant: Sequence[FiguresOf]


class Variant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of the ways to answer that are compared."""

    name: Name
    weight: Annotated[float, msgspec.Meta(gt=0, le=1000)] = 1.0
    pipeline: Pipeline = Pipeline()


class BeginExperiment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A comparison on a collection of one's own. The first variant is what the others are compared with."""

    collection_id: str
    name: Name
    variants: Annotated[list[Variant], msgspec.Meta(min_length=2, max_length=5)]
    #: Who stays with one variant.
    unit: Unit = "conversation"
    metric: Metric = "acceptance"
    #: Of the metric: what it is taken to be now, and the change that should be noticed. They say how many questions
    #: each variant needs.
    base: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.7
    change: Annotated[float, msgspec.Meta(ge=0.005, le=0.5)] = 0.05


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    collection_id: str
    name: str
    unit: Unit
    metric: Metric
    variants: Sequence[Variant]
    #: Questions that each variant is to have before it is decided.
    needed: int
    begun_at: datetime
    ended_at: datetime | None = None


class Ratio(msgspec.Struct, frozen=True, kw_only=True):
    """Successes by trials of units that have several each, as sums over units; enough for the variance of the ratio."""

    units: int = 0
    successes: int = 0
    trials: int = 0
    #: Sums of squares, and of products.
    squared_successes: int = 0
    squared_trials: int = 0
    products: int = 0


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """What a variant has come to in an experiment."""

    variant: str
    units: int
    questions: int
    #: Of the metric.
    rate: Interval
    latency_mean: float | None
    #: Against the first variant: the metric, and milliseconds.
    difference: Difference | None = None
    slower: Difference | None = None


class Analysis(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment, and what can be said of it so far."""

    experiment: Experiment
    arms: Sequence[Arm]
    #: How much of the planned number of questions is there: 0 to 1.
    progress: float
    #: The p value under which a difference counts now, which is stricter before all questions are there.
    bound: float
    #: The variant that is better, nothing while none can be said to be.
    winner: str | None
    #: What is wrong with drawing conclusions.
    warnings: Sequence[str]


class Experiments(msgspec.Struct, frozen=True):
    items: Sequence[Experiment]
    next: str | None = None
