"""HTTP doors of jobs: a person's own. Decode, call one action, encode."""

from collections.abc import AsyncIterator
from typing import Annotated

import msgspec
from litestar import Controller, get, post
from litestar.datastructures import ResponseHeader
from litestar.di import NamedDependency
from litestar.params import FromPath, HeaderParameter, QueryParameter
from litestar.response import Stream

from tenfold.platform.errors import Unauthorized
from tenfold.platform.http import event_stream, resume_after
from tenfold.platform.identity import Principal
from tenfold.platform.identity.rules import read_id
from tenfold.platform.jobs.errors import JobMissing
from tenfold.platform.jobs.jobs import Jobs, topic
from tenfold.platform.jobs.types import JobView, State
from tenfold.platform.live import Live, Subscription, sse


class JobList(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first."""

    jobs: list[JobView]
    #: What to ask for as `before` to get the next ones; null at the end.
    before: str | None


class JobEndpoints(Controller):
    path = "/api/jobs"
    tags = ("jobs",)
    response_headers = (ResponseHeader(name="Cache-Control", value="no-store"),)

    @get()
    async def list_jobs(
        self,
        jobs: NamedDependency[Jobs],
        principal: NamedDependency[Principal],
        shown: Annotated[State | None, QueryParameter(name="state")] = None,
        kind: Annotated[str | None, QueryParameter(max_length=64)] = None,
        before: Annotated[str | None, QueryParameter(max_length=19)] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=100)] = 50,
    ) -> JobList:
        """Jobs of the account that asks."""
        last = None if before is None else _id(before)
        found = await jobs.list_jobs(_account(principal), state=shown, kind=kind, before=last, limit=limit)
        return JobList(jobs=found, before=found[-1].id if len(found) == limit else None)

    @get("/{job_id:str}")
    async def find(
        self, job_id: FromPath[str], jobs: NamedDependency[Jobs], principal: NamedDependency[Principal]
    ) -> JobView:
        return await jobs.find(_account(principal), _id(job_id))

    @post("/{job_id:str}/cancel", status_code=200)
    async def cancel(
        self, job_id: FromPath[str], jobs: NamedDependency[Jobs], principal: NamedDependency[Principal]
    ) -> JobView:
        return await jobs.cancel(_account(principal), _id(job_id))

    @get("/{job_id:str}/live", media_type="text/event-stream")
    async def watch(
        self,
        job_id: FromPath[str],
        jobs: NamedDependency[Jobs],
        principal: NamedDependency[Principal],
        live: NamedDependency[Live],
        last_event_id: Annotated[str | None, HeaderParameter(name="Last-Event-ID", max_length=20)] = None,
    ) -> Stream:
        """The job as it is, then as it changes, as server-sent events; resumes after Last-Event-ID."""
        number = _id(job_id)
        # Taken before the job is read, so that no change falls between the two.
        position = await live.position()
        job = await jobs.find(_account(principal), number)
        changes = live.subscribe(topic(number), resume_after(last_event_id) or position)
        return event_stream(_beginning_with(job, position, changes))


async def _beginning_with(job: JobView, position: int, changes: Subscription) -> AsyncIterator[bytes]:
    yield b"id: %d\ndata: %s\n\n" % (position, msgspec.json.encode(job))
    async for each in sse(changes):
        yield each


def _account(principal: Principal) -> int:
    if principal.account_id is None:
        raise Unauthorized
    return principal.account_id


def _id(text: str) -> int:
    """Raises JobMissing for what can't be an id."""
    number = read_id(text)
    if number is None:
        raise JobMissing
    return number
