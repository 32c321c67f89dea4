"""Objects over HTTP: public ones for everybody, others by an address that was signed; and how any door serves one."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

from litestar import Controller, HttpMethod, Request, Response, put, route
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Stream

from tenfold.platform.blobs.objects import IMMUTABLE, PUBLIC, Blob, BlobMissing, Entry, Stored, checked, is_harmless
from tenfold.platform.blobs.store import Blobs
from tenfold.platform.errors import BadRequest, PayloadTooLarge

#: Seconds an upload may be silent.
SILENCE = 30.0
_RANGE = re.compile(r"bytes=[ \t]*(\d{0,18})-(\d{0,18})[ \t]*", re.ASCII | re.IGNORECASE)
#: The address is what gives access, not a cookie, so any page that knows it may use it.
_ANY_ORIGIN = {
    "access-control-allow-origin": "*",
    "access-control-expose-headers": "accept-ranges, content-range, etag",
}


def parse_range(header: str) -> tuple[int, int | None] | None:
    """What a Range header asks for (RFC 9110, 14.1.2), as `Blobs.open` takes it; None where all is to be sent.

    That is so for other units, for several ranges, which a server may answer with everything, and for what is no range.
    """
    found = _RANGE.fullmatch(header)
    if not found or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:
        return (-int(last), None) if int(last) else None
    if last and int(last) < int(first):
        return None
    return int(first), int(last) + 1 if last else None


def has_changed(if_none_match: str, etag: str) -> bool:
    """Whether an If-None-Match header names no version that is this one, compared weakly (RFC 9110, 13.1.2)."""
    if if_none_match.strip() == "*":
        return False
    return etag.removeprefix("W/") not in re.findall(r'"[^"]*"', if_none_match)


def is_same(if_range: str, entry: Entry) -> bool:
    """Whether an If-Range header names exactly this version: by a strong ETag, or by its date (RFC 9110, 13.1.5)."""
    if if_range.startswith(('"', "W/")):
        return if_range == entry.etag
    try:
        date = parsedate_to_datetime(if_range)
    except ValueError:
        return False
    return date.tzinfo is not None and date == entry.last_modified.replace(microsecond=0)


async def serve(blobs: Blobs, key: str, request: Request[Any, Any, Any], *, cache_control: str) -> Response[Any]:
    """Answer a GET or HEAD with an object or the part that is asked for. Whether they may see it is for you to know.

    Raises BlobMissing and RangeUnsatisfiable.
    """
    asked = request.headers
    head = request.method == "HEAD"
    wanted = None if head else parse_range(asked.get("range", ""))
    found: Entry
    if head:
        found = await blobs.head(key)
    elif wanted is None:
        found = await blobs.open(key)
    else:
        start, end = wanted
        found = await blobs.open(key, start=start, end=end)
        if "if-range" in asked and not is_same(asked["if-range"], found):
            wanted = None
            found = await blobs.open(key)
    headers = _ANY_ORIGIN | {
        "accept-ranges": "bytes",
        "cache-control": cache_control,
        "etag": found.etag,
        "last-modified": format_datetime(found.last_modified.astimezone(UTC), usegmt=True),
    }
    if "if-none-match" in asked and not has_changed(asked["if-none-match"], found.etag):
        return Response(None, status_code=304, headers=headers)
    kind = found.content_type
    headers |= {
        "content-type": f"{kind}; charset=utf-8" if kind.startswith("text/") else kind,
        # Whatever it holds runs nothing here: our cookies are this host's.
        "content-security-policy": "default-src 'none'; sandbox",
        "x-content-type-options": "nosniff",
        "cross-origin-resource-policy": "cross-origin",
    }
    if not is_harmless(kind):
        headers["content-disposition"] = f'attachment; filename="{key.rpartition("/")[2]}"'
    if not isinstance(found, Blob):
        return Response(None, headers=headers | {"content-length": str(found.size)})
    partial = wanted is not None and found.size > 0
    if partial:
        headers["content-range"] = f"bytes {found.start}-{found.end - 1}/{found.size}"
    headers["content-length"] = str(found.end - found.start)
    return Stream(aiter(found), status_code=206 if partial else 200, headers=headers)


class BlobEndpoints(Controller):
    path = "/blobs"

    @route("/{path:path}", http_method=[HttpMethod.GET, HttpMethod.HEAD], include_in_schema=False)
    async def read(
        self, request: Request[Any, Any, Any], path: FromPath[str], blobs: NamedDependency[Blobs]
    ) -> Response[Any]:
        key = _key(path)
        if key.startswith(PUBLIC):
            return await serve(blobs, key, request, cache_control=IMMUTABLE)
        left = blobs.verify("GET", key, dict(request.query_params.items()))
        return await serve(blobs, key, request, cache_control=f"private, max-age={left}")

    @put("/{path:path}", status_code=201, include_in_schema=False, request_max_body_size=None)
    async def write(
        self, request: Request[Any, Any, Any], path: FromPath[str], blobs: NamedDependency[Blobs]
    ) -> Response[Stored]:
        key = _key(path)
        limit = blobs.verify("PUT", key, dict(request.query_params.items()))
        announced = request.headers.get("content-length", "")
        if announced.isdigit() and int(announced) > limit:
            raise PayloadTooLarge(limit=limit)
        stored = await blobs.put(key, _patiently(request.stream()), max_bytes=limit)
        return Response(stored, headers=_ANY_ORIGIN | {"etag": stored.etag})

    @route("/{path:path}", http_method=HttpMethod.OPTIONS, status_code=204, include_in_schema=False)
    async def may_i(self, path: FromPath[str]) -> Response[None]:
        """A browser asks before it uploads from a page of another host, such as a system's own."""
        allowed = {
            "access-control-allow-methods": "GET, HEAD, PUT",
            "access-control-allow-headers": "content-type, if-none-match, if-range, range",
            "access-control-max-age": "86400",
        }
        return Response(None, headers=_ANY_ORIGIN | allowed)


def _key(path: FromPath[str]) -> str:
    try:
        return checked(path.removeprefix("/"))
    except ValueError:
        raise BlobMissing from None


async def _patiently(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """What is sent, as long as something is. Raises BadRequest for a sender who has gone silent."""
    while True:
        try:
            async with asyncio.timeout(SILENCE):
                chunk = await anext(body, None)
        except TimeoutError:
            raise BadRequest(reason=f"nothing came for {SILENCE:.0f} seconds") from None
        if chunk is None:
            return
        yield chunk
