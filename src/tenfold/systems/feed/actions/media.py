"""Attachments: taken in, described, given to posts, and removed when no post wants them."""

import math
import secrets
from collections.abc import AsyncIterator
from typing import Annotated, Protocol

import msgspec

from tenfold.platform.db import Tx
from tenfold.platform.errors import Conflict, PayloadTooLarge
from tenfold.systems.feed.actions.context import Feed
from tenfold.systems.feed.engine import pictures
from tenfold.systems.feed.engine.pictures import Picture, Prepared
from tenfold.systems.feed.errors import BadMedia, MediaNotFound
from tenfold.systems.feed.rules import files
from tenfold.systems.feed.rules.text import tidy
from tenfold.systems.feed.store import media as store
from tenfold.systems.feed.types import Account, Media

#: Characters of a description.
MOST_DESCRIPTION = 1500
#: Bytes that are read of a file at once, and accounts whose abandoned uploads are looked for at once.
CHUNK, AT_ONCE = 256 * 1024, 100

type Description = Annotated[str, msgspec.Meta(max_length=MOST_DESCRIPTION)]
type Focus = Annotated[str, msgspec.Meta(max_length=64)]


class MediaInUse(Conflict):
    """A post has this attachment. Change or delete the post."""

    status = 422


class File(Protocol):
    """Something that is read from its beginning to its end."""

    async def read(self, size: int = -1, /) -> bytes: ...


class Describe(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of an attachment. None leaves what is there."""

    description: Description | None = None
    #: The point to keep in view when it is cut: "x,y", each from -1 to 1, y upwards.
    focus: Focus | None = None


async def upload(feed: Feed, account: Account, file: File, said: Describe, *, thumbnail: File | None = None) -> Media:
    """Take a picture, film or sound in. It waits for a post for a day.

    Pictures are decoded and written anew; films and sounds are kept as they come, with the `thumbnail` that is sent
    along. Raises BadMedia, PayloadTooLarge.
    """
    head = await file.read(files.HEAD)
    kind = files.sniff(head)
    if kind is None:
        raise BadMedia(
            reason="pictures are JPEG, PNG, GIF, WebP, AVIF; films MP4, WebM; sounds MP3, Ogg, M4A, WAV, FLAC"
        )
    prepared: Prepared | None = None
    extension, content = kind.extension, b""
    if kind.type == "image":
        prepared = await _prepare(feed, file, head)
        extension, content = prepared.original.extension, prepared.original.data
    elif thumbnail is not None:
        prepared = await _prepare(feed, thumbnail)
    media_id = feed.ids.next()
    # What is below public/ can be read by whoever knows its key, so nobody must be able to guess it.
    name = f"public/feed/media/{account.id}/{media_id}-{secrets.token_hex(16)}"
    made = Media(
        id=media_id,
        type=kind.type,
        key=f"{name}.{extension}",
        preview_key="" if prepared is None else f"{name}-small.{prepared.preview.extension}",
        meta={} if prepared is None else _sizes(prepared, whole=kind.type == "image"),
        blurhash=None if prepared is None else prepared.blurhash,
        description=None,
    )
    made = described(made, said)
    # The row comes first: if we end here, it is what the objects are found and removed by.
    async with feed.db.transaction() as tx:
        await store.insert_media(tx, account.id, made)
    if prepared is not None:
        await feed.blobs.put(made.preview_key, prepared.preview.data)
    await feed.blobs.put(made.key, content or _chunks(head, file), max_bytes=feed.settings.video_bytes)
    return made


async def find(feed: Feed, account: Account, id: int) -> Media:
    """One's upload that waits for a post. Raises MediaNotFound."""
    async with feed.db.read(fresh=True) as tx:
        found = await store.find_unused(tx, account.id, id)
    if found is None:
        raise MediaNotFound
    return found


async def change(feed: Feed, account: Account, id: int, said: Describe, *, thumbnail: File | None = None) -> Media:
    """Say something else of an upload that waits for a post, or show another thumbnail. Raises MediaNotFound, BadMedia.

    What a post has is changed by editing the post, so that its readers find both versions.
    """
    before = await find(feed, account, id)
    after = described(before, said)
    if thumbnail is not None:
        prepared = await _prepare(feed, thumbnail)
        after = msgspec.structs.replace(
            after,
            preview_key=f"{before.key.rpartition('.')[0]}-{secrets.token_hex(4)}.{prepared.preview.extension}",
            meta=after.meta | _sizes(prepared, whole=False),
            blurhash=prepared.blurhash,
        )
        await feed.blobs.put(after.preview_key, prepared.preview.data)
    async with feed.db.transaction() as tx:
        if not await store.change_unused(tx, account.id, after):
            raise MediaNotFound
    if before.preview_key not in ("", after.preview_key):
        await feed.blobs.delete(before.preview_key)
    return after


async def remove(feed: Feed, account: Account, id: int) -> None:
    """Remove an upload that no post has. Raises MediaNotFound, MediaInUse."""
    async with feed.db.transaction() as tx:
        keys = await store.delete_unused(tx, account.id, id)
        if keys is None:
            raise MediaInUse if await store.is_used(tx, account.id, id) else MediaNotFound
        await _delete_objects(feed, [keys])


async def remove_abandoned(feed: Feed) -> None:
    """Remove all uploads that no post has wanted for a day, account by account."""
    while True:
        async with feed.db.read(fresh=True) as tx:
            account_ids = await store.list_abandoning(tx, AT_ONCE)
        if not account_ids:
            return
        for account_id in account_ids:
            async with feed.db.transaction() as tx:
                await remove_abandoned_of(tx, feed, account_id)


async def remove_abandoned_of(tx: Tx, feed: Feed, account_id: int) -> None:
    """Remove the uploads of an account that no post has wanted for a day, or shall have.

    The objects go while the rows are locked: whatever ends in between, what is left is found again.
    """
    await _delete_objects(feed, await store.delete_abandoned(tx, account_id))


async def _delete_objects(feed: Feed, gone: list[store.Keys]) -> None:
    await feed.blobs.delete(*(key for each in gone for key in (each.key, each.preview_key) if key))


def described(media: Media, said: Describe) -> Media:
    """An attachment with what is said of it now. Raises BadMedia."""
    return msgspec.structs.replace(
        media,
        meta=media.meta if said.focus is None else media.meta | {"focus": _focus(said.focus)},
        description=media.description if said.description is None else tidy(said.description) or None,
    )


async def _prepare(feed: Feed, file: File, head: bytes = b"") -> Prepared:
    """A picture whose first bytes may have been read. Raises BadMedia, PayloadTooLarge."""
    most = feed.settings.image_bytes
    data = head + await file.read(most + 1 - len(head))
    if len(data) > most:
        raise PayloadTooLarge(limit=most)
    return await pictures.prepare(data, max_pixels=feed.settings.image_pixels)


async def _chunks(head: bytes, file: File) -> AsyncIterator[bytes]:
    yield head
    while chunk := await file.read(CHUNK):
        yield chunk


def _sizes(prepared: Prepared, *, whole: bool) -> dict[str, dict[str, float | int | str]]:
    """Sizes as the API shows them. Of films and sounds only that of the picture that stands for them is known."""
    small = {"small": _size(prepared.preview)}
    return {"original": _size(prepared.original), **small} if whole else small


def _size(picture: Picture) -> dict[str, float | int | str]:
    width, height = picture.width, picture.height
    return {"width": width, "height": height, "size": f"{width}x{height}", "aspect": round(width / height, 6)}


def _focus(text: str) -> dict[str, float | int | str]:
    """The focus of "x,y". Raises BadMedia for anything else."""
    try:
        x, y = map(float, text.split(","))
    except ValueError:
        x = y = math.nan
    if not (-1 <= x <= 1 and -1 <= y <= 1):
        raise BadMedia(reason="a focus is two numbers from -1 to 1, as x,y")
    return {"x": x, "y": y}
