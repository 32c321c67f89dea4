"""Dead letters: events that a consumer has given up, kept with the reason until somebody replays them."""

from collections import Counter
from datetime import datetime

import msgspec
from nats.js.api import DiscardPolicy, StorageType, StreamConfig

from tenfold.platform.bus.connection import Bus, refused
from tenfold.platform.bus.events import REPLAY, system_of
from tenfold.platform.bus.messages import EVENT_ID, Message, Stored
from tenfold.platform.bus.pull import Delivery

#: The stream. No system's name begins with an underscore.
DEAD = "_dead"
#: When it is full, consumers keep what they would give up, and try on: nothing is lost while somebody looks into it.
MAX_LETTERS = 100_000
MAX_BYTES = 256 * 1024 * 1024

_CONSUMER, _SUBJECT, _REASON, _ATTEMPTS = "Tenfold-Consumer", "Tenfold-Subject", "Tenfold-Reason", "Tenfold-Attempts"


class DeadLetter(msgspec.Struct, frozen=True):
    """An event that a consumer has given up."""

    #: Its number among the dead letters.
    sequence: int
    consumer: str
    subject: str
    event_id: str
    reason: str
    attempts: int
    died_at: datetime
    data: bytes


async def bury(bus: Bus, consumer: str, delivery: Delivery, error: Exception) -> None:
    """Keep an event as a dead letter. Raises Unavailable when it can't be kept."""
    await _ensure(bus)
    headers = {
        _CONSUMER: consumer,
        _SUBJECT: _origin(bus, delivery),
        EVENT_ID: delivery.event_id,
        _REASON: repr(error)[:500],
        _ATTEMPTS: str(delivery.attempt),
    }
    # One subject for each event, and one letter for each subject: burying it again replaces the letter.
    subject = f"{DEAD}.{consumer}.{delivery.sequence}"
    letter = Message(subject, delivery.message.data, f"{consumer}:{delivery.sequence}", headers)
    [ack] = await bus.publish_messages([letter])
    if ack.error is not None:
        raise refused(ack.error.description)


def _origin(bus: Bus, delivery: Delivery) -> str:
    """The subject that the event was first published to."""
    return (delivery.message.headers or {}).get(_SUBJECT) or bus.bare(delivery.message.subject)


async def count_dead_letters(bus: Bus) -> dict[str, int]:
    """How many dead letters each consumer has."""
    await _ensure(bus)
    subjects = await bus.count_subjects(DEAD)
    counts: Counter[str] = Counter()
    for subject, count in subjects.items():
        counts[subject.split(".")[1]] += count
    return dict(counts)


async def list_dead_letters(
    bus: Bus, consumer: str | None = None, *, after: int = 0, limit: int = 100
) -> list[DeadLetter]:
    """The oldest dead letters (of one consumer) beyond a number."""
    await _ensure(bus)
    stored = await bus.stored(DEAD, f"{DEAD}.{consumer or '*'}.*", after=after, limit=limit)
    return [_letter(each) for each in stored]


def _letter(stored: Stored) -> DeadLetter:
    headers = stored.headers
    return DeadLetter(
        sequence=stored.sequence,
        consumer=headers[_CONSUMER],
        subject=headers[_SUBJECT],
        event_id=headers[EVENT_ID],
        reason=headers[_REASON],
        attempts=int(headers[_ATTEMPTS]),
        died_at=datetime.fromisoformat(headers["Nats-Time-Stamp"]),
        data=stored.data,
    )


async def replay(bus: Bus, consumer: str | None = None) -> int:
    """Give dead letters (of one consumer) back to those consumers, and to no others. How many.

    They come under their own ids, so that one which was handled after all is passed over. What dies again meanwhile
    isn't replayed again. May be called again after it was interrupted.
    """
    await _ensure(bus)
    end, last, count = (await bus.sequences(DEAD))[1], 0, 0
    while letters := [each for each in await list_dead_letters(bus, consumer, after=last) if each.sequence <= end]:
        again = [
            Message(
                f"{system_of(letter.subject)}.{REPLAY}.{letter.consumer}",
                letter.data,
                f"replay:{letter.sequence}",
                {EVENT_ID: letter.event_id, _SUBJECT: letter.subject},
            )
            for letter in letters
        ]
        for letter, ack in zip(letters, await bus.publish_messages(again), strict=True):
            if ack.error is not None:
                raise refused(ack.error.description)
            await bus.delete_stored(DEAD, letter.sequence)
        last, count = letters[-1].sequence, count + len(letters)
    return count


async def _ensure(bus: Bus) -> None:
    await bus.ensure(
        DEAD,
        StreamConfig(
            storage=StorageType.FILE,
            discard=DiscardPolicy.NEW,
            max_msgs=MAX_LETTERS,
            max_msgs_per_subject=1,
            max_bytes=MAX_BYTES,
            allow_direct=True,
        ),
    )
