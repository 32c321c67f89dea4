"""What all endpoints of the Mastodon client API share: how bodies are read, errors told, and pages linked."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec
from litestar import Controller, MediaType, Request, Response
from litestar.datastructures import UploadFile
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap

from tenfold.platform.errors import Invalid, TenfoldError
from tenfold.platform.http import SCOPED
from tenfold.platform.identity.rules import read_id
from tenfold.systems.feed.types import Range


class Complaint(msgspec.Struct, omit_defaults=True):
    """An error as the Mastodon API tells it; `details` name the fields."""

    error: str
    error_description: str = ""
    details: dict[str, str] = {}


def complain(_: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Any mistake in this API's shape."""
    if isinstance(error, TenfoldError):
        body = Complaint(error=error.detail, error_description=error.code, details=error.fields)
        return answer(msgspec.json.encode(body), status=error.status, headers=error.headers)
    assert isinstance(error, HTTPException)
    return answer(
        msgspec.json.encode(Complaint(error=error.detail.partition("\n")[0][:300])),
        status=error.status_code,
        headers=error.headers,
    )


#: Of the whole API, so that what it doesn't have is answered in its own shape as well.
COMPLAINTS: ExceptionHandlersMap = {TenfoldError: complain, HTTPException: complain}


class MastodonController(Controller):
    """A part of the API. Applications may call it, since it checks their scopes."""

    opt = SCOPED


def answer(body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[bytes]:
    """JSON that is encoded already."""
    return Response(body, status_code=status, headers=dict(headers or {}), media_type=MediaType.JSON)


async def read_body[T: msgspec.Struct](request: Request[Any, Any, Any], kind: type[T]) -> T:
    """What a client sent as JSON, as a form, or as a multipart form, and in the query: they send any of them.

    Names as `media_ids[]` make lists, and `poll[expires_in]` objects; numbers and booleans may be text. Raises Invalid
    with the field. Files (UploadFile) stay as they are: use `Any` for their fields.
    """
    values: dict[str, Any] = {}
    _spread(values, request.query_params.multi_items())
    content_type = request.headers.get("content-type", "")
    if content_type.startswith("application/json"):
        data = await request.json()
        if not isinstance(data, dict):
            raise Invalid(fields={"body": "must be an object"})
        values |= data
    elif content_type.startswith(("application/x-www-form-urlencoded", "multipart/form-data")):
        _spread(values, (await request.form()).multi_items())
    try:
        return msgspec.convert(values, kind, strict=False, builtin_types=(UploadFile,))
    except msgspec.ValidationError as error:
        raise Invalid.of(error) from error


#: Keys of a nested form name: `poll[options][]` has two.
_MOST_DEPTH = 4


def _spread(values: dict[str, Any], items: Iterable[tuple[str, Any]]) -> None:
    """Put the items of a form where their bracketed names say."""
    for name, value in items:
        first, *rest = name.replace("]", "").split("[")
        if len(rest) > _MOST_DEPTH:
            continue
        place, key = values, first
        for each in rest:
            if each == "":
                break
            place = place.setdefault(key, {})
            if not isinstance(place, dict):
                raise Invalid(fields={first: "is given twice, in different shapes"})
            key = each
        if rest and rest[-1] == "":
            some = place.setdefault(key, [])
            if not isinstance(some, list):
                raise Invalid(fields={first: "is given twice, in different shapes"})
            some.append(value)
        else:
            place[key] = value


def many(request: Request[Any, Any, Any], name: str, most: int) -> list[str]:
    """A list in the query, `name[]=1&name[]=2` or `name=1`. What is beyond `most` is left out."""
    found = [*request.query_params.getall(f"{name}[]", []), *request.query_params.getall(name, [])]
    return [str(each) for each in found[:most]]


def read_ids(texts: Sequence[str]) -> list[int]:
    """Ids as clients send them, without those that can't be any."""
    return [each for each in map(read_id, texts) if each is not None]


def page_of(request: Request[Any, Any, Any], *, default: int = 20, most: int = 40) -> Range:
    """max_id, since_id, min_id and limit of a query. What isn't an id is as if it weren't there."""
    return range_of(request.query_params, default=default, most=most)


def range_of(query: Mapping[str, str], *, default: int = 20, most: int = 40) -> Range:
    """The same of a plain mapping."""
    limit = query.get("limit", "")
    return Range(
        max_id=read_id(query.get("max_id", "")),
        since_id=read_id(query.get("since_id", "")),
        min_id=read_id(query.get("min_id", "")),
        limit=max(1, min(int(limit) if limit.isascii() and limit.isdecimal() and len(limit) < 6 else default, most)),
    )


def links(feed_url: str, request: Request[Any, Any, Any], ids: Sequence[int]) -> dict[str, str]:
    """The Link header of a page: `next` is older than its last id, `prev` newer than its first."""
    return link_header(f"{feed_url}{request.url.path}", request.query_params.multi_items(), ids)


def link_header(address: str, query: Iterable[tuple[str, str]], ids: Sequence[int]) -> dict[str, str]:
    """The same of an address and the query that it was asked with."""
    if not ids:
        return {}
    kept = [item for item in query if item[0] not in ("max_id", "since_id", "min_id")]
    base = f"{address}?{urlencode(kept)}{'&' if kept else ''}"
    return {"link": f'<{base}max_id={min(ids)}>; rel="next", <{base}min_id={max(ids)}>; rel="prev"'}
