"""The composition root: the one list of systems, and the processes made of them."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from tenfold.platform import telemetry
from tenfold.platform.blobs.endpoints import BlobEndpoints
from tenfold.platform.bus import run_consumer, sweep_inbox
from tenfold.platform.db import open_database
from tenfold.platform.errors import NotFound
from tenfold.platform.home import HomeEndpoints, House
from tenfold.platform.http import Dispatcher, Mounted, Served, application
from tenfold.platform.identity import Principal
from tenfold.platform.identity.actions import find_named_account
from tenfold.platform.identity.endpoints import CONTROLLERS as IDENTITY
from tenfold.platform.identity.jobs import SCHEDULES as IDENTITY_SCHEDULES
from tenfold.platform.jobs import run_jobs, run_schedules
from tenfold.platform.jobs.endpoints import JobEndpoints
from tenfold.platform.jobs.sweeps import SCHEDULES as JOB_SCHEDULES
from tenfold.platform.migrate import Distribution, Migration
from tenfold.platform.migrate import distribute as distribute_tables
from tenfold.platform.migrate import migrate as apply_migrations
from tenfold.platform.outbox import Relayed, run_relay
from tenfold.platform.runtime import Runtime, open_runtime
from tenfold.platform.server import on_drain
from tenfold.platform.settings import BadSettings, Settings
from tenfold.platform.settings import load as load_from
from tenfold.platform.supervisor import running
from tenfold.platform.system import Reviews, System
from tenfold.systems.answers.actions import folders
from tenfold.systems.answers.actions.context import Answers
from tenfold.systems.answers.endpoints.mcp import serve_pipe
from tenfold.systems.answers.system import system as answers
from tenfold.systems.chat.system import system as chat
from tenfold.systems.feed.system import system as feed
from tenfold.systems.links.system import system as links
from tenfold.systems.messages.system import system as messages

SYSTEMS: tuple[System[Any], ...] = (links, feed, chat, answers, messages)


class NothingTaken(NotFound):
    """The system {system} takes no bulk data; these do: {known}."""


class NoAccount(NotFound):
    """There is no account {name}. `tenfold account create --name {name}` makes it."""


class NothingJudged(NotFound):
    """The system {system} can't be evaluated; these can: {known}."""


class NothingHeld(NotFound):
    """The system {system} holds nothing for people to look at; these do: {known}."""


def load_settings(**overrides: Any) -> Settings:
    """The settings of this process, with what is given by name on top. Raises BadSettings."""
    return load_from({system.name: system.settings for system in SYSTEMS}, **overrides)


def chosen(settings: Settings) -> tuple[System[Any], ...]:
    """The systems that run here. Raises BadSettings for a name that isn't one of ours."""
    known = {system.name: system for system in SYSTEMS}
    for name in settings.only:
        if name not in known:
            raise BadSettings(reason=f"There is no system {name}; there are {', '.join(known)}.")
    return tuple(known[name] for name in settings.only) or SYSTEMS


def packages() -> list[str]:
    """Whose migrations there are. All systems', since one database serves them whichever run here."""
    return ["tenfold.platform", *(system.package for system in SYSTEMS)]


def reviews_of(name: str) -> Reviews:
    """What waits for review in a system. Raises NothingHeld."""
    known = {system.name: system.reviews for system in SYSTEMS if system.reviews is not None}
    if name not in known:
        raise NothingHeld(system=name, known=", ".join(known))
    return known[name]


@dataclass(frozen=True, slots=True)
class Process:
    """A process with its systems started."""

    runtime: Runtime
    systems: Mapping[str, tuple[System[Any], Any]]


@asynccontextmanager
async def open_process(settings: Settings) -> AsyncIterator[Process]:
    """Open the platform and start the chosen systems; stop them in the opposite order. Raises Unavailable."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(telemetry.running())
        runtime = await stack.enter_async_context(open_runtime(settings))
        started = {
            system.name: (system, await stack.enter_async_context(system.start(runtime))) for system in chosen(settings)
        }
        _calm_the_collector()
        yield Process(runtime, started)


def _calm_the_collector() -> None:
    """What is there now stays for good, so the garbage collector need not look at it again, nor look so often.

    Without this it takes a fifth of a bulk call, and shows in the slowest redirects.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def mounted(process: Process) -> Mounted:
    """The process as a web server sees it."""
    runtime = process.runtime
    shared: dict[str, Any] = {"max_body": runtime.settings.max_body, "runtime": runtime}
    served = []
    for system, state in process.systems.values():
        app = application(
            title=f"Tenfold {system.title}",
            controllers=system.controllers,
            provide=system.provide(state),
            cross_origin=system.cross_origin,
            complaints=system.complaints,
            **shared,
        )
        front = system.front(state) if system.front else None
        served.append(Served(system.name, app, front, system.pages, frozenset(system.hosts(state))))
    house = House(runtime, process.systems)
    own = {"house": house, "blobs": runtime.blobs, "jobs": runtime.jobs}
    doors = [HomeEndpoints, BlobEndpoints, JobEndpoints]
    platform = application(title="Tenfold", controllers=doors, provide=own, **shared)
    identity = application(
        title="Tenfold Identity", controllers=IDENTITY, provide={}, docs="/api/identity/docs", **shared
    )
    return Mounted(runtime, served, platform, identity)


def create() -> Dispatcher:
    """The ASGI application of a web process, for the server to call in each of its processes."""
    settings = running(load_settings())
    telemetry.configure(settings)

    @asynccontextmanager
    async def opened() -> AsyncIterator[Mounted]:
        async with open_process(settings) as process, asyncio.TaskGroup() as tasks:
            on_drain(lambda: tasks.create_task(_drain(process)))
            yield mounted(process)

    return Dispatcher(opened)


async def _drain(process: Process) -> None:
    """End what would keep a web process from stopping."""
    await process.runtime.live.end_readers()
    for system, state in process.systems.values():
        if system.drain is not None:
            await system.drain(state)


async def work(settings: Settings, stop: asyncio.Event) -> None:
    """Consume events, relay the outbox, run schedules and work on jobs until told to stop.

    What is under way is finished, but for jobs, which go on elsewhere.
    """
    async with open_process(settings) as process, asyncio.TaskGroup() as tasks:
        runtime = process.runtime
        relayed = Relayed()
        telemetry.watch("outbox", relayed, counters="published duplicates refused")
        tasks.create_task(run_relay(runtime.bus, runtime.db, stop, relayed))
        tasks.create_task(run_schedules(runtime.db, [sweep_inbox], runtime, stop))
        tasks.create_task(run_schedules(runtime.db, IDENTITY_SCHEDULES, runtime.identity, stop))
        tasks.create_task(run_schedules(runtime.db, JOB_SCHEDULES, runtime.jobs, stop))
        kinds = [(job, state) for system, state in process.systems.values() for job in system.jobs]
        for job, _ in kinds:
            telemetry.watch("job", job.ended, counters="done failed retried cancelled lost died", kind=job.name)
        tasks.create_task(run_jobs(runtime.jobs, kinds, stop))
        for system, state in process.systems.values():
            tasks.create_task(run_schedules(runtime.db, system.schedules, state, stop))
            for schedule in system.schedules:
                telemetry.watch("schedule", schedule.runs, counters="succeeded failed", schedule=schedule.name)
            for consumer in system.consumers:
                counted = "processed duplicates redelivered failed dead"
                telemetry.watch("consumer", consumer.counts, counters=counted, gauges="lag", consumer=consumer.name)
                tasks.create_task(run_consumer(runtime.bus, runtime.db, consumer, state, stop))


async def migrate(settings: Settings) -> list[Migration]:
    """Apply what is missing to the database."""
    db = await open_database(settings)
    try:
        return await apply_migrations(db, packages())
    finally:
        await db.close()


async def distribute(settings: Settings) -> list[Distribution]:
    """Spread the tables over a Citus cluster. Raises NoCitus."""
    db = await open_database(settings)
    try:
        return await distribute_tables(db, packages())
    finally:
        await db.close()


async def take_in(settings: Settings, name: str, lines: Iterable[bytes]) -> str:
    """Give a system lines of bulk data. What it added. Raises NothingTaken."""
    async with open_process(settings) as process:
        system, state = process.systems.get(name, (None, None))
        if system is None or system.take_in is None:
            known = [each.name for each, _ in process.systems.values() if each.take_in is not None]
            raise NothingTaken(system=name, known=", ".join(known))
        return await system.take_in(state, lines)


@asynccontextmanager
async def _answers_for(settings: Settings, name: str) -> AsyncIterator[tuple[Answers, Principal]]:
    """The system of answers alone, and an account by name. Raises NoAccount."""
    async with open_process(replace(settings, only=(answers.name,))) as process:
        account = await find_named_account(process.runtime.identity, name)
        if account is None:
            raise NoAccount(name=name)
        _, state = process.systems[answers.name]
        me = Principal(account_id=account.id, name=account.name, tier=account.tier, scopes=frozenset("*"))
        yield state, me


async def add_folder(settings: Settings, account: str, folder: Path, collection: str) -> AsyncIterator[str]:
    """Make documents of the files in a folder; a line for what is to be said of it. Raises NoAccount, NoSuchFolder."""
    async with _answers_for(settings, account) as (state, me):
        async for line in folders.add(state, me, folder, collection):
            yield line


async def speak_mcp(settings: Settings, account: str) -> None:
    """Let an assistant on standard input and output look into an account's documents. Raises NoAccount."""
    async with _answers_for(settings, account) as (state, me):
        await serve_pipe(state, me)


def evaluation_of(name: str) -> Callable[..., Awaitable[tuple[Any, Sequence[str]]]]:
    """How a system measures how good it is. Raises NothingJudged."""
    known = {system.name: system.evaluate for system in SYSTEMS if system.evaluate is not None}
    if name not in known:
        raise NothingJudged(system=name, known=", ".join(known))
    return known[name]


async def evaluate(
    settings: Settings, name: str, told: Callable[[str], None], **given: Any
) -> tuple[Any, Sequence[str]]:
    """Measure how good a system is. Raises NothingJudged, and what the system does."""
    async with open_process(replace(settings, only=(name,))) as process:
        return await evaluation_of(name)(process.systems[name][1], told, **given)


async def demo(settings: Settings, only: Sequence[str] = ()) -> AsyncIterator[str]:
    """Make believable content, once; a line a system of what there is now."""
    async with open_process(settings) as process:
        for system, state in process.systems.values():
            if system.demo is not None and (not only or system.name in only):
                yield f"{system.name}: {await system.demo(state)}"
