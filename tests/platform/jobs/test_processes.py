"""Worker processes that are killed, stopped and poisoned: jobs go on elsewhere, and nothing happens twice."""

import asyncio
import importlib.util
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tenfold.platform.jobs.testing import Office

LABORER = Path(__file__).with_name("laborer.py")
ALICE = 11
#: Seconds of a lease in these tests.
LEASE = 1.2

_spec = importlib.util.spec_from_file_location("laborer", LABORER)
assert _spec is not None
assert _spec.loader is not None
laborer: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(laborer)


class Crew:
    """Processes that work."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.processes: list[asyncio.subprocess.Process] = []

    async def hire(self, *, at_once: float = 4.0) -> asyncio.subprocess.Process:
        settings = self.office.jobs.settings
        assert settings.database_url is not None
        assert settings.nats_url is not None
        where = {
            "database": settings.database_url.reveal(),
            "nats": settings.nats_url.reveal(),
            "namespace": settings.namespace,
            "data": str(settings.data),
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, LABORER, str(LEASE), str(at_once)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        self.processes.append(process)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(msgspec.json.encode(where) + b"\n")
        await process.stdin.drain()
        async with asyncio.timeout(30):
            assert await process.stdout.readline() == b"ready\n"
        return process

    async def dismiss(self) -> None:
        for process in self.processes:
            if process.returncode is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            await process.wait()

    async def value(self, sql: str, *args: object) -> Any:
        async with self.office.jobs.db.read(fresh=True) as tx:
            return await tx.value(sql, *args)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await condition():  # noqa: ASYNC110 - it holds in a server, which sends no events of it
            await asyncio.sleep(0.01)


@pytest.fixture
async def crew(office: Office) -> AsyncIterator[Crew]:
    async with office.jobs.db.transaction() as tx:
        await tx.script("""CREATE TABLE effect (job bigint, number int, pid int);
                           CREATE TABLE tried (job bigint, number int, pid int)""")
    crew = Crew(office)
    yield crew
    await crew.dismiss()


NUMBERS = "SELECT array_agg(number ORDER BY number) FROM effect WHERE job = $1"
WRITTEN = "SELECT count(*) FROM effect WHERE job = $1"


async def test_a_job_whose_process_is_killed_goes_on_elsewhere_from_its_checkpoint(crew: Crew) -> None:
    first = await crew.hire()
    number = await crew.office.submit(laborer.count, laborer.Count(to=60, pause=0.02), account_id=ALICE)

    async def has_begun() -> bool:
        return bool(await crew.value(WRITTEN, number) >= 10)

    await until(has_begun)
    second = await crew.hire()
    first.kill()
    row = await crew.office.until(number, "done", "failed")
    assert (row.state, row.attempt, row.deaths) == ("done", 2, 1)
    assert await crew.value(NUMBERS, number) == list(range(60))
    pids = "SELECT array_agg(pid ORDER BY least) FROM (SELECT pid, min(number) AS least FROM effect GROUP BY pid) AS p"
    assert await crew.value(pids) == [first.pid, second.pid]


async def test_a_process_that_wakes_up_after_its_lease_is_fenced_off(crew: Crew) -> None:
    first = await crew.hire()
    number = await crew.office.submit(laborer.stumble, laborer.Count(to=40, pause=0.05), account_id=ALICE)

    async def has_begun() -> bool:
        return bool(await crew.value(WRITTEN, number) >= 5)

    await until(has_begun)
    first.send_signal(signal.SIGSTOP)
    before = await crew.value(WRITTEN, number)
    await crew.hire()

    async def is_elsewhere() -> bool:
        return bool(await crew.value("SELECT count(DISTINCT pid) FROM effect WHERE job = $1", number) == 2)

    await until(is_elsewhere)
    first.send_signal(signal.SIGCONT)
    row = await crew.office.until(number, "done", "failed")
    assert (row.state, row.attempt, row.deaths) == ("done", 2, 1)
    assert await crew.value(NUMBERS, number) == list(range(40)), "nothing twice, nothing left out"
    assert before < 40
    assert first.returncode is None
    # The one that woke up has written nothing since, and works on.
    for process in crew.processes[1:]:
        process.kill()
        await process.wait()
    more = await crew.office.submit(laborer.count, laborer.Count(to=1), account_id=ALICE)
    await crew.office.until(more, "done")
    assert await crew.value("SELECT pid FROM effect WHERE job = $1", more) == first.pid


async def test_a_process_that_stops_before_its_commit_holds_nobody_up_for_long(crew: Crew) -> None:
    first = await crew.hire()
    number = await crew.office.submit(laborer.freeze, laborer.Count(), account_id=ALICE)
    await crew.office.until(number, "running")
    second = await crew.hire()
    row = await crew.office.until(number, "done", "failed")
    assert (row.state, row.attempt) == ("done", 2)
    first.send_signal(signal.SIGCONT)
    second.kill()
    await second.wait()
    # It sees that its transaction is no more, and works on.
    more = await crew.office.submit(laborer.count, laborer.Count(to=1), account_id=ALICE)
    await crew.office.until(more, "done")
    pids = "SELECT array_agg(pid) FROM effect WHERE job = $1"
    assert (await crew.value(pids, number), await crew.value(pids, more)) == ([second.pid], [first.pid])


async def test_a_job_that_kills_its_process_is_given_up_and_its_neighbour_is_not(crew: Crew) -> None:
    poison = await crew.office.submit(laborer.poison, laborer.Count(pause=0.3), account_id=ALICE)
    neighbour = await crew.office.submit(laborer.count, laborer.Count(to=100, pause=0.05), account_id=ALICE)
    killed = 0
    while (await crew.office.job(poison)).state != "failed":
        process = await crew.hire()

        async def is_over(process: asyncio.subprocess.Process = process) -> bool:
            return process.returncode is not None or (await crew.office.job(poison)).state == "failed"

        await until(is_over)
        killed += process.returncode == -signal.SIGKILL
    assert killed == 3
    row = await crew.office.job(poison)
    assert (row.error_code, row.deaths, row.attempt) == ("job_kept_crashing", 3, 3)
    row = await crew.office.until(neighbour, "done", "failed")
    assert row.state == "done"
    assert row.deaths < 3
    assert await crew.value(NUMBERS, neighbour) == list(range(100))


async def test_many_processes_share_the_work_and_do_each_job_once(crew: Crew) -> None:
    await asyncio.gather(*(crew.hire(at_once=2.0) for _ in range(3)))
    numbers = [
        await crew.office.submit(laborer.count, laborer.Count(to=1, pause=0.2), account_id=ALICE + index % 5)
        for index in range(60)
    ]
    for number in numbers:
        await crew.office.until(number, "done")
    assert await crew.value("SELECT count(*) FROM effect") == 60
    assert await crew.value("SELECT count(DISTINCT pid) FROM effect") == 3
    assert await crew.value("SELECT max(attempt) FROM platform.job") == 1


async def test_a_process_that_is_told_to_stop_gives_its_jobs_back(crew: Crew) -> None:
    first = await crew.hire()
    number = await crew.office.submit(laborer.count, laborer.Count(to=50, pause=0.02), account_id=ALICE)

    async def has_begun() -> bool:
        return bool(await crew.value(WRITTEN, number) >= 5)

    await until(has_begun)
    first.terminate()
    assert await first.wait() == os.EX_OK
    row = await crew.office.job(number)
    assert (row.state, row.deaths, row.failures) == ("queued", 0, 0)
    await crew.hire()
    await crew.office.until(number, "done")
    assert await crew.value(NUMBERS, number) == list(range(50))
