"""The field's own client, unchanged, against the real command with a real model."""

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator
from typing import Any, Literal

import httpx
import numpy as np
import openai
import pytest
from openai import AsyncOpenAI
from openai.types.chat import (
    ChatCompletionNamedToolChoiceParam,
    ChatCompletionToolParam,
    ChatCompletionUserMessageParam,
)
from openai.types.shared_params import ResponseFormatJSONSchema
from PIL import Image, ImageDraw, ImageFont
from tests.journeys.conftest import House

from tenfold.platform.testing import MODEL, models_of_tests

pytestmark = pytest.mark.journey

CONTEXT = 1024
HELLO: list[ChatCompletionUserMessageParam] = [{"role": "user", "content": "Tell me about the sea."}]


@pytest.fixture(scope="module")
async def product(shared_house: House) -> House:
    """With the smallest model for all tiers, and one of embeddings."""
    models = models_of_tests()
    for each in (MODEL, "minilm"):
        await models.pull(each)
    tiers = {"fast": {"model": MODEL, "slots": 4, "context": CONTEXT}, "smart": {"same_as": "fast"}}
    shared_house.environment |= {
        "TENFOLD_MODELS": str(models.directory),
        "TENFOLD_TIERS": json.dumps(tiers),
        "TENFOLD_ONLY": "chat",
    }
    shared_house.empty()
    await shared_house.up()
    await shared_house.until(lambda: "\n  llama fast " in shared_house.said(), 120)
    async with httpx.AsyncClient(base_url=shared_house.url) as client, asyncio.timeout(60):
        while (await client.get("/chat/api/models")).json()["tiers"][0]["state"] != "ready":  # noqa: ASYNC110 - it is of another process
            await asyncio.sleep(0.05)
    return shared_house


async def client_of(product: House, name: str, tier: str) -> AsyncOpenAI:
    account = ("--name", name, "--password", "correct horse battery", "--tier", tier)
    status, said = await product.run("account", "create", *account)
    assert status == 0, said
    _, said = await product.run("account", "key", "--name", name)
    key = next(word for word in said.split() if word.startswith("tf_"))
    return AsyncOpenAI(base_url=f"{product.url}/chat/v1", api_key=key, max_retries=0, timeout=60)


@pytest.fixture(scope="module")
async def client(product: House) -> AsyncIterator[AsyncOpenAI]:
    async with await client_of(product, "ada", "enterprise") as client:
        yield client


async def said(client: AsyncOpenAI, **wish: Any) -> str:
    answer = await client.chat.completions.create(**{"model": "fast", "messages": HELLO, "max_tokens": 24, **wish})
    return str(answer.choices[0].message.content)


async def test_a_stream_tells_what_it_took(client: AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(
        model="fast", messages=HELLO, max_tokens=12, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert len(pieces) > 3, "it comes word by word"
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "length"
    usage = chunks[-1].usage
    assert usage
    assert (usage.completion_tokens, chunks[-1].choices) == (12, [])
    assert usage.total_tokens == usage.prompt_tokens + 12


async def test_what_is_asked_of_a_model_is_what_it_does(client: AsyncOpenAI) -> None:
    # Other temperatures are answered anew each time; what is at zero is found where it was kept.
    same = [await said(client, seed=7, temperature=0.9) for _ in range(2)]
    assert same[0] == same[1]
    assert len({await said(client, seed=seed, temperature=1.5) for seed in (1, 2, 3)}) > 1
    cold = [await said(client, seed=7, temperature=0) for _ in range(2)]
    assert cold[0] == cold[1]

    word = next(word for word in cold[0].split()[3:] if word.isalpha() and len(word) > 2)
    cut = await client.chat.completions.create(
        model="fast", messages=HELLO, max_tokens=24, seed=7, temperature=0, stop=[word]
    )
    assert cut.choices[0].finish_reason == "stop"
    assert cold[0].startswith(cut.choices[0].message.content or "?")
    assert word not in (cut.choices[0].message.content or "")

    several = await client.chat.completions.create(model="fast", messages=HELLO, max_tokens=8, n=3, temperature=1)
    assert sorted(choice.index for choice in several.choices) == [0, 1, 2]
    assert all(choice.message.content for choice in several.choices)


WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "maxLength": 20},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            },
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
    },
}
NAMED: ChatCompletionNamedToolChoiceParam = {"type": "function", "function": {"name": "get_weather"}}


async def test_a_tool_that_must_be_called_is_called_as_it_takes_it(client: AsyncOpenAI) -> None:
    question: list[ChatCompletionUserMessageParam] = [{"role": "user", "content": "What is the weather in Oslo?"}]
    choices: list[Literal["required"] | ChatCompletionNamedToolChoiceParam] = ["required", NAMED]
    for choice in choices:
        answer = await client.chat.completions.create(
            model="fast", messages=question, tools=[WEATHER], tool_choice=choice, temperature=0, max_tokens=60
        )
        assert answer.choices[0].finish_reason == "tool_calls"
        fits(answer.choices[0].message.tool_calls)
    async with client.chat.completions.stream(
        model="fast", messages=question, tools=[WEATHER], tool_choice="required", temperature=0, max_tokens=60
    ) as stream:
        final = await stream.get_final_completion()
    assert final.choices[0].finish_reason == "tool_calls"
    fits(final.choices[0].message.tool_calls)


def fits(calls: Any) -> None:
    [call] = calls
    arguments = json.loads(call.function.arguments)
    assert (call.type, call.function.name, set(arguments)) == ("function", "get_weather", {"city", "unit"})
    assert arguments["unit"] in {"celsius", "fahrenheit"}


PLACE: ResponseFormatJSONSchema = {
    "type": "json_schema",
    "json_schema": {
        "name": "place",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {
                "kind": {"type": "string", "enum": ["sea", "land"]},
                "depth": {"type": "integer", "minimum": 0, "maximum": 99},
                "is_salty": {"type": "boolean"},
            },
            "required": ["kind", "depth", "is_salty"],
            "additionalProperties": False,
        },
    },
}


async def test_an_answer_fits_its_schema(client: AsyncOpenAI) -> None:
    told = json.loads(await said(client, response_format=PLACE, max_tokens=100))
    assert told.keys() == {"kind", "depth", "is_salty"}
    assert told["kind"] in ("sea", "land")
    assert 0 <= told["depth"] <= 99
    assert isinstance(told["is_salty"], bool)


async def test_close_texts_have_close_embeddings(client: AsyncOpenAI) -> None:
    texts = ["A cat sleeps on the sofa.", "A kitten naps on the couch.", "Interest rates rose last week."]
    # The client asks for base64 by itself where it isn't told.
    packed = await client.embeddings.create(model="embed", input=texts)
    plain = await client.embeddings.create(model="embed", input=texts, encoding_format="float")
    vectors = np.array([each.embedding for each in packed.data])
    assert np.allclose(vectors, [each.embedding for each in plain.data], atol=1e-6)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    cat, kitten, rates = vectors
    assert cat @ kitten > cat @ rates + 0.3
    assert packed.usage.total_tokens > 0
    short = await client.embeddings.create(model="embed", input=texts[0], dimensions=64)
    assert len(short.data[0].embedding) == 64


async def test_models_and_moderation(client: AsyncOpenAI) -> None:
    names = [model.id async for model in client.models.list()]
    assert {"auto", "fast", "smart", "embed"} <= set(names)
    assert (await client.models.retrieve("fast")).object == "model"
    judged = await client.moderations.create(input=["What a lovely day.", "I will kill you and your whole family."])
    assert [each.flagged for each in judged.results] == [False, True]
    assert judged.results[1].categories.violence or judged.results[1].categories.harassment_threatening


async def test_mistakes_are_those_that_the_client_knows(product: House, client: AsyncOpenAI) -> None:
    with pytest.raises(openai.AuthenticationError) as wrong:
        await said(client.with_options(api_key="tf_wrong"))
    assert wrong.value.code == "invalid_api_key"
    with pytest.raises(openai.NotFoundError) as missing:
        await said(client, model="gpt-99")
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as bad:
        await said(client, temperature=9)
    assert bad.value.param == "temperature"
    with pytest.raises(openai.BadRequestError, match="context"):
        await said(client, messages=[{"role": "user", "content": "Much ado. " * CONTEXT}])
    assert await said(client), "a mistake of somebody who asks takes no replica away"

    async with await client_of(product, "grace", "free") as free:
        for _ in range(3):
            await said(free, max_tokens=1)
        with pytest.raises(openai.RateLimitError) as often:
            await said(free, max_tokens=1)
    assert often.value.code == "rate_limit_exceeded"
    assert 1 <= int(often.value.response.headers["retry-after"]) <= 60


def picture_of(text: str) -> str:
    image = Image.new("RGB", (480, 120), "white")
    ImageDraw.Draw(image).text((20, 30), text, fill="black", font=ImageFont.load_default(48))
    out = io.BytesIO()
    image.save(out, "PNG")
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()


async def test_a_model_that_sees_nothing_is_told_of_a_picture(client: AsyncOpenAI) -> None:
    def about(url: str) -> list[dict[str, Any]]:
        seen = {"type": "image_url", "image_url": {"url": url}}
        return [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, seen]}]

    asked = about(picture_of("HELLO 4711"))
    answer = await client.chat.completions.create(model="fast", messages=asked, max_tokens=8)  # type: ignore[arg-type]
    assert answer.choices[0].message.content
    assert answer.usage
    assert answer.usage.prompt_tokens > 60, "a description is longer than the question"
    with pytest.raises(openai.BadRequestError, match="aren't fetched"):
        await said(client, messages=about("https://example.org/cat.png"))
