"""Kinds of jobs: declared by a decorator, listed by a system in `jobs`."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import msgspec

from tenfold.platform.jobs.work import Work

_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")


@dataclass(slots=True)
class Ended:
    """How jobs of a kind have ended in this process: plain numbers for telemetry."""

    done: int = 0
    #: Given up, and attempts that will be followed by another.
    failed: int = 0
    retried: int = 0
    cancelled: int = 0
    #: Attempts whose lease was lost to another process, and those that died with theirs, as seen from here.
    lost: int = 0
    died: int = 0


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Job[P]:
    """A kind of long work. Made by `@job`, submitted with `Jobs.submit`."""

    name: str
    queue: str
    payload: type[P]
    handler: Callable[[Any, Work[P]], Awaitable[None]]
    checkpoint: Any
    attempts: int
    timeout: float
    backoff: float
    weight: float
    ended: Ended = field(default_factory=Ended)


def job[P: msgspec.Struct](
    payload: type[P],
    *,
    name: str,
    queue: str | None = None,
    checkpoint: Any = Any,
    attempts: int = 3,
    timeout: timedelta | float = 3600.0,
    backoff: float = 2.0,
    weight: float = 1.0,
) -> Callable[[Callable[[Any, Work[P]], Awaitable[None]]], Job[P]]:
    """Declare `async def handler(state, work)`, where `state` is what the system's `start` has yielded in this process.

    A job whose process dies is begun again elsewhere within seconds, from its last checkpoint (of the type
    `checkpoint`): so what it does between two of them may happen twice, unless it is done in `work.transaction()`.
    It fails at once with an error that says that the request is at fault (status 4xx), and otherwise after `attempts`,
    the next of which comes after `backoff` seconds, doubled each time. Unavailable says that something it needs is
    away, and counts for nothing: it is tried again until that is back. An attempt may take `timeout` seconds.

    Kinds of one `queue` wait in one line; without a name a kind has a line of its own. Of the work that one process
    does at once, a job takes `weight`. Its name is how workers know it again: renaming it orphans those that wait.
    """
    for each in (name, queue or name):
        if not _NAME.fullmatch(each):
            raise ValueError(f"a job's name is like answers-ingest, not {each!r}")
    if attempts < 1 or weight <= 0:
        raise ValueError("a job has at least one attempt and some weight")
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else float(timeout)

    def declare(handler: Callable[[Any, Work[P]], Awaitable[None]]) -> Job[P]:
        return Job(
            name=name,
            queue=queue or name,
            payload=payload,
            handler=handler,
            checkpoint=checkpoint,
            attempts=attempts,
            timeout=seconds,
            backoff=backoff,
            weight=weight,
        )

    return declare
