"""Migrations: plain SQL files in order, under a lock, with timeouts. Comments beside the DDL say how to distribute."""

import hashlib
import re
from collections.abc import Sequence
from importlib import resources
from importlib.resources.abc import Traversable

import msgspec

from tenfold.platform.db import Database, Tx
from tenfold.platform.errors import TenfoldError

_LOCK = 0x7E4F01D  # any number, the same in every process
_FILE = re.compile(r"(\d{4})_\w+\.sql")
_DISTRIBUTION = re.compile(r"^-- (?:distribute: (\w+\.\w+) by (\w+)|reference: (\w+\.\w+))\s*$", re.MULTILINE)


class MigrationChanged(TenfoldError):
    """{file} was applied once and reads differently now. Write a new migration instead of changing an old one."""


class NoCitus(TenfoldError):
    """This PostgreSQL has no Citus extension, so tables can't be distributed."""


class Migration(msgspec.Struct, frozen=True):
    owner: str
    file: str
    sql: str

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


class Distribution(msgspec.Struct, frozen=True):
    """How a table is spread over servers: by a key, or (key None) copied to all."""

    table: str
    key: str | None


def migrations_of(package: str) -> list[Migration]:
    """The migrations in the folder `migrations` of a package, in order."""
    folder: Traversable = resources.files(package) / "migrations"
    owner = package.rpartition(".")[2]
    names = sorted(entry.name for entry in folder.iterdir() if _FILE.fullmatch(entry.name)) if folder.is_dir() else []
    return [Migration(owner, name, (folder / name).read_text()) for name in names]


def distributions(migrations: Sequence[Migration]) -> list[Distribution]:
    """What the comments `-- distribute: schema.table by column` and `-- reference: schema.table` declare."""
    return [
        Distribution(table or reference, key or None)
        for migration in migrations
        for table, key, reference in _DISTRIBUTION.findall(migration.sql)
    ]


async def migrate(db: Database, packages: Sequence[str]) -> list[Migration]:
    """Apply what is missing, each file in a transaction of its own. What was applied.

    Many processes may call this at once: one works, the others wait for it. A migration that can't get its locks within
    five seconds gives up rather than stand in the way of readers. Raises MigrationChanged.
    """
    applied: list[Migration] = []
    async with db.session() as session:
        await session.value("SELECT pg_advisory_lock($1)", _LOCK)
        try:
            await session.script("""
                CREATE SCHEMA IF NOT EXISTS platform;
                CREATE TABLE IF NOT EXISTS platform.migration (
                    owner text NOT NULL, file text NOT NULL, digest text NOT NULL,
                    applied_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (owner, file))""")
            for migration in (each for package in packages for each in migrations_of(package)):
                if await _apply(session, migration):
                    applied.append(migration)  # noqa: PERF401 (what was applied stays applied if a later one fails)
        finally:
            await session.value("SELECT pg_advisory_unlock($1)", _LOCK)
    return applied


async def _apply(session: Tx, migration: Migration) -> bool:
    sql = "SELECT digest FROM platform.migration WHERE owner = $1 AND file = $2"
    digest = await session.value(sql, migration.owner, migration.file)
    if digest == migration.digest:
        return False
    if digest is not None:
        raise MigrationChanged(file=f"{migration.owner}/{migration.file}")
    async with session.connection.transaction():
        await session.script("SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '10min'")
        await session.script(migration.sql)
        await session.execute(
            "INSERT INTO platform.migration (owner, file, digest) VALUES ($1, $2, $3)",
            migration.owner,
            migration.file,
            migration.digest,
        )
    return True


async def distribute(db: Database, packages: Sequence[str]) -> list[Distribution]:
    """Spread the tables over a Citus cluster by their declared keys. Those that were not yet. Raises NoCitus."""
    done: list[Distribution] = []
    declared = distributions([migration for package in packages for migration in migrations_of(package)])
    async with db.transaction() as tx:
        if not await tx.value("SELECT count(*) FROM pg_extension WHERE extname = 'citus'"):
            raise NoCitus
        for each in declared:
            if await tx.value("SELECT count(*) FROM citus_tables WHERE table_name = $1::regclass", each.table):
                continue
            if each.key is None:
                await tx.value("SELECT create_reference_table($1::regclass)", each.table)
            else:
                await tx.value("SELECT create_distributed_table($1::regclass, $2)", each.table, each.key)
            done.append(each)
    return done
