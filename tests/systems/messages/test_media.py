"""Files and backups through the doors: sent in parts, read in ranges, bounded, and gone with their objects."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.systems.messages.devices import API, answered, refused, run

from tenfold.systems.messages.rules import parts
from tenfold.systems.messages.settings import MessagesSettings

type OpenStack = Callable[..., AbstractAsyncContextManager[Any]]
PART = 1000


@pytest.fixture
async def stack(stack_with: OpenStack) -> AsyncIterator[Any]:
    small = MessagesSettings(
        part_bytes=PART, media_bytes=5000, account_bytes=8000, backup_part_bytes=PART, backup_bytes=2500
    )
    async with stack_with(systems={"messages": small}) as stack:
        yield stack


async def begun(client: httpx.AsyncClient, size: int) -> dict[str, Any]:
    return dict(await answered(await client.post(f"{API}/media", json={"size": size}), 201))


async def put(client: httpx.AsyncClient, upload: dict[str, Any], number: object, data: bytes) -> httpx.Response:
    return await client.put(f"{API}/media/{upload['id']}/parts/{number}", content=data)


async def sent(client: httpx.AsyncClient, data: bytes) -> str:
    """A finished upload."""
    upload = await begun(client, len(data))
    for number in range(-(-len(data) // PART)):
        await answered(await put(client, upload, number, data[number * PART : (number + 1) * PART]), 200)
    await answered(await client.post(f"{API}/media/{upload['id']}/finish"), 200)
    return str(upload["id"])


async def objects(stack: Any) -> list[str]:
    return [each.key async for each in stack.process.runtime.blobs.list("messages")]


async def test_a_file_goes_in_in_parts_and_comes_back_whole(alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    data = os.urandom(2500)
    upload = await begun(alice, 2500)
    assert (upload["part"], upload["have"], upload["finished"]) == (PART, [], False)
    assert len(upload["id"]) == 32
    place = f"{API}/media/{upload['id']}"
    await answered(await put(alice, upload, 2, data[2000:]))
    refused(await alice.post(f"{place}/finish"), 409, "upload_incomplete")
    refused(await alice.get(place), 404, "upload_not_found")
    await answered(await put(alice, upload, 0, bytes(PART)))
    await answered(await put(alice, upload, 1, data[1000:2000]))
    state = await answered(await put(alice, upload, 0, data[:1000]))  # again, with other bytes
    assert state["have"] == [0, 1, 2]
    assert await answered(await alice.get(f"{place}/state")) == state
    done = await answered(await alice.post(f"{place}/finish"))
    assert (done["finished"], done["ends_at"] > state["ends_at"]) == (True, True)
    assert await answered(await alice.post(f"{place}/finish")) == done
    refused(await put(alice, upload, 0, bytes(PART)), 409, "upload_finished")
    for client in (alice, bob):  # whoever knows the id
        back = await client.get(place)
        assert (back.status_code, back.content) == (200, data)
    assert back.headers["content-type"] == "application/octet-stream"
    assert back.headers["content-disposition"] == "attachment"
    assert back.headers["x-content-type-options"] == "nosniff"
    assert back.headers["cache-control"].startswith("private, max-age=25")
    assert back.headers["content-length"] == "2500"


async def test_a_file_is_read_in_ranges(alice: httpx.AsyncClient) -> None:
    data = os.urandom(2500)
    place = f"{API}/media/{await sent(alice, data)}"
    wanted = {
        "bytes=0-0": data[:1], "bytes=990-1010": data[990:1011], "bytes=1000-1999": data[1000:2000],
        "bytes=2400-": data[2400:], "bytes=-600": data[-600:], "bytes=-9999": data, "bytes=5-99999": data[5:],
    }  # fmt: skip
    for header, expected in wanted.items():
        back = await alice.get(place, headers={"range": header})
        assert (back.status_code, back.content) == (206, expected), header
        first = data.index(expected)
        assert back.headers["content-range"] == f"bytes {first}-{first + len(expected) - 1}/2500"
    for header in ("bytes=5-2", "items=1-2", "bytes=0-1,5-6", "bytes=-0"):
        back = await alice.get(place, headers={"range": header})
        assert (back.status_code, back.content) == (200, data), header
    behind = await alice.get(place, headers={"range": "bytes=2500-"})
    assert (behind.status_code, behind.headers["content-range"]) == (416, "bytes */2500")
    etag = back.headers["etag"]
    assert (await alice.get(place, headers={"if-none-match": etag})).status_code == 304
    other = await alice.get(place, headers={"range": "bytes=0-1", "if-range": '"another"'})
    assert (other.status_code, other.content) == (200, data)
    same = await alice.get(place, headers={"range": "bytes=0-1", "if-range": etag})
    assert (same.status_code, same.content) == (206, data[:2])
    head = await alice.head(place)
    assert (head.status_code, head.headers["content-length"], head.content) == (200, "2500", b"")


async def test_what_can_be_sent_is_bounded(stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    for size in (0, -1, 1 << 41):
        assert (await alice.post(f"{API}/media", json={"size": size})).status_code == 422
    refused(await alice.post(f"{API}/media", json={"size": 5001}), 422, "upload_too_large")
    upload = await begun(alice, 1500)
    refused(await put(alice, upload, 0, bytes(999)), 422, "part_mismatch")
    refused(await put(alice, upload, 1, b""), 422, "part_mismatch")
    refused(await put(alice, upload, 0, bytes(1001)), 413, "payload_too_large")
    refused(await put(alice, upload, 1, bytes(501)), 413, "payload_too_large")

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield bytes(400)

    chunked = await alice.put(f"{API}/media/{upload['id']}/parts/0", content=pieces())  # which announces no length
    refused(chunked, 413, "payload_too_large")
    for number in (2, -1, "x", 10**12, "٣"):
        refused(await put(alice, upload, number, b""), 404, "part_not_found")
    assert await objects(stack) == []
    assert (await answered(await alice.get(f"{API}/media/{upload['id']}/state")))["have"] == []
    for answer in (
        await put(bob, upload, 0, bytes(1000)),
        await bob.get(f"{API}/media/{upload['id']}/state"),
        await bob.post(f"{API}/media/{upload['id']}/finish"),
        await alice.get(f"{API}/media/{'0' * 32}"),
        await alice.get(f"{API}/media/x"),
    ):
        refused(answer, 404, "upload_not_found")
    await begun(alice, 5000)
    refused(await alice.post(f"{API}/media", json={"size": 1501}), 409, "storage_full")
    await begun(alice, 1500)
    await begun(bob, 5000)


async def test_a_stranger_reads_nothing(stack: Any, alice: httpx.AsyncClient, stranger: httpx.AsyncClient) -> None:
    number = await sent(alice, b"sealed")
    assert (await stranger.get(f"{API}/media/{number}")).status_code == 401
    assert (await stranger.post(f"{API}/media", json={"size": 1})).status_code == 401
    assert (await stranger.get(f"{API}/backup")).status_code == 401


async def test_files_end_with_their_objects_and_make_room(stack: Any, alice: httpx.AsyncClient) -> None:
    done, kept = await sent(alice, os.urandom(2500)), await sent(alice, os.urandom(1500))
    half = await begun(alice, 3000)
    await answered(await put(alice, half, 1, bytes(PART)))
    refused(await alice.post(f"{API}/media", json={"size": 1500}), 409, "storage_full")
    assert len(await objects(stack)) == 6
    late = "UPDATE messages.upload SET ends_at = ends_at - make_interval(hours => $2) WHERE id = $1"
    async with stack.db.transaction() as tx:
        await tx.execute(late, done, 30 * 24)
        await tx.execute(late, half["id"], 24)
    refused(await alice.get(f"{API}/media/{done}"), 404, "upload_not_found")
    refused(await put(alice, half, 0, bytes(PART)), 404, "upload_not_found")
    await run(stack, "messages-remove-files")
    assert sorted(await objects(stack)) == [f"messages/media/{kept}/{number}.bin" for number in (0, 1)]
    assert await stack.value("SELECT bytes FROM messages.stored") == 1500
    assert (await alice.get(f"{API}/media/{kept}")).status_code == 200


HEAD = {"version": 3, "sealed": "e30"}


async def put_part(client: httpx.AsyncClient, number: object, data: bytes, version: int = 3) -> httpx.Response:
    return await client.put(f"{API}/backup/parts/{number}", params={"version": version}, content=data)


async def test_a_backup_is_kept_and_replaced(stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    refused(await alice.get(f"{API}/backup"), 404, "backup_not_found")
    refused(await put_part(alice, 0, b"x"), 404, "backup_not_found")
    made = await answered(await alice.put(f"{API}/backup", json=HEAD), 200)
    assert (made["version"], made["sealed"], made["parts"], made["bytes"]) == (3, "e30", [], 0)
    for number, data in ((1, b"second"), (0, b"first"), (1, b"second, again")):
        await answered(await put_part(alice, number, data), 200)
    shown = await answered(await alice.get(f"{API}/backup"))
    assert (shown["parts"], shown["bytes"]) == ([0, 1], 18)
    back = await alice.get(f"{API}/backup/parts/1")
    assert (back.content, back.headers["content-type"]) == (b"second, again", "application/octet-stream")
    refused(await bob.get(f"{API}/backup"), 404, "backup_not_found")
    refused(await bob.get(f"{API}/backup/parts/1"), 404, "part_not_found")
    refused(await alice.put(f"{API}/backup", json=HEAD | {"version": 2}), 409, "backup_outdated")
    same = await answered(await alice.put(f"{API}/backup", json=HEAD | {"sealed": "bmV3"}))
    assert (same["parts"], same["sealed"]) == ([0, 1], "bmV3")
    next_one = await answered(await alice.put(f"{API}/backup", json=HEAD | {"version": 4}))
    assert (next_one["version"], next_one["parts"], next_one["bytes"]) == (4, [], 0)
    refused(await put_part(alice, 0, b"late"), 409, "backup_outdated")
    refused(await alice.get(f"{API}/backup/parts/1"), 404, "part_not_found")
    await answered(await put_part(alice, 5, b"newest", 4))
    await run(stack, "messages-remove-files")
    assert len(await objects(stack)) == 1
    assert (await alice.get(f"{API}/backup/parts/5")).content == b"newest"
    assert (await alice.delete(f"{API}/backup")).status_code == 204
    refused(await alice.delete(f"{API}/backup"), 404, "backup_not_found")
    await run(stack, "messages-remove-files")
    assert await objects(stack) == []
    assert await stack.value("SELECT count(*) FROM messages.doomed") == 0


async def test_a_backup_is_bounded(stack: Any, alice: httpx.AsyncClient) -> None:
    for change in ({"version": 0}, {"version": 2**31}, {"sealed": ""}, {"sealed": "a b"}, {"sealed": "x" * 4097}):
        assert (await alice.put(f"{API}/backup", json=HEAD | change)).status_code == 422, change
    await answered(await alice.put(f"{API}/backup", json=HEAD | {"version": 2**31 - 1}))
    assert (await alice.delete(f"{API}/backup")).status_code == 204
    await answered(await alice.put(f"{API}/backup", json=HEAD))
    refused(await put_part(alice, 0, bytes(1001)), 413, "payload_too_large")
    for number in (10_000, -1, "x"):
        refused(await put_part(alice, number, b"x"), 404, "part_not_found")
        refused(await alice.get(f"{API}/backup/parts/{number}"), 404, "part_not_found")
    for number in (0, 1):
        await answered(await put_part(alice, number, bytes(1000)))
    refused(await put_part(alice, 2, bytes(501)), 409, "backup_full")
    await answered(await put_part(alice, 1, bytes(999)))
    await answered(await put_part(alice, 2, bytes(501)))
    assert len(await objects(stack)) == 4, "the one that was replaced goes by the clock"


async def test_a_part_whose_writer_died_goes(stack: Any, alice: httpx.AsyncClient, monkeypatch: Any) -> None:
    await answered(await alice.put(f"{API}/backup", json=HEAD))
    blobs = stack.process.runtime.blobs
    put_object = blobs.put

    async def put_and_die(key: str, data: bytes) -> None:
        await put_object(key, data)
        raise RuntimeError("the process has ended")

    with monkeypatch.context() as patch:
        patch.setattr(blobs, "put", put_and_die)
        assert (await put_part(alice, 0, b"x")).status_code == 500
    await run(stack, "messages-remove-files")
    assert len(await objects(stack)) == 1, "it might still be written down"
    async with stack.db.transaction() as tx:
        await tx.execute("UPDATE messages.doomed SET due_at = due_at - interval '1 hour'")
    await run(stack, "messages-remove-files")
    assert await objects(stack) == []


@given(st.integers(1, 10_000), st.integers(1, 3000), st.data())
def test_pieces_are_the_bytes_that_are_asked_for(size: int, part: int, data: st.DataObject) -> None:
    sizes = [parts.size_of(number, size, part) for number in range(parts.count(size, part))]
    assert sum(each or 0 for each in sizes) == size
    assert parts.size_of(len(sizes), size, part) is None
    assert parts.size_of(-1, size, part) is None
    start = data.draw(st.integers(0, size - 1))
    end = data.draw(st.integers(start + 1, size))
    at = start
    for piece in parts.pieces(start, end, part):
        assert piece.number * part + piece.start == at
        assert piece.start < piece.end <= (sizes[piece.number] or 0)
        at = piece.number * part + piece.end
    assert at == end
