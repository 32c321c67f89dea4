"""A worker process with jobs that do nothing, or wait."""

import asyncio

import msgspec

from tenfold import app
from tenfold.platform.jobs import Work, job, run_jobs
from tenfold.platform.outbox import run_relay
from tenfold.platform.runtime import Runtime, open_runtime
from tenfold.platform.server import until_told


class Nothing(msgspec.Struct):
    pass


@job(Nothing, name="bench-empty")
async def empty(_: Runtime, work: Work[Nothing]) -> None: ...


@job(Nothing, name="bench-wait")
async def wait(_: Runtime, work: Work[Nothing]) -> None:
    await asyncio.Event().wait()


async def main(stop: asyncio.Event) -> None:
    async with open_runtime(app.load_settings()) as runtime, asyncio.TaskGroup() as group:
        group.create_task(run_relay(runtime.bus, runtime.db, stop))
        group.create_task(run_jobs(runtime.jobs, [(empty, runtime), (wait, runtime)], stop))


if __name__ == "__main__":
    until_told(main)
