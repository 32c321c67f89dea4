"""What a system is to the platform: the one thing that each system's front door makes."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from litestar import Controller
    from litestar.types import ExceptionHandlersMap

    from tenfold.platform.bus import Consumer
    from tenfold.platform.db import Database
    from tenfold.platform.http import Front
    from tenfold.platform.jobs import Job, Schedule
    from tenfold.platform.runtime import Runtime


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A key figure of a system, drawn on the home page."""

    label: str
    value: float
    unit: str | None = None
    #: The last hours or days, oldest first, for a sparkline.
    series: Sequence[float] | None = None


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a capacity estimation: what the requirements ask, what one machine was measured to do, what follows."""

    name: str
    value: float
    unit: str
    formula: str


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a system holds for people to look at."""

    id: str
    at: datetime
    #: What it is part of, as a question.
    kind: str
    #: Why it is held, and how surely, from 0 to 1.
    reasons: Mapping[str, float]
    text: str


@dataclass(frozen=True, slots=True)
class Reviews:
    """What waits for people to look at it: whoever runs this, since no account may."""

    #: The newest so many that nobody has looked at.
    list: "Callable[[Database, int], Awaitable[Sequence[Held]]]"
    #: Somebody has looked at those of these ids. How many were waiting.
    close: "Callable[[Database, Sequence[str]], Awaitable[int]]"


class NoSettings(msgspec.Struct, frozen=True):
    """A system that has nothing to set."""


async def _no_figures(_: Any) -> Sequence[Figure]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class System[S]:
    """A system. S is its state: what it holds open in each process, made by `start`."""

    name: str
    title: str
    summary: str
    #: The package, for its migrations.
    package: str
    #: Opens the system in a process (caches, background writers); what it yields reaches endpoints, consumers and jobs.
    start: "Callable[[Runtime], AbstractAsyncContextManager[S]]"
    settings: type[msgspec.Struct] = NoSettings
    #: Tiers of language models that it asks. Their models run here while it does, where the settings say so.
    tiers: frozenset[str] = frozenset()
    controllers: "Sequence[type[Controller]]" = ()
    #: Named dependencies of the endpoints, besides those of the platform.
    provide: Callable[[S], Mapping[str, object]] = lambda state: {"state": state}
    #: Answers hot requests before the framework sees them.
    front: "Callable[[S], Front] | None" = None
    #: First path segments under which the web page of the system is shown; "@" stands for all that begin with it.
    pages: frozenset[str] = frozenset({"app"})
    #: Hosts, with their port if it isn't the scheme's own, that lead to this system besides `<name>.<any host>`.
    hosts: Callable[[S], Collection[str]] = lambda state: ()
    consumers: "Sequence[Consumer[Any]]" = ()
    schedules: "Sequence[Schedule]" = ()
    #: Kinds of long work.
    jobs: "Sequence[Job[Any]]" = ()
    #: Ends what would keep a process from stopping, such as open streams to clients.
    drain: Callable[[S], Awaitable[None]] | None = None
    #: Whether pages of other sites may call the API, with tokens and never with cookies.
    cross_origin: bool = False
    #: How the API tells errors, by their class, where it follows one of others that has its own way.
    complaints: "ExceptionHandlersMap" = field(default_factory=dict)
    #: Makes believable content through the actions, once; says what it made.
    demo: Callable[[S], Awaitable[str]] | None = None
    #: Takes in bulk what `tenfold import` reads, a line each; says what it added. Can be repeated.
    take_in: Callable[[S, Iterable[bytes]], Awaitable[str]] | None = None
    #: Measures on labelled data how good the system is: what it found, for machines and as lines for people. Beside
    #: the state it is given somebody to tell how far it is. What can be set are its keyword arguments; one without a
    #: default is a path.
    evaluate: Callable[..., Awaitable[tuple[Any, Sequence[str]]]] | None = None
    reviews: Reviews | None = None
    figures: Callable[[S], Awaitable[Sequence[Figure]]] = _no_figures
    #: Estimation from named inputs (all with defaults).
    capacity: Callable[..., Sequence[Estimate]] | None = None
