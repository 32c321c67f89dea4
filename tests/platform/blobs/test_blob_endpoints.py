"""Objects over HTTP: who may read and write what, parts and versions, and that nothing stored runs in a browser."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server
from hypothesis import example, given
from hypothesis import strategies as st

from tenfold.platform.blobs import Blobs, Entry, open_blobs
from tenfold.platform.blobs.endpoints import BlobEndpoints, has_changed, is_same, parse_range
from tenfold.platform.http import application
from tenfold.platform.runtime import open_runtime
from tenfold.platform.settings import Settings

Make = Callable[..., Blobs]
Unfinished = Callable[[], Awaitable[list[str]]]
HOUR = timedelta(hours=1)
DIGITS = b"0123456789"


@pytest.fixture
async def client(blobs: Blobs, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """Speaks to the real web server, which serves the objects of this test."""
    async with open_runtime(settings) as runtime, served(blobs, runtime) as client:
        yield client


@asynccontextmanager
async def served(blobs: Blobs, runtime) -> AsyncIterator[httpx.AsyncClient]:
    app = application(
        title="Objects", controllers=[BlobEndpoints], provide={"blobs": blobs}, max_body=1024, runtime=runtime
    )
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    server = Server(app, port=port, interface=Interfaces.ASGINL, http=HTTPModes.http1, log_enabled=False)
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(10), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        while True:
            try:
                await client.get("/")
                break
            except httpx.ConnectError:
                await asyncio.sleep(0.01)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        yield client
    server.stop()
    await serving


def local(url: str) -> str:
    """The path and query of an address, whose host is where people would find us."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


async def test_public_objects_are_for_everybody_and_for_good(blobs: Blobs, client: httpx.AsyncClient):
    stored = await blobs.put("public/feed/1.png", DIGITS)
    url = blobs.public_url("public/feed/1.png")
    assert url == "http://localhost:8080/blobs/public/feed/1.png"
    answer = await client.get(local(url))
    assert (answer.status_code, answer.content) == (200, DIGITS)
    expected = {
        "content-type": "image/png",
        "content-length": "10",
        "etag": stored.etag,
        "accept-ranges": "bytes",
        "cache-control": "public, max-age=31536000, immutable",
        "x-content-type-options": "nosniff",
        "content-security-policy": "default-src 'none'; sandbox",
        "access-control-allow-origin": "*",
    }
    assert expected.items() <= dict(answer.headers).items()
    assert "content-disposition" not in answer.headers
    head = await client.head(local(url))
    assert (head.status_code, head.content) == (200, b"")
    assert expected.items() <= dict(head.headers).items()


async def test_others_are_for_those_who_have_the_address(blobs: Blobs, client: httpx.AsyncClient, in_directory: Make):
    await blobs.put("messages/1.bin", DIGITS)
    await blobs.put("messages/2.bin", b"another's")
    assert (await client.get("/blobs/messages/1.bin")).status_code == 403
    url = await in_directory(namespace=blobs._namespace).url("messages/1.bin", expires_in=HOUR)
    answer = await client.get(local(url))
    assert (answer.status_code, answer.content) == (200, DIGITS)
    assert answer.headers["cache-control"] in ("private, max-age=3599", "private, max-age=3600")
    assert (await client.head(local(url))).status_code == 200
    query = dict(parse_qsl(urlsplit(url).query))
    for wrong in (
        {"expires": str(int(query["expires"]) + 1)},
        {"expires": "٣"},
        {"expires": "9" * 5000},
        {"expires": ""},
        {"signature": ""},
        {"signature": "ä"},
        {"signature": query["signature"][:-1]},
    ):
        tampered = await client.get(f"/blobs/messages/1.bin?{urlencode(query | wrong)}")
        assert (tampered.status_code, tampered.json()["code"]) == (403, "address_invalid")
    assert (await client.get(f"/blobs/messages/2.bin?{urlencode(query)}")).status_code == 403
    assert (await client.put(f"/blobs/messages/1.bin?{urlencode(query)}", content=b"x")).status_code == 403
    past = int(datetime.now(UTC).timestamp()) - 1
    old = {"expires": past, "signature": blobs._sign("GET", "messages/1.bin", past)}
    assert (await client.get(f"/blobs/messages/1.bin?{urlencode(old)}")).status_code == 403


async def test_an_address_of_s3_is_read_there(s3):
    blobs = open_blobs(s3.settings())
    await blobs.put("messages/1.html", b"<script>")
    url = await blobs.url("messages/1.html", expires_in=HOUR)
    assert url.startswith(s3.endpoint)
    async with httpx.AsyncClient() as client:
        answer = await client.get(url, headers={"range": "bytes=1-3"})
        assert (answer.status_code, answer.content) == (206, b"scr")
        assert answer.headers["content-type"] == "text/html"
        assert answer.headers["content-disposition"] == "attachment"
        assert (await client.get(url.replace("Expires=3600", "Expires=9999"))).status_code == 403
        assert (await client.get(url.replace("1.html", "2.html"))).status_code == 403


async def test_an_upload_by_address(blobs: Blobs, client: httpx.AsyncClient):
    url = await blobs.url("uploads/1.png", expires_in=HOUR, method="PUT", max_bytes=100_000)
    assert url.startswith("http://localhost:8080/blobs/uploads/1.png?")
    answer = await client.put(local(url), content=bytes(100_000), headers={"content-type": "text/html"})
    assert answer.status_code == 201
    entry = await blobs.head("uploads/1.png")
    assert (entry.size, entry.etag, entry.content_type) == (100_000, answer.headers["etag"], "image/png")
    assert answer.json()["size"] == 100_000

    async def chunks(number: int) -> AsyncIterator[bytes]:
        for _ in range(number):
            yield bytes(1000)

    assert (await client.put(local(url), content=chunks(99))).status_code == 201
    assert (await blobs.head("uploads/1.png")).size == 99_000
    for too_much in (bytes(100_001), chunks(101)):
        refused = await client.put(local(url), content=too_much)
        assert (refused.status_code, refused.json()["code"]) == (413, "payload_too_large")
    assert (await blobs.head("uploads/1.png")).size == 99_000
    assert (await client.put(local(url).replace("100000", "100001"), content=b"x")).status_code == 403
    assert (await client.put(local(url).replace("1.png", "2.png"), content=b"x")).status_code == 403
    assert (await client.get(local(url))).status_code == 403
    assert (await client.put("/blobs/public/1.png", content=b"x")).status_code == 403


@pytest.mark.parametrize("framing", [b"content-length: 50000000", b"transfer-encoding: chunked"])
async def test_an_upload_that_breaks_off_leaves_nothing(
    blobs: Blobs, client: httpx.AsyncClient, unfinished: Unfinished, framing: bytes
):
    url = await blobs.url("uploads/1.mp4", expires_in=HOUR, method="PUT")
    _, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
    writer.write(b"PUT " + local(url).encode() + b" HTTP/1.1\r\nhost: localhost\r\n" + framing + b"\r\n\r\n")
    content = bytes(20_000_000)
    writer.write(b"%x\r\n%b\r\n" % (len(content), content) if framing.endswith(b"chunked") else content)
    async with asyncio.timeout(20):
        await until(unfinished, some=True)
        writer.close()
        await writer.wait_closed()
        await until(unfinished, some=False)
    assert [entry.key async for entry in blobs.list()] == []


async def until(unfinished: Unfinished, *, some: bool) -> None:
    while True:
        if bool(await unfinished()) == some:
            return
        await asyncio.sleep(0.01)


async def test_a_page_of_another_host_may_ask(client: httpx.AsyncClient):
    answer = await client.options("/blobs/uploads/1.png", headers={"origin": "http://feed.localhost:8080"})
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "PUT" in answer.headers["access-control-allow-methods"]


async def test_parts(blobs: Blobs, client: httpx.AsyncClient):
    await blobs.put("public/digits.txt", DIGITS)
    for asked, status, content, content_range in (
        ("bytes=0-0", 206, b"0", "bytes 0-0/10"),
        ("bytes=2-5", 206, b"2345", "bytes 2-5/10"),
        ("bytes=5-", 206, b"56789", "bytes 5-9/10"),
        ("bytes=5-99", 206, b"56789", "bytes 5-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-99", 206, DIGITS, "bytes 0-9/10"),
        ("bytes=0-1,3-4", 200, DIGITS, None),
        ("bytes=5-2", 200, DIGITS, None),
        ("lines=1-2", 200, DIGITS, None),
        ("bytes=10-", 416, None, "bytes */10"),
    ):
        answer = await client.get("/blobs/public/digits.txt", headers={"range": asked})
        assert (answer.status_code, answer.headers.get("content-range")) == (status, content_range), asked
        if content is not None:
            assert answer.content == content
            assert answer.headers["content-length"] == str(len(content))


async def test_versions(blobs: Blobs, client: httpx.AsyncClient):
    etag = (await blobs.put("public/digits.txt", DIGITS)).etag
    url = "/blobs/public/digits.txt"
    modified = (await client.head(url)).headers["last-modified"]
    for method in ("GET", "HEAD"):
        for value in (etag, f'"other", W/{etag}', "*"):
            answer = await client.request(method, url, headers={"if-none-match": value})
            assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
        assert (await client.request(method, url, headers={"if-none-match": '"other"'})).status_code == 200
    for value, status in ((etag, 206), (modified, 206), ('"other"', 200), (f"W/{etag}", 200), ("nonsense", 200)):
        answer = await client.get(url, headers={"range": "bytes=1-1", "if-range": value})
        assert (answer.status_code, answer.content) == (status, b"1" if status == 206 else DIGITS)


async def test_an_empty_object_has_no_parts(blobs: Blobs, client: httpx.AsyncClient):
    await blobs.put("public/empty.txt", b"")
    for asked in ({}, {"range": "bytes=0-"}, {"range": "bytes=-1"}):
        answer = await client.get("/blobs/public/empty.txt", headers=asked)
        assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "0")


async def test_what_could_run_is_saved_instead(blobs: Blobs, client: httpx.AsyncClient):
    for name in ("page.html", "picture.svg", "what.exe", "book.pdf", "data.json"):
        await blobs.put(f"public/{name}", b"<script>alert(1)</script>")
        answer = await client.get(f"/blobs/public/{name}")
        assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
        assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"


async def test_what_is_not_there(client: httpx.AsyncClient):
    for path in (
        "public/nothing.txt",
        "public/../x.txt",
        "public/%2e%2e/x.txt",
        "public/..%2fx.txt",
        "public//x.txt",
        "public/%00.txt",
        "public/",
        "",
    ):
        for method in ("GET", "HEAD"):
            assert (await client.request(method, f"/blobs/{path}")).status_code in (403, 404)
    missing = await client.get("/blobs/public/nothing.txt")
    assert missing.json()["code"] == "blob_missing"
    assert "cache-control" not in missing.headers


async def test_a_large_object_streams(blobs: Blobs, client: httpx.AsyncClient):
    content = bytes(range(256)) * 40_000
    await blobs.put("public/film.mp4", content)
    assert (await client.get("/blobs/public/film.mp4")).content == content
    answer = await client.get("/blobs/public/film.mp4", headers={"range": "bytes=1000000-5999999"})
    assert answer.content == content[1_000_000:6_000_000]


async def test_the_product_serves_them(stack):
    await stack.process.runtime.blobs.put("public/feed/1.png", DIGITS)
    await stack.process.runtime.blobs.put("feed/1.png", DIGITS)
    stranger = await stack.client()
    assert (await stranger.get("/blobs/public/feed/1.png")).content == DIGITS
    assert (await stranger.get("/blobs/feed/1.png")).status_code == 403
    signed = await stack.process.runtime.blobs.url("feed/1.png", expires_in=HOUR)
    assert (await stranger.get(signed)).content == DIGITS


async def test_a_cdn(make: Make):
    blobs = make(blobs_public_url="https://cdn.example.org/")
    assert blobs.public_url("public/a.png") == "https://cdn.example.org/public/a.png"
    with pytest.raises(ValueError, match="isn't public"):
        blobs.public_url("publicity/a.png")


async def test_addresses_end(blobs: Blobs):
    for wrong in (timedelta(), timedelta(seconds=-1), timedelta(days=8)):
        with pytest.raises(ValueError, match="seven days"):
            await blobs.url("a.txt", expires_in=wrong)


SIZES = st.integers(0, 30)


@given(first=SIZES, last=SIZES, size=st.integers(1, 30))
def test_a_range_is_a_slice_by_inclusive_ends(first: int, last: int, size: int):
    content = list(range(size))
    wanted = parse_range(f"bytes={first}-{last}")
    if last < first:
        assert wanted is None
    else:
        assert wanted is not None
        assert content[slice(*wanted)] == [at for at in content if first <= at <= last]
    assert parse_range(f"bytes={first}-") == (first, None)
    suffix = parse_range(f"bytes=-{last}")
    assert (content[slice(*suffix)] if suffix else []) == content[max(0, size - last) :]


@given(st.text("bytes=0123456789-, \t٣", max_size=30) | st.from_regex(r"bytes=[0-9]{0,30}-[0-9]{0,30}"))
@example("bytes=-")
@example("bytes=٣-٤")
@example(f"bytes={'9' * 5000}-")
def test_whatever_a_range_says_it_can_be_opened(header: str):
    wanted = parse_range(header)
    if wanted is not None:
        start, end = wanted
        assert start != 0 or header.lower().replace(" ", "").replace("\t", "").startswith("bytes=0")
        assert end is None or 0 <= start < end
        assert abs(start) < 2**63


@given(st.lists(st.text(st.characters(codec="ascii", exclude_characters='"\\')), max_size=4), st.booleans())
def test_one_of_several_versions(tags: list[str], weak: bool):
    header = ", ".join(f'{"W/" if weak else ""}"{tag}"' for tag in tags)
    assert all(not has_changed(header, f'"{tag}"') for tag in tags)
    assert has_changed(header, '"none of them"') or "none of them" in tags


@given(st.text(max_size=40))
def test_what_is_no_version_is_not_the_same(header: str):
    entry = Entry(key="a.txt", size=1, etag='"e"', last_modified=datetime(2030, 1, 1, tzinfo=UTC))
    assert is_same(header, entry) == (header == '"e"')
