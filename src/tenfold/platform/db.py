"""PostgreSQL: pools, transactions, rows as structs. The only module that knows the driver's types."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import asyncpg
import msgspec

from tenfold.platform.errors import TenfoldError, Unavailable
from tenfold.platform.settings import Settings
from tenfold.platform.telemetry import span

#: What a broken or starting server raises; a request answers 503 then, a worker backs off.
DATABASE_DOWN: tuple[type[Exception], ...] = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InterfaceError,
)

UniqueViolation = asyncpg.UniqueViolationError


class RowMissing(TenfoldError):
    """A row that must be there is not."""


class Tx:
    """One transaction (or, from `Database.read`, one connection in autocommit)."""

    __slots__ = ("_after_commit", "connection")

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self.connection = connection
        self._after_commit: list[Callable[[], Awaitable[None]]] = []

    async def execute(self, sql: str, *args: object) -> int:
        """Run one statement. How many rows it touched."""
        tag = await self.connection.execute(sql, *args)
        count = tag.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0

    async def execute_many(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        """Run one statement for each row, pipelined in one round trip."""
        await self.connection.executemany(sql, rows)

    async def value(self, sql: str, *args: object) -> Any:
        """The first column of the first row, None without rows."""
        return await self.connection.fetchval(sql, *args)

    async def one[T](self, kind: type[T], sql: str, *args: object) -> T:
        """The row that must be there. Raises RowMissing."""
        found = await self.find(kind, sql, *args)
        if found is None:
            raise RowMissing
        return found

    async def find[T](self, kind: type[T], sql: str, *args: object) -> T | None:
        """The first row as a struct whose fields are named like the columns."""
        record = await self.connection.fetchrow(sql, *args)
        return None if record is None else kind(**record)

    async def rows[T](self, kind: type[T], sql: str, *args: object) -> list[T]:
        """All rows as structs whose fields are named like the columns."""
        return [kind(**record) for record in await self.connection.fetch(sql, *args)]

    async def copy(self, table: str, columns: Sequence[str], records: Iterable[Sequence[object]]) -> int:
        """COPY rows into `schema.table`. How many."""
        schema, _, name = table.rpartition(".")
        tag = await self.connection.copy_records_to_table(
            name, schema_name=schema or None, columns=list(columns), records=records
        )
        return int(tag.rpartition(" ")[2])

    async def script(self, sql: str) -> None:
        """Run several statements without arguments."""
        await self.connection.execute(sql)

    def after_commit(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Call this once the transaction has committed; never when it has not."""
        self._after_commit.append(callback)

    async def _committed(self) -> None:
        for callback in self._after_commit:
            await callback()


class Database:
    """The pools of one process: the primary, and a replica for reads that may be a little behind."""

    def __init__(self, primary: "asyncpg.Pool[asyncpg.Record]", replica: "asyncpg.Pool[asyncpg.Record] | None") -> None:
        self._primary = primary
        self._replica = replica or primary

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tx]:
        """A read-committed transaction on the primary. Raises Unavailable while there is no server."""
        with span("db.transaction"):
            async with _connection(self._primary) as connection:
                tx = Tx(connection)
                async with connection.transaction():
                    yield tx
        await tx._committed()

    @asynccontextmanager
    async def snapshot(self, *, fresh: bool = False) -> AsyncIterator[Tx]:
        """Reads that all see the same moment: on the replica unless they must be fresh."""
        with span("db.snapshot"):
            async with (
                _connection(self._primary if fresh else self._replica) as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                yield Tx(connection)

    @asynccontextmanager
    async def read(self, *, fresh: bool = False) -> AsyncIterator[Tx]:
        """A connection in autocommit, for reads: on the replica unless they must be fresh."""
        with span("db.read"):
            async with _connection(self._primary if fresh else self._replica) as connection:
                yield Tx(connection)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Tx]:
        """A connection outside the pool, in autocommit: for session locks, LISTEN and long work without a timeout."""
        connection = await self.connect()
        try:
            await connection.execute("SET statement_timeout = 0")
            yield Tx(connection)
        finally:
            await connection.close()

    async def connect(self) -> "asyncpg.Connection[asyncpg.Record]":
        """A connection outside the pool, for LISTEN; the caller closes it."""
        arguments = self._primary._connect_args, self._primary._connect_kwargs  # the pool's own address
        return cast("asyncpg.Connection[asyncpg.Record]", await asyncpg.connect(*arguments[0], **arguments[1]))

    async def close(self) -> None:
        await self._primary.close()
        if self._replica is not self._primary:
            await self._replica.close()


@asynccontextmanager
async def _connection(
    pool: "asyncpg.Pool[asyncpg.Record]",
) -> "AsyncIterator[asyncpg.pool.PoolConnectionProxy[asyncpg.Record]]":
    try:
        connection = await pool.acquire(timeout=5)
    except DATABASE_DOWN as error:
        raise Unavailable(part="The database") from error
    try:
        yield connection
    except asyncpg.QueryCanceledError as error:
        raise Unavailable(part="The database (it took too long)") from error
    except (asyncpg.PostgresConnectionError, asyncpg.AdminShutdownError, asyncpg.InterfaceError) as error:
        if isinstance(error, asyncpg.InterfaceError) and not isinstance(error.__context__, DATABASE_DOWN):
            raise  # a mistake in using the driver, not what follows when a connection was lost
        raise Unavailable(part="The database") from error
    except (asyncpg.IdleInTransactionSessionTimeoutError, asyncpg.InternalClientError) as error:
        # The server ended the session while we slept; the driver is surprised by that in its own way.
        raise Unavailable(part="The database (it waited too long for us)") from error
    finally:
        await pool.release(connection)


async def open_database(settings: Settings) -> Database:
    """Open the pools. Raises Unavailable when the server can't be reached."""
    if settings.database_url is None:
        raise Unavailable(part="The database (no embedded engine runs on this data; `tenfold up` starts one)")
    primary = await _open_pool(settings.database_url.reveal(), settings)
    replica = settings.database_replica_url
    return Database(primary, await _open_pool(replica.reveal(), settings) if replica else None)


async def _open_pool(url: str, settings: Settings) -> "asyncpg.Pool[asyncpg.Record]":
    milliseconds = str(int(settings.database_timeout * 1000))
    try:
        return await asyncpg.create_pool(
            url,
            min_size=min(2, settings.database_pool),
            max_size=settings.database_pool,
            init=_prepare,
            reset=_keep,
            max_inactive_connection_lifetime=300,
            server_settings={
                "application_name": "tenfold",
                "statement_timeout": milliseconds,
                "idle_in_transaction_session_timeout": str(60_000),
                "jit": "off",
            },
        )
    except DATABASE_DOWN as error:
        raise Unavailable(part="The database") from error


async def _keep(_: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Nothing here leaves session state behind, so the pool need not spend a round trip on clearing it."""


async def _prepare(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: b"\x01" + msgspec.json.encode(value),
        decoder=lambda data: msgspec.json.decode(data[1:]),
        format="binary",
    )
