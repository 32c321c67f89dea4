"""The front door of chat."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tenfold.platform.runtime import Runtime
from tenfold.platform.system import System
from tenfold.systems.chat import jobs
from tenfold.systems.chat.actions.answering import Answering
from tenfold.systems.chat.actions.context import Chat
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
    answering = Answering(runtime, settings, ledger)
    await answering.open()
    async with open_sandbox(settings) as sandbox:
        reader = Reader(settings)
        yield Chat(runtime, settings, ledger, answering, sandbox, reader)
        reader.close()
    await answering.close()
    await ledger.close()


system: System[Chat] = System(
    name="chat",
    title="Chat",
    summary="Conversations with language models that run on your own machines.",
    package="tenfold.systems.chat",
    settings=ChatSettings,
    start=start,
    pages=frozenset({"", "app"}),
    controllers=(OpenAIEndpoints, ThreadEndpoints, FileEndpoints, RunEndpoints),
    schedules=(jobs.end_orphans, jobs.remove_abandoned_files),
    tiers=frozenset({"fast", "smart", "embed"}),
    provide=lambda chat: {"chat": chat},
    demo=demo,
    capacity=capacity,
)
