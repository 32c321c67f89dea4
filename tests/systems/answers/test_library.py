"""Collections and documents as their people see them: sent, read, replaced, removed, and nobody else's."""

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec.structs import replace
from tests.conftest import Stack, open_stack

from tenfold.app import NoAccount, add_folder, packages
from tenfold.platform.jobs.testing import Office
from tenfold.platform.testing import Engines, fresh_settings, models_of_tests
from tenfold.systems.answers.demo import demo
from tenfold.systems.answers.jobs import JOBS
from tenfold.systems.answers.settings import AnswersSettings

OWLS = b"# Owls\n\nOwls hunt mice at night and swallow them whole.\n"
LAMPS = b"# The pier\n\nThe lamp on the pier is lit by a keeper every evening.\n"


@pytest.fixture
async def stack(engines: Engines) -> AsyncIterator[Stack]:
    """The whole product with the real model of embeddings."""
    models = models_of_tests()
    if not models.present("minilm"):
        await models.pull("minilm")
    async with (
        fresh_settings(engines, packages()) as settings,
        open_stack(replace(settings, models=models.directory)) as stack,
    ):
        yield stack


async def work_off(stack: Stack) -> None:
    await Office(stack.process.runtime.jobs).work_off([(job, stack.state("answers")) for job in JOBS])


async def collection(client: httpx.AsyncClient, name: str = "Notes") -> str:
    answer = await client.post("/answers/api/collections", json={"name": name})
    assert answer.status_code == 201, answer.text
    return f"/answers/api/collections/{answer.json()['id']}"


async def send(client: httpx.AsyncClient, where: str, name: str, data: bytes, **query: str) -> dict[str, Any]:
    answer = await client.post(f"{where}/documents", params={"name": name, **query}, content=data)
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


async def found(client: httpx.AsyncClient, where: str, query: str, **more: object) -> list[dict[str, Any]]:
    answer = await client.post(f"{where}/search", json={"query": query, **more})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


def archive(files: Mapping[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return data.getvalue()


async def test_a_document_is_kept_read_found_and_shown(stack: Stack, alice: httpx.AsyncClient) -> None:
    where = await collection(alice)
    received = await send(alice, where, "owls.md", OWLS, tags="birds, night")
    [document] = received["items"]
    assert (document["state"], document["version"], document["tags"]) == ("waiting", 0, ["birds", "night"])
    assert len(received["job_ids"]) == 1
    await work_off(stack)
    there = f"{where}/documents/{document['id']}"
    document = (await alice.get(there)).json()
    shown = [document[name] for name in ("state", "title", "kind", "version", "chunks")]
    assert shown == ["ready", "Owls", "markdown", 1, 1]
    for mode in ("dense", "bm25", "hybrid", "reranked"):
        [passage] = await found(alice, where, "What do owls hunt?", mode=mode)
        text = (await alice.get(f"{there}/text")).json()["text"]
        assert "hunt mice" in text[passage["begins"] : passage["ends"]]
        assert passage["document_id"] == document["id"]
    assert await found(alice, where, "owls", filters={"tags": ["day"]}) == []
    file = await alice.get(f"{there}/file")
    assert (file.content, file.headers["content-type"]) == (OWLS, "text/markdown; charset=utf-8")
    assert (await alice.get(where)).json()["chunks"] == 1
    assert (await alice.get("/answers/api/collections")).json()["items"][0]["documents"] == 1


async def test_what_comes_too_slowly_or_too_much_at_once_is_refused(engines: Engines) -> None:
    begun = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield OWLS[:10]
        begun.set()
        await asyncio.Event().wait()

    own = AnswersSettings(sending=1, sending_seconds=1, archive_bytes=1000, document_bytes=1000)
    async with (
        fresh_settings(engines, packages()) as settings,
        open_stack(replace(settings, systems={"answers": own})) as stack,
    ):
        alice, bob = await stack.account("alice"), await stack.account("bob")
        where = f"{await collection(alice)}/documents"
        slow = asyncio.create_task(alice.post(where, params={"name": "slow.md"}, content=slowly()))
        await begun.wait()
        answer = await alice.post(where, params={"name": "owls.md"}, content=OWLS)
        assert (answer.status_code, answer.json()["code"]) == (429, "too_many_requests")
        await send(bob, await collection(bob), "owls.md", OWLS)
        answer = await slow
        assert (answer.status_code, answer.json()["code"]) == (408, "sent_too_slowly")
        answer = await alice.post(where, params={"name": "large.md"}, content=b"x" * 1001)
        assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
        assert (await alice.post(where, params={"name": "owls.md"}, content=OWLS)).status_code == 202


async def test_the_same_name_has_other_bytes_and_the_same_bytes_change_nothing(
    stack: Stack, alice: httpx.AsyncClient
) -> None:
    where = await collection(alice)
    [first] = (await send(alice, where, "notes.md", OWLS))["items"]
    await work_off(stack)
    again = await send(alice, where, "notes.md", OWLS)
    assert (again["job_ids"], [each["id"] for each in again["items"]]) == ([], [first["id"]])
    elsewhere = await send(alice, where, "copy.md", OWLS)
    assert (elsewhere["items"], elsewhere["job_ids"]) == ([], [])
    assert elsewhere["duplicates"] == [{"name": "copy.md", "document_id": first["id"]}]
    [second] = (await send(alice, where, "notes.md", LAMPS))["items"]
    # Until the new bytes are read, the old ones answer.
    assert (second["id"], second["version"], second["state"]) == (first["id"], 1, "waiting")
    assert "owls" in (await found(alice, where, "owls", mode="bm25"))[0]["text"].lower()
    await work_off(stack)
    assert await found(alice, where, "owls", mode="bm25") == []
    there = f"{where}/documents/{first['id']}"
    versions = (await alice.get(f"{there}/versions")).json()["items"]
    assert [each["version"] for each in versions] == [2, 1]
    assert (await alice.get(f"{there}/file")).content == LAMPS
    assert (await alice.get(f"{there}/file", params={"version": 1})).content == OWLS
    assert await stack.value("SELECT count(*) FROM answers.prepared") == 0


async def test_a_bad_file_fails_alone_and_says_why(stack: Stack, alice: httpx.AsyncClient) -> None:
    where = await collection(alice)
    files = {
        "a/owls.md": OWLS,
        "b/broken.pdf": b"%PDF-1.7 nothing of the kind",
        "photo.raw": b"123",
        "b/lamps.md": LAMPS,
    }
    received = await send(alice, where, "all.zip", archive(files))
    assert [each["name"] for each in received["items"]] == ["a/owls.md", "b/broken.pdf", "b/lamps.md"]
    assert received["skipped"] == ["photo.raw"]
    await work_off(stack)
    shown = (await alice.get(where)).json()
    assert (shown["documents"], shown["failed"], shown["reading"]) == (3, 1, 0)
    [failed] = (await alice.get(f"{where}/documents", params={"state": "failed"})).json()["items"]
    assert failed["name"] == "b/broken.pdf"
    assert failed["reason"]
    assert len(await found(alice, where, "owls and lamps")) == 2
    assert (await alice.post(f"{where}/documents/{failed['id']}/retry")).json()["state"] == "waiting"
    await work_off(stack)
    assert (await alice.get(f"{where}/documents/{failed['id']}")).json()["state"] == "failed"
    bomb = await alice.post(f"{where}/documents", params={"name": "x.zip"}, content=archive({"../out.md": OWLS}))
    assert (bomb.status_code, bomb.json()["code"]) == (422, "archive_refused")


async def test_what_is_removed_leaves_nothing(stack: Stack, alice: httpx.AsyncClient) -> None:
    where = await collection(alice)
    [owls] = (await send(alice, where, "owls.md", OWLS))["items"]
    await work_off(stack)
    await send(alice, where, "owls.md", OWLS + b"\nAnd voles.\n")
    await work_off(stack)
    await send(alice, where, "lamps.md", LAMPS)
    assert (await alice.delete(f"{where}/documents/{owls['id']}")).status_code == 204
    # The one that waits is removed with the collection, before anybody has read it.
    assert (await alice.delete(where)).status_code == 204
    assert (await alice.get(where)).status_code == 404
    assert (await alice.get("/answers/api/collections")).json()["items"] == []
    await work_off(stack)
    tables = await stack.value("SELECT array_agg(tablename::text) FROM pg_tables WHERE schemaname = 'answers'")
    left = {table: await stack.value(f'SELECT count(*) FROM answers."{table}"') for table in tables}
    assert {table for table, count in left.items() if count} == set()
    assert [each.key async for each in stack.process.runtime.blobs.list("answers")] == []


async def test_it_is_nobody_elses(stack: Stack, alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    where = await collection(alice)
    [owls] = (await send(alice, where, "owls.md", OWLS))["items"]
    there = f"{where}/documents/{owls['id']}"
    stranger = await stack.client()
    for method, address, body in (
        ("GET", where, None),
        ("PATCH", where, {"name": "mine"}),
        ("DELETE", where, None),
        ("GET", f"{where}/documents", None),
        ("GET", f"{where}/live", None),
        ("POST", f"{where}/documents?name=x.md", {}),
        ("POST", f"{where}/documents/url", {"url": "https://example.org/"}),
        ("POST", f"{where}/search", {"query": "owls"}),
        ("GET", there, None),
        ("DELETE", there, None),
        ("POST", f"{there}/retry", None),
        ("GET", f"{there}/file", None),
        ("GET", f"{there}/text", None),
        ("GET", f"{there}/versions", None),
    ):
        assert (await bob.request(method, address, json=body)).status_code == 404, (method, address)
        assert (await stranger.request(method, address, json=body)).status_code == 401, (method, address)
    assert (await alice.get(there)).json()["name"] == "owls.md"


async def test_limits_are_kept(stack: Stack, alice: httpx.AsyncClient) -> None:
    answers = stack.state("answers")
    bounds = replace(answers.settings, document_bytes=100, documents=2, collections=1, archive_files=3)
    object.__setattr__(answers, "settings", bounds)
    where = await collection(alice)
    assert (await alice.post("/answers/api/collections", json={"name": "Second"})).json()[
        "code"
    ] == "too_many_collections"

    async def refused(name: str, data: bytes) -> str:
        return str((await alice.post(f"{where}/documents", params={"name": name}, content=data)).json()["code"])

    assert await refused("large.md", b"x" * 101) == "payload_too_large"
    assert await refused("empty.md", b"") == "document_empty"
    assert await refused("many.zip", archive({f"{at}.md": b"%d" % at for at in range(4)})) == "archive_refused"
    assert await refused("three.zip", archive({f"{at}.md": b"%d" % at for at in range(3)})) == "collection_full"
    assert (await alice.get(where)).json()["documents"] == 0


async def test_a_folder_is_followed(stack: Stack, alice: httpx.AsyncClient, tmp_path: Path) -> None:
    (tmp_path / "birds").mkdir()
    (tmp_path / "birds" / "owls.md").write_bytes(OWLS)
    (tmp_path / "lamps.md").write_bytes(LAMPS)
    (tmp_path / "copy.md").write_bytes(LAMPS)
    (tmp_path / ".hidden.md").write_bytes(b"secret")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")

    async def add() -> str:
        return [line async for line in add_folder(stack.settings, "alice", tmp_path, "Files")][-1]

    assert (await add()).startswith("2 documents to be read, 0 as they were, 1 twice")
    await work_off(stack)
    assert (await add()).startswith("0 documents to be read, 2 as they were, 1 twice")
    [files] = (await alice.get("/answers/api/collections")).json()["items"]
    assert (files["name"], files["documents"]) == ("Files", 2)
    with pytest.raises(NoAccount):
        _ = [line async for line in add_folder(stack.settings, "nobody", tmp_path, "Files")]


async def test_the_demonstration_answers_once_it_is_read(stack: Stack) -> None:
    answers = stack.state("answers")
    assert "3 documents" in await demo(answers)
    assert "there already" in await demo(answers)
    await work_off(stack)
    assert await stack.value("SELECT count(*) FROM answers.upload WHERE state = 'ready'") == 3
