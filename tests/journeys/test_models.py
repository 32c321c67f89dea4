"""`tenfold up` with a language model: it comes after all else, is found by other processes, and leaves nothing."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tenfold.platform.settings import Settings
from tenfold.platform.supervisor import read_progress, running
from tenfold.platform.testing import MODEL, models_of_tests

pytestmark = pytest.mark.journey

#: The real command, where short links shall need a model as some systems do.
NEEDS_ONE = """
import dataclasses, sys
from tenfold import app, cli
app.SYSTEMS = tuple(
    dataclasses.replace(each, tiers=frozenset({"fast", "code"})) if each.name == "links" else each
    for each in app.SYSTEMS
)
sys.exit(cli.main())
"""


@pytest.fixture
async def needing(house: Any) -> Any:
    models = models_of_tests()
    await models.pull(MODEL)
    house.empty()
    house.command = ("-c", NEEDS_ONE)
    tiers = {"fast": {"model": MODEL, "slots": 2, "context": 512}, "code": {"same_as": "fast"}}
    house.environment |= {
        "TENFOLD_MODELS": str(models.directory),
        "TENFOLD_TIERS": json.dumps(tiers),
        "TENFOLD_ONLY": "links",
    }
    return house


async def ask(house: Any) -> str:
    """A word from the model, as any process on the same data would get it."""
    [endpoint] = running(Settings(data=house.data)).tier("fast").endpoints
    async with httpx.AsyncClient(timeout=60) as client:
        body = {"model": endpoint.model, "messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 3}
        headers = {"Authorization": f"Bearer {endpoint.key.reveal()}"}
        answer = await client.post(f"{endpoint.url}/chat/completions", json=body, headers=headers)
    return str(answer.json()["choices"][0]["message"]["content"])


def model_pid(house: Any) -> int:
    state = json.loads((house.data / "runtime.json").read_text())
    return next((part["pid"] for part in state["parts"] if part["name"] == "llama fast"), 0)


async def test_a_model_comes_after_all_else_comes_back_and_dies_with_the_supervisor(needing: Any) -> None:
    await needing.up()
    assert "llama" not in needing.said().partition("Ready after")[0]
    await needing.until(lambda: "\n  llama fast " in needing.said(), 120)
    assert (await needing.get("/readyz")).status_code == 200
    assert await ask(needing)
    _, status = await needing.run("status")
    assert "  llama fast b" in status
    assert MODEL in status

    os.kill(model_pid(needing), signal.SIGKILL)
    await needing.until(lambda: "llama fast runs again" in needing.said(), 120)
    assert await ask(needing), "where it was before"

    await needing.tell(signal.SIGKILL)
    await needing.until(lambda: not needing.processes(), 20)


async def test_a_model_that_comes_late_starts_late(needing: Any, place: Path) -> None:
    kept = models_of_tests()
    needing.environment["TENFOLD_MODELS"] = str(place / "models")
    await needing.up()
    await needing.until(lambda: f"The model {MODEL} is missing" in needing.said())
    assert not (needing.data / "llama" / "fast" / "pid").exists()
    (place / "models").mkdir()
    await asyncio.to_thread((place / "models" / MODEL).symlink_to, kept.path(MODEL).parent)
    await needing.until(lambda: "\n  llama fast " in needing.said(), 120)
    assert await ask(needing)
    # Said when the next try to fetch it finds it there.
    await needing.until(lambda: read_progress(Settings(data=needing.data))[MODEL].state == "present", 120)
    assert await needing.tell(signal.SIGINT) == 0
    await needing.until(lambda: not needing.processes(), 10)


async def test_where_nothing_needs_a_model_there_is_none(house: Any) -> None:
    house.empty()
    await house.up("--only", "links")
    assert not (house.data / "llama").exists()
    assert not (house.data / "models").exists()
    assert running(Settings(data=house.data)).tiers == {}
    assert read_progress(Settings(data=house.data)) == {}
    assert not [line for line in house.processes() if "llama" in line]
