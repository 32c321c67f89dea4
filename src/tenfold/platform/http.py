"""HTTP: one Litestar application a system, errors as RFC 9457, and the thin dispatcher in front of them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from http import HTTPStatus
from importlib import resources
from typing import Any, Protocol

import msgspec
import structlog
from litestar import Litestar, Request, Response, WebSocket
from litestar.config.cors import CORSConfig
from litestar.di import Provide
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import OpenAPIMediaType, OpenAPIResponse, OpenAPIType, Reference, Schema, Server
from litestar.response import Stream
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, ExceptionHandlersMap, Receive, Scope, Send

from tenfold.platform.errors import BadRequest, Invalid, PayloadTooLarge, TenfoldError
from tenfold.platform.identity import Principal
from tenfold.platform.identity.errors import ApplicationRefused
from tenfold.platform.runtime import Runtime
from tenfold.platform.telemetry import traced

log = structlog.get_logger(__name__)

PROBLEM = "application/problem+json"
#: For `opt` of controllers and handlers that let an application act for an account, because they check its scopes
#: (`principal.may`, `principal.require`). All others refuse applications.
SCOPED = {"scoped": True}


def page_headers(*origins: str) -> list[tuple[bytes, bytes]]:
    """Headers of a page. It may load from its own host, and pictures, films and data from `origins` as well.

    `style-src` allows inline styles: charts set sizes by them. `script-src` allows WebAssembly, by which messages are
    encrypted, and no eval.
    """
    others = "".join(f" {origin}" for origin in dict.fromkeys(origins) if origin)
    policy = (
        f"default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; img-src 'self' data: blob:{others}; "
        f"media-src 'self' blob:{others}; "
        f"style-src 'self' 'unsafe-inline'; font-src 'self' data:; connect-src 'self' ws: wss:{others}; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    )
    return [
        (b"content-type", b"text/html; charset=utf-8"),
        (b"cache-control", b"no-cache"),
        (b"content-security-policy", policy.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"strict-origin-when-cross-origin"),
    ]


class Problem(msgspec.Struct, omit_defaults=True):
    """An error as RFC 9457 has it, with our stable code and, for bad input, the fields."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    fields: dict[str, str] = {}


#: As the server has them: few are needed of a hot request, and a dict of all costs as much as the rest of its way here.
type Headers = Sequence[tuple[bytes, bytes]]


class Front(Protocol):
    """Answers hot requests of a system before the framework sees them, or says that they aren't its own (None)."""

    def __call__(
        self, method: str, path: str, scope: Any, headers: Headers, receive: Receive, send: Send
    ) -> Awaitable[None] | None: ...


def problem(error: TenfoldError) -> Problem:
    return Problem(
        type=f"urn:tenfold:{error.code}",
        title=error.title,
        status=error.status,
        detail=error.detail,
        code=error.code,
        fields=error.fields,
    )


def problem_response(error: TenfoldError) -> Response[Problem]:
    return Response(problem(error), status_code=error.status, headers=error.headers, media_type=PROBLEM)


def _on_tenfold_error(_: Request[Any, Any, Any], error: TenfoldError) -> Response[Problem]:
    if error.status >= 500:
        log.warning("request_failed", code=error.code, detail=error.detail)
    return problem_response(error)


def _on_http_exception(request: Request[Any, Any, Any], error: HTTPException) -> Response[Problem]:
    cause = error.__cause__
    # A field of the body that is named like a dependency is taken by the framework for a bug of ours, hence "$.data".
    if isinstance(cause, msgspec.ValidationError) and (error.status_code < 500 or "`$.data" in str(cause)):
        return problem_response(invalid(request, cause))
    if isinstance(error, ValidationException):
        return problem_response(Invalid(fields={"body": _first_line(error.detail)}))
    status = HTTPStatus(error.status_code)
    code = status.phrase.lower().replace(" ", "_").replace("-", "_")
    detail = _first_line(error.detail) or status.description or status.phrase
    body = Problem(type=f"urn:tenfold:{code}", title=status.phrase, status=status, detail=detail, code=code)
    return Response(body, status_code=status, headers=error.headers, media_type=PROBLEM)


def invalid(request: Request[Any, Any, Any], error: msgspec.ValidationError) -> Invalid:
    """Name what is wrong as it is named outside: fields of the body, parameters by the name in the request."""
    [(field, text)] = Invalid.of(error).fields.items()
    field = "body" if field == "data" else field.removeprefix("data.")
    parameter = request.route_handler.parsed_fn_signature.parameters.get(field)
    return Invalid(fields={getattr(parameter and parameter.kwarg_definition, "name", None) or field: text})


def _on_bug(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    log.error("request_crashed", path=request.url.path, exc_info=error)
    return problem_response(TenfoldError())


_PROBLEMS: ExceptionHandlersMap = {
    TenfoldError: _on_tenfold_error,
    HTTPException: _on_http_exception,
    Exception: _on_bug,
}


class _Request(Request[Any, Any, Any]):
    """A request whose body may be anything: what no JSON decoder should be sent is the sender's fault, not a bug."""

    async def json(self) -> Any:
        try:
            return await super().json()
        except UnicodeDecodeError as error:
            raise BadRequest(reason="it isn't UTF-8") from error
        except RecursionError as error:
            raise BadRequest(reason="it is nested too deeply") from error


def _first_line(text: str) -> str:
    return text.partition("\n")[0][:300]


def application(
    *,
    title: str,
    controllers: Sequence[Any],
    provide: Mapping[str, object],
    max_body: int,
    runtime: Runtime,
    docs: str = "/api/docs",
    cross_origin: bool = False,
    complaints: "ExceptionHandlersMap | None" = None,
) -> Litestar:
    """One Litestar application whose errors are problems and whose contract, at {docs}/openapi.json, says so.

    Its endpoints may ask, by name, for what is in `provide` and for db, live, limits, identity, principal and ip.
    """

    async def principal(scope: Scope) -> Principal:
        principal = await runtime.identity.authenticate(scope)
        if principal.via == "oauth" and not scope["route_handler"].opt.get("scoped"):
            raise ApplicationRefused
        return principal

    async def ip(scope: Scope) -> str:
        return scope["client"][0] if scope["client"] else ""

    contract = OpenAPIConfig(
        title=title,
        version="1",
        path=docs,
        render_plugins=[JsonRenderPlugin()],
        # As seen from the document, since the prefix is the dispatcher's and there is none on a host of one's own.
        servers=[Server(url="/".join(docs.count("/") * [".."]))],
    )
    own = {"db": runtime.db, "live": runtime.live, "limits": runtime.limits, "identity": runtime.identity}
    app = Litestar(
        route_handlers=list(controllers),
        dependencies={
            "principal": Provide(principal),
            "ip": Provide(ip),
            **{name: _provider(value) for name, value in (own | dict(provide)).items()},
        },
        exception_handlers={**_PROBLEMS, **(complaints or {})},
        request_class=_Request,
        request_max_body_size=max_body,
        openapi_config=contract,
        # Cookies count for nothing there: browsers don't send them without allow_credentials.
        cors_config=CORSConfig(expose_headers=["*"], max_age=3600) if cross_origin else None,
        logging_config=None,
    )
    _document_problems(app)
    _document_strictness(app)
    return app


def _provider(value: object) -> Provide:
    return Provide(lambda: value, sync_to_thread=False, use_cache=True)


def _document_problems(app: Litestar) -> None:
    """Every operation may answer with a problem; say it once, as OpenAPI's default response.

    What follows an API of others has errors of its own shape, some JSON object, and problems where the mistake is ours.
    """
    texts = {name: Schema(type=OpenAPIType.STRING) for name in ("type", "title", "detail", "code")}
    fields = Schema(type=OpenAPIType.OBJECT, additional_properties=Schema(type=OpenAPIType.STRING))
    schema = app.openapi_schema
    schema.components.schemas["Problem"] = Schema(
        type=OpenAPIType.OBJECT,
        required=[*texts, "status"],
        properties={**texts, "status": Schema(type=OpenAPIType.INTEGER), "fields": fields},
    )
    said = {PROBLEM: OpenAPIMediaType(schema=Reference(ref="#/components/schemas/Problem"))}
    own = {"application/json": OpenAPIMediaType(schema=Schema(type=OpenAPIType.OBJECT))}
    answer = OpenAPIResponse(description="What went wrong, as RFC 9457 has it.", content=dict(said))
    complaint = OpenAPIResponse(description="What went wrong.", content=said | own)
    own_shape = {
        route.path_format
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if handler.resolve_exception_handlers().get(TenfoldError) is not _on_tenfold_error
    }
    for path, item in (schema.paths or {}).items():
        for operation in (item.get, item.put, item.post, item.delete, item.patch):
            if operation is not None:
                # 400 is what the framework guesses of itself; ours are problems.
                kept = {code: each for code, each in (operation.responses or {}).items() if code != "400"}
                operation.responses = kept | {"default": complaint if path in own_shape else answer}
                if isinstance(nothing := kept.get("204"), OpenAPIResponse):
                    nothing.content = None
                # What is encoded already has the type of bytes, which the framework takes for text.
                for each in kept.values():
                    content = each.content if isinstance(each, OpenAPIResponse) else None
                    encoded = (content or {}).get("application/json")
                    if encoded and isinstance(encoded.schema, Schema) and encoded.schema.type == OpenAPIType.STRING:
                        encoded.schema = Schema()


def _document_strictness(app: Litestar) -> None:
    """Say of the bodies that take no unknown fields that they don't, which the framework leaves out."""
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            kind = handler.parsed_data_field and handler.parsed_data_field.annotation
            schema = app.openapi_schema.components.schemas.get(getattr(kind, "__name__", ""))
            if schema is not None and kind.__struct_config__.forbid_unknown_fields:
                schema.additional_properties = False


def resume_after(last_event_id: str | None) -> int | None:
    """The id in a Last-Event-ID header. Raises BadRequest for what isn't one of ours."""
    if not last_event_id:
        return None
    if not (last_event_id.isascii() and last_event_id.isdigit()):
        raise BadRequest(reason="Last-Event-ID isn't the id of a message")
    return int(last_event_id)


class _Events(Stream):
    """A stream that says what it is, also where its handler answers JSON to others."""

    def to_asgi_response(self, *args: Any, **kwargs: Any) -> Any:
        return super().to_asgi_response(*args, **{**kwargs, "media_type": self.media_type})


def event_stream(messages: AsyncIterator[bytes]) -> Stream:
    """Server-sent events, which nothing between us and the reader may keep back."""
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return _Events(messages, media_type="text/event-stream", headers=headers)


async def read_body(receive: Receive, most: int) -> bytes:
    """The body of a request. Raises PayloadTooLarge, BadRequest when the sender leaves in the middle of it."""
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise BadRequest(reason="it ends in the middle")
        parts.append(message["body"])
        size, more = size + len(parts[-1]), message["more_body"]
        if size > most:
            raise PayloadTooLarge(limit=most)
    return parts[0] if len(parts) == 1 else b"".join(parts)


@asynccontextmanager
async def attended(receive: Receive) -> AsyncIterator[None]:
    """Answer for as long as the client is there: when it has gone, what happens in here is cancelled and left."""
    answering = asyncio.current_task()
    assert answering is not None
    gone = False

    async def watch() -> None:
        nonlocal gone
        while (await receive())["type"] != "http.disconnect":
            pass
        gone = True
        answering.cancel()

    watching = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        if not gone or answering.uncancel() > 0:
            raise
    finally:
        watching.cancel()


async def push(socket: WebSocket[Any, Any, Any], messages: AsyncIterator[str]) -> None:
    """Send messages over a WebSocket until the other side has gone; what it sends is not listened to."""
    await socket.accept()

    async def send() -> None:
        async for message in messages:
            await socket.send_text(message)

    sending = asyncio.create_task(send())
    gone = asyncio.create_task(_gone(socket))
    try:
        await asyncio.wait((sending, gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        sending.cancel()
        gone.cancel()
        await asyncio.gather(sending, gone, return_exceptions=True)


async def _gone(socket: WebSocket[Any, Any, Any]) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


class Served(msgspec.Struct):
    """A system as the dispatcher sees it in this process."""

    name: str
    app: ASGIApp
    front: Front | None
    pages: frozenset[str]
    hosts: frozenset[str]


class Mounted(msgspec.Struct):
    """What a process serves once it is open."""

    runtime: Runtime
    served: Sequence[Served]
    platform: ASGIApp
    identity: ASGIApp


class Dispatcher:
    """Tells systems apart by host (`links.localhost`) or first path segment (`/links/`); the rest is the platform's.

    A system's application sees its paths without the prefix. What is slow or can wait is elsewhere: each request passes
    here. `open` is entered when the server starts the process and left when it ends it.
    """

    def __init__(self, open: Callable[[], AbstractAsyncContextManager[Mounted]]) -> None:
        self._open = open
        self._page = shell_page()
        self._page_headers = page_headers()
        self._served: dict[str, Served] = {}
        self._own_hosts: dict[str, Served] = {}
        self._hosts: dict[bytes, Served | None] = {}
        self._mounted: Mounted

    async def _live(self, receive: Receive, send: Any) -> None:
        await receive()
        try:
            async with self._open() as mounted:
                self.mount(mounted)
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except Exception as error:
            log.exception("process_failed")
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise
        await send({"type": "lifespan.shutdown.complete"})

    def mount(self, mounted: Mounted) -> None:
        """Serve these from now on."""
        self._mounted = mounted
        self._page_headers = page_headers(mounted.runtime.settings.address, *mounted.runtime.blobs.origins)
        self._served = {each.name: each for each in mounted.served}
        self._own_hosts = {host.lower(): each for each in mounted.served for host in each.hosts}
        self._hosts = {}

    def __call__(self, scope: Any, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer a request. Not a coroutine itself: a front's answer is handed to the server as it is."""
        if scope["type"] == "lifespan":
            return self._live(receive, send)
        path: str = scope["path"]
        headers: Headers = scope["headers"]
        host = b""
        for field, value in headers:
            if field == b"host":  # nearly always the first
                host = value
                break
        try:
            system = self._hosts[host]
        except KeyError:
            system = self._by_host(host)
        if system is None:
            end = path.find("/", 1)
            system = self._served.get(path[1:] if end < 0 else path[1:end])
            if system is not None:
                if end < 0:
                    return _redirect(send, f"{path}/")
                path = path[end:]
        if system is not None and system.front is not None and scope["type"] == "http":
            answer = system.front(scope["method"], path, scope, headers, receive, send)
            if answer is not None:
                return answer
        return self._slow(system, path, scope, dict(headers), receive, send)

    async def _slow(
        self,
        system: Served | None,
        path: str,
        scope: Any,
        headers: dict[bytes, bytes],
        receive: Receive,
        send: Send,
    ) -> None:
        if scope.get("client"):
            peer, port = scope["client"]
            scope["client"] = self._mounted.runtime.proxies.visitor(peer, headers.get(b"x-forwarded-for", b"")), port
        first = path[1:].partition("/")[0]
        own = "tenfold" if system is None else system.name
        if scope["type"] == "http" and scope["method"] in ("GET", "HEAD"):
            pages = _PLATFORM_PAGES if system is None else _PLATFORM_PAGES | system.pages
            if path == CONSENT_PAGE or (_shown(first, pages) and not path.endswith(".json")):
                return await _answer(send, 200, self._page_headers, self._page, head=scope["method"] == "HEAD")
        app = self._mounted.platform if system is None else system.app
        if path.startswith(_IDENTITY):
            app = self._mounted.identity
        if system is not None:
            # The prefix is kept for those who tell others where they are.
            scope = {**scope, "path": path, "raw_path": path.encode(), "prefix": scope["path"].removesuffix(path)}
        if scope["type"] != "http":
            return await app(scope, receive, send)
        return await traced(app, own, scope, headers, receive, send)

    def _by_host(self, host: bytes) -> Served | None:
        name = host.decode("latin-1").lower()
        label, dot, _ = name.partition(".")
        system = self._own_hosts.get(name) or (self._served.get(label) if dot else None)
        if len(self._hosts) < 10_000 and len(host) < 256:  # a stranger chooses the header
            self._hosts[host] = system
        return system


#: What identity answers on every host and under every prefix.
_IDENTITY = ("/api/identity", "/oauth/", "/.well-known/jwks.json", "/.well-known/oauth-authorization-server")
#: Where applications send a browser, on every host and under every prefix.
CONSENT_PAGE = "/oauth/authorize"
#: First path segments that show the page: "" is the root itself.
_PLATFORM_PAGES = frozenset({"", "signin", "signup", "account"})


def _shown(first: str, pages: frozenset[str]) -> bool:
    return first in pages or (first.startswith("@") and "@" in pages)


async def _answer(
    send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes, *, head: bool = False
) -> None:
    sized = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": sized})
    await send({"type": "http.response.body", "body": b"" if head else body, "more_body": False})


async def _redirect(send: Send, to: str) -> None:
    await _answer(send, 308, [(b"location", to.encode())], b"")


def shell_page() -> bytes:
    """The built web page, or a word about how to build it."""
    page = resources.files("tenfold") / "static" / "index.html"
    if page.is_file():
        return page.read_bytes()
    return b"<!doctype html><html><title>Tenfold</title><p>The pages are not built yet: run <code>make web</code>."
