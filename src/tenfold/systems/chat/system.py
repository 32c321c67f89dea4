"""The front door of chat."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from tenfold.platform.runtime import Runtime
from tenfold.platform.system import Figure, Reviews, System
from tenfold.systems.chat import jobs
from tenfold.systems.chat.actions import reviewing
from tenfold.systems.chat.actions.answering import Answering
from tenfold.systems.chat.actions.context import Chat
from tenfold.systems.chat.actions.figures import read_day
from tenfold.systems.chat.actions.ledger import Ledger
from tenfold.systems.chat.capacity import capacity
from tenfold.systems.chat.demo import demo
from tenfold.systems.chat.endpoints.files import FileEndpoints
from tenfold.systems.chat.endpoints.openai import OpenAIEndpoints
from tenfold.systems.chat.endpoints.runs import RunEndpoints
from tenfold.systems.chat.endpoints.threads import ThreadEndpoints
from tenfold.systems.chat.engine.reading import Reader
from tenfold.systems.chat.engine.sandbox import open_sandbox
from tenfold.systems.chat.settings import ChatSettings


@asynccontextmanager
async def start(runtime: Runtime) -> AsyncIterator[Chat]:
    settings = runtime.settings.of(ChatSettings)
    ledger = Ledger(runtime.db, runtime.settings, settings)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(ledger.close)
        answering = Answering(runtime, settings, ledger)
        await answering.open()
        stack.push_async_callback(answering.close)
        sandbox = await stack.enter_async_context(open_sandbox(settings))
        reader = Reader(settings)
        stack.callback(reader.close)
        yield Chat(runtime, settings, ledger, answering, sandbox, reader)


async def figures(chat: Chat) -> Sequence[Figure]:
    """Conversations, and what was answered in the last 24 hours."""
    day = await read_day(chat)
    return [
        Figure(label="Conversations", value=day.conversations),
        Figure(label="Answers in 24 h", value=sum(day.answers), series=day.answers),
        Figure(label="Tokens in 24 h", value=sum(day.tokens), series=day.tokens),
        Figure(label="By the fast model", value=round(100 * day.fast), unit="%"),
    ]


system: System[Chat] = System(
    name="chat",
    title="Chat",
    summary="Conversations with language models that run on your own machines.",
    package="tenfold.systems.chat",
    settings=ChatSettings,
    start=start,
    pages=frozenset({"", "app"}),
    controllers=(OpenAIEndpoints, ThreadEndpoints, FileEndpoints, RunEndpoints),
    schedules=(jobs.end_orphans, jobs.remove_abandoned_files, jobs.forget_idempotency_keys),
    tiers=frozenset({"fast", "smart", "embed"}),
    provide=lambda chat: {"chat": chat},
    demo=demo,
    reviews=Reviews(list=reviewing.list_held, close=reviewing.close),
    figures=figures,
    capacity=capacity,
)
