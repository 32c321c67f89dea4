"""HTTP doors of attached files. Decode, call one action, encode."""

from collections.abc import Iterable
from typing import Annotated, Any
from urllib.parse import quote

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from msgspec import Meta

from tenfold.platform.blobs.endpoints import serve
from tenfold.platform.identity import Principal
from tenfold.platform.identity.rules import read_id
from tenfold.systems.chat.actions import files
from tenfold.systems.chat.actions.context import Chat
from tenfold.systems.chat.errors import FileNotFound
from tenfold.systems.chat.types import MOST_NAME, File, Message

#: Bytes of a file.
MOST_FILE = 10_000_000
#: Under its id a file never changes; it is for one person.
CACHE = "private, max-age=3600, immutable"

type Name = Annotated[str, Meta(min_length=1, max_length=MOST_NAME, pattern="^[^\\x00-\\x1f/\\\\]*$")]


class FileEndpoints(Controller):
    path = "/api/files"
    tags = ("Chat",)

    @post(request_max_body_size=MOST_FILE)
    async def send(
        self,
        request: Request[Any, Any, Any],
        name: FromQuery[Name],
        chat: NamedDependency[Chat],
        principal: NamedDependency[Principal],
    ) -> File:
        """Send a file, as the body, for a question to come. Its text is read at once."""
        principal.require("chat")  # before the body is read
        media_type = request.headers.get("content-type", "").partition(";")[0].strip()
        file = await files.keep(chat, await request.body(), name, media_type, principal)
        file.url = _address(request, file)
        return file

    @get("/{file_id:str}")
    async def read(
        self,
        request: Request[Any, Any, Any],
        file_id: FromPath[str],
        chat: NamedDependency[Chat],
        principal: NamedDependency[Principal],
    ) -> Response[Any]:
        """The bytes of one's own file. What a browser might run is handed over to be saved."""
        number = read_id(file_id)
        if number is None:
            raise FileNotFound
        file = await files.find(chat, number, principal)
        response = await serve(chat.runtime.blobs, file.key, request, cache_control=CACHE)
        kind = response.headers.get("content-disposition", "inline").partition(";")[0]
        response.headers["content-disposition"] = f"{kind}; filename*=UTF-8''{quote(file.name, safe='')}"
        return response


def locate(request: Request[Any, Any, Any], messages: Iterable[Message]) -> None:
    """Say where attached files are, as whoever asks sees us: under a prefix, or on a host of our own."""
    for message in messages:
        for file in message.attachments:
            file.url = _address(request, file)


def _address(request: Request[Any, Any, Any], file: File) -> str:
    return f"{request.scope.get('prefix', '')}{FileEndpoints.path}/{file.id}"
