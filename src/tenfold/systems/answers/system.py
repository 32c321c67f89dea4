"""The front door of answers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tenfold.platform import telemetry
from tenfold.platform.runtime import Runtime
from tenfold.platform.system import System
from tenfold.systems.answers.actions.context import Answers
from tenfold.systems.answers.actions.evaluation import evaluate_set
from tenfold.systems.answers.actions.retrieval import Retrieval
from tenfold.systems.answers.endpoints.figures import FigureEndpoints
from tenfold.systems.answers.engine.reranking import reranker
from tenfold.systems.answers.hot import Numbers, Segments
from tenfold.systems.answers.settings import AnswersSettings


@asynccontextmanager
async def start(runtime: Runtime) -> AsyncIterator[Answers]:
    settings = runtime.settings.of(AnswersSettings)
    segments = Segments()
    answers = Answers(runtime, settings, segments, Retrieval(runtime, segments, reranker(settings.reranker)))
    telemetry.watch("answers", answers.numbers, counters=Numbers.COUNTERS, gauges="active_users cache_hit_rate")
    yield answers


system: System[Answers] = System(
    name="answers",
    title="Answers",
    summary="Questions over your own documents, each fact with its source.",
    package="tenfold.systems.answers",
    settings=AnswersSettings,
    start=start,
    tiers=frozenset({"fast", "embed"}),
    controllers=(FigureEndpoints,),
    evaluate=evaluate_set,
    provide=lambda answers: {"answers": answers},
)
