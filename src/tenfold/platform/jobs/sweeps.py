"""What is done about jobs by the clock."""

import time
from datetime import timedelta

from tenfold.platform import telemetry
from tenfold.platform.jobs import store
from tenfold.platform.jobs.jobs import Jobs
from tenfold.platform.jobs.schedules import schedule

#: Seconds between two counts of what waits.
COUNT = 15.0
_BATCH = 1000


class Lengths:
    """How much waits and runs in a queue, for telemetry, which adds up what processes say.

    So only the one that has counted last says anything, until the next count is due.
    """

    def __init__(self) -> None:
        self.counted = store.Backlog("", 0, 0)
        self.at = 0.0

    @property
    def queued(self) -> int:
        return self.counted.queued if time.monotonic() - self.at <= COUNT else 0

    @property
    def running(self) -> int:
        return self.counted.running if time.monotonic() - self.at <= COUNT else 0


_lengths: dict[str, Lengths] = {}


@schedule(every=COUNT, name="platform-count-jobs")
async def count_jobs(jobs: Jobs) -> None:
    """Count what waits and runs in each queue."""
    async with jobs.db.read(fresh=True) as tx:
        backlogs = await store.count_backlog(tx)
    for each in backlogs:
        if each.queue not in _lengths:
            _lengths[each.queue] = Lengths()
            telemetry.watch("jobs", _lengths[each.queue], gauges="queued running", queue=each.queue)
        _lengths[each.queue].counted, _lengths[each.queue].at = each, time.monotonic()


@schedule(every=timedelta(hours=1), name="platform-sweep-jobs")
async def sweep_jobs(jobs: Jobs) -> None:
    """Forget jobs that ended long ago."""
    removed = _BATCH
    while removed == _BATCH:
        async with jobs.db.transaction() as tx:
            removed = await store.delete_ended(tx, jobs.settings.jobs_kept, _BATCH)


SCHEDULES = (count_jobs, sweep_jobs)
