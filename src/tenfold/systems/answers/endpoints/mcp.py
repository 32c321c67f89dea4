"""The Model Context Protocol: assistants search collections, and read what is in them, over HTTP or a pipe.

Each request is complete in itself, so any process can answer any, and nothing is kept between two.
"""

from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import version
from typing import Annotated, Any

import msgspec
from litestar.types import Receive, Send
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp_types import CallToolRequestParams, CallToolResult, ListToolsResult, TextContent, Tool, ToolAnnotations

from tenfold.platform.errors import NotFound, TenfoldError, Unauthorized
from tenfold.platform.http import PROBLEM, Headers, problem
from tenfold.platform.identity import Principal
from tenfold.platform.identity.rules import read_id
from tenfold.systems.answers.actions import asking, library, searching
from tenfold.systems.answers.actions.context import Answers
from tenfold.systems.answers.errors import AnswerFailed, CollectionNotFound, DocumentNotFound
from tenfold.systems.answers.types.asking import Ask, Done, Failed
from tenfold.systems.answers.types.library import Collection, Found, Search

PATH = "/mcp"
#: Bytes of a request, and characters of a document that are handed over at once.
MOST_BODY, MOST_TEXT = 256 * 1024, 50_000
#: Collections that are searched when none is named, the last changed.
SEARCHED = 5

type Tell = Callable[[Answers, Principal, Any], Awaitable[msgspec.Struct]]


class ToolMissing(NotFound):
    """There is no tool {name}."""


class SearchCollections(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    query: Annotated[str, msgspec.Meta(min_length=1, max_length=2000, description="What to look for, as a question.")]
    collection: Annotated[str, msgspec.Meta(description="Id or name of a collection; without one, all of them.")] = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=20, description="How many passages.")] = 5


class ListContents(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    collection: Annotated[
        str, msgspec.Meta(description="Id or name of a collection whose documents to list; without one, collections.")
    ] = ""
    before: Annotated[str, msgspec.Meta(description="What the last list said as `next`.")] = ""


class FetchText(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    id: Annotated[str, msgspec.Meta(max_length=50, description="Of a document, as search and list tell it.")]
    begins: Annotated[int, msgspec.Meta(ge=0, description="The character to begin with.")] = 0


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    title: str
    source: str
    text: str
    headings: list[str]
    page: int | None
    begins: int
    score: float


class Hits(msgspec.Struct, frozen=True, kw_only=True):
    results: list[Hit]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    about: str


class Entries(msgspec.Struct, frozen=True, kw_only=True):
    items: list[Entry]
    next: str | None = None


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    title: str
    text: str
    begins: int
    #: Where to go on; null at the end.
    next: int | None


async def search(answers: Answers, principal: Principal, data: SearchCollections) -> Hits:
    """Find the passages of documents that fit a question best."""
    if data.collection:
        chosen = [await _named(answers, principal, data.collection)]
    else:
        chosen = list((await library.list_collections(answers, principal)).items)[:SEARCHED]
    found: list[Hit] = []
    for each in chosen:
        wanted = Search(query=data.query, limit=data.limit)
        result = await searching.search(answers, int(each.id), wanted, principal)
        found += [_hit(each, passage) for passage in result.items]
    return Hits(results=sorted(found, key=lambda each: -each.score)[: data.limit])


def _hit(collection: Collection, found: Found) -> Hit:
    return Hit(
        id=f"{collection.id}/{found.document_id}",
        title=found.title,
        source=found.source,
        text=found.text,
        headings=list(found.headings),
        page=found.page,
        begins=found.begins,
        score=found.score,
    )


async def list_contents(answers: Answers, principal: Principal, data: ListContents) -> Entries:
    """List collections, or the documents of one of them, newest first."""
    if not data.collection:
        collections = (await library.list_collections(answers, principal)).items
        return Entries(
            items=[
                Entry(id=each.id, name=each.name, about=f"{each.documents} documents. {each.description}".strip())
                for each in collections
            ]
        )
    collection = await _named(answers, principal, data.collection)
    before = read_id(data.before) if data.before else None
    found = await library.list_documents(answers, int(collection.id), principal, None, before, 100)
    items = [
        Entry(id=f"{collection.id}/{each.id}", name=each.name, about=f"{each.title} ({each.kind}, {each.state})")
        for each in found.items
    ]
    return Entries(items=items, next=found.next)


async def fetch(answers: Answers, principal: Principal, data: FetchText) -> Fetched:
    """Read the text of a document, at most 50,000 characters at once."""
    first, _, second = data.id.partition("/")
    collection_id, document_id = read_id(first), read_id(second)
    if collection_id is None or document_id is None:
        raise DocumentNotFound
    found = await library.read_text(answers, collection_id, document_id, principal)
    end = data.begins + MOST_TEXT
    text = found.text[data.begins : end]
    return Fetched(
        id=data.id, title=found.title, text=text, begins=data.begins, next=end if end < len(found.text) else None
    )


async def _named(answers: Answers, principal: Principal, named: str) -> Collection:
    """A collection by id or by name. Raises CollectionNotFound."""
    for each in (await library.list_collections(answers, principal)).items:
        if named in (each.id, each.name):
            return each
    raise CollectionNotFound


class AskCollection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    question: Annotated[str, msgspec.Meta(min_length=1, max_length=2000, description="A whole question.")]
    collection: Annotated[str, msgspec.Meta(min_length=1, description="Id or name of a collection.")]


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    #: With the numbers of sources behind each sentence; "I don't know." where the documents don't say.
    answer: str
    known: bool
    sources: list[Hit]


async def ask(answers: Answers, principal: Principal, data: AskCollection) -> Answered:
    """Answer a question from the documents of a collection, each sentence with its source; or say that they don't."""
    collection = await _named(answers, principal, data.collection)
    async for event in asking.ask(answers, int(collection.id), Ask(question=data.question), principal):
        if isinstance(event, Failed):
            raise AnswerFailed(part=event.detail)
        if isinstance(event, Done):
            sources = [_hit(collection, each) for each in event.answer.passages]
            return Answered(answer=event.answer.cited, known=event.answer.known, sources=sources)
    raise AnswerFailed(part=asking.BROKEN)


#: By name: what it takes, what it gives, and what it does.
TOOLS: Mapping[str, tuple[type[msgspec.Struct], type[msgspec.Struct], Tell]] = {
    "search": (SearchCollections, Hits, search),
    "list": (ListContents, Entries, list_contents),
    "ask": (AskCollection, Answered, ask),
    "fetch": (FetchText, Fetched, fetch),
}


def server_for(answers: Answers, principal: Principal) -> Server[Any]:
    """What an assistant may do for an account."""

    async def list_tools(_: Any, __: Any) -> ListToolsResult:
        return ListToolsResult(tools=[_tool(name) for name in TOOLS])

    async def call(_: Any, params: CallToolRequestParams) -> CallToolResult:
        try:
            if params.name not in TOOLS:
                raise ToolMissing(name=params.name)
            takes, _gives, act = TOOLS[params.name]
            answer = await act(answers, principal, msgspec.convert(params.arguments or {}, takes))
        except msgspec.ValidationError as error:
            return _refusal(str(error))
        except TenfoldError as error:
            return _refusal(str(error))
        text = TextContent(type="text", text=msgspec.json.encode(answer).decode())
        return CallToolResult(content=[text], structured_content=msgspec.to_builtins(answer))

    return Server(
        "tenfold-answers",
        version=version("tenfold"),
        title="Tenfold Answers",
        instructions="Searches the collections of documents of one account. Cite the titles of what you use.",
        on_list_tools=list_tools,
        on_call_tool=call,
    )


def _refusal(why: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=why)], is_error=True)


def _tool(name: str) -> Tool:
    takes, gives, act = TOOLS[name]
    return Tool(
        name=name,
        description=act.__doc__,
        input_schema=_schema(takes),
        output_schema=_schema(gives),
        annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False),
    )


def _schema(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """A struct as JSON Schema, its object at the root, as the protocol wants it."""
    (schema,), others = msgspec.json.schema_components([kind])
    own: dict[str, Any] = others.pop(kind.__name__) if "$ref" in schema else schema
    return own | {"$defs": others} if others else own


class Mcp:
    """The door at /mcp, before the framework. Who comes shows an API key as a bearer."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def __call__(
        self, method: str, path: str, scope: Any, headers: Headers, receive: Receive, send: Send
    ) -> Awaitable[None] | None:
        return self._answer(scope, receive, send) if path in (PATH, f"{PATH}/") else None

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            principal = await self._answers.runtime.identity.authenticate(scope)
            principal.require(library.SCOPE)
            # A browser sends its cookie wherever a page has it send it.
            if principal.via == "cookie":
                raise Unauthorized
        except TenfoldError as error:
            await _refuse(send, error)
            return
        manager = StreamableHTTPSessionManager(
            server_for(self._answers, principal), json_response=True, stateless=True, max_request_body_size=MOST_BODY
        )
        async with manager.run():
            await manager.handle_request(scope, receive, send)


async def _refuse(send: Any, error: TenfoldError) -> None:
    body = msgspec.json.encode(problem(error))
    headers = [(b"content-type", PROBLEM.encode()), (b"content-length", str(len(body)).encode())]
    headers += [(b"www-authenticate", b"Bearer")] if error.status == 401 else []
    headers += [(name.lower().encode(), value.encode()) for name, value in error.headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def serve_pipe(answers: Answers, principal: Principal) -> None:
    """Speak the protocol on standard input and output until the other side ends it."""
    server = server_for(answers, principal)
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())
