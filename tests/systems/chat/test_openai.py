"""The OpenAI API, by its own client over HTTP, in front of an endpoint that says what a test wants."""

import asyncio
import base64
import io
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionToolParam, ChatCompletionUserMessageParam
from PIL import Image

from tenfold.platform.identity.actions import create_account, create_key
from tenfold.platform.inference.testing import Scripted, scripted
from tenfold.platform.settings import Tier

type OpenStack = Callable[..., AbstractAsyncContextManager[Any]]
HELLO: list[ChatCompletionUserMessageParam] = [{"role": "user", "content": "Hello"}]


@pytest.fixture
async def endpoint() -> AsyncIterator[Scripted]:
    async with scripted() as script:
        yield script


@pytest.fixture
async def stack(endpoint: Scripted, stack_with: OpenStack) -> AsyncIterator[Any]:
    tier = Tier(endpoints=(endpoint.endpoint(),))
    async with stack_with(tiers={"fast": tier, "smart": tier}) as stack:
        yield stack


async def client_of(stack: Any, address: str, name: str = "alice", tier: str = "enterprise") -> AsyncOpenAI:
    identity = stack.process.runtime.identity
    await create_account(identity, name, "correct horse battery", tier)
    token = (await create_key(identity, name)).token
    return AsyncOpenAI(base_url=f"{address}/chat/v1", api_key=token, max_retries=0)


@pytest.fixture
async def client(stack: Any) -> AsyncIterator[AsyncOpenAI]:
    async with stack.served() as address, await client_of(stack, address) as client:
        yield client


async def test_an_answer(client: AsyncOpenAI, endpoint: Scripted) -> None:
    answer = await client.chat.completions.create(model="fast", messages=HELLO, seed=3, stop=["x"], max_tokens=9)
    assert answer.choices[0].message.content == "one two three"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "fast"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 10
    [asked] = endpoint.asked
    assert (asked["seed"], asked["stop"], asked["max_tokens"]) == (3, ["x"], 9)
    assert asked["messages"] == HELLO


async def test_a_stream_has_its_usage_in_the_end_if_asked_for(client: AsyncOpenAI) -> None:
    for wanted in (True, False):
        stream = await client.chat.completions.create(
            model="fast", messages=HELLO, stream=True, stream_options={"include_usage": wanted}
        )
        chunks = [chunk async for chunk in stream]
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert text == "one two three"
        assert len({chunk.id for chunk in chunks}) == 1
        assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
        usages = [chunk.usage for chunk in chunks if chunk.usage]
        assert [usage.total_tokens for usage in usages] == ([10] if wanted else [])


async def test_a_stream_that_breaks_ends_with_an_error(client: AsyncOpenAI, endpoint: Scripted) -> None:
    endpoint.breaks_after = 2
    stream = await client.chat.completions.create(model="fast", messages=HELLO, stream=True)
    seen: list[str] = []

    async def read() -> None:
        async for chunk in stream:
            seen.append(chunk.choices[0].delta.content or "")  # noqa: PERF401 - what came before an error is wanted

    with pytest.raises(openai.APIError, match="stopped answering"):
        await read()
    assert "".join(seen) == "one two "


async def test_the_same_deterministic_request_is_answered_once(client: AsyncOpenAI, endpoint: Scripted) -> None:
    first = await client.chat.completions.create(model="fast", messages=HELLO, temperature=0)
    raw = await client.chat.completions.with_raw_response.create(model="fast", messages=HELLO, temperature=0)
    again = raw.parse()
    assert raw.headers["x-cache"] == "hit"
    assert again.choices[0].message.content == first.choices[0].message.content
    stream = await client.chat.completions.create(model="fast", messages=HELLO, temperature=0, stream=True)
    assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == "one two three"
    assert len(endpoint.asked) == 1
    await client.chat.completions.create(model="fast", messages=HELLO, temperature=0.7)
    await client.chat.completions.create(model="smart", messages=HELLO, temperature=0)
    assert len(endpoint.asked) == 3


async def test_errors_are_those_that_the_client_knows(stack: Any, client: AsyncOpenAI, endpoint: Scripted) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        await client.chat.completions.create(model="gpt-99", messages=HELLO)
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError, match="temperature"):
        await client.chat.completions.create(model="fast", messages=HELLO, temperature=7)
    with pytest.raises(openai.BadRequestError, match="frobnicate"):
        await client.chat.completions.create(model="fast", messages=HELLO, extra_body={"frobnicate": 1})
    with pytest.raises(openai.AuthenticationError):
        await client.with_options(api_key="tf_wrong").chat.completions.create(model="fast", messages=HELLO)
    endpoint.refuses = (400, "the request exceeds the available context size")
    with pytest.raises(openai.BadRequestError, match="context size"):
        await client.chat.completions.create(model="fast", messages=HELLO)
    endpoint.refuses = (500, "out of memory")
    with pytest.raises(openai.InternalServerError, match="out of memory"):
        await client.chat.completions.create(model="fast", messages=HELLO, stream=True)


async def test_a_free_account_asks_three_times_a_minute(stack: Any) -> None:
    async with stack.served() as address, await client_of(stack, address, "frugal", "free") as client:
        for _ in range(3):
            await client.chat.completions.create(model="fast", messages=HELLO)
        with pytest.raises(openai.RateLimitError) as refused:
            await client.chat.completions.create(model="fast", messages=HELLO)
        assert refused.value.code == "rate_limit_exceeded"
        assert int(refused.value.response.headers["retry-after"]) >= 1


async def test_what_was_used_is_in_the_ledger(stack: Any, client: AsyncOpenAI) -> None:
    await asyncio.gather(*(client.chat.completions.create(model="fast", messages=HELLO) for _ in range(5)))
    await stack.state("chat").ledger.close()
    sql = "SELECT (sum(requests), sum(tokens_in), sum(tokens_out))::text FROM chat.usage WHERE model = 'fast'"
    assert await stack.value(sql) == "(5,35,15)"


async def test_who_leaves_early_has_used_it_all_the_same(stack: Any, client: AsyncOpenAI, endpoint: Scripted) -> None:
    endpoint.words = ["word "] * 50
    stream = await client.chat.completions.create(model="fast", messages=HELLO, stream=True)
    await anext(aiter(stream))
    endpoint.goes_on.clear()
    await stream.close()
    async with asyncio.timeout(10):
        while not await stack.value("SELECT count(*) FROM chat.usage WHERE tokens_out > 0"):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("stream", [True, False])
async def test_what_may_not_be_said_is_not_passed_on(
    stack: Any, client: AsyncOpenAI, endpoint: Scripted, stream: bool
) -> None:
    bad = "I will kill you and your whole family, you worthless piece of shit."
    asked: list[ChatCompletionUserMessageParam] = [{"role": "user", "content": bad}]

    async def finish(messages: list[ChatCompletionUserMessageParam]) -> str | None:
        if not stream:
            return (await client.chat.completions.create(model="fast", messages=messages)).choices[0].finish_reason
        pieces = await client.chat.completions.create(model="fast", messages=messages, stream=True)
        return [piece.choices[0].finish_reason async for piece in pieces if piece.choices][-1]

    assert await finish(asked) == "content_filter"
    assert not endpoint.asked
    endpoint.words = [bad]
    assert await finish(HELLO) == "content_filter"
    assert await stack.value("SELECT array_agg(side ORDER BY id) FROM chat.flagged") == ["question", "answer"]


async def test_models_are_listed(client: AsyncOpenAI) -> None:
    names = [model.id async for model in client.models.list()]
    assert names[0] == "auto"
    assert {"fast", "smart", "embed"} <= set(names)
    assert (await client.models.retrieve("fast")).id == "fast"
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("gpt-99")


async def test_a_budget_ends(stack: Any, client: AsyncOpenAI, stack_with: OpenStack, endpoint: Scripted) -> None:
    chat = stack.state("chat").settings
    own = type(chat)(enterprise_tokens_a_day=10)
    tiers = {"fast": Tier(endpoints=(endpoint.endpoint(),))}
    async with (
        stack_with(tiers=tiers, systems={"chat": own}) as small,
        small.served() as address,
        await client_of(small, address) as mine,
    ):
        await mine.chat.completions.create(model="fast", messages=HELLO)
        ledger = small.state("chat").ledger
        await ledger.close()
        ledger.forget()
        with pytest.raises(openai.RateLimitError, match="used up"):
            await mine.chat.completions.create(model="fast", messages=HELLO)


async def test_a_call_that_is_written_as_text_is_a_call(client: AsyncOpenAI, endpoint: Scripted) -> None:
    endpoint.words = ["```json\n{", '"name": "get_weather", ', '"arguments": {"city": "Oslo"}}', "\n```"]
    tool: ChatCompletionToolParam = {"type": "function", "function": {"name": "get_weather", "parameters": {}}}
    answer = await client.chat.completions.create(model="fast", messages=HELLO, tools=[tool])
    [choice] = answer.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    [call] = choice.message.tool_calls or []
    assert call.type == "function"
    assert (call.function.name, call.function.arguments) == ("get_weather", '{"city":"Oslo"}')
    async with client.chat.completions.stream(model="fast", messages=HELLO, tools=[tool]) as stream:
        final = await stream.get_final_completion()
    [choice] = final.choices
    assert choice.finish_reason == "tool_calls"
    [call] = choice.message.tool_calls or []
    assert (call.function.name, call.function.arguments) == ("get_weather", '{"city":"Oslo"}')
    assert final.usage is None or final.usage.total_tokens == 11


async def test_what_only_looks_like_a_call_is_text(client: AsyncOpenAI, endpoint: Scripted) -> None:
    endpoint.words = ["See: ", '{"name": ', '"nobody"}', " and so on"]
    tool: ChatCompletionToolParam = {"type": "function", "function": {"name": "get_weather", "parameters": {}}}
    answer = await client.chat.completions.create(model="fast", messages=HELLO, tools=[tool])
    assert answer.choices[0].message.content == 'See: {"name": "nobody"} and so on'
    stream = await client.chat.completions.create(model="fast", messages=HELLO, tools=[tool], stream=True)
    text = [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]
    assert text[0] == "See: "
    assert "".join(text) == 'See: {"name": "nobody"} and so on'


async def test_an_endpoint_that_is_not_held_to_a_choice_gets_a_schema(
    endpoint: Scripted, stack_with: OpenStack
) -> None:
    endpoint.words = ['{"name": "get_weather", "arguments": {}}']
    tool: ChatCompletionToolParam = {"type": "function", "function": {"name": "get_weather", "parameters": {}}}
    tier = Tier(endpoints=(endpoint.endpoint(holds_to_tools=False),))
    async with (
        stack_with(tiers={"fast": tier, "smart": tier}) as stack,
        stack.served() as address,
        await client_of(stack, address) as client,
    ):
        answer = await client.chat.completions.create(
            model="fast", messages=HELLO, tools=[tool], tool_choice="required"
        )
    assert answer.choices[0].finish_reason == "tool_calls"
    [asked] = endpoint.asked
    assert "tools" not in asked
    assert asked["response_format"]["json_schema"]["schema"]["properties"]["name"] == {"const": "get_weather"}


async def test_a_picture_is_passed_on_to_a_model_that_sees_and_told_to_one_that_does_not(
    stack: Any, client: AsyncOpenAI, stack_with: OpenStack, endpoint: Scripted
) -> None:
    out = io.BytesIO()
    Image.new("RGB", (64, 48), "red").save(out, "PNG")
    url = "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()
    asked: list[Any] = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]
    await client.chat.completions.create(model="fast", messages=asked)
    [told] = endpoint.asked[-1]["messages"][0]["content"]
    assert told["type"] == "text"
    assert "64" in told["text"]
    for wrong in ("https://example.org/a.png", "data:image/png;base64,%%", "file:///etc/passwd"):
        asked[0]["content"][0]["image_url"]["url"] = wrong
        with pytest.raises(openai.BadRequestError, match="image_url"):
            await client.chat.completions.create(model="fast", messages=asked)
    asked[0]["content"] *= 9
    with pytest.raises(openai.BadRequestError, match="at most 8 pictures"):
        await client.chat.completions.create(model="fast", messages=asked)

    asked[0]["content"] = [{"type": "image_url", "image_url": {"url": url}}]
    tiers = {"fast": Tier(endpoints=(endpoint.endpoint(sees=True),))}
    async with stack_with(tiers=tiers) as seeing, seeing.served() as address, await client_of(seeing, address) as mine:
        await mine.chat.completions.create(model="fast", messages=asked)
    assert endpoint.asked[-1]["messages"] == asked
