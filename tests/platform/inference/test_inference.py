"""Asking models through the platform: what is streamed, who steps in for whom, and who waits."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import msgspec
import pytest

from tenfold.platform.bus import open_bus
from tenfold.platform.errors import Unavailable
from tenfold.platform.hot import open_hot
from tenfold.platform.inference import (
    Chunk,
    Inference,
    InferenceFailed,
    InferenceRefused,
    NoSuchTier,
    Queued,
    open_inference,
    upstream,
)
from tenfold.platform.inference import inference as module
from tenfold.platform.inference.testing import Scripted, scripted
from tenfold.platform.settings import Settings, Tier

ASKED = {"messages": [{"role": "user", "content": "count"}]}
type Open = Callable[..., AbstractAsyncContextManager[Inference]]


@pytest.fixture
def opened(settings: Settings) -> Open:
    @asynccontextmanager
    async def open_with(*scripts: Scripted, patience: float = 30.0, **how: object) -> AsyncIterator[Inference]:
        tier = Tier(endpoints=tuple(script.endpoint(**how) for script in scripts))
        own = msgspec.structs.replace(settings, tiers={"fast": tier}, inference_patience=patience)
        hot, bus = await open_hot(own), await open_bus(own)
        async with open_inference(own, hot, bus) as inference:
            yield inference
        await hot.close()
        await bus.close()

    return open_with


async def said(
    inference: Inference, *, sticky: str = "", into: list[Queued | Chunk] | None = None
) -> list[Queued | Chunk]:
    into = [] if into is None else into
    async with inference.stream("fast", ASKED, caller="me", sticky=sticky) as steps:
        async for step in steps:
            into.append(step)
    return into


def text_of(steps: list[Queued | Chunk]) -> str:
    return "".join(step.text for step in steps if isinstance(step, Chunk))


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - it is of another task
            await asyncio.sleep(0.005)


async def test_an_answer_comes_in_pieces_with_its_usage(opened: Open) -> None:
    async with scripted() as one, opened(one, model="qwen") as inference:
        steps = await said(inference)
        assert text_of(steps) == "one two three"
        usage = [step.usage for step in steps if isinstance(step, Chunk) and step.usage]
        assert [(each.prompt_tokens, each.completion_tokens) for each in usage] == [(7, 3)]
        whole = await inference.complete("fast", ASKED, caller="me")
        assert (whole.text, whole.finish, whole.usage.total_tokens) == ("one two three", "stop", 10)
        assert [each["model"] for each in one.asked] == ["qwen", "qwen"]
        assert await inference.count("fast", "four words are here") == 4
        with pytest.raises(NoSuchTier):
            await inference.complete("huge", ASKED, caller="me")


@pytest.mark.parametrize("how", [{"breaks_after": 0}, {"refuses": (500, "out of memory")}, {"refuses": (429, "busy")}])
async def test_another_replica_steps_in_before_anything_was_shown(opened: Open, how: dict[str, object]) -> None:
    async with scripted(**how) as broken, scripted() as well, opened(broken, well) as inference:
        assert text_of(await said(inference)) == "one two three"
        broken_asked = len(broken.asked)
        assert broken_asked >= 1
        assert (await inference.complete("fast", ASKED, caller="me")).text == "one two three"


async def test_a_role_alone_was_shown_to_nobody(opened: Open) -> None:
    async with (
        scripted(role_first=True, breaks_after=0) as broken,
        scripted(role_first=True) as well,
        opened(broken, well) as inference,
    ):
        steps = await said(inference)
        assert text_of(steps) == "one two three"
        assert len([step for step in steps if isinstance(step, Chunk) and not step.says and step.usage is None]) == 1
        assert len(broken.asked) == 1


async def test_another_replica_steps_in_for_one_that_hangs(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "HEALTH_TIMEOUT", 0.05)
    monkeypatch.setattr(module, "HEALTH", 0.01)
    async with scripted(hangs=True) as hung, scripted() as well, opened(hung, well) as inference:
        both = await asyncio.gather(said(inference), inference.complete("fast", ASKED, caller="me"))
        assert text_of(both[0]) == both[1].text == "one two three"
        assert hung.asked
        assert not inference.states("fast")[0].up
        hung.hangs = False
        await until(lambda: inference.states("fast")[0].up)


async def test_an_answer_that_ends_without_an_end_is_none(opened: Open) -> None:
    async with scripted(words=[], ends=False) as one, opened(one) as inference:
        with pytest.raises(InferenceFailed, match="middle"):
            await said(inference)


async def test_what_was_shown_is_not_begun_again(opened: Open) -> None:
    async with scripted(breaks_after=2) as broken, opened(broken) as inference:
        shown: list[Queued | Chunk] = []
        with pytest.raises(InferenceFailed):
            await said(inference, into=shown)
        assert text_of(shown) == "one two "
        assert len(broken.asked) == 1


async def test_a_wrong_request_is_wrong_everywhere(opened: Open) -> None:
    async with scripted(refuses=(400, "too long")) as one, scripted() as two, opened(one, two) as inference:
        with pytest.raises(InferenceRefused, match="too long"):
            await said(inference)
        assert not two.asked
        assert all(state.up for state in inference.states("fast"))


async def test_a_replica_that_is_gone_is_taken_out_and_back(opened: Open) -> None:
    async with scripted() as two, scripted() as one, opened(one, two) as inference:
        await one_gone_and_back(inference, two)


async def one_gone_and_back(inference: Inference, broken: Scripted) -> None:
    broken.breaks_after = 0
    await asyncio.gather(*(said(inference) for _ in range(4)))
    assert [state.up for state in inference.states("fast")] == [True, False]
    broken.breaks_after = None
    await until(lambda: all(state.up for state in inference.states("fast")))


async def test_who_waits_is_told_the_place(opened: Open) -> None:
    async with scripted() as one, opened(one, slots=1) as inference:
        one.goes_on.clear()
        first = asyncio.create_task(said(inference))
        await until(lambda: one.at_work)
        second = asyncio.create_task(said(inference))
        await asyncio.sleep(0)
        third: list[Queued | Chunk] = []
        waiting = asyncio.create_task(said(inference, into=third))
        await until(lambda: third)
        assert isinstance(third[0], Queued)
        one.goes_on.set()
        assert text_of(await first) == text_of(await second) == "one two three"
        await waiting
        assert text_of(third) == "one two three"


async def test_leaving_ends_the_work_and_frees_the_slot(opened: Open) -> None:
    async with scripted() as one, opened(one, slots=1) as inference:
        one.goes_on.clear()
        asking = asyncio.create_task(said(inference))
        await until(lambda: one.at_work)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await until(lambda: one.left == 1)
        one.goes_on.set()
        assert text_of(await said(inference)) == "one two three"


async def test_nobody_waits_for_ever_where_no_model_is(opened: Open) -> None:
    async with scripted(breaks_after=0) as one, opened(one, patience=0.0) as inference:
        with pytest.raises(InferenceFailed):
            await said(inference)
        await until(lambda: not inference.states("fast")[0].up)
        with pytest.raises(Unavailable):
            await said(inference)


async def test_a_conversation_stays_with_its_replica(opened: Open) -> None:
    async with scripted() as one, scripted() as two, opened(one, two) as inference:
        for talk in ("a", "b", "c"):
            before = len(one.asked), len(two.asked)
            for _ in range(3):
                await said(inference, sticky=talk)
            grown = len(one.asked) - before[0], len(two.asked) - before[1]
            assert sorted(grown) == [0, 3]
