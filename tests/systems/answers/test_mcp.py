"""The Model Context Protocol, as the official client speaks it."""

import os
import sys

import httpx
import httpx2
import pytest
from mcp import Client, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from tests.conftest import Stack
from tests.systems.answers.test_library import LAMPS, OWLS, collection, send, stack, work_off

from tenfold.platform.identity.actions import create_key
from tenfold.systems.answers.endpoints.mcp import server_for

__all__ = ["stack"]


@pytest.fixture
async def notes(stack: Stack, alice: httpx.AsyncClient) -> str:
    where = await collection(alice)
    await send(alice, where, "owls.md", OWLS)
    await send(alice, where, "lamps.md", LAMPS)
    await work_off(stack)
    return where.rpartition("/")[2]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_an_assistant_finds_and_reads(stack: Stack, notes: str, mode: str) -> None:
    token = (await create_key(stack.process.runtime.identity, "alice")).token
    async with (
        stack.served() as address,
        httpx2.AsyncClient(headers={"authorization": f"Bearer {token}"}) as http,
        Client(streamable_http_client(f"{address}/answers/mcp", http_client=http), mode=mode) as client,
    ):
        assert {tool.name for tool in (await client.list_tools()).tools} >= {"search", "ask", "list", "fetch"}
        found = (
            await client.call_tool("search", {"query": "What do owls hunt?", "collection": "Notes"})
        ).structured_content
        best = found["results"][0]
        assert "hunt mice" in best["text"]
        text = (await client.call_tool("fetch", {"id": best["id"]})).structured_content
        assert text["text"][best["begins"] :].startswith(best["text"][:20])
        listed = (await client.call_tool("list", {"collection": notes})).structured_content
        assert {each["name"] for each in listed["items"]} == {"owls.md", "lamps.md"}
        wrong = await client.call_tool("search", {"query": "owls", "collection": "Nobody's"})
        assert wrong.is_error
        assert "no such collection" in wrong.content[0].text


async def test_without_a_key_there_is_nothing(stack: Stack) -> None:
    stranger = await stack.client()
    answer = await stranger.post("/answers/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


async def test_nobody_elses_documents_are_told(stack: Stack, notes: str, bob: httpx.AsyncClient) -> None:
    from tenfold.platform.identity import Principal

    owner = await stack.value("SELECT account_id FROM answers.collection")
    other = Principal(account_id=owner + 1, name="bob", tier="free", scopes=frozenset("*"))
    async with Client(server_for(stack.state("answers"), other)) as client:
        assert (await client.call_tool("list", {})).structured_content == {"items": [], "next": None}
        assert (await client.call_tool("search", {"query": "owls"})).structured_content == {"results": []}
        assert (await client.call_tool("list", {"collection": notes})).is_error


async def test_over_a_pipe_as_the_command_speaks_it(stack: Stack, notes: str) -> None:
    settings = stack.settings
    assert settings.database_url
    assert settings.valkey_url
    assert settings.nats_url
    environment = {
        "TENFOLD_DATABASE_URL": settings.database_url.reveal(),
        "TENFOLD_VALKEY_URL": settings.valkey_url.reveal(),
        "TENFOLD_NATS_URL": settings.nats_url.reveal(),
        "TENFOLD_SECRET": "a secret of tests",
        "TENFOLD_NAMESPACE": settings.namespace,
        "TENFOLD_DATA": str(settings.data),
        "TENFOLD_MODELS": str(settings.models),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "tenfold.cli", "mcp", "--account", "alice"], env=environment
    )
    async with Client(stdio_client(command)) as client:
        found = await client.call_tool("search", {"query": "Who lights the lamp?", "limit": 1})
        assert "keeper" in found.structured_content["results"][0]["text"]
