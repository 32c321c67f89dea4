"""Attachments through the doors: taken in, described, given to posts, and gone with them."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from io import BytesIO
from typing import Any

import httpx
import pytest
from PIL import Image

from tenfold.systems.feed.jobs.media import remove_abandoned_media
from tenfold.systems.feed.settings import FeedSettings

MEDIA = "/feed/api/v1/media"
STATUSES = "/feed/api/v1/statuses"
MP4 = b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41" + bytes(5000)
MP3 = b"ID3\4\0\0\0\0\0\0" + bytes(3000)


def picture(size: tuple[int, int] = (60, 40), kind: str = "JPEG", colour: str = "red") -> bytes:
    out = BytesIO()
    Image.new("RGB", size, colour).save(out, kind)
    return out.getvalue()


async def upload(client: httpx.AsyncClient, data: bytes, **more: Any) -> dict[str, Any]:
    answered = await client.post(
        "/feed/api/v2/media", files={"file": ("what ever.exe", data), **more.pop("files", {})}, data=more
    )
    assert answered.status_code == 200, answered.text
    found: dict[str, Any] = answered.json()
    return found


async def post(client: httpx.AsyncClient, *media: dict[str, Any], **more: Any) -> httpx.Response:
    return await client.post(STATUSES, json={"status": "look", "media_ids": [each["id"] for each in media], **more})


async def stored(stack: Any) -> list[str]:
    return sorted([each.key async for each in stack.process.runtime.blobs.list("public/feed")])


async def content(stack: Any, url: str) -> bytes:
    data: bytes = await stack.process.runtime.blobs.get(url.partition("/blobs/")[2])
    return data


async def test_a_picture_is_taken_in(stack: Any, alice: httpx.AsyncClient, stranger: httpx.AsyncClient) -> None:
    made = await upload(alice, picture((1200, 800)), description=" a red\r\nwall ", focus="-0.5,0.25")
    assert (made["type"], made["description"]) == ("image", "a red\nwall")
    assert made["meta"]["original"] == {"width": 1200, "height": 800, "size": "1200x800", "aspect": 1.5}
    assert made["meta"]["small"]["size"] == "586x391"
    assert made["meta"]["focus"] == {"x": -0.5, "y": 0.25}
    assert len(made["blurhash"]) == 28
    seen = await stranger.get(httpx.URL(made["url"]).raw_path.decode())
    assert (seen.status_code, seen.headers["content-type"]) == (200, "image/jpeg")
    assert Image.open(BytesIO(seen.content)).size == (1200, 800)
    assert Image.open(BytesIO(await content(stack, made["preview_url"]))).size == (586, 391)
    assert (await alice.get(f"{MEDIA}/{made['id']}")).json() == made
    attached = (await post(alice, made)).json()
    assert attached["media_attachments"] == [made]
    assert (await alice.get(f"{MEDIA}/{made['id']}")).status_code == 404


async def test_films_and_sounds_are_kept_as_they_are(stack: Any, alice: httpx.AsyncClient) -> None:
    film = await upload(alice, MP4)
    assert (film["type"], film["preview_url"], film["blurhash"]) == ("video", None, None)
    assert film["url"].endswith(".mp4")
    assert await content(stack, film["url"]) == MP4
    sound = await upload(alice, MP3, files={"thumbnail": ("x", picture((50, 50)))})
    assert sound["type"] == "audio"
    assert sound["preview_url"].endswith(".jpg")
    assert sound["meta"]["small"]["size"] == "50x50"
    assert (await post(alice, film, sound)).status_code == 422
    assert (await post(alice, film, await upload(alice, picture()))).status_code == 422
    assert (await post(alice, film)).status_code == 200


@pytest.fixture
async def narrow(
    stack_with: Callable[..., AbstractAsyncContextManager[Any]],
) -> AsyncIterator[tuple[Any, httpx.AsyncClient]]:
    """A feed with small limits, and somebody signed in to it."""
    limits = FeedSettings(image_bytes=10_000, image_pixels=100_000, video_bytes=8_000)
    async with stack_with(systems={"feed": limits}) as stack:
        yield stack, await stack.account("alice")


async def test_what_is_not_taken(narrow: tuple[Any, httpx.AsyncClient]) -> None:
    stack, alice = narrow

    async def status(data: bytes, **more: Any) -> int:
        sent = await alice.post("/feed/api/v2/media", files={"file": ("x.jpg", data)}, data=more)
        assert "error" in sent.json()
        return sent.status_code

    assert await status(b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>") == 422
    assert await status(b"") == 422
    assert await status(picture()[:100]) == 422
    assert await status(picture((400, 400))) == 422
    assert await status(picture() + bytes(10_000)) == 413
    assert await status(MP4 + bytes(4000)) == 413
    assert await status(picture(), focus="1,2") == 422
    assert await status(picture(), focus="nan,0") == 422
    assert await status(picture(), focus="left") == 422
    assert await status(picture(), description="x" * 1501) == 422
    assert (await alice.post("/feed/api/v2/media", data={"file": "no file"})).status_code == 422
    assert (await alice.post("/feed/api/v2/media")).status_code == 422
    stranger = await stack.client()
    assert (await stranger.post("/feed/api/v2/media", files={"file": ("x", picture())})).status_code == 401
    assert await stored(stack) == []


async def test_an_upload_can_be_described_until_a_post_has_it(
    stack: Any, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    made = await upload(alice, picture(), description="first")
    path = f"{MEDIA}/{made['id']}"
    changed = (await alice.put(path, json={"description": "second", "focus": "0.1,0.2"})).json()
    assert (changed["description"], changed["meta"]["focus"]) == ("second", {"x": 0.1, "y": 0.2})
    shown = (await alice.put(path, files={"thumbnail": ("x", picture((30, 30), "PNG"))})).json()
    assert (shown["description"], shown["url"]) == ("second", made["url"])
    assert shown["preview_url"] != made["preview_url"]
    assert shown["meta"]["small"]["size"] == "30x30"
    assert len(await stored(stack)) == 2  # the first preview is gone
    assert (await alice.put(path, json={"description": ""})).json()["description"] is None
    for what in (bob.get(path), bob.put(path, json={"description": "mine"}), bob.delete(path), post(bob, made)):
        assert (await what).status_code in (404, 422)
    assert (await post(alice, made)).status_code == 200
    assert (await alice.put(path, json={"description": "late"})).status_code == 404
    assert (await alice.delete(path)).status_code == 422
    assert (await post(alice, made)).status_code == 422  # another post has it
    alone = await upload(alice, picture())
    assert (await alice.delete(f"{MEDIA}/{alone['id']}")).status_code == 200
    assert (await alice.delete(f"{MEDIA}/{alone['id']}")).status_code == 404
    assert len(await stored(stack)) == 2


async def test_an_edit_changes_what_is_attached(stack: Any, alice: httpx.AsyncClient) -> None:
    one, two = [await upload(alice, picture(colour=colour), description=colour) for colour in ("red", "blue")]
    made = (await post(alice, one)).json()
    path = f"{STATUSES}/{made['id']}"
    wish = {"status": "look", "media_ids": [two["id"], one["id"]]}
    described = {"media_attributes": [{"id": one["id"], "description": "crimson", "focus": "0,1"}]}
    changed = (await alice.put(path, json=wish | described)).json()
    assert [each["description"] for each in changed["media_attachments"]] == ["blue", "crimson"]
    assert changed["media_attachments"][1]["meta"]["focus"] == {"x": 0, "y": 1}
    without = (await alice.put(path, json={"status": "look"})).json()
    assert without["media_attachments"] == []
    versions = (await alice.get(f"{path}/history")).json()
    assert [[each["description"] for each in version["media_attachments"]] for version in versions] == [
        ["red"],
        ["blue", "crimson"],
        [],
    ]
    # What an earlier version shows is there as long as the post.
    assert len(await stored(stack)) == 4


async def test_what_was_attached_can_be_written_anew(stack: Any, alice: httpx.AsyncClient) -> None:
    one = await upload(alice, picture())
    made = (await post(alice, one)).json()
    gone = (await alice.delete(f"{STATUSES}/{made['id']}")).json()
    await stack.settle()
    assert gone["media_attachments"] == [one]
    anew = await post(alice, one, status="better")
    assert anew.json()["media_attachments"] == [one]


async def test_nothing_stays_of_what_is_deleted_with_its_media(stack: Any, alice: httpx.AsyncClient) -> None:
    waiting = await upload(alice, picture(colour="blue"))
    one = await upload(alice, picture())
    made = (await post(alice, one)).json()
    assert (await alice.delete(f"{STATUSES}/{made['id']}?delete_media=true")).status_code == 200
    assert (await post(alice, one)).status_code == 422
    await stack.settle()
    assert all(waiting["id"] in key for key in await stored(stack))
    assert await stack.value("SELECT count(*) FROM feed.media") == 1


async def test_uploads_that_no_post_wants_are_removed_after_a_day(stack: Any, alice: httpx.AsyncClient) -> None:
    old, attached, new = [await upload(alice, picture()) for _ in range(3)]
    assert (await post(alice, attached)).status_code == 200
    async with stack.db.transaction() as tx:
        sql = "UPDATE feed.media SET created_at = now() - interval '25 hours' WHERE id = ANY($1::bigint[])"
        await tx.execute(sql, [int(old["id"]), int(attached["id"])])
    await remove_abandoned_media.job(stack.state("feed"))
    left = await stored(stack)
    assert len(left) == 4
    assert not any(old["id"] in key for key in left)
    assert (await alice.get(f"{MEDIA}/{old['id']}")).status_code == 404
    assert (await alice.get(f"{MEDIA}/{new['id']}")).status_code == 200
