"""HTTP doors of sealed bytes: files and backups. Decode, call one action, encode."""

import time
from typing import Annotated, Any

from litestar import Controller, MediaType, Request, Response, delete, get, head, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.response import Stream

from tenfold.contracts.messages.entities import Backup, BackupHead, BeginUpload, Upload
from tenfold.platform.blobs import RangeUnsatisfiable
from tenfold.platform.blobs.endpoints import has_changed, parse_range
from tenfold.platform.identity import Principal
from tenfold.systems.messages.actions import backups, media
from tenfold.systems.messages.actions.context import Messages
from tenfold.systems.messages.endpoints.numbers import place_of, read_bytes

#: Bytes of a request that carries none.
MOST_BODY = 16 * 1024
BYTES = "application/octet-stream"
#: Whatever it holds, no browser shows or runs it: what is sealed is opened by programs.
SEALED = {
    "content-type": BYTES,
    "content-disposition": "attachment",
    "content-security-policy": "default-src 'none'; sandbox",
    "x-content-type-options": "nosniff",
}


class MediaEndpoints(Controller):
    path = "/api/v1"
    tags = ("Files and backups",)
    request_max_body_size = MOST_BODY

    @post("/media")
    async def begin(
        self,
        data: JSONBody[BeginUpload],
        messages: NamedDependency[Messages],
        principal: NamedDependency[Principal],
    ) -> Upload:
        """Begin to send a file. It must be finished within a day."""
        return await media.begin(messages, data, principal)

    @put("/media/{upload_id:str}/parts/{number:str}", request_max_body_size=None)
    async def keep_part(
        self,
        request: Request[Any, Any, Any],
        upload_id: FromPath[str],
        number: FromPath[str],
        messages: NamedDependency[Messages],
        principal: NamedDependency[Principal],
    ) -> Upload:
        """The bytes of a part, as the body: in any order, and again if need be."""
        place = place_of(number)
        most = await media.expect_part(messages, upload_id, place, principal)
        data = await read_bytes(request, most)
        return await media.keep_part(messages, upload_id, place, data, principal)

    @get("/media/{upload_id:str}/state")
    async def read_state(
        self,
        upload_id: FromPath[str],
        messages: NamedDependency[Messages],
        principal: NamedDependency[Principal],
    ) -> Upload:
        """Which parts are there."""
        return await media.read_state(messages, upload_id, principal)

    @post("/media/{upload_id:str}/finish", status_code=200)
    async def finish(
        self,
        upload_id: FromPath[str],
        messages: NamedDependency[Messages],
        principal: NamedDependency[Principal],
    ) -> Upload:
        """All parts are there: from now on whoever knows the id may read the file."""
        return await media.finish(messages, upload_id, principal)

    @get("/media/{upload_id:str}", media_type=BYTES)
    async def read(
        self,
        request: Request[Any, Any, Any],
        upload_id: FromPath[str],
        messages: NamedDependency[Messages],
        principal: NamedDependency[Principal],
    ) -> Response[Any]:
        """The file, or a range of it."""
        return await _serve(request, upload_id, messages, principal)

    @head("/media/{upload_id:str}", include_in_schema=False)
    async def look_at(
        self,
        request: Request[Any, Any, Any],
        upload_id: FromPath[str],
        messages: NamedDependency[Messages],
        principal: NamedDependency[Principal],
    ) -> Response[None]:
        return await _serve(request, upload_id, messages, principal)

    @put("/backup")
    async def begin_backup(
        self,
        data: JSONBody[BackupHead],
        messages: NamedDependency[Messages],
        principal: NamedDependency[Principal],
    ) -> Backup:
        """Begin a backup, or replace its head. A greater version drops the parts of lesser ones."""
        return await backups.begin(messages, data, principal)

    @get("/backup")
    async def read_backup(self, messages: NamedDependency[Messages], principal: NamedDependency[Principal]) -> Backup:
        return await backups.read(messages, principal)

    @delete("/backup")
    async def delete_backup(self, messages: NamedDependency[Messages], principal: NamedDependency[Principal]) -> None:
        await backups.delete(messages, principal)

    @put("/backup/parts/{number:str}", request_max_body_size=None)
    async def keep_backup_part(
        self,
        request: Request[Any, Any, Any],
        number: FromPath[str],
        version: Annotated[int, QueryParameter(ge=1, le=2**31 - 1)],
        messages: NamedDependency[Messages],
        principal: NamedDependency[Principal],
    ) -> Backup:
        """The bytes of a part, as the body."""
        place = place_of(number)
        data = await read_bytes(request, await backups.expect_part(messages, place, principal))
        return await backups.keep_part(messages, place, version, data, principal)

    @get("/backup/parts/{number:str}", media_type=BYTES)
    async def read_backup_part(
        self,
        number: FromPath[str],
        messages: NamedDependency[Messages],
        principal: NamedDependency[Principal],
    ) -> Response[bytes]:
        data = await backups.read_part(messages, place_of(number), principal)
        return Response(data, headers=SEALED | {"cache-control": "no-store"})


async def _serve(
    request: Request[Any, Any, Any], upload_id: str, messages: Messages, principal: Principal
) -> Response[Any]:
    """Answer a GET or HEAD with a file or the range that is asked for (RFC 9110, 14)."""
    upload = await media.find_finished(messages, upload_id, principal)
    etag = f'"{upload.id}"'
    headers = SEALED | {
        "accept-ranges": "bytes",
        "cache-control": f"private, max-age={max(0, upload.ends_at // 1000 - int(time.time()))}, immutable",
        "etag": etag,
    }
    asked = request.headers
    if "if-none-match" in asked and not has_changed(asked["if-none-match"], etag):
        return Response(None, status_code=304, headers=headers, media_type=MediaType.TEXT)
    wanted = None if request.method == "HEAD" else parse_range(asked.get("range", ""))
    if wanted is None or asked.get("if-range", etag) != etag:
        start, end, status = 0, upload.size, 200
    else:
        start, end, status = wanted[0], upload.size if wanted[1] is None else min(wanted[1], upload.size), 206
        start = max(0, upload.size + start) if start < 0 else start
        if start >= upload.size:
            raise RangeUnsatisfiable(size=upload.size)
        headers["content-range"] = f"bytes {start}-{end - 1}/{upload.size}"
    headers["content-length"] = str(end - start)
    if request.method == "HEAD":
        return Response(None, headers=headers, media_type=MediaType.TEXT)
    return Stream(media.read(messages.runtime.blobs, upload, start, end), status_code=status, headers=headers)
