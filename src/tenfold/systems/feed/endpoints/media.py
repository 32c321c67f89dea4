"""Attachments, https://docs.joinmastodon.org/methods/media/."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from litestar import Request, Response, delete, get, post, put
from litestar.datastructures import UploadFile
from litestar.di import NamedDependency
from litestar.params import FromPath

from tenfold.platform.errors import Invalid
from tenfold.platform.identity import Principal
from tenfold.platform.identity.rules import read_id
from tenfold.platform.limits import Limit, Limits
from tenfold.systems.feed.actions import media
from tenfold.systems.feed.actions.context import Feed, account_of
from tenfold.systems.feed.actions.media import Describe
from tenfold.systems.feed.endpoints import entities
from tenfold.systems.feed.endpoints.api import MastodonController, answer, read_body
from tenfold.systems.feed.errors import MediaNotFound
from tenfold.systems.feed.types import Media

#: Uploads of one account.
UPLOADS = Limit(
    name="feed.media",
    rates={"anonymous": "60/hour", "free": "240/hour", "plus": "2000/hour", "enterprise": "50000/hour"},
)
#: Bytes of a form with a film and its thumbnail, which wait on disk. Each file has a limit of its own, in the settings.
MOST_FORM = 512 * 1024 * 1024


class MediaForm(Describe, frozen=True, kw_only=True):
    """An attachment as a multipart form has it."""

    file: Any = None
    thumbnail: Any = None


class MediaEndpoints(MastodonController):
    path = "/api"

    # The second version may answer before a file is processed; here it is then.
    @post(["/v2/media", "/v1/media"], status_code=200, request_max_body_size=MOST_FORM)
    async def upload(
        self,
        request: Request[Any, Any, Any],
        principal: NamedDependency[Principal],
        feed: NamedDependency[Feed],
        limits: NamedDependency[Limits],
    ) -> Response[bytes]:
        """Take a file in, to be attached to a post within a day."""
        me = await account_of(feed, principal, "write:media")
        await limits.take(UPLOADS, principal)
        async with _read_form(request) as form:
            file = _file("file", form.file)
            if file is None:
                raise Invalid(fields={"file": "is required"})
            made = await media.upload(feed, me, file, form, thumbnail=_file("thumbnail", form.thumbnail))
        return _shown(feed, made)

    @get("/v1/media/{media_id:str}")
    async def read(
        self, media_id: FromPath[str], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "write:media")
        return _shown(feed, await media.find(feed, me, _id(media_id)))

    @put("/v1/media/{media_id:str}", request_max_body_size=MOST_FORM)
    async def change(
        self,
        request: Request[Any, Any, Any],
        media_id: FromPath[str],
        principal: NamedDependency[Principal],
        feed: NamedDependency[Feed],
        limits: NamedDependency[Limits],
    ) -> Response[bytes]:
        """Describe an upload, or show another thumbnail, before a post has it."""
        me = await account_of(feed, principal, "write:media")
        await limits.take(UPLOADS, principal)
        async with _read_form(request) as form:
            changed = await media.change(feed, me, _id(media_id), form, thumbnail=_file("thumbnail", form.thumbnail))
        return _shown(feed, changed)

    @delete("/v1/media/{media_id:str}", status_code=200)
    async def remove(
        self, media_id: FromPath[str], principal: NamedDependency[Principal], feed: NamedDependency[Feed]
    ) -> Response[bytes]:
        me = await account_of(feed, principal, "write:media")
        await media.remove(feed, me, _id(media_id))
        return answer(b"{}")


@asynccontextmanager
async def _read_form(request: Request[Any, Any, Any]) -> AsyncIterator[MediaForm]:
    """The form, whose files are gone afterwards."""
    try:
        yield await read_body(request, MediaForm)
    finally:
        for _, value in (await request.form()).multi_items():
            if isinstance(value, UploadFile):
                await value.close()


def _file(name: str, given: Any) -> UploadFile | None:
    """A file of a form, None where there is none. Raises Invalid for anything else."""
    if given is None or given == "":
        return None
    if not isinstance(given, UploadFile):
        raise Invalid(fields={name: "is a file of a multipart form"})
    return given


def _id(text: str) -> int:
    number = read_id(text)
    if number is None:
        raise MediaNotFound
    return number


def _shown(feed: Feed, made: Media) -> Response[bytes]:
    return answer(msgspec.json.encode(entities.media(feed, made)))
