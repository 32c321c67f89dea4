"""The API of the link shortener. Decode, call one action, encode."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast

from litestar import Controller, Request, Response, WebSocket, delete, get, patch, post, websocket
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.openapi.spec import (
    OpenAPIFormat,
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    RequestBody,
    Schema,
)
from litestar.params import FromQuery, HeaderParameter, JSONBody, PathParameter, QueryParameter, RawBody
from litestar.response import Stream

from tenfold.platform.errors import BadRequest
from tenfold.platform.http import event_stream, push, resume_after
from tenfold.platform.identity import Principal
from tenfold.platform.limits import Limit, Limits, Rate
from tenfold.platform.live import Live, frames, sse
from tenfold.systems.links import engine
from tenfold.systems.links.actions import changing, making, reading, statistics, tables
from tenfold.systems.links.actions.context import Links
from tenfold.systems.links.hot import Watching
from tenfold.systems.links.types import (
    LINE,
    BulkResults,
    BulkShorten,
    ChangeLink,
    Link,
    LinkPage,
    Overview,
    Period,
    ShortenLink,
    State,
    Stats,
)

CREATE = Limit(
    name="links.create",
    rates={
        "anonymous": Rate(10, per=60),
        "free": Rate(120, per=60),
        "plus": Rate(1200, per=60),
        "enterprise": Rate(60_000, per=60),
    },
)
#: Rows of bulk calls.
BULK = Limit(
    name="links.bulk",
    rates={
        "anonymous": Rate(1, per=3600),
        "free": Rate(20_000, per=3600),
        "plus": Rate(200_000, per=3600),
        "enterprise": Rate(100_000_000, per=3600),
    },
)
#: Ten thousand rows of long addresses.
BULK_BYTES = 32 * 1024 * 1024

Code = Annotated[str, PathParameter(pattern="^[A-Za-z0-9_-]{3,64}$", description="The code or alias of a link.")]


@dataclass
class _TakesCsv(Operation):
    """Says what the framework can't know of a body that it only passes on."""

    def __post_init__(self) -> None:
        schema = Schema(
            type=OpenAPIType.STRING, description="A line of column names, url among them, then a row a link."
        )
        self.request_body = RequestBody(content={"text/csv": OpenAPIMediaType(schema=schema)}, required=True)


@dataclass
class _AnswersPicture(Operation):
    """Says that the picture comes in either format."""

    def __post_init__(self) -> None:
        picture = OpenAPIMediaType(schema=Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY))
        answer = cast("OpenAPIResponse", cast("dict[str, object]", self.responses)["200"])
        answer.content = {"image/svg+xml": picture, "image/png": picture}


class LinkEndpoints(Controller):
    path = "/api/links"
    tags = ("Links",)

    @post(responses={200: ResponseSpec(Link, description="The link that was there already (with reuse).")})
    async def shorten(
        self,
        request: Request[Any, Any, Any],
        data: JSONBody[ShortenLink],
        links: NamedDependency[Links],
        principal: NamedDependency[Principal],
        limits: NamedDependency[Limits],
        ip: NamedDependency[str],
    ) -> Response[Link]:
        await limits.take(CREATE, principal, ip=ip)
        link, new = await making.shorten(links, data, principal, host=_host(request))
        return Response(link, status_code=201 if new else 200)

    @post("/bulk", status_code=200, request_max_body_size=BULK_BYTES)
    async def shorten_many(
        self,
        request: Request[Any, Any, Any],
        data: JSONBody[BulkShorten],
        links: NamedDependency[Links],
        principal: NamedDependency[Principal],
        limits: NamedDependency[Limits],
        ip: NamedDependency[str],
    ) -> BulkResults:
        making.check_rows(links, data.links, principal)
        await limits.take(BULK, principal, cost=len(data.links), ip=ip)
        return BulkResults(await making.shorten_many(links, data.links, principal, host=_host(request)))

    @post("/import", status_code=200, request_max_body_size=BULK_BYTES, operation_class=_TakesCsv)
    async def import_csv(
        self,
        request: Request[Any, Any, Any],
        body: RawBody,
        links: NamedDependency[Links],
        principal: NamedDependency[Principal],
        limits: NamedDependency[Limits],
        ip: NamedDependency[str],
    ) -> BulkResults:
        try:
            text = body.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise BadRequest(reason="it isn't UTF-8") from error
        rows = tables.parse_csv(text, links.settings.bulk_rows)
        making.check_rows(links, rows, principal)
        await limits.take(BULK, principal, cost=max(1, len(rows)), ip=ip)
        return BulkResults(await making.shorten_many(links, rows, principal, host=_host(request)))

    @get("/export.csv", media_type="text/csv")
    async def export_csv(self, links: NamedDependency[Links], principal: NamedDependency[Principal]) -> Stream:
        rows = tables.export(links, principal)
        first = await anext(rows)  # so that a stranger meets a problem and not half a file
        headers = {"content-disposition": 'attachment; filename="links.csv"', "cache-control": "no-store"}
        return Stream(_chain(first, rows), media_type="text/csv; charset=utf-8", headers=headers)

    @get()
    async def list_links(
        self,
        links: NamedDependency[Links],
        principal: NamedDependency[Principal],
        q: Annotated[str | None, QueryParameter(max_length=200, pattern=LINE)] = None,
        tag: Annotated[str | None, QueryParameter(max_length=40, pattern=LINE)] = None,
        in_state: Annotated[State | None, QueryParameter(name="state")] = None,
        cursor: Annotated[str | None, QueryParameter(max_length=11, pattern="^[0-9A-Za-z]+$")] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=100)] = 25,
    ) -> LinkPage:
        return await reading.list_links(links, principal, search=q, tag=tag, state=in_state, cursor=cursor, limit=limit)

    @get("/overview")
    async def overview(self, links: NamedDependency[Links], principal: NamedDependency[Principal]) -> Overview:
        return await statistics.overview(links, principal)

    @get("/{code:str}")
    async def read(self, code: Code, links: NamedDependency[Links], principal: NamedDependency[Principal]) -> Link:
        return await reading.read(links, code, principal)

    @patch("/{code:str}")
    async def change(
        self,
        request: Request[Any, Any, Any],
        code: Code,
        data: JSONBody[ChangeLink],
        links: NamedDependency[Links],
        principal: NamedDependency[Principal],
    ) -> Link:
        return await changing.change(links, code, data, principal, host=_host(request))

    @delete("/{code:str}")
    async def delete(self, code: Code, links: NamedDependency[Links], principal: NamedDependency[Principal]) -> None:
        await changing.delete(links, code, principal)

    @get("/{code:str}/qr", media_type="image/svg+xml", operation_class=_AnswersPicture)
    async def qr(
        self,
        code: Code,
        links: NamedDependency[Links],
        principal: NamedDependency[Principal],
        format: FromQuery[Literal["svg", "png"]] = "svg",
        size: Annotated[int, QueryParameter(ge=64, le=2048, description="Pixels, for PNG.")] = 512,
    ) -> Response[bytes]:
        link = await reading.read(links, code, principal)
        headers = {"cache-control": "private, max-age=3600"}
        if format == "svg":
            return Response(engine.qr_svg(link.short_url), media_type="image/svg+xml", headers=headers)
        return Response(engine.qr_png(link.short_url, size), media_type="image/png", headers=headers)

    @get("/{code:str}/stats")
    async def stats(
        self,
        code: Code,
        links: NamedDependency[Links],
        principal: NamedDependency[Principal],
        period: FromQuery[Period] = "24h",
    ) -> Stats:
        return await statistics.stats(links, code, period, principal)

    @get("/{code:str}/live", media_type="text/event-stream")
    async def live(
        self,
        code: Code,
        links: NamedDependency[Links],
        principal: NamedDependency[Principal],
        live: NamedDependency[Live],
        watching: NamedDependency[Watching],
        last_event_id: Annotated[str | None, HeaderParameter(name="Last-Event-ID", max_length=20)] = None,
    ) -> Stream:
        """Clicks as they are counted, as server-sent events; resumes after Last-Event-ID."""
        await reading.read(links, code, principal)
        clicks = live.subscribe(f"links.{code}", resume_after(last_event_id))
        return event_stream(_watched(watching, code, sse(clicks)))

    @websocket("/{code:str}/live/ws")
    async def live_socket(
        self,
        socket: WebSocket[Any, Any, Any],
        code: Code,
        links: NamedDependency[Links],
        principal: NamedDependency[Principal],
        live: NamedDependency[Live],
        watching: NamedDependency[Watching],
    ) -> None:
        """The same over a WebSocket, a message a click."""
        await reading.read(links, code, principal)
        await push(socket, _watched(watching, code, frames(live.subscribe(f"links.{code}"))))


async def _watched[T](watching: Watching, code: str, messages: AsyncIterator[T]) -> AsyncIterator[T]:
    """Pass messages on, and have clicks of the link sent here meanwhile."""
    async with watching.watch(code):
        async for message in messages:
            yield message


def _host(request: Request[Any, Any, Any]) -> str:
    return request.headers.get("host", "").lower().removesuffix(":443").removesuffix(":80")


async def _chain(first: str, rest: AsyncIterator[str]) -> AsyncIterator[str]:
    yield first
    async for text in rest:
        yield text
