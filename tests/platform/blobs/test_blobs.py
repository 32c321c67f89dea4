"""Objects: all or nothing goes in, and what comes out is what went in, from a directory and from S3 alike."""

import asyncio
import hashlib
import os
import sys
import tempfile
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.platform.blobs import BlobMissing, Blobs, RangeUnsatisfiable, content_type, extension, open_blobs
from tenfold.platform.blobs.bucket import PART, PARTS_AT_ONCE
from tenfold.platform.blobs.directory import ABANDONED
from tenfold.platform.blobs.objects import CHUNK, MOST_KEY, checked
from tenfold.platform.errors import PayloadTooLarge, Unavailable
from tenfold.platform.settings import BadSettings, Secret, Settings

MB = 1024 * 1024
Make = Callable[..., Blobs]
Unfinished = Callable[[], Awaitable[list[str]]]


async def keys(blobs: Blobs, folder: str = "", after: str | None = None) -> list[str]:
    return [entry.key async for entry in blobs.list(folder, after=after)]


async def counted(megabytes: int) -> AsyncIterator[bytes]:
    for number in range(megabytes):
        yield number.to_bytes(4) * (MB // 4)


async def test_an_object_comes_back_as_it_went(blobs: Blobs):
    data = os.urandom(3 * CHUNK + 17)
    before = datetime.now(UTC)
    stored = await blobs.put("public/feed/1/picture.jpg", data)
    assert (stored.size, stored.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert await blobs.get("public/feed/1/picture.jpg") == data
    entry = await blobs.head("public/feed/1/picture.jpg")
    assert (entry.size, entry.etag, entry.content_type) == (len(data), stored.etag, "image/jpeg")
    assert abs(entry.last_modified - before) < timedelta(minutes=1)
    assert [each async for each in blobs.list()] == [entry]


async def test_nothing_is_an_object_too(blobs: Blobs):
    assert (await blobs.put("empty.txt", b"")).size == 0
    assert await blobs.get("empty.txt") == b""
    for start in (0, -5):
        blob = await blobs.open("empty.txt", start=start)
        assert (blob.size, blob.start, blob.end, [chunk async for chunk in blob]) == (0, 0, 0, [])
    with pytest.raises(RangeUnsatisfiable):
        await blobs.open("empty.txt", start=1)


@pytest.mark.parametrize(("start", "end"), [(0, None), (0, 1), (3, 7), (3, 99), (9, None), (-4, None), (-99, None)])
async def test_a_part_is_a_slice(blobs: Blobs, start: int, end: int | None):
    await blobs.put("digits.txt", b"0123456789")
    blob = await blobs.open("digits.txt", start=start, end=end)
    assert b"".join([chunk async for chunk in blob]) == b"0123456789"[start:end]
    assert b"0123456789"[blob.start : blob.end] == b"0123456789"[start:end]
    assert blob.size == 10


async def test_a_part_behind_the_end(blobs: Blobs):
    await blobs.put("digits.txt", b"0123456789")
    for start, end in ((10, None), (99, None), (10, 12)):
        with pytest.raises(RangeUnsatisfiable) as told:
            await blobs.open("digits.txt", start=start, end=end)
        assert told.value.headers == {"Content-Range": "bytes */10"}


async def test_what_is_not_there(blobs: Blobs):
    for ask in (blobs.get, blobs.head, blobs.open):
        with pytest.raises(BlobMissing):
            await ask("folder/nothing.txt")
    with pytest.raises(BlobMissing):
        await blobs.open("folder/nothing.txt", start=5)
    assert await keys(blobs) == await keys(blobs, "folder") == []


async def test_a_large_object_passes_through_little_memory(blobs: Blobs):
    megabytes = 96
    tracemalloc.start()
    try:
        stored = await blobs.put("video/film.mp4", counted(megabytes), max_bytes=megabytes * MB)
        digest, chunks = hashlib.sha256(), 0
        async for chunk in await blobs.open("video/film.mp4"):
            digest.update(chunk)
            chunks += 1
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert stored.size == megabytes * MB
    assert stored.sha256 == digest.hexdigest()
    assert chunks >= megabytes // 2
    assert most < (PARTS_AT_ONCE + 3) * PART < megabytes * MB


@pytest.mark.parametrize("megabytes", [0, 1, 20])
async def test_too_large_leaves_nothing(blobs: Blobs, unfinished: Unfinished, megabytes: int):
    await blobs.put("film.mp4", b"old")

    async def more() -> AsyncIterator[bytes]:
        async for chunk in counted(megabytes):
            yield chunk
        yield b"!!"

    with pytest.raises(PayloadTooLarge):
        await blobs.put("film.mp4", more(), max_bytes=megabytes * MB + 1)
    assert await blobs.get("film.mp4") == b"old"
    assert (await blobs.put("film.mp4", more(), max_bytes=megabytes * MB + 2)).size == megabytes * MB + 2
    assert await unfinished() == []


async def test_a_large_object_is_not_read_into_memory(blobs: Blobs):
    await blobs.put("film.mp4", bytes(11))
    with pytest.raises(PayloadTooLarge):
        await blobs.get("film.mp4", max_bytes=10)
    assert await blobs.get("film.mp4", max_bytes=11) == bytes(11)


class Broken(Exception):
    pass


@pytest.mark.parametrize("megabytes", [0, 1, 9, 40])
async def test_a_source_that_breaks_leaves_nothing(blobs: Blobs, unfinished: Unfinished, megabytes: int):
    async def broken() -> AsyncIterator[bytes]:
        async for chunk in counted(megabytes):
            yield chunk
        raise Broken

    with pytest.raises(Broken):
        await blobs.put("film.mp4", broken())
    assert await keys(blobs) == []
    assert await unfinished() == []


@pytest.mark.parametrize("megabytes", [0, 1, 9, 40])
async def test_being_cancelled_leaves_nothing(blobs: Blobs, unfinished: Unfinished, megabytes: int):
    waiting = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        async for chunk in counted(megabytes):
            yield chunk
        waiting.set()
        await asyncio.Event().wait()

    putting = asyncio.create_task(blobs.put("film.mp4", endless()))
    await waiting.wait()
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert await keys(blobs) == []
    assert await unfinished() == []


async def test_readers_see_one_version_or_the_other(blobs: Blobs):
    versions = [bytes([number]) * (2 * CHUNK) for number in range(10)]
    await blobs.put("changing.bin", versions[0])
    done = False

    async def read() -> int:
        times = 0
        while not done:
            assert await blobs.get("changing.bin") in versions
            times += 1
        return times

    reading = [asyncio.create_task(read()) for _ in range(3)]
    for version in versions[1:]:
        await blobs.put("changing.bin", version)
    done = True
    assert all(await asyncio.gather(*reading))
    assert await blobs.get("changing.bin") == versions[-1]


async def test_who_has_opened_a_file_reads_it_to_its_end(in_directory: Make):
    blobs = in_directory()
    await blobs.put("film.mp4", b"a" * 3 * CHUNK)
    blob = await blobs.open("film.mp4")
    async with aclosing(aiter(blob)) as chunks:  # type: ignore[type-var]
        read = await anext(chunks)
        await blobs.put("film.mp4", b"b")
        await blobs.delete("film.mp4")
        async for chunk in chunks:
            read += chunk
    assert read == b"a" * 3 * CHUNK


WRITER = """
import asyncio, sys
from pathlib import Path
from tenfold.platform.blobs import open_blobs
from tenfold.platform.settings import Secret, Settings

async def main():
    blobs = open_blobs(Settings(secret=Secret("s"), data=Path(sys.argv[1])))
    await blobs.put("kept/whole.txt", b"kept")
    async def endless():
        for _ in range(3):
            yield bytes(1024 * 1024)
        print("here", flush=True)
        await asyncio.Event().wait()
    await blobs.put("kept/half.txt", endless())

asyncio.run(main())
"""


async def test_what_was_kept_outlives_the_process_and_half_an_object_does_not(tmp_path: Path):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"here\n"
    process.kill()
    await process.wait()
    settings = Settings(secret=Secret("s"), data=tmp_path)
    blobs = open_blobs(settings)
    assert await keys(blobs) == ["kept/whole.txt"]
    assert await blobs.get("kept/whole.txt") == b"kept"
    [left] = (tmp_path / "blobs" / ".staged").iterdir()  # somebody might still be writing it
    long_ago = left.stat().st_mtime - ABANDONED - 1
    os.utime(left, (long_ago, long_ago))
    open_blobs(settings)
    assert not left.exists()


TRICKY = ["a/b.txt", "a-b.txt", "a.txt", "a.b.txt", "a/b/c.txt", "a/b-c.txt", "a0.txt", "b/a.txt", "B/a.txt", "a_.txt"]


async def test_lists_go_on_where_they_ended(blobs: Blobs):
    for key in TRICKY:
        await blobs.put(key, b"")
    for folder in ("", "a"):
        ordered = await keys(blobs, folder)
        assert sorted(ordered) == sorted(key for key in TRICKY if key.startswith(f"{folder}/" if folder else ""))
        for number, key in enumerate(ordered):
            assert await keys(blobs, folder, after=key) == ordered[number + 1 :]
    assert await keys(blobs, "a/b") == ["a/b/c.txt"]
    assert await keys(blobs, "nowhere") == []


SEGMENT = st.text("ab-_0", min_size=1, max_size=3)
KEYS = st.builds(
    lambda folders, name: "/".join((*folders, f"{name}.txt")),
    st.lists(SEGMENT, max_size=3),
    st.from_regex(r"[ab-][ab.-]{0,3}", fullmatch=True),
)


@given(all_keys=st.sets(KEYS, max_size=20), after=KEYS)
async def test_lists_of_any_keys_are_in_order(all_keys: set[str], after: str):
    with tempfile.TemporaryDirectory() as folder:
        blobs = open_blobs(Settings(secret=Secret("s"), data=Path(folder)))
        for key in all_keys:
            path = Path(folder) / "blobs" / "tenfold" / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        assert await keys(blobs) == sorted(all_keys)
        assert await keys(blobs, after=after) == sorted(key for key in all_keys if key > after)


async def test_a_long_list_comes_page_by_page(in_directory: Make, place: Path):
    (place / "tenfold").mkdir(parents=True)
    names = [f"{number:05}.txt" for number in range(2_500)]
    for name in names:
        (place / "tenfold" / name).touch()
    assert await keys(in_directory()) == names


async def test_deleting(blobs: Blobs):
    for key in ("a/b/c.txt", "a/b/d.txt", "a/e.txt"):
        await blobs.put(key, b"x")
    await blobs.delete("a/b/c.txt", "never/was.txt", "a/b/d.txt")
    assert await keys(blobs) == ["a/e.txt"]
    await blobs.delete("a/e.txt", "a/e.txt")
    await blobs.delete()
    assert await keys(blobs) == []


async def test_empty_folders_go_and_come_back_under_load(in_directory: Make, place: Path):
    blobs = in_directory()

    async def come_and_go(number: int) -> None:
        for _ in range(20):
            await blobs.put(f"a/b/{number}.txt", b"x")
            assert await blobs.get(f"a/b/{number}.txt") == b"x"
            await blobs.delete(f"a/b/{number}.txt")

    await asyncio.gather(*(come_and_go(number) for number in range(6)))
    assert list((place / "tenfold").iterdir()) == []


async def test_namespaces_do_not_see_each_other(make: Make):
    ours, others = make(namespace="ours"), make(namespace="others")
    await ours.put("a.txt", b"ours")
    await others.put("a.txt", b"others")
    assert await ours.get("a.txt") == b"ours"
    await ours.delete("a.txt")
    assert await keys(ours) == []
    assert await keys(others) == ["a.txt"]
    await others.delete("a.txt")


@pytest.mark.parametrize(
    "key",
    [
        "",
        "noextension",
        "/a.txt",
        "a//b.txt",
        "../a.txt",
        "a/../b.txt",
        "./a.txt",
        ".a.txt",
        "a/.b.txt",
        "a.d/b.txt",
        "a/",
        "a.txt/",
        "a b.txt",
        "a\\b.txt",
        "a\0.txt",
        "a.txt\n",
        "ä.txt",
        "a.",
        "a.TXT",
        f"{'a' * 200}.txt",
        f"{'a/' * 20}a.txt",
        "/".join(["a" * 100] * 6) + ".txt",
    ],
)
async def test_what_can_be_no_key(in_directory: Make, key: str):
    blobs = in_directory()
    for attempt in (
        blobs.put(key, b""),
        blobs.get(key),
        blobs.open(key),
        blobs.head(key),
        blobs.delete(key),
        blobs.url(key, expires_in=timedelta(hours=1)),
    ):
        with pytest.raises(ValueError, match="can't be a key"):
            await attempt


@given(st.text(st.sampled_from("ab./\\-_ 0A\n~"), max_size=30))
def test_every_key_is_a_file_of_its_own(text: str):
    try:
        key = checked(text)
    except ValueError:
        return
    path = Path(os.path.normpath(f"/objects/{key}"))
    assert path.as_posix() == f"/objects/{key}"
    assert len(key) <= MOST_KEY
    assert "." in path.name
    assert not any("." in part for part in path.parts[1:-1])  # so no key is the folder of another


@given(st.from_regex(r"[a-z0-9]{1,5}", fullmatch=True))
def test_an_extension_of_its_type_has_that_type(name: str):
    kind = content_type(f"a.{name}")
    assert content_type(f"a.{extension(kind)}") == kind
    assert extension(f"{kind.upper()}; charset=utf-8") == extension(kind)


def test_types_that_nobody_knows():
    assert extension("application/x-msdownload") == "bin"
    assert content_type("a.exe") == "application/octet-stream"
    assert extension("image/jpeg") == "jpg"


@pytest.mark.parametrize(
    "wrong", [{"blobs_endpoint": "http://127.0.0.1:9"}, {"blobs_secret": Secret("guessed")}], ids=["away", "refused"]
)
async def test_a_service_that_is_away_or_refuses(make: Make, request: pytest.FixtureRequest, place: Path, wrong):
    if "directory" in request.node.callspec.id:
        place.write_text("not a directory")
    blobs = make(**wrong)
    for attempt in (
        blobs.put("a.txt", b""),
        blobs.put("a.txt", counted(20)),
        blobs.get("a.txt"),
        blobs.head("a.txt"),
        blobs.open("a.txt", start=5),
        blobs.delete("a.txt"),
        keys(blobs),
    ):
        with pytest.raises(Unavailable) as told:
            await attempt
        assert "tests" not in str(told.value)


def test_settings_that_can_not_be():
    for wrong in ("http://a/b", "s3://", "s3://key:secret@bucket", "bucket", "s3://bucket?region=x"):
        with pytest.raises(BadSettings, match="s3://bucket"):
            open_blobs(Settings(secret=Secret("s"), blobs_url=wrong))
    with pytest.raises(BadSettings, match="go together"):
        open_blobs(Settings(secret=Secret("s"), blobs_url="s3://bucket", blobs_key_id=Secret("k")))
