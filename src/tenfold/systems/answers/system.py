"""The front door of answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tenfold.platform import telemetry
from tenfold.platform.runtime import Runtime
from tenfold.platform.system import System
from tenfold.systems.answers import jobs
from tenfold.systems.answers.actions.context import Answers
from tenfold.systems.answers.actions.evaluation import evaluate_set
from tenfold.systems.answers.actions.retrieval import Retrieval
from tenfold.systems.answers.capacity import capacity
from tenfold.systems.answers.consumers import fail_documents
from tenfold.systems.answers.demo import demo
from tenfold.systems.answers.endpoints.asking import AskingEndpoints
from tenfold.systems.answers.endpoints.figures import FigureEndpoints
from tenfold.systems.answers.endpoints.library import LibraryEndpoints
from tenfold.systems.answers.endpoints.mcp import Mcp
from tenfold.systems.answers.endpoints.openai import OpenAIEndpoints
from tenfold.systems.answers.engine.reranking import reranker
from tenfold.systems.answers.hot import Numbers, Segments
from tenfold.systems.answers.settings import AnswersSettings

#: Seconds that answers have to end when their process is told to.
PATIENCE = 5.0


@asynccontextmanager
async def start(runtime: Runtime) -> AsyncIterator[Answers]:
    settings = runtime.settings.of(AnswersSettings)
    segments = Segments()
    answers = Answers(runtime, settings, segments, Retrieval(runtime, segments, reranker(settings.reranker)))
    telemetry.watch("answers", answers.numbers, counters=Numbers.COUNTERS, gauges="active_users cache_hit_rate")
    yield answers
    if answers.behind:  # what is being answered has a moment to end
        await asyncio.wait(answers.behind, timeout=PATIENCE)


system: System[Answers] = System(
    name="answers",
    title="Answers",
    summary="Questions over your own documents, each fact with its source.",
    package="tenfold.systems.answers",
    settings=AnswersSettings,
    start=start,
    front=Mcp,
    pages=frozenset({"", "app"}),
    controllers=(LibraryEndpoints, AskingEndpoints, FigureEndpoints, OpenAIEndpoints),
    consumers=(fail_documents,),
    schedules=(jobs.remove_objects,),
    jobs=jobs.JOBS,
    tiers=frozenset({"fast", "embed"}),
    evaluate=evaluate_set,
    provide=lambda answers: {"answers": answers},
    demo=demo,
    capacity=capacity,
)
