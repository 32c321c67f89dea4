"""What long jobs cost, measured: `tenfold bench jobs`.

The work itself is nothing, so what is seen is the whole way: submitted with its caller's transaction, found by a
worker, leased, ended, told. Engines, workers and the submitting process share the machine's cores.
"""

import asyncio
import json
import os
import signal
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

import measure
from apps.jobs import Nothing, empty, wait
from house import House, command, open_house
from measure import Program, Report, Row, median, quantile
from tenfold.platform.jobs.confined import confined
from tenfold.platform.jobs.testing import Office

EVERYWHERE = measure.OURS | measure.OTHERS
APP = Path(__file__).with_name("apps") / "jobs.py"
#: Jobs that are submitted at the same time, for so many accounts.
ACCOUNTS = 32


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    jobs: int
    starts: int
    deaths: int


FULL = Size(jobs=4000, starts=300, deaths=7)
QUICK = Size(jobs=500, starts=50, deaths=2)


class JobHouse(House):
    """Engines with worker processes that know jobs of ours."""

    def laborer(self, **settings: object) -> AbstractAsyncContextManager[Program]:
        return measure.running(
            (str(APP),),
            cores=EVERYWHERE,
            log=self.folder / "laborer.log",
            environment=self._environment(settings | {"limits": "{}"}),
        )

    @property
    def office(self) -> Office:
        return Office(self.runtime.jobs)


@dataclass(frozen=True)
class Desk:
    house: JobHouse
    report: Report
    size: Size


async def _together(count: int, one: Callable[[int], Awaitable[object]]) -> None:
    numbers = iter(range(count))

    async def some() -> None:
        for number in numbers:
            await one(number)

    await asyncio.gather(*(some() for _ in range(ACCOUNTS)))


async def _commits(house: JobHouse, count: int) -> float:
    """Jobs a second, were a job three commits of one row each and nothing else."""
    async with house.db.transaction() as tx:
        await tx.script("CREATE TABLE limit_of_jobs (id bigint PRIMARY KEY, state int, payload bytea)")

    async def one(number: int) -> None:
        async with house.db.transaction() as tx:
            await tx.execute("INSERT INTO limit_of_jobs VALUES ($1, 0, $2)", number, b"{}")
        for state in (1, 2):
            async with house.db.transaction() as tx:
                await tx.execute("UPDATE limit_of_jobs SET state = $2 WHERE id = $1", number, state)

    began = time.perf_counter()
    await _together(count, one)
    return count / (time.perf_counter() - began)


async def path(desk: Desk) -> None:
    """Jobs a second, submitted and done at the same time."""
    house, office = desk.house, desk.house.office
    limit = await _commits(house, desk.size.jobs)

    async def submit(number: int) -> None:
        await office.submit(empty, Nothing(), account_id=1 + number % ACCOUNTS)

    for processes in (1, 2):
        async with house.laborer(jobs_at_once=8), house.laborer(jobs_at_once=8 if processes == 2 else 1):
            await office.until(await office.submit(empty, Nothing()), "done")
            done = "SELECT count(*) FROM platform.job WHERE state = 'done' AND account_id > 0"
            before = await house.value(done)
            began = time.perf_counter()
            await _together(
                desk.size.jobs, lambda number: office.submit(empty, Nothing(), account_id=1 + number % ACCOUNTS)
            )
            submitted = time.perf_counter() - began
            while await house.value(done) < before + desk.size.jobs:  # noqa: ASYNC110 - it holds in a server
                await asyncio.sleep(0.02)
            rate = desk.size.jobs / (time.perf_counter() - began)
        desk.report.add(Row(
            claim=f"Empty jobs, submitted to done, {processes} worker process{'es' * (processes > 1)}", measured=rate,
            unit="jobs/s", limit=limit, limit_of="three bare commits a job, same client",
            note=f"Submitted at {desk.size.jobs / submitted:,.0f}/s meanwhile.",
        ))  # fmt: skip


async def starts(desk: Desk) -> None:
    """From the commit that submits a job to its beginning at an idle worker, and to its end."""
    office = desk.house.office
    begun, ended = [], []
    async with desk.house.laborer():
        await office.until(await office.submit(empty, Nothing()), "done")
        for _ in range(desk.size.starts):
            row = await office.until(await office.submit(empty, Nothing()), "done")
            assert row.started_at is not None
            assert row.ended_at is not None
            begun.append((row.started_at - row.submitted_at).total_seconds() * 1000)
            ended.append((row.ended_at - row.submitted_at).total_seconds() * 1000)
    begun.sort()
    desk.report.add(Row(
        claim="From submitting to the start, idle worker, p50", measured=median(begun), unit="ms",
        note=f"p95 {quantile(begun, 0.95):.1f} ms, p99 {quantile(begun, 0.99):.1f} ms; "
        f"to the end p50 {median(ended):.1f} ms.",
    ))  # fmt: skip


async def deaths(desk: Desk) -> None:
    """From the death of a worker to the next beginning of its job, and how soon a running job hears of its end."""
    house, office = desk.house, desk.house.office
    lost, cancelled = [], []
    async with house.laborer():
        for _ in range(desk.size.deaths):
            async with house.laborer() as other:
                while True:  # until it is the other's
                    number = await office.submit(wait, Nothing(), account_id=house.owner_id)
                    await office.until(number, "running")
                    holder = await house.value("SELECT holder FROM platform.job WHERE id = $1", number)
                    if f":{other.pid}:" in holder:
                        break
                    await house.runtime.jobs.cancel(house.owner_id, number)
                os.kill(other.pid, signal.SIGKILL)
                began = time.perf_counter()
                while (await office.job(number)).attempt == 1:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
                lost.append(time.perf_counter() - began)
            began = time.perf_counter()
            await house.runtime.jobs.cancel(house.owner_id, number)
            while (await office.job(number)).state != "cancelled":  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            cancelled.append((time.perf_counter() - began) * 1000)
    desk.report.add(Row(
        claim="From kill -9 of a worker to the next attempt elsewhere, worst", measured=max(lost), unit="s",
        wanted="seconds", met=max(lost) < 10, note=f"median {median(lost):.1f} s of {len(lost)}",
    ))  # fmt: skip
    desk.report.add(Row(
        claim="From asking a running job to end to its end, worst", measured=max(cancelled), unit="ms",
        wanted="< 1 s", met=max(cancelled) < 1000,
    ))  # fmt: skip


async def enclosures(desk: Desk) -> None:
    """A function that does nothing, in a process of its own."""
    times = []
    for _ in range(desk.size.starts // 10):
        began = time.perf_counter()
        await confined(json.dumps, ["x"], seconds=10, memory=1024**3)
        times.append((time.perf_counter() - began) * 1000)
    desk.report.add(Row(claim="A function in a process of its own, p50", measured=median(times), unit="ms"))


PARTS: dict[str, Callable[[Desk], Awaitable[None]]] = {
    "path": path, "starts": starts, "deaths": deaths, "enclosures": enclosures,
}  # fmt: skip


async def run(report: Report, size: Size, parts: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="tenfold-bench-") as folder:
        async with open_house(JobHouse, Path(folder), (), {}) as house:
            for name in parts:
                began = time.perf_counter()
                await PARTS[name](Desk(house, report, size))
                print(f"  ({name}: {time.perf_counter() - began:.0f} s)", flush=True)


if __name__ == "__main__":
    command("jobs", __doc__, "a minute", PARTS, FULL, QUICK, run)
