"""Transactions, rows as structs, migrations, leased numbers."""

import asyncio
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.platform import leases, migrate
from tenfold.platform.db import Database, Tx, open_database
from tenfold.platform.errors import TenfoldError, Unavailable
from tenfold.platform.ids import Ids, made_at
from tenfold.platform.settings import Settings


class Pair(msgspec.Struct):
    a: int
    b: str


async def test_rows_come_as_structs(db: Database) -> None:
    async with db.read() as tx:
        assert await tx.rows(Pair, "SELECT * FROM (VALUES (1, 'x'), (2, 'y')) AS t (a, b)") == [
            Pair(1, "x"),
            Pair(2, "y"),
        ]
        assert await tx.find(Pair, "SELECT 1 AS a, 'x' AS b WHERE false") is None
        with pytest.raises(TenfoldError):
            await tx.one(Pair, "SELECT 1 AS a, 'x' AS b WHERE false")


async def test_what_waits_for_the_commit_is_not_done_when_it_fails(db: Database) -> None:
    done: list[str] = []

    async def note() -> None:
        done.append("after commit")

    async def fail() -> None:
        async with db.transaction() as tx:
            tx.after_commit(note)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert done == []
    async with db.transaction() as tx:
        tx.after_commit(note)
        assert done == []
    assert done == ["after commit"]


async def test_migrating_twice_applies_nothing_and_a_changed_file_is_refused(
    db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "someroom"
    (package / "migrations").mkdir(parents=True)
    (package / "__init__.py").touch()
    file = package / "migrations" / "0001_first.sql"
    file.write_text(
        "CREATE SCHEMA someroom; -- distribute: someroom.x by a\nCREATE TABLE someroom.x (a int PRIMARY KEY);"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    many = await asyncio.gather(*(migrate.migrate(db, ["someroom"]) for _ in range(4)))
    assert sorted(len(applied) for applied in many) == [0, 0, 0, 1]
    file.write_text("SELECT 1")
    with pytest.raises(migrate.MigrationChanged, match="0001_first"):
        await migrate.migrate(db, ["someroom"])


async def test_distributing_without_citus_says_so(db: Database) -> None:
    with pytest.raises(migrate.NoCitus):
        await migrate.distribute(db, ["tenfold.platform"])


async def test_every_number_of_a_counter_is_taken_once(db: Database) -> None:
    counters = [leases.Counter(db, "codes", start=1_000_000, lease=10) for _ in range(3)]
    taken = await asyncio.gather(*(counter.take(size) for counter in counters for size in (1, 3, 25, 1, 8)))
    numbers = [number for some in taken for number in some]
    assert len(numbers) == len(set(numbers)) == 3 * 38
    assert min(numbers) == 1_000_000


async def test_worker_numbers_differ_and_come_back(db: Database) -> None:
    async with leases.worker_number(db) as one, leases.worker_number(db) as two:
        assert {one, two} == {0, 1}
    async with leases.worker_number(db) as again:
        assert again == 0


async def test_a_lapsed_worker_number_is_given_away(db: Database) -> None:
    async with db.transaction() as tx:
        await tx.execute("INSERT INTO platform.worker VALUES (0, now() - interval '1 second')")
    async with leases.worker_number(db) as number:
        assert number == 0


async def test_a_lost_database_is_unavailable(settings: Settings, db: Database) -> None:
    async def killed(tx: Tx) -> None:
        await tx.value("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(Unavailable):
        async with db.transaction() as tx:
            await killed(tx)
    async with db.read() as tx:  # the pool mends itself
        assert await tx.value("SELECT 1") == 1


async def test_a_statement_that_takes_too_long_is_given_up(settings: Settings, db: Database) -> None:
    hasty = await open_database(msgspec.structs.replace(settings, database_timeout=0.05))
    with pytest.raises(Unavailable, match="too long"):
        async with hasty.read() as tx:
            await tx.value("SELECT pg_sleep(10)")
    async with hasty.read() as tx:
        assert await tx.value("SELECT 1") == 1
    await hasty.close()


@given(st.lists(st.integers(0, 1023), min_size=2, max_size=2, unique=True), st.integers(1, 9000))
def test_ids_only_grow_and_never_meet(workers: list[int], count: int) -> None:
    one, two = (Ids(worker) for worker in workers)
    first = [one.next() for _ in range(count)]
    second = [two.next() for _ in range(count)]
    assert first == sorted(set(first))
    assert not set(first) & set(second)
    assert 0 < first[-1] < 2**63
    assert made_at(first[-1]) - made_at(first[0]) < 60
