"""What the OpenAPI documents promise, tried by schemathesis over real HTTP: nothing breaks, and answers are as said."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from schemathesis.schemas import BaseSchema

DOCUMENTS = {
    "links": "/links/api/docs/openapi.json",
    "feed": "/feed/api/docs/openapi.json",
    "chat": "/chat/api/docs/openapi.json",
    "messages": "/messages/api/docs/openapi.json",
    "identity": "/api/identity/docs/openapi.json",
}
CONFIG: dict[str, Any] = {
    "seed": 62,
    "request-timeout": 10,
    "continue-on-failure": True,
    "cache": {"enabled": False},
    "generation": {"max-examples": 12, "database": "none", "deterministic": True},
    "checks": {
        # What is right by its schema may still be wrong: an alias that is taken, an end that has passed.
        "positive_data_acceptance": {"enabled": False},
        # The framework's answers to OPTIONS name some methods of a path only.
        "allow_header_conformance": {"enabled": False},
        # Those it comes with, and 413: what is longer than a field may be is sometimes longer than a request may be.
        "negative_data_rejection": {
            "expected-statuses": ["400", "401", "403", "404", "405", "409", "413", "415", "422", "429"]
        },
    },
}
LIMITS = (
    "links.create", "links.bulk", "identity.signin.name", "identity.signin.address", "identity.signup.address",
    *(f"messages.{name}" for name in ("begin", "claim", "devices", "invites", "keys", "mine", "people", "report")),
)  # fmt: skip
#: Addresses that can be links. What can't is tried too, as the opposite of this.
URL = r"^https://[a-z]{1,20}\.example/[a-z0-9]{0,20}$"


#: What is no failure: a file can't be read before it is finished, nobody is a member by the number of a conversation,
#: and the framework takes 0 for false.
RIGHT = (
    r"was just created.*`POST /api/v1/media`.*`GET /api/v1/media/\{upload_id\}`",
    r"was just created.*`POST /api/v1/conversations`.*/members/\{account_id\}`",
    r"^PATCH /api/v1/me: .*in body - read_receipts: Incorrect type",
)

#: What is streamed for as long as somebody listens.
ENDLESS = "/live$|/streaming|/stream$"


@dataclass
class Product:
    address: str
    actors: dict[str, dict[str, str]]


@pytest.fixture(scope="module")
async def product(stack_with: Callable[..., AbstractAsyncContextManager[Any]]) -> AsyncIterator[Product]:
    """The product behind the real web server, without limits."""
    async with stack_with(limits=dict.fromkeys(LIMITS, "1000000/s")) as stack, stack.served() as address:
        alice = await stack.account("alice")
        name = {"name": "bob", "password": "correct horse battery"}
        async with httpx.AsyncClient(base_url=address) as bob:
            cookie = (await bob.post("/api/identity/signup", json=name)).headers["set-cookie"].partition(";")[0]
        yield Product(
            address,
            {
                "a key": {"authorization": alice.headers["authorization"]},
                "a session": {"cookie": cookie, "origin": address},
                "a stranger": {},
            },
        )


@pytest.mark.parametrize(
    ("system", "actor", "met"),
    [
        ("links", "a key", {200, 201, 204, 404, 409, 422}),
        ("links", "a stranger", {200, 201, 403, 404, 422}),
        ("feed", "a key", {200, 404, 422}),
        ("feed", "a stranger", {200, 401, 404}),
        ("chat", "a key", {200, 201, 204, 404, 422}),
        ("chat", "a stranger", {200, 401, 422}),
        ("messages", "a key", {200, 201, 204, 404, 409, 422}),
        ("messages", "a stranger", {200, 401, 422}),
        ("identity", "a session", {200, 201, 204, 404, 422}),
        ("identity", "a key", {200, 403, 422}),
        ("identity", "a stranger", {200, 401, 422}),
    ],
)
async def test_answers_are_as_documented(product: Product, system: str, actor: str, met: set[int]) -> None:
    document = httpx.URL(product.address + DOCUMENTS[system])
    async with httpx.AsyncClient() as client:
        api = (await client.get(document)).json()
    base_url = str(document.join(api["servers"][0]["url"])).rstrip("/")
    for body in ("ShortenLink", "ChangeLink"):
        if body in api["components"]["schemas"]:
            api["components"]["schemas"][body]["properties"]["url"]["pattern"] = URL
    config = SchemathesisConfig.from_dict(CONFIG | {"base-url": base_url, "headers": product.actors[actor]})
    schema = schemathesis.openapi.from_dict(api, config=config)
    # What has no end, and for a session that is to last, what ends it.
    endless = ENDLESS + ("|/signout$|/sessions$" if actor == "a session" else "")
    report = await asyncio.to_thread(tried, schema.exclude(path_regex=endless))
    # The pattern of addresses stands above and not in the contract, which takes more: that is no failure.
    failures = [failure for failure in report.failures if "violates `pattern` at /properties/url " not in failure]
    failures = [failure for failure in failures if not any(re.search(each, failure, re.DOTALL) for each in RIGHT)]
    assert not failures, "\n\n".join(failures)
    assert report.requests > 100
    assert met <= report.statuses, "more than refusals must be met, or nothing was tried"


@dataclass
class Report:
    requests: int = 0
    statuses: set[int] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)


def tried(schema: BaseSchema) -> Report:
    """Try all operations with good and bad values, alone and one after the other."""
    report = Report()
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            for interaction in event.recorder.interactions.values():
                report.requests += 1
                if interaction.response is not None:
                    report.statuses.add(interaction.response.status_code)
            for check in (check for checks in event.recorder.checks.values() for check in checks):
                if check.failure_info is not None:
                    failure, how = check.failure_info.failure, check.failure_info.code_sample
                    report.failures.append(f"{event.label}: {failure.title}. {failure.message}\n{how}")
        elif isinstance(event, (events.NonFatalError, events.FatalError)):
            report.failures.append(f"{event}")
    return report
