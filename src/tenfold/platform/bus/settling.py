"""Settling: what happened is carried to its end, for tests that look at the outcome."""

import asyncio
from collections.abc import Sequence
from typing import Any

from tenfold.platform.bus.connection import Bus
from tenfold.platform.bus.consumers import Consumer, run_consumer
from tenfold.platform.bus.events import Event, encode, system_of
from tenfold.platform.bus.messages import EVENT_ID, Message
from tenfold.platform.db import Database
from tenfold.platform.outbox import Relayed, relay_once, waiting


async def settle(
    bus: Bus, db: Database, consumers: Sequence[Consumer[Any]], state: Any = None, *, timeout: float = 30.0
) -> None:
    """Empty the outbox and run the consumers, really, until nothing waits anywhere, redeliveries included.

    `state` is one for all consumers. Raises TimeoutError after so many seconds.
    """
    stop = asyncio.Event()
    for system in {system_of(consumer.event.subject) for consumer in consumers}:
        await bus.ensure_stream(system)
    running = [
        asyncio.create_task(run_consumer(bus, db, consumer, state, stop, max_wait=0.0)) for consumer in consumers
    ]
    try:
        async with asyncio.timeout(timeout):
            while await _unsettled(bus, db, consumers):
                for task in running:
                    if task.done():
                        task.result()
                await asyncio.sleep(0.005)
    finally:
        stop.set()
        await asyncio.gather(*running)


async def _unsettled(bus: Bus, db: Database, consumers: Sequence[Consumer[Any]]) -> bool:
    # The streams once before the outbox and once after it: another process may be moving events from here to there.
    return (
        await _behind(bus, consumers)
        or await relay_once(bus, db, Relayed()) > 0
        or await waiting(db) > 0
        or await _behind(bus, consumers)
    )


async def _behind(bus: Bus, consumers: Sequence[Consumer[Any]]) -> bool:
    backlog = await bus.backlog()
    return any(backlog.get(consumer.name, 1) for consumer in consumers)


async def deliver(bus: Bus, event: Event, *, times: int = 2) -> None:
    """Publish one event several times under one id, past the duplicate window: as after a crash at the worst moment."""
    event_id = bus.new_id()
    copies = [
        Message(event.subject, encode(event), f"{event_id}:{copy}", {EVENT_ID: event_id}) for copy in range(times)
    ]
    for ack in await bus.publish_messages(copies):
        assert ack.error is None, ack.error
