"""Decisions about jobs, without I/O: who is next, when a failure comes back, how long something will take."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from tenfold.platform.errors import TenfoldError

#: Processes that may die of a job before it is given up.
MOST_DEATHS = 3
#: From so many deaths on, a job gets a worker for itself, so that the next one says for certain whose fault it is.
SUSPECT = 2
#: Seconds until a job that something was away for is tried again, at most; and one that failed.
MOST_STALL = 60.0
MOST_BACKOFF = 3600.0
#: Seconds of progress that an estimate looks back on.
RECENT = 30.0

# Answers of 4xx that may be others tomorrow: timeout, conflict, too early, too many.
_PASSING = frozenset({408, 409, 425, 429})


class Waiting(Protocol):
    """A job in the queue, as far as its place depends on it."""

    @property
    def id(self) -> int: ...
    @property
    def priority(self) -> int: ...
    @property
    def turn(self) -> int: ...
    @property
    def waited(self) -> float:
        """Seconds since it could have begun."""
        ...


def next_turn(first: int | None, own_last: int | None) -> int:
    """The turn of a new job: of the first that waits (else the last that began), or after the last of its account.

    Start-time fair queueing (Goyal, Vin and Cheng, 1996) with jobs of one length, as `platform/inference/slots.py`: so
    somebody with a hundred jobs delays others by one each. The account's last one counts when it has begun or ended,
    too, or whoever asks again at once would go ahead of those who asked for two.
    """
    return max(first or 0, 0 if own_last is None else own_last + 1)


def in_order[W: Waiting](waiting: Iterable[W], aging: float) -> list[W]:
    """Who comes first, if there is at least the head of each priority among them.

    Within a priority by turns; whoever is first there can't be overtaken by newcomers, so its wait only grows. Among
    priorities the higher one, unless the head of a lower one has waited `aging` seconds longer for each level between.
    """
    levels: dict[int, list[W]] = {}
    for each in waiting:
        levels.setdefault(each.priority, []).append(each)
    for level in levels.values():
        level.sort(key=lambda each: (each.turn, each.id))
    heads = sorted(levels.values(), key=lambda level: (-(level[0].priority * aging + level[0].waited), level[0].id))
    return [each for level in heads for each in level]


def is_final(error: BaseException) -> bool:
    """Whether to fail at once: what was asked for can't be done, today or tomorrow."""
    return isinstance(error, TenfoldError) and 400 <= error.status < 500 and error.status not in _PASSING


def backoff(failures: int, base: float, luck: float, most: float = MOST_BACKOFF) -> float:
    """Seconds until the next attempt: doubled with each failure, and up to a half less by `luck` (0 to 1)."""
    return float(min(base * 2.0 ** min(failures - 1, 60), most)) * (1.0 - luck / 2.0)


def left(samples: Sequence[tuple[float, float]], total: float | None) -> float | None:
    """Seconds until the end, from the rate between the first and last of recent (time, done). None: nobody knows."""
    if total is None or len(samples) < 2:
        return None
    (began, first), (now, last) = samples[0], samples[-1]
    if last >= total:
        return 0.0
    if now <= began or last <= first:
        return None
    return (total - last) * (now - began) / (last - first)


def recent(samples: Sequence[tuple[float, float]], now: float) -> list[tuple[float, float]]:
    """The samples to go on with: those of the last seconds, and one before them so that a slow job has two."""
    start = next((at for at, (time, _) in enumerate(samples) if time >= now - RECENT), len(samples))
    return list(samples[max(0, start - 1) :])


def wait(ahead: int, running: int, seconds: float | None) -> float | None:
    """Seconds until a job begins that so many are before, while so many run and each takes so long. None: unknown."""
    if running == 0:
        return None if ahead and seconds is None else ahead * (seconds or 0.0)
    return None if seconds is None else (ahead + 1) * seconds / running
