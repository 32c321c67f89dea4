"""The words of jobs: what is stored, what people see, what is told to others."""

from datetime import UTC, datetime
from enum import IntEnum
from typing import Any, Literal, Self

import msgspec

from tenfold.platform.bus.events import Event

type State = Literal["queued", "running", "done", "failed", "cancelled"]


class Priority(IntEnum):
    """Higher ones first; lower ones age, so that they get their turn."""

    BACKGROUND = 0
    LOW = 1
    NORMAL = 2
    HIGH = 3


class JobQueued(Event, subject="jobs.queued"):
    """A job waits, so that a worker with room looks at this queue."""

    queue: str


class JobEnded(Event, subject="jobs.ended"):
    """A job is done, failed or cancelled, for systems that react to it."""

    id: int
    kind: str
    account_id: int | None
    state: State
    error_code: str | None = None


class StoredJob(msgspec.Struct, kw_only=True):
    """A job as it is kept, without payload and checkpoint. Times are the database's."""

    queue: str
    id: int
    kind: str
    #: 0 is the house itself.
    account_id: int
    priority: int
    turn: int
    state: State
    attempt: int
    failures: int
    deaths: int
    stalls: int
    cancelling: bool
    done: float
    total: float | None
    note: str
    left_seconds: float | None
    noted_at: datetime | None
    error_code: str | None
    error: str | None
    submitted_at: datetime
    due_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class HeldJob(StoredJob, kw_only=True):
    """A job that a worker has just been given."""

    payload: bytes
    checkpoint: bytes | None


class Head(msgspec.Struct, frozen=True):
    """One of the first that wait in a queue."""

    id: int
    kind: str
    priority: int
    turn: int
    waited: float
    deaths: int


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """Why a job failed, or why it waits for another attempt."""

    code: str
    detail: str


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    done: float
    #: Null while nobody knows how much there is.
    total: float | None
    note: str
    #: Seconds that it will take yet, at the rate of the last half minute; null when that can't be told.
    left_seconds: float | None


class JobView(msgspec.Struct, frozen=True, kw_only=True):
    """A job as its account sees it, and what its live topic tells at each change."""

    id: str
    kind: str
    state: State
    priority: Literal["background", "low", "normal", "high"]
    #: How often it was begun.
    attempt: int
    #: It was asked to end, and does so.
    cancelling: bool
    progress: Progress
    error: Reason | None
    submitted_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    #: Of one that waits: how many come before it, and seconds until it begins; null in lists and where it isn't known.
    ahead: int | None = None
    starts_in: float | None = None

    @classmethod
    def of(cls, job: StoredJob, *, ahead: int | None = None, starts_in: float | None = None) -> Self:
        left = job.left_seconds
        if left is not None and job.noted_at is not None:
            left = max(0.0, left - (datetime.now(UTC) - job.noted_at).total_seconds())
        name: Any = Priority(job.priority).name.lower()
        progress = Progress(
            done=job.done, total=job.total, note=job.note, left_seconds=left if job.state == "running" else None
        )
        return cls(
            id=str(job.id),
            kind=job.kind,
            state=job.state,
            priority=name,
            attempt=job.attempt,
            cancelling=job.cancelling and job.state == "running",
            progress=progress,
            error=Reason(code=job.error_code, detail=job.error or "") if job.error_code else None,
            submitted_at=job.submitted_at,
            started_at=job.started_at,
            ended_at=job.ended_at,
            ahead=ahead,
            starts_in=starts_in,
        )
