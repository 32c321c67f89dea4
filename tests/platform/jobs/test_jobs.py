"""Jobs: submitted with their data, in a fair order, ended as they should be, and never by two at once."""

import asyncio
from typing import Any

import msgspec
import pytest

from tenfold.platform.bus import consumer, run_consumer
from tenfold.platform.db import Tx
from tenfold.platform.errors import Invalid, Unavailable
from tenfold.platform.jobs import (
    JobEnded,
    JobLost,
    JobMissing,
    JobOver,
    JobTooLarge,
    Priority,
    TooManyJobs,
    Work,
    job,
    worker,
)
from tenfold.platform.jobs.jobs import MOST_PAYLOAD, topic
from tenfold.platform.jobs.sweeps import count_jobs, sweep_jobs
from tenfold.platform.jobs.testing import Office
from tenfold.platform.jobs.types import JobView
from tenfold.platform.outbox import run_relay
from tenfold.platform.telemetry import render_metrics

ALICE, BOB, CAROL = 11, 12, 13


class Task(msgspec.Struct):
    name: str = ""


class Log:
    """What jobs have done, in order; and a door that they wait at."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.most = 0
        self.door = asyncio.Event()
        self.cleaned_up = asyncio.Event()

    async def until_begun(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.begun) < count:  # noqa: ASYNC110 - what is awaited is a list
                await asyncio.sleep(0.005)


@job(Task, name="tests-note")
async def note(log: Log, work: Work[Task]) -> None:
    log.begun.append(work.payload.name)


@job(Task, name="tests-wait", queue="tests-note")
async def wait(log: Log, work: Work[Task]) -> None:
    log.begun.append(work.payload.name)
    log.most = max(log.most, len(log.begun) - len(log.ended))
    try:
        await log.door.wait()
    finally:
        log.ended.append(work.payload.name)
        log.cleaned_up.set()


async def test_a_job_is_done_if_its_transaction_commits(office: Office) -> None:
    log = Log()

    async def roll_back() -> None:
        async with office.jobs.db.transaction() as tx:
            await office.jobs.submit(tx, note, Task("never"), account_id=ALICE)
            raise ZeroDivisionError

    async with office.working(note, state=log):
        with pytest.raises(ZeroDivisionError):
            await roll_back()
        number = await office.submit(note, Task("once"), account_id=ALICE)
        row = await office.until(number, "done")
    assert log.begun == ["once"]
    assert (row.attempt, row.failures, row.error_code, row.cancelling) == (1, 0, None, False)
    assert row.ended_at is not None
    assert note.ended.done >= 1


async def test_the_event_alone_brings_a_worker_and_the_end_is_told(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the process that submitted died after its commit."""
    monkeypatch.setattr(worker, "BEAT", 3600.0)
    told: asyncio.Future[JobEnded] = asyncio.get_running_loop().create_future()

    @consumer(JobEnded, name="tests-hear-of-jobs")
    async def hear(tx: Tx, event: JobEnded) -> None:
        told.set_result(event)

    stop = asyncio.Event()
    jobs = office.jobs
    async with office.working(note, state=Log()), asyncio.timeout(30), asyncio.TaskGroup() as group:
        async with jobs.db.transaction() as tx:
            number = await jobs.submit(tx, note, Task(), account_id=ALICE)
            tx._after_commit.clear()
        group.create_task(run_relay(jobs.bus, jobs.db, stop))
        group.create_task(run_consumer(jobs.bus, jobs.db, hear, None, stop))
        event = await told
        stop.set()
    assert event == JobEnded(id=number, kind="tests-note", account_id=ALICE, state="done")


async def test_an_account_with_a_hundred_jobs_delays_another_by_one(office: Office) -> None:
    log = Log()
    for number in range(100):
        await office.submit(note, Task(f"alice {number}"), account_id=ALICE)
    last = await office.submit(note, Task("bob"), account_id=BOB)
    carol = [await office.submit(note, Task(f"carol {number}"), account_id=CAROL) for number in range(3)]
    async with office.working(note, state=log, jobs_at_once=1.0):
        for number in (last, *carol):
            await office.until(number, "done")
        assert log.begun[:3] == ["alice 0", "bob", "carol 0"]
        assert [log.begun.index(f"carol {number}") for number in range(3)] == [2, 4, 6]
        await log.until_begun(104)


async def test_parallel_submissions_of_an_account_get_turns_one_after_the_other(office: Office) -> None:
    await asyncio.gather(*(office.submit(note, Task(), account_id=ALICE) for _ in range(20)))
    async with office.jobs.db.read(fresh=True) as tx:
        turns = await tx.value("SELECT array_agg(turn ORDER BY turn) FROM platform.job")
    assert turns == list(range(20))


async def test_higher_priorities_go_first_and_lower_ones_age(office: Office) -> None:
    log = Log()
    for priority in Priority:
        await office.submit(note, Task(priority.name), account_id=ALICE, priority=priority)
    await office.submit(note, Task("old"), account_id=BOB, priority=Priority.LOW)
    async with office.jobs.db.transaction() as tx:  # longer than two levels are worth, and than the head of its own
        await tx.execute("UPDATE platform.job SET due_at = due_at - interval '601 s', turn = -1 WHERE account_id = 12")
    async with office.working(note, state=log, jobs_at_once=1.0):
        await log.until_begun(5)
    assert log.begun == ["old", "HIGH", "NORMAL", "LOW", "BACKGROUND"]


async def test_a_job_that_is_not_due_yet_waits_without_holding_up_others(office: Office) -> None:
    log = Log()
    late = await office.submit(note, Task("late"), account_id=ALICE, delay=3600)
    now = await office.submit(note, Task("now"), account_id=BOB)
    async with office.working(note, state=log):
        await office.until(now, "done")
        assert (await office.job(late)).state == "queued"
    # Nor does its old turn let a newcomer go ahead of those who wait.
    first = await office.submit(note, Task(), account_id=BOB)
    async with office.jobs.db.transaction() as tx:
        await tx.execute("UPDATE platform.job SET turn = 50 WHERE id = $1", first)
    assert (await office.job(await office.submit(note, Task(), account_id=CAROL))).turn == 50


async def test_one_process_works_on_so_much_at_once(office: Office) -> None:
    log = Log()

    @job(Task, name="tests-heavy", queue="tests-note", weight=2)
    async def heavy(log: Log, work: Work[Task]) -> None:
        log.begun.append("heavy")
        log.most = max(log.most, 10 + len(log.begun) - len(log.ended))
        log.ended.append("heavy")

    first = [await office.submit(wait, Task(f"{number}"), account_id=ALICE) for number in range(2)]
    last = await office.submit(heavy, Task(), account_id=ALICE)
    more = [await office.submit(wait, Task(f"{number}"), account_id=ALICE) for number in range(2, 8)]
    async with office.working(wait, heavy, state=log, jobs_at_once=3.0):
        await log.until_begun(2)
        for number in first:
            await office.until(number, "running")
        # A third light one would fit, but then the heavy one, whose turn it is, might never.
        assert (await office.job(more[0])).state == "queued"
        log.door.set()
        for number in (*first, last, *more):
            await office.until(number, "done")
    assert log.begun.index("heavy") == 2
    # When the heavy one ran, beside it there was one other at most.
    assert log.most <= 12

    log = Log()
    some = [await office.submit(wait, Task(f"{number}"), account_id=BOB) for number in range(4)]
    async with office.working(wait, state=log, jobs_of_kind={"tests-wait": 1}):
        await log.until_begun(1)
        log.door.set()
        for number in some:
            await office.until(number, "done")
    assert log.most == 1


async def test_an_account_has_a_bound_of_jobs_under_way(office: Office) -> None:
    office.jobs = type(office.jobs)(
        office.jobs.db,
        office.jobs.bus,
        office.jobs.live,
        office.jobs.ids,
        msgspec.structs.replace(office.jobs.settings, jobs_per_account=3),
    )
    numbers = [await office.submit(note, Task(), account_id=ALICE) for _ in range(3)]
    with pytest.raises(TooManyJobs, match="3 of these jobs"):
        await office.submit(note, Task(), account_id=ALICE)
    await office.submit(note, Task(), account_id=BOB)
    for _ in range(5):
        await office.submit(note, Task())  # the house's own
    await office.jobs.cancel(ALICE, numbers[0])
    await office.submit(note, Task(), account_id=ALICE)
    with pytest.raises(JobTooLarge):
        await office.submit(note, Task("x" * MOST_PAYLOAD), account_id=ALICE)


# --- failures -------------------------------------------------------------------------------------------------------


async def test_a_failure_is_tried_again_from_its_checkpoint(office: Office) -> None:
    seen: list[Any] = []

    class Place(msgspec.Struct):
        page: int

    @job(Task, name="tests-fails", checkpoint=Place, backoff=0.01)
    async def fails(_: None, work: Work[Task]) -> None:
        seen.append((work.attempt, work.resumed))
        await work.checkpoint(Place(work.attempt * 10))
        if work.attempt < 3:
            raise RuntimeError("a secret of ours")

    async with office.working(fails):
        row = await office.until(await office.submit(fails, Task(), account_id=ALICE), "done", "failed")
    assert seen == [(1, None), (2, Place(10)), (3, Place(20))]
    assert (row.state, row.failures, row.attempt) == ("done", 2, 3)


async def test_a_job_fails_after_its_attempts_and_tells_nothing_internal(office: Office) -> None:
    @job(Task, name="tests-always-fails", attempts=2, backoff=0.01)
    async def fails(_: None, work: Work[Task]) -> None:
        raise RuntimeError("a secret of ours")

    async with office.working(fails):
        number = await office.submit(fails, Task(), account_id=ALICE)
        row = await office.until(number, "failed")
    assert (row.attempt, row.failures, row.error_code) == (2, 2, "tenfold_error")
    assert "secret" not in (row.error or "")


async def test_what_is_asked_for_in_vain_fails_at_once_with_its_reason(office: Office) -> None:
    @job(Task, name="tests-invalid", attempts=5)
    async def fails(_: None, work: Work[Task]) -> None:
        raise Invalid(fields={"file": "is empty"})

    async with office.working(fails):
        number = await office.submit(fails, Task(), account_id=ALICE)
        await office.until(number, "failed")
    view = await office.jobs.find(ALICE, number)
    assert view.attempt == 1
    assert view.error is not None
    assert view.error.code == "invalid"
    assert "file is empty" in view.error.detail


async def test_what_is_away_counts_for_nothing(office: Office) -> None:
    @job(Task, name="tests-stalls", attempts=1, backoff=0.01)
    async def stalls(_: None, work: Work[Task]) -> None:
        if work.attempt < 4:
            raise Unavailable(part="The model")

    async with office.working(stalls):
        row = await office.until(await office.submit(stalls, Task(), account_id=ALICE), "done", "failed")
    assert (row.state, row.attempt, row.failures) == ("done", 4, 0)


async def test_a_payload_of_another_time_fails_with_its_reason(office: Office) -> None:
    number = await office.submit(note, Task(), account_id=ALICE)
    async with office.jobs.db.transaction() as tx:
        await tx.execute("UPDATE platform.job SET payload = $1", b'{"name": 7}')
    async with office.working(note, state=Log()):
        row = await office.until(number, "failed")
    assert row.error_code == "invalid"


async def test_an_attempt_has_its_time(office: Office) -> None:
    @job(Task, name="tests-slow", attempts=1, timeout=0.05)
    async def slow(_: None, work: Work[Task]) -> None:
        await asyncio.Event().wait()

    async with office.working(slow):
        row = await office.until(await office.submit(slow, Task(), account_id=ALICE), "failed")
    assert row.error_code == "job_timed_out"
    assert "0.05 seconds" in (row.error or "")


# --- cancelling -----------------------------------------------------------------------------------------------------


async def test_one_that_waits_is_cancelled_at_once_and_never_begins(office: Office) -> None:
    log = Log()
    number = await office.submit(note, Task("never"), account_id=ALICE)
    with pytest.raises(JobMissing):
        await office.jobs.cancel(BOB, number)
    assert (await office.jobs.cancel(ALICE, number)).state == "cancelled"
    assert (await office.jobs.cancel(ALICE, number)).state == "cancelled"
    async with office.working(note, state=log):
        done = await office.submit(note, Task("later"), account_id=ALICE)
        await office.until(done, "done")
    assert log.begun == ["later"]
    with pytest.raises(JobOver):
        await office.jobs.cancel(ALICE, done)


@pytest.mark.parametrize("heard", [True, False])
async def test_one_that_runs_cleans_up_and_ends(office: Office, heard: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if heard:  # by the word alone; else by the look at the row alone
        monkeypatch.setattr(worker, "BEAT", 3600.0)
    else:
        monkeypatch.setattr(worker, "CANCEL", "jobs.nobody-says-this")
    log = Log()
    async with office.working(wait, state=log):
        number = await office.submit(wait, Task("long"), account_id=ALICE)
        await log.until_begun(1)
        view = await office.jobs.cancel(ALICE, number)
        assert view.cancelling or view.state == "cancelled"
        row = await office.until(number, "cancelled")
    assert log.cleaned_up.is_set()
    assert (row.failures, row.error_code) == (0, None)


async def test_one_that_holds_its_row_is_cancelled_as_soon(office: Office) -> None:
    began = asyncio.Event()

    @job(Task, name="tests-holds")
    async def holds(_: None, work: Work[Task]) -> None:
        async with work.transaction() as tx:
            await work.checkpoint("never seen", tx)
            began.set()
            await asyncio.sleep(8)

    async with office.working(holds):
        number = await office.submit(holds, Task(), account_id=ALICE)
        await began.wait()
        await office.jobs.cancel(ALICE, number)
        row = await office.until(number, "cancelled", "done")
    assert row.state == "cancelled"


async def test_a_worker_that_stops_leaves_its_jobs_to_others(office: Office) -> None:
    seen: list[Any] = []
    began = asyncio.Event()

    @job(Task, name="tests-moves", attempts=1)
    async def moves(_: None, work: Work[Task]) -> None:
        seen.append(work.resumed)
        if work.resumed is None:
            await work.checkpoint("half")
            began.set()
            await asyncio.Event().wait()

    number = await office.submit(moves, Task(), account_id=ALICE)
    async with office.working(moves), asyncio.timeout(30):
        await began.wait()
    row = await office.job(number)
    assert (row.state, row.failures, row.deaths) == ("queued", 0, 0)
    async with office.working(moves):
        await office.until(number, "done")
    assert seen == [None, "half"]


# --- leases ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("quick_beat")
async def test_who_has_lost_a_job_writes_nothing_more_and_is_told(office: Office) -> None:
    outcome: dict[str, Any] = {}
    began, taken, cancelled = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @job(Task, name="tests-loses")
    async def loses(_: None, work: Work[Task]) -> None:
        began.set()
        await taken.wait()
        try:
            await work.checkpoint("stale")
        except JobLost:
            outcome["checkpoint"] = "refused"
        try:
            async with work.transaction() as tx:
                await tx.execute("INSERT INTO effect VALUES (1)")
        except JobLost:
            outcome["transaction"] = "refused"
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with office.jobs.db.transaction() as tx:
        await tx.execute("CREATE TABLE effect (number int)")
    number = await office.submit(loses, Task(), account_id=ALICE)
    lost = loses.ended.lost
    async with office.working(loses), asyncio.timeout(30):
        await began.wait()
        async with office.jobs.db.transaction() as tx:  # as if another process had it by now
            await tx.execute("UPDATE platform.job SET attempt = 7, checkpoint = '\"theirs\"'")
        taken.set()
        await cancelled.wait()
    row = await office.job(number)
    async with office.jobs.db.read(fresh=True) as tx:
        assert await tx.value("SELECT checkpoint FROM platform.job") == b'"theirs"'
        assert await tx.value("SELECT count(*) FROM effect") == 0
    assert outcome == {"checkpoint": "refused", "transaction": "refused"}
    assert (row.attempt, row.state) == (7, "running")
    assert loses.ended.lost == lost + 1


@pytest.mark.usefixtures("quick_beat")
async def test_long_work_keeps_its_lease_also_in_a_transaction_of_its_own(office: Office) -> None:
    """Three leases long, half of it with the row locked by a checkpoint that isn't committed yet."""

    @job(Task, name="tests-long")
    async def long(_: None, work: Work[Task]) -> None:
        await asyncio.to_thread(lambda: __import__("time").sleep(1.5))
        async with work.transaction() as tx:
            await work.checkpoint("end", tx)
            await asyncio.sleep(1.5)

    async with office.working(long), office.working(long):
        row = await office.until(await office.submit(long, Task(), account_id=ALICE), "done")
    assert (row.attempt, row.deaths) == (1, 0)


# --- looking --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("quick_beat")
async def test_progress_is_seen_live_and_written_down(office: Office) -> None:
    log = Log()

    @job(Task, name="tests-progress")
    async def progresses(log: Log, work: Work[Task]) -> None:
        while not log.door.is_set():
            log.begun.append("")
            work.progress(len(log.begun), 1_000_000, f"page {len(log.begun)}")
            await asyncio.sleep(0.01)
        work.progress(1_000_000, 1_000_000, "all read")

    number = await office.submit(progresses, Task(), account_id=ALICE)
    seen: list[JobView] = []
    changes = office.jobs.live.subscribe(topic(number))
    await changes.start()
    async with office.working(progresses, state=log), asyncio.timeout(30):
        async for message in changes:
            seen.append(msgspec.json.decode(message.data, type=JobView))
            if (progress := seen[-1].progress).left_seconds is not None and progress.done:
                found = await office.jobs.find(ALICE, number)
                if found.progress.left_seconds is not None:
                    log.door.set()
            if seen[-1].state == "done":
                break
    await changes.aclose()
    assert {each.state for each in seen} >= {"running", "done"}
    assert seen[-1].progress.note == "all read"
    assert [each.progress.done for each in seen] == sorted(each.progress.done for each in seen)
    assert found.progress.note.startswith("page")
    assert (await office.jobs.find(ALICE, number)).progress.done == 1_000_000


async def test_one_that_waits_knows_its_place_and_when_it_begins(office: Office) -> None:
    log = Log()
    for name in ("one", "two"):
        await office.until(await office.submit(note, Task(name), account_id=ALICE), "queued")
    async with office.working(note, state=log):
        await log.until_begun(2)
        for row in await office.jobs.list_jobs(ALICE):
            await office.until(int(row.id), "done")
    async with office.jobs.db.transaction() as tx:
        await tx.execute("UPDATE platform.job SET started_at = ended_at - interval '60 s'")
    async with office.working(wait, state=log, jobs_at_once=2.0):
        for number in range(2):
            await office.submit(wait, Task(f"{number}"), account_id=ALICE)
        await log.until_begun(4)
        first = await office.jobs.find(ALICE, await office.submit(note, Task(), account_id=ALICE))
        second = await office.jobs.find(ALICE, await office.submit(note, Task(), account_id=ALICE))
        high = await office.submit(note, Task(), account_id=BOB, priority=Priority.HIGH)
        log.door.set()
    assert (first.ahead, second.ahead) == (0, 1)
    # Sixty seconds each, two at once.
    assert first.starts_in == pytest.approx(30, abs=1)
    assert second.starts_in == pytest.approx(60, abs=1)
    assert (await office.jobs.find(BOB, high)).ahead == 0


async def test_jobs_are_counted_and_forgotten(office: Office) -> None:
    log = Log()
    old = await office.submit(note, Task(), account_id=ALICE)
    async with office.working(note, state=log):
        await office.until(old, "done")
    kept = await office.submit(note, Task(), account_id=ALICE)
    await count_jobs.job(office.jobs)
    assert b'tenfold_jobs_queued{queue="tests-note"} 1.0' in render_metrics()[0]
    await sweep_jobs.job(office.jobs)
    assert (await office.jobs.find(ALICE, old)).state == "done"
    async with office.jobs.db.transaction() as tx:
        await tx.execute("UPDATE platform.job SET ended_at = now() - interval '15 days' WHERE id = $1", old)
    await sweep_jobs.job(office.jobs)
    with pytest.raises(JobMissing):
        await office.jobs.find(ALICE, old)
    assert (await office.jobs.find(ALICE, kept)).state == "queued"
