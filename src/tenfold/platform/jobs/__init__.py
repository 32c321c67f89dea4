"""Work in the background: schedules, and long jobs with leases, checkpoints, priorities and fair turns."""

from tenfold.platform.jobs.errors import (
    ConfinedFailed,
    JobKeptCrashing,
    JobLost,
    JobMissing,
    JobOver,
    JobTimedOut,
    JobTooLarge,
    TooManyJobs,
)
from tenfold.platform.jobs.jobs import Jobs
from tenfold.platform.jobs.kinds import Job, job
from tenfold.platform.jobs.schedules import OUTAGES, LeaseLost, Schedule, pause, run_schedules, schedule
from tenfold.platform.jobs.types import JobEnded, JobQueued, JobView, Priority
from tenfold.platform.jobs.work import Work
from tenfold.platform.jobs.worker import run_jobs

__all__ = [
    "OUTAGES",
    "ConfinedFailed",
    "Job",
    "JobEnded",
    "JobKeptCrashing",
    "JobLost",
    "JobMissing",
    "JobOver",
    "JobQueued",
    "JobTimedOut",
    "JobTooLarge",
    "JobView",
    "Jobs",
    "LeaseLost",
    "Priority",
    "Schedule",
    "TooManyJobs",
    "Work",
    "job",
    "pause",
    "run_jobs",
    "run_schedules",
    "schedule",
]
