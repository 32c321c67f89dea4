"""What the OpenAPI documents promise, tried by schemathesis over real HTTP: nothing breaks, and answers are as said."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import format_failures
from schemathesis.engine import events, from_schema

CONFIG: dict[str, Any] = {
    "seed": 62,
    "continue-on-failure": True,
    "request-timeout": 10,
    "workers": 1,
    "cache": {"enabled": False},
    "generation": {"max-examples": 12, "database": "none", "deterministic": True},
    "phases": {"stateful": {"enabled": True, "generation": {"max-examples": 6}}},
}


@dataclass
class Api:
    """The documents of the product, and where it is."""

    address: str
    documents: dict[str, dict[str, Any]]
    actors: dict[str, dict[str, str]]


@pytest.fixture(scope="module")
async def api(stack_with: Callable[..., AbstractAsyncContextManager[Any]]) -> AsyncIterator[Api]:
    no_limits = {
        f"{name}.{tier}": "100000/s"
        for name in ("links.create", "links.bulk", "links.password", "identity.signin.name", "identity.signin.address",
                     "identity.signup.address")
        for tier in ("anonymous", "free")
    }  # fmt: skip
    async with stack_with(limits=no_limits) as stack, stack.served() as address:
        alice = await stack.account("alice")
        yield Api(address, {}, {"signed in": dict(authorization=alice.headers["authorization"]), "a stranger": {}})


@pytest.mark.parametrize("actor", ["signed in", "a stranger"])
@pytest.mark.parametrize("document", ["links", "identity"])
async def test_x(api: Api, document: str, actor: str) -> None:
    base = {"links": f"{api.address}/links", "identity": api.address}[document]
    async with httpx.AsyncClient() as client:
        if document == "links":
            raw = (await client.get(f"{base}/api/docs/openapi.json")).json()
        else:
            pytest.skip("x")
    import time
    def run():
        config = SchemathesisConfig.from_dict(CONFIG | {"base-url": base, "headers": api.actors[actor]})
        schema = schemathesis.openapi.from_dict(raw, config=config).exclude(path_regex="/live$")
        began=time.time()
        n=0
        seen=set()
        for event in from_schema(schema).execute():
            if isinstance(event, events.ScenarioFinished):
                n+=len(event.recorder.interactions)
                for cid, checks in event.recorder.checks.items():
                    for c in checks:
                        if c.failure_info:
                            f=c.failure_info.failure
                            k=(event.label,f.title)
                            if k in seen: continue
                            seen.add(k)
                            print(event.phase, event.label, c.name, f.title, f.message[:500])
                            print("    ", c.failure_info.code_sample[:400])
            elif isinstance(event,(events.NonFatalError,events.FatalError)):
                print(event, getattr(event,'info',None) , getattr(event,'exception',None))
        print(time.time()-began, n)
    await asyncio.to_thread(run)
