"""The embedded llama.cpp speaks the OpenAI API, remembers prompts, stops when nobody listens, and dies with us."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tenfold.platform.engines import EngineFailed, Llama
from tenfold.platform.testing import MODEL, models_of_tests

PASSWORD = "correct-horse_battery1"
ASKED = {"messages": [{"role": "user", "content": "Count from one to ten."}], "temperature": 0}


async def until(condition: Callable[[], Awaitable[object] | object], timeout: float = 30) -> None:
    deadline = time.monotonic() + timeout
    while True:
        met = condition()
        if await met if isinstance(met, Awaitable) else met:
            return
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.02)


def processes(*which: str) -> str:
    return subprocess.run(["ps", *which], capture_output=True, text=True, check=False).stdout.strip()


def client(llama: Llama) -> httpx.AsyncClient:
    assert llama.endpoint.key
    # After a stream the server closes the connection that it has said it keeps, often only when it is used again.
    headers = {"Authorization": f"Bearer {llama.endpoint.key.reveal()}", "Connection": "close"}
    return httpx.AsyncClient(base_url=llama.url, headers=headers, timeout=60)


@pytest.fixture
async def asks(llama: Llama) -> AsyncIterator[httpx.AsyncClient]:
    async with client(llama) as asks:
        yield asks


@pytest.fixture
def directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="tf-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.fixture
async def own(llama: Llama, directory: Path) -> AsyncIterator[Llama]:
    """One that a test may break."""
    own = Llama(directory, PASSWORD, name="llama fast", model=llama.model, serves="small", slots=1, context=512)
    yield own
    await own.stop()


async def streamed(asks: httpx.AsyncClient, **more: object) -> list[dict[str, Any]]:
    body = {**ASKED, "stream": True, "stream_options": {"include_usage": True}, **more}
    async with asks.stream("POST", "/v1/chat/completions", json=body) as answer:
        assert answer.status_code == 200
        lines = [line.removeprefix("data: ") async for line in answer.aiter_lines() if line.startswith("data: ")]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


async def test_an_answer_comes_in_pieces(asks: httpx.AsyncClient) -> None:
    *pieces, last = await streamed(asks, max_tokens=12)
    said = [piece["choices"][0]["delta"].get("content") or "" for piece in pieces]
    assert len([text for text in said if text]) > 5
    assert pieces[-1]["choices"][0]["finish_reason"] == "length"
    assert last["usage"]["completion_tokens"] == 12
    assert {piece["model"] for piece in pieces} == {MODEL}, "not where its file is"


async def test_many_are_answered_at_once(llama: Llama, asks: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(streamed(asks, max_tokens=8) for _ in range(llama.endpoint.slots + 2)))
    assert all(pieces[-1]["usage"]["completion_tokens"] == 8 for pieces in answers)


async def test_a_prompt_that_goes_on_is_not_read_again(asks: httpx.AsyncClient) -> None:
    told = {"role": "user", "content": "Remember: " + "the cat sat on the mat, " * 20}
    first = (await streamed(asks, messages=[told], max_tokens=4))[-1]["usage"]
    turns = [told, {"role": "assistant", "content": "Yes."}, {"role": "user", "content": "Where did it sit?"}]
    second = (await streamed(asks, messages=turns, max_tokens=4))[-1]["usage"]
    assert second["prompt_tokens_details"]["cached_tokens"] > 0.8 * first["prompt_tokens"]


async def test_an_answer_takes_the_form_that_is_asked_for(asks: httpx.AsyncClient) -> None:
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
    schema["additionalProperties"] = False
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": schema}}
    body = {**ASKED, "response_format": form, "max_tokens": 40}
    answer = (await asks.post("/v1/chat/completions", json=body)).json()
    assert isinstance(json.loads(answer["choices"][0]["message"]["content"])["age"], int)


async def test_who_stops_listening_stops_the_work(asks: httpx.AsyncClient) -> None:
    async def busy() -> bool:
        return any(slot["is_processing"] for slot in (await asks.get("/slots")).json())

    body = {**ASKED, "stream": True, "max_tokens": 1900, "ignore_eos": True}
    async with asks.stream("POST", "/v1/chat/completions", json=body) as answer:
        async for _ in answer.aiter_lines():
            break
        assert await busy()
        await answer.aclose()

    async def idle() -> bool:
        return not await busy()

    await until(idle)


async def test_nobody_gets_in_without_the_key(llama: Llama) -> None:
    async with httpx.AsyncClient(base_url=llama.url) as stranger:
        assert (await stranger.get("/health")).json() == {"status": "ok"}
        for path in ("/v1/models", "/metrics", "/slots", "/props"):
            assert (await stranger.get(path)).status_code == 401
        assert (await stranger.post("/v1/chat/completions", json=ASKED)).status_code == 401


async def test_tokens_are_counted_and_figures_are_shown(asks: httpx.AsyncClient) -> None:
    answer = (await asks.post("/tokenize", json={"content": "one two three"})).json()
    assert len(answer["tokens"]) == 3
    assert "llamacpp:tokens_predicted_total" in (await asks.get("/metrics")).text


async def test_a_killed_one_starts_again_where_it_was(own: Llama) -> None:
    own.reserve()
    where = own.url
    await own.start()
    assert own.url == where
    os.kill(own.pid, signal.SIGKILL)
    await until(lambda: not own.running)
    assert "SIGKILL" in str(own.failure())
    await own.start()
    assert own.url == where
    async with client(own) as asks:
        assert (await streamed(asks, max_tokens=2))[0]["model"] == "small"


async def test_the_key_is_for_the_owner_only(own: Llama) -> None:
    await own.start()
    commands = processes("-A", "-ww", "-o", "command=")
    assert str(own.directory) in commands, "whoever looks for processes by the data's path finds them"
    assert PASSWORD not in commands + own.address + own.log.read_text() + repr(own.endpoint)
    assert (own.directory / "llama.json").stat().st_mode & 0o077 == 0


async def test_a_model_that_is_none_is_said(own: Llama, directory: Path) -> None:
    own.model = directory / "bad.gguf"
    with pytest.raises(EngineFailed, match=r"llama fast has no model: .*bad\.gguf is missing"):
        await own.start()
    own.model.write_text("no model")
    with pytest.raises(EngineFailed, match="invalid magic"):
        await own.start()


PARENT = """
import asyncio, sys
from pathlib import Path
from tenfold.platform.engines import Llama
llama = Llama(Path(sys.argv[1]), sys.argv[2], model=Path(sys.argv[3]), context=512)
if sys.argv[4] == "starting":
    llama.on_spawn = lambda pid: (print(pid, flush=True), sys.stdin.read())
async def main():
    await llama.start()
    print(llama.pid, flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


@pytest.mark.parametrize("when", ["starting", "running"])
async def test_it_dies_with_its_parent_even_without_a_guard(directory: Path, when: str) -> None:
    model = models_of_tests().path(MODEL)
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT, directory, PASSWORD, model, when),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert parent.stdout
    child = int(await parent.stdout.readline())
    parent.kill()
    await parent.wait()

    def gone() -> bool:
        return processes("-o", "stat=", "-p", str(child))[:1] in ("", "Z")

    await until(gone)
