"""For tests: the real engines booted once, and for each test a database, a Valkey prefix and streams of its own.

A language model is started only for tests that ask for one, once for all of them.
"""

import asyncio
import itertools
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import asyncpg
import msgspec

from tenfold.platform.bus import open_bus
from tenfold.platform.db import Database, open_database
from tenfold.platform.engines import Llama, Nats, Postgres, Valkey
from tenfold.platform.engines.guard import Guard
from tenfold.platform.migrate import migrate
from tenfold.platform.models import Models
from tenfold.platform.settings import Secret, Settings

PLATFORM = "tenfold.platform"
#: The smallest that talks: 98 MB, 160 MB when it runs.
MODEL = "smollm2-135m"
_numbers = itertools.count(1)


@dataclass
class Engines:
    """Running engines and the migrated databases that tests clone."""

    postgres: Postgres
    valkey: Valkey
    nats: Nats
    _templates: dict[tuple[str, ...], str] = field(default_factory=dict)

    def settings(self, **overrides: object) -> Settings:
        """Settings that point at these engines."""
        values = {
            "secret": Secret("a secret of tests"),
            "database_url": Secret(self.postgres.url),
            "valkey_url": Secret(self.valkey.url),
            "nats_url": Secret(self.nats.url),
            "database_pool": 4,
            "log_level": "warning",
        }
        return Settings(**(values | overrides))  # type: ignore[arg-type]

    async def database(self, packages: Sequence[str] = (PLATFORM,)) -> str:
        """The URL of a fresh database that has these packages' tables; about 50 ms."""
        key = tuple(packages)
        if key not in self._templates:
            template = await self._create()
            db = await open_database(self.settings(database_url=Secret(self._url(template))))
            await migrate(db, packages)
            await db.close()
            self._templates[key] = template
        return self._url(await self._create(template=self._templates[key]))

    async def drop(self, url: str) -> None:
        await self._admin(f'DROP DATABASE "{_name_of(url)}" WITH (FORCE)')

    async def _create(self, template: str = "template1") -> str:
        name = f"test_{next(_numbers)}"
        await self._admin(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')
        return name

    async def _admin(self, sql: str) -> None:
        connection = await asyncpg.connect(self.postgres.url)
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    def _url(self, name: str) -> str:
        base, _, query = self.postgres.url.partition("?")
        return f"{base.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")


def _name_of(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


def _open_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="tenfold-"))
    folder.chmod(0o755)  # PostgreSQL runs as another user when we are root
    return folder


@asynccontextmanager
async def booted_engines(*, fsync: bool = True) -> AsyncIterator[Engines]:
    """Start the three engines in a folder that is removed afterwards.

    Without `fsync` PostgreSQL makes and drops a test's database several times as quickly. What it has committed then
    survives the death of any process all the same, and only a power cut would show the difference.
    """
    folder = await asyncio.to_thread(_open_folder)
    password = secrets.token_urlsafe(12)
    engines = Engines(
        Postgres(folder / "postgres", password, options={} if fsync else {"fsync": "off"}),
        Valkey(folder / "valkey", password),
        Nats(folder / "nats", password),
    )
    parts = (engines.postgres, engines.valkey, engines.nats)
    guard = Guard()  # ends them if this process is killed
    for part in parts:
        part.on_spawn = partial(guard.watch, stage=0, sign=part.stop_signal)
    try:
        await asyncio.gather(*(part.start() for part in parts))
        yield engines
    finally:
        await asyncio.gather(*(part.stop() for part in parts))
        guard.close()
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def models_of_tests() -> Models:
    """Models that tests use, kept from one run to the next in the person's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Models(Path(cache, "tenfold", "models"))


@asynccontextmanager
async def booted_llama() -> AsyncIterator[Llama]:
    """Start llama.cpp with the smallest model, which is fetched when it isn't here."""
    models = models_of_tests()
    if not models.present(MODEL):
        await models.pull(MODEL)
    folder = await asyncio.to_thread(_open_folder)
    llama = Llama(folder, secrets.token_urlsafe(12), model=models.path(MODEL), serves=MODEL, slots=4, context=2048)
    guard = Guard()
    llama.on_spawn = partial(guard.watch, stage=0, sign=llama.stop_signal)
    try:
        await llama.start()
        yield llama
    finally:
        await llama.stop()
        guard.close()
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


@asynccontextmanager
async def fresh_settings(engines: Engines, packages: Sequence[str] = (PLATFORM,)) -> AsyncIterator[Settings]:
    """Settings with a database, a directory and a namespace (in Valkey, NATS) that nobody else uses."""
    url = await engines.database(packages)
    namespace = f"t{os.getpid()}x{next(_numbers)}"
    with tempfile.TemporaryDirectory(prefix="tenfold-") as data:
        own = engines.settings(database_url=Secret(url), data=Path(data))
        settings = msgspec.structs.replace(own, namespace=namespace)
        yield settings
    bus = await open_bus(settings)
    await bus.drop()  # else the server's memory fills with streams of tests long over
    await bus.close()
    await engines.drop(url)


@asynccontextmanager
async def fresh_database(engines: Engines, packages: Sequence[str] = (PLATFORM,)) -> AsyncIterator[Database]:
    async with fresh_settings(engines, packages) as settings:
        db = await open_database(settings)
        yield db
        await db.close()
