"""Which models run here, how others find them, and how their files come."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from tenfold.platform.models import MANIFEST, Hub, Model, ModelFile, Models, NoSuchModel
from tenfold.platform.settings import BadSettings, Endpoint, Secret, Settings, Tier
from tenfold.platform.supervisor import files, read_progress, running
from tenfold.platform.supervisor.files import Files
from tenfold.platform.supervisor.hosts import Plan, plan_models
from tenfold.platform.supervisor.state import State, write_state

KEY = "correct-horse_battery1"
ELSEWHERE = Endpoint(url="https://models.example.org/v1", key=Secret("hush"))


def plan(settings: Settings, *tiers: str) -> Plan:
    return plan_models(settings, Models(settings.models_directory), tiers, KEY)


def named(plan: Plan) -> list[str]:
    return [host.engine.name for host in plan.hosts]


def test_each_tier_that_is_needed_has_its_own_model_and_small_ones_come_first(tmp_path: Path) -> None:
    found = plan(Settings(data=tmp_path), "smart", "code", "embed", "fast")
    assert named(found) == ["llama fast", "llama smart"], "code is served by smart, embeddings are made without"
    assert found.models == ("minilm", "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b")
    [fast] = found.endpoints(Settings(data=tmp_path))["fast"]
    assert fast == Endpoint(url=fast.url, model="qwen2.5-coder-0.5b", key=Secret(KEY), slots=4, holds_to_tools=False)


def test_where_no_model_is_needed_nothing_is_made(tmp_path: Path) -> None:
    assert plan(Settings(data=tmp_path)) == Plan()
    assert plan(Settings(data=tmp_path, tiers={"fast": Tier(endpoints=(ELSEWHERE,))}), "fast") == Plan()
    assert list(tmp_path.iterdir()) == []


def test_replicas_stand_beside_each_other_and_beside_endpoints(tmp_path: Path) -> None:
    tier = Tier(model="smollm2-135m", draft="minilm", replicas=2, endpoints=(ELSEWHERE,))
    settings = Settings(data=tmp_path, tiers={"fast": tier})
    found = plan(settings, "fast")
    assert named(found) == ["llama fast", "llama fast 2"]
    assert all(host.needs == ("smollm2-135m", "minilm") for host in found.hosts)
    endpoints = found.endpoints(settings)["fast"]
    assert endpoints[0] == ELSEWHERE
    assert len({endpoint.url for endpoint in endpoints}) == 3


def test_what_is_not_known_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="no tier bright"):
        plan(Settings(data=tmp_path), "bright")
    with pytest.raises(NoSuchModel, match="no model gpt"):
        plan(Settings(data=tmp_path, tiers={"fast": Tier(model="gpt")}), "fast")


def test_other_processes_find_the_endpoints_of_what_runs(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, tiers={"fast": Tier(model="smollm2-135m", price_in=0.1)})
    here = Endpoint(url="http://127.0.0.1:4711/v1", key=Secret(KEY), slots=2)
    embedded = {"fast": (here,), "smart": (ELSEWHERE, here), "gone": (here,)}
    state = State(pid=1, started_at=0, address="", urls={}, parts=[], endpoints=embedded)
    write_state(settings, state)
    assert (tmp_path / "runtime.json").stat().st_mode & 0o077 == 0

    seen = running(settings)
    assert seen.tier("fast") == Tier(model="smollm2-135m", price_in=0.1, endpoints=(here,))
    assert seen.tier("code").endpoints == (ELSEWHERE, here), "it is the same as smart"
    assert "gone" not in seen.tiers
    assert running(seen) == seen


# --- files ----------------------------------------------------------------------------------------------------------

CONTENT = b"weights" * 1000


@pytest.fixture
async def hub(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[[bytes | None], None]]:
    """A model hub that gives what it was told to give."""
    given: bytes | None = None

    def give(content: bytes | None) -> None:
        nonlocal given
        given = content

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=given) if given is not None else web.Response(status=503)

    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{runner.addresses[0][1]}")
    monkeypatch.setattr(files, "BACK_OFF", 0.05)
    monkeypatch.setattr(files, "LOOK", 0.05)
    yield give
    await runner.cleanup()


@asynccontextmanager
async def fetching(settings: Settings) -> AsyncIterator[tuple[Models, list[str], asyncio.Task[None]]]:
    file = ModelFile("m.gguf", len(CONTENT), hashlib.sha256(CONTENT).hexdigest(), (Hub("us/small", "m.gguf", "main"),))
    model = msgspec.structs.replace(MANIFEST["smollm2-135m"], name="small", files=(file,))
    models = Models(settings.models_directory, dict[str, Model](small=model))
    said: list[str] = []
    task = asyncio.create_task(Files(models, ["small"], settings, said.append).fetch())
    try:
        yield models, said, task
    finally:
        task.cancel()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def state_of(settings: Settings) -> str | None:
    known = read_progress(settings).get("small")
    return known.state if known else None


async def test_a_model_is_tried_again_until_it_comes_and_said_twice(
    tmp_path: Path, hub: Callable[[bytes | None], None]
) -> None:
    settings = Settings(data=tmp_path)
    assert read_progress(settings) == {}
    async with fetching(settings) as (models, said, task):
        await until(lambda: state_of(settings) == "failed")
        assert "503" in read_progress(settings)["small"].reason
        hub(b"another" * 1000)
        await until(lambda: state_of(settings) == "failed" and "503" not in read_progress(settings)["small"].reason)
        hub(CONTENT)
        await task
        assert models.present("small")
    known = read_progress(settings)["small"]
    assert (known.state, known.done, known.size) == ("present", len(CONTENT), len(CONTENT))
    for line, word in zip(said, ("Fetching", "503", "is here after"), strict=True):
        assert word in line


async def test_where_models_are_not_fetched_one_that_is_brought_is_found(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data", models=tmp_path / "models", pull_models=False)
    async with fetching(settings) as (models, said, task):
        await until(lambda: state_of(settings) == "failed")
        assert said == ["The model small is missing. `tenfold models pull small` fetches it."]
        models.path("small").parent.mkdir(parents=True)
        models.path("small").write_bytes(CONTENT)
        await task
    assert state_of(settings) == "present"
    assert len(said) == 1
