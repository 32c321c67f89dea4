"""Schedules: one run at a time in the whole cluster, none forgotten, failures retried."""

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from tenfold.platform.db import Database
from tenfold.platform.jobs import Schedule, run_schedules, schedule, schedules


class Row(msgspec.Struct):
    due_in: float
    holder: str | None
    failures: int
    error: str | None


async def row(db: Database, name: str) -> Row | None:
    async with db.read(fresh=True) as tx:
        sql = """SELECT EXTRACT(epoch FROM due_at - now())::float8 AS due_in, holder, failures, error
                 FROM platform.schedule WHERE name = $1"""
        return await tx.find(Row, sql, name)


class Cluster:
    """Processes that run the same schedules."""

    def __init__(self, db: Database, *schedules: Schedule, state: Any = None, processes: int = 1) -> None:
        self._arguments = db, schedules, state
        self._processes = processes
        self._stop = asyncio.Event()

    async def __aenter__(self) -> "Cluster":
        self._tasks = [asyncio.create_task(run_schedules(*self._arguments, self._stop)) for _ in range(self._processes)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await asyncio.gather(*self._tasks)


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not await condition():  # noqa: ASYNC110 - it holds in a server, which sends no events of it
            await asyncio.sleep(0.01)


async def test_many_processes_run_a_job_one_at_a_time(db: Database) -> None:
    running, most, count, enough = 0, 0, 0, asyncio.Event()

    @schedule(every=0.02, name="tests-busy")
    async def busy(state: str) -> None:
        nonlocal running, most, count
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        count += state == "state"
        if count == 10:
            enough.set()

    async with Cluster(db, busy, state="state", processes=4):
        await asyncio.wait_for(enough.wait(), 20)
    assert most == 1
    assert busy.runs.succeeded >= 10


async def test_a_schedule_keeps_its_beat_and_makes_up_for_missed_beats_by_one_run(db: Database) -> None:
    runs = 0

    @schedule(every=timedelta(hours=1), name="tests-hourly")
    async def hourly(_: object) -> None:
        nonlocal runs
        runs += 1

    async def has_run() -> bool:
        found = await row(db, "tests-hourly")
        return found is not None and found.holder is None and found.due_in > 0

    async with Cluster(db, hourly):
        await until(has_run)
    assert runs == 1  # first due when first seen
    async with db.transaction() as tx:  # nobody was there for three and a half hours
        await tx.execute("UPDATE platform.schedule SET due_at = now() - interval '3.5 hours'")
    async with Cluster(db, hourly):
        await until(has_run)
    assert runs == 2
    found = await row(db, "tests-hourly")
    assert found is not None
    assert 0 < found.due_in <= 1800


async def test_a_shorter_interval_takes_effect_at_once(db: Database) -> None:
    async with db.transaction() as tx:
        await tx.execute(
            "INSERT INTO platform.schedule (name, due_at) VALUES ('tests-daily', now() + interval '1 day')"
        )

    @schedule(every=60, name="tests-daily")
    async def minutely(_: object) -> None: ...

    async def sooner() -> bool:
        found = await row(db, "tests-daily")
        return found is not None and found.due_in <= 60

    async with Cluster(db, minutely):
        await until(sooner)


async def test_a_failure_is_kept_and_tried_again_sooner(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedules, "RETRY", 0.01)
    tries, done = 0, asyncio.Event()

    @schedule(every=timedelta(days=1), name="tests-fails", timeout=0.05)
    async def fails(_: object) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise RuntimeError("no luck")
        if tries == 2:
            await asyncio.Event().wait()  # longer than its timeout
        done.set()

    async def failed_twice() -> bool:
        found = await row(db, "tests-fails")
        return found is not None and found.failures == 0 and found.error is None and done.is_set()

    async with Cluster(db, fails):
        await until(failed_twice)
    assert (tries, fails.runs.failed, fails.runs.succeeded) == (3, 2, 1)


async def test_the_lease_of_a_dead_process_ends(db: Database) -> None:
    async with db.transaction() as tx:
        lease_until = await tx.value("""
            INSERT INTO platform.schedule (name, due_at, holder, lease_until)
            VALUES ('tests-orphan', now(), 'one that was killed', now() + interval '0.3 seconds')
            RETURNING lease_until""")
    ran: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    @schedule(every=60, name="tests-orphan")
    async def orphan(_: object) -> None:
        async with db.read(fresh=True) as tx:
            ran.set_result(await tx.value("SELECT clock_timestamp() > $1", lease_until))

    async with Cluster(db, orphan):
        assert await asyncio.wait_for(ran, 20)  # and not before the lease had ended


async def test_a_run_ends_when_its_lease_is_lost_and_when_told_to_stop(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedules, "LEASE", 0.3)
    began, ended = asyncio.Event(), asyncio.Event()

    @schedule(every=60, name="tests-long")
    async def long(_: object) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with Cluster(db, long):
        await asyncio.wait_for(began.wait(), 20)
        async with db.transaction() as tx:
            await tx.execute(
                "UPDATE platform.schedule SET holder = 'somebody else', due_at = now() + interval '1 hour'"
            )
        await asyncio.wait_for(ended.wait(), 20)
    assert long.runs.failed == 1
    async with db.transaction() as tx:
        await tx.execute("UPDATE platform.schedule SET lease_until = NULL, due_at = now()")
    began.clear()
    ended.clear()
    async with Cluster(db, long):
        await asyncio.wait_for(began.wait(), 20)
    assert ended.is_set()
    found = await row(db, "tests-long")
    assert found is not None
    assert (found.holder, found.failures) == (None, 0)
    assert found.due_in < 0  # for another process to take at once
