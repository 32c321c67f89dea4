"""The front door of messages."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from tenfold.platform import telemetry
from tenfold.platform.runtime import Runtime
from tenfold.platform.system import Figure, Reviews, System
from tenfold.systems.messages import jobs
from tenfold.systems.messages.actions import reports
from tenfold.systems.messages.actions.acknowledging import Acknowledging
from tenfold.systems.messages.actions.connections import Connections
from tenfold.systems.messages.actions.context import Messages
from tenfold.systems.messages.actions.figures import read_day
from tenfold.systems.messages.actions.sending import Sending
from tenfold.systems.messages.capacity import capacity
from tenfold.systems.messages.demo import demo
from tenfold.systems.messages.endpoints.conversations import ConversationEndpoints
from tenfold.systems.messages.endpoints.devices import DeviceEndpoints
from tenfold.systems.messages.endpoints.media import MediaEndpoints
from tenfold.systems.messages.endpoints.people import PeopleEndpoints
from tenfold.systems.messages.endpoints.socket import SocketEndpoints
from tenfold.systems.messages.hot import Routes, Watching
from tenfold.systems.messages.settings import MessagesSettings


@asynccontextmanager
async def start(runtime: Runtime) -> AsyncIterator[Messages]:
    settings = runtime.settings.of(MessagesSettings)
    routes = Routes(runtime.bus)
    watching = Watching(runtime.bus, runtime.hot, seconds=settings.heartbeat * 2)
    async with AsyncExitStack() as stack:
        stack.callback(runtime.bus.on_reconnect(routes.reconnected))
        stack.push_async_callback(await runtime.bus.on_broadcast(watching.SUBJECT, watching.heard))
        sending = Sending(runtime, settings, routes)
        stack.push_async_callback(sending.close)
        acknowledging = Acknowledging(runtime.db, settings, routes)
        stack.push_async_callback(acknowledging.close)
        messages = Messages(runtime, settings, routes, watching, sending, acknowledging)
        messages.connections = connections = Connections(messages)
        telemetry.watch("messages", routes, counters="sent unsent heard", door="routes")
        telemetry.watch("messages", sending, counters="sent batches", door="sending")
        telemetry.watch("messages", connections, counters="opened refused", gauges="open_now", door="connections")
        keeping = asyncio.create_task(connections.keep(), name="messages-keep")
        try:
            yield messages
        finally:
            keeping.cancel()
            with suppress(asyncio.CancelledError):
                await keeping


async def figures(messages: Messages) -> Sequence[Figure]:
    """Devices, conversations, and the messages of the last 24 hours."""
    day = await read_day(messages)
    return [
        Figure(label="Devices", value=day.devices),
        Figure(label="Conversations", value=day.conversations),
        Figure(label="Messages in 24 h", value=sum(day.messages), series=day.messages),
    ]


system: System[Messages] = System(
    name="messages",
    title="Messages",
    summary="End-to-end encrypted conversations of two and of groups, over a documented protocol.",
    package="tenfold.systems.messages",
    settings=MessagesSettings,
    start=start,
    controllers=(SocketEndpoints, DeviceEndpoints, PeopleEndpoints, ConversationEndpoints, MediaEndpoints),
    schedules=(jobs.end_waiting, jobs.forget, jobs.end_devices, jobs.remove_files, jobs.push, jobs.count),
    pages=frozenset({"", "app"}),
    provide=lambda messages: {"messages": messages},
    demo=demo,
    reviews=Reviews(list=reports.list_held, close=reports.close),
    figures=figures,
    capacity=capacity,
    drain=lambda messages: messages.connections.drain(),
)
