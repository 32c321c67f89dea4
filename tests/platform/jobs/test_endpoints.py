"""The doors of jobs: a person sees and cancels their own, and nobody else's."""

import asyncio
from typing import Any

import httpx
import msgspec
import pytest

from tenfold.platform.jobs import Work, job
from tenfold.platform.jobs.testing import Office


class Task(msgspec.Struct):
    pages: int = 0


class Reading:
    def __init__(self) -> None:
        self.began, self.go_on = asyncio.Event(), asyncio.Event()


@job(Task, name="tests-read")
async def read(reading: Reading, work: Work[Task]) -> None:
    work.progress(3, work.payload.pages, "page 3")
    reading.began.set()
    await reading.go_on.wait()


@pytest.fixture
def clerk(stack: Any) -> Office:
    return Office(stack.process.runtime.jobs)


async def account_id(client: httpx.AsyncClient) -> int:
    return int((await client.get("/api/identity/me")).json()["account"]["id"])


async def test_a_person_sees_their_jobs_and_nobody_elses(
    clerk: Office, alice: httpx.AsyncClient, bob: httpx.AsyncClient, stranger: httpx.AsyncClient
) -> None:
    hers = [await clerk.submit(read, Task(9), account_id=await account_id(alice)) for _ in range(3)]
    his = await clerk.submit(read, Task(9), account_id=await account_id(bob))
    await clerk.submit(read, Task(9))  # the house's own

    page = (await alice.get("/api/jobs", params={"limit": 2})).json()
    assert [each["id"] for each in page["jobs"]] == [str(hers[2]), str(hers[1])]
    rest = (await alice.get("/api/jobs", params={"limit": 2, "before": page["before"]})).json()
    assert ([each["id"] for each in rest["jobs"]], rest["before"]) == ([str(hers[0])], None)
    assert (await alice.get("/api/jobs", params={"state": "running"})).json()["jobs"] == []
    assert (await alice.get("/api/jobs", params={"kind": "tests-other"})).json()["jobs"] == []
    assert (await alice.get("/api/jobs", params={"state": "asleep"})).status_code == 422
    for limit in (-1, 0, 101):
        assert (await alice.get("/api/jobs", params={"limit": limit})).status_code == 422

    shown = (await alice.get(f"/api/jobs/{hers[1]}")).json()
    assert (shown["state"], shown["priority"], shown["ahead"]) == ("queued", "normal", 3)  # her first, two others
    assert "payload" not in shown
    for path in (f"/api/jobs/{his}", f"/api/jobs/{his}/live", "/api/jobs/x", f"/api/jobs/{9**19}"):
        assert (await alice.get(path)).status_code == 404
    assert (await alice.post(f"/api/jobs/{his}/cancel")).status_code == 404
    for path in ("/api/jobs", f"/api/jobs/{his}"):
        assert (await stranger.get(path)).status_code == 401
    assert (await clerk.job(his)).state == "queued"


async def test_a_job_is_watched_and_cancelled(clerk: Office, stack: Any, alice: httpx.AsyncClient) -> None:
    reading = Reading()
    number = await clerk.submit(read, Task(9), account_id=await account_id(alice))
    async with (
        stack.served() as address,
        clerk.working(read, state=reading),
        asyncio.timeout(30),
        httpx.AsyncClient(base_url=address, headers=alice.headers, timeout=30) as browser,
    ):
        await reading.began.wait()
        states = []
        async with browser.stream("GET", f"/api/jobs/{number}/live") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            async for line in answer.aiter_lines():
                if not line.startswith("data: "):
                    continue
                states.append((now := msgspec.json.decode(line[6:]))["state"])
                if len(states) == 1:
                    assert now["progress"]["total"] in {9, None}
                    cancelled = await alice.post(f"/api/jobs/{number}/cancel")
                    assert cancelled.status_code == 200
                if states[-1] == "cancelled":
                    break
        assert states[0] == "running"
    assert (await alice.post(f"/api/jobs/{number}/cancel")).json()["state"] == "cancelled"
    done = await clerk.submit(read, Task(9), account_id=await account_id(alice))
    reading.go_on.set()
    await clerk.work_off([(read, reading)])
    problem = await alice.post(f"/api/jobs/{done}/cancel")
    assert (problem.status_code, problem.json()["code"]) == (409, "job_over")
