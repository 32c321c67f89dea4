"""Events: past-tense structs. The subject names the system that promises them, and what happened."""

import re
from typing import Any, ClassVar, dataclass_transform

import msgspec

from tenfold.platform.errors import TenfoldError

#: NATS takes messages of 1 MiB, headers included. What is bigger belongs into a blob, and its address into the event.
MAX_EVENT_BYTES = 768 * 1024

#: The second token of the subjects under which dead letters come back.
REPLAY = "replay"

_SUBJECT = re.compile(r"[a-z][a-z0-9]*(\.[a-z0-9_-]+)+")
_encoder = msgspec.json.Encoder()


class EventTooLarge(TenfoldError):
    """{event} has {size} bytes; an event has at most {limit}."""


@dataclass_transform(field_specifiers=(msgspec.field,))
class _EventMeta(msgspec.StructMeta):
    subject: str

    def __new__(
        mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], *, subject: str = "", **config: Any
    ) -> "_EventMeta":
        cls = super().__new__(mcls, name, bases, namespace, **config)
        if bases != (msgspec.Struct,):
            tokens = subject.split(".")
            if not _SUBJECT.fullmatch(subject) or tokens[1] == REPLAY:
                raise TypeError(f'{name} needs a subject like "links.shortened", not {subject!r}')
            cls.subject = subject
        return cls


class Event(msgspec.Struct, frozen=True, kw_only=True, metaclass=_EventMeta):
    """Something that happened: `class LinkShortened(Event, subject="links.shortened")`.

    The first token of the subject is the system's name, and with it the stream. Events travel as JSON: msgspec writes
    it about as fast as MessagePack, and a person can read it with any NATS tool and in the dead letters. Fields may be
    added with a default, and are never renamed or retyped, because old events stay in the stream for days.
    """

    subject: ClassVar[str]


def encode(event: Event) -> bytes:
    """The event as JSON. Raises EventTooLarge."""
    data = _encoder.encode(event)
    if len(data) > MAX_EVENT_BYTES:
        raise EventTooLarge(event=type(event).__name__, size=len(data), limit=MAX_EVENT_BYTES)
    return data


def system_of(subject: str) -> str:
    """The system that promises the events of a subject."""
    return subject.partition(".")[0]
