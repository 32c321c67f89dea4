"""The event bus: events in JetStream, consumers that handle each once, dead letters, words between processes."""

from tenfold.platform.bus.connection import Bus, open_bus
from tenfold.platform.bus.consumers import Consumer, Counts, consumer, forget, run_consumer, sweep_inbox
from tenfold.platform.bus.dead_letters import DeadLetter, count_dead_letters, list_dead_letters, replay
from tenfold.platform.bus.events import Event, EventTooLarge

__all__ = [
    "Bus",
    "Consumer",
    "Counts",
    "DeadLetter",
    "Event",
    "EventTooLarge",
    "consumer",
    "count_dead_letters",
    "forget",
    "list_dead_letters",
    "open_bus",
    "replay",
    "run_consumer",
    "sweep_inbox",
]
