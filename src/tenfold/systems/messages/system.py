"""The front door of messages."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from tenfold.platform import telemetry
from tenfold.platform.runtime import Runtime
from tenfold.platform.system import System
from tenfold.systems.messages.actions.context import Messages
from tenfold.systems.messages.hot import Routes, Watching
from tenfold.systems.messages.settings import MessagesSettings


@asynccontextmanager
async def start(runtime: Runtime) -> AsyncIterator[Messages]:
    settings = runtime.settings.of(MessagesSettings)
    routes = Routes(runtime.bus)
    telemetry.watch("messages", routes, counters="sent unsent heard", door="routes")
    watching = Watching(runtime.bus, runtime.hot, seconds=settings.heartbeat + settings.heartbeat // 2)
    async with AsyncExitStack() as stack:
        stack.callback(runtime.bus.on_reconnect(routes.reconnected))
        stack.push_async_callback(await runtime.bus.on_broadcast(watching.SUBJECT, watching.heard))
        yield Messages(runtime, settings, routes, watching)


system: System[Messages] = System(
    name="messages",
    title="Messages",
    summary="End-to-end encrypted conversations of two and of groups, over a documented protocol.",
    package="tenfold.systems.messages",
    settings=MessagesSettings,
    start=start,
    pages=frozenset({"", "app"}),
    provide=lambda messages: {"messages": messages},
)
