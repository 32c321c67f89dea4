"""HTTP doors of collections and their documents. Decode, call one action, encode."""

from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from litestar import Controller, Request, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody, QueryParameter
from litestar.response import Stream
from msgspec import Meta

from tenfold.platform.blobs.endpoints import serve
from tenfold.platform.errors import Invalid
from tenfold.platform.http import event_stream, resume_after
from tenfold.platform.identity import Principal
from tenfold.platform.identity.rules import read_id
from tenfold.platform.live import Live, sse
from tenfold.systems.answers.actions import library, receiving, searching
from tenfold.systems.answers.actions.context import Answers
from tenfold.systems.answers.errors import CollectionNotFound, DocumentNotFound
from tenfold.systems.answers.types.library import (
    ChangeCollection,
    Collection,
    Collections,
    CreateCollection,
    Document,
    DocumentName,
    Documents,
    FetchDocument,
    Received,
    Search,
    SearchResult,
    State,
    Tag,
    Text,
    Versions,
)

#: Bytes of a request: of an archive, which settings bound further.
MOST_BODY = 1024**3
#: A document's bytes may be replaced at any time; they are for one person.
CACHE = "private, no-cache"


_TAGS: Any = Annotated[list[Tag], Meta(max_length=20)]


def collection_number(text: str) -> int:
    """Raises CollectionNotFound for what can't be an id."""
    number = read_id(text)
    if number is None:
        raise CollectionNotFound
    return number


def _document_number(text: str) -> int:
    number = read_id(text)
    if number is None:
        raise DocumentNotFound
    return number


def _read_tags(text: str) -> list[str]:
    tags = list(dict.fromkeys(each.strip() for each in text.split(",") if each.strip()))
    try:
        msgspec.convert(tags, type=_TAGS)
    except msgspec.ValidationError:
        raise Invalid(fields={"tags": "has at most 20 tags of 50 characters, with commas between them"}) from None
    return tags


class LibraryEndpoints(Controller):
    path = "/api/collections"
    tags = ("Answers",)

    @post()
    async def create(
        self,
        data: JSONBody[CreateCollection],
        answers: NamedDependency[Answers],
        principal: NamedDependency[Principal],
    ) -> Collection:
        return await library.create(answers, data, principal)

    @get()
    async def list_collections(
        self, answers: NamedDependency[Answers], principal: NamedDependency[Principal]
    ) -> Collections:
        return await library.list_collections(answers, principal)

    @get("/{collection_id:str}")
    async def find(
        self, collection_id: FromPath[str], answers: NamedDependency[Answers], principal: NamedDependency[Principal]
    ) -> Collection:
        return await library.find(answers, collection_number(collection_id), principal)

    @patch("/{collection_id:str}")
    async def change(
        self,
        collection_id: FromPath[str],
        data: JSONBody[ChangeCollection],
        answers: NamedDependency[Answers],
        principal: NamedDependency[Principal],
    ) -> Collection:
        return await library.change(answers, collection_number(collection_id), data, principal)

    @delete("/{collection_id:str}")
    async def remove(
        self, collection_id: FromPath[str], answers: NamedDependency[Answers], principal: NamedDependency[Principal]
    ) -> None:
        await library.delete(answers, collection_number(collection_id), principal)

    @post("/{collection_id:str}/documents", request_max_body_size=MOST_BODY, status_code=202)
    async def send(
        self,
        request: Request[Any, Any, Any],
        collection_id: FromPath[str],
        name: FromQuery[DocumentName],
        answers: NamedDependency[Answers],
        principal: NamedDependency[Principal],
        labels: Annotated[str, QueryParameter(name="tags", max_length=2000)] = "",
    ) -> Received:
        """Send a file as the body; of a ZIP each file becomes a document. The same name has other bytes from then on.

        Sending the same bytes again under the same name changes nothing, so that a request may be repeated.
        """
        number, tags = collection_number(collection_id), _read_tags(labels)
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()[:200]
        return await receiving.send(answers, number, name, media_type, request.stream(), tags, principal)

    @post("/{collection_id:str}/documents/url", status_code=202)
    async def send_address(
        self,
        collection_id: FromPath[str],
        data: JSONBody[FetchDocument],
        answers: NamedDependency[Answers],
        principal: NamedDependency[Principal],
    ) -> Received:
        """Have a document fetched from the web; again, when it was before."""
        return await receiving.send_address(answers, collection_number(collection_id), data, principal)

    @get("/{collection_id:str}/documents")
    async def list_documents(
        self,
        collection_id: FromPath[str],
        answers: NamedDependency[Answers],
        principal: NamedDependency[Principal],
        shown: Annotated[State | None, QueryParameter(name="state")] = None,
        before: Annotated[str | None, QueryParameter(max_length=19)] = None,
        limit: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
    ) -> Documents:
        last = None if before is None else _document_number(before)
        return await library.list_documents(answers, collection_number(collection_id), principal, shown, last, limit)

    @get("/{collection_id:str}/documents/{document_id:str}")
    async def find_document(
        self,
        collection_id: FromPath[str],
        document_id: FromPath[str],
        answers: NamedDependency[Answers],
        principal: NamedDependency[Principal],
    ) -> Document:
        where = collection_number(collection_id), _document_number(document_id)
        return await library.find_document(answers, *where, principal)

    @delete("/{collection_id:str}/documents/{document_id:str}")
    async def delete_document(
        self,
        collection_id: FromPath[str],
        document_id: FromPath[str],
        answers: NamedDependency[Answers],
        principal: NamedDependency[Principal],
    ) -> None:
        where = collection_number(collection_id), _document_number(document_id)
        await library.delete_document(answers, *where, principal)

    @post("/{collection_id:str}/documents/{document_id:str}/retry", status_code=202)
    async def retry(
        self,
        collection_id: FromPath[str],
        document_id: FromPath[str],
        answers: NamedDependency[Answers],
        principal: NamedDependency[Principal],
    ) -> Document:
        """Read a document again that failed."""
        where = collection_number(collection_id), _document_number(document_id)
        return await receiving.retry(answers, *where, principal)

    @get("/{collection_id:str}/documents/{document_id:str}/file")
    async def read_file(
        self,
        request: Request[Any, Any, Any],
        collection_id: FromPath[str],
        document_id: FromPath[str],
        answers: NamedDependency[Answers],
        principal: NamedDependency[Principal],
        version: Annotated[int | None, QueryParameter(ge=1, le=2**31 - 1)] = None,
    ) -> Response[Any]:
        """The bytes of a document, or of an earlier version. What a browser might run is handed over to be saved."""
        where = collection_number(collection_id), _document_number(document_id)
        upload, key = await library.find_object(answers, *where, version, principal)
        response = await serve(answers.runtime.blobs, key, request, cache_control=CACHE)
        kind = response.headers.get("content-disposition", "inline").partition(";")[0]
        response.headers["content-disposition"] = f"{kind}; filename*=UTF-8''{quote(upload.name, safe='')}"
        return response

    @get("/{collection_id:str}/documents/{document_id:str}/text")
    async def read_text(
        self,
        collection_id: FromPath[str],
        document_id: FromPath[str],
        answers: NamedDependency[Answers],
        principal: NamedDependency[Principal],
    ) -> Text:
        """What a document says, and where its headings, paragraphs, lists, tables and code are."""
        where = collection_number(collection_id), _document_number(document_id)
        return await library.read_text(answers, *where, principal)

    @get("/{collection_id:str}/documents/{document_id:str}/versions")
    async def list_versions(
        self,
        collection_id: FromPath[str],
        document_id: FromPath[str],
        answers: NamedDependency[Answers],
        principal: NamedDependency[Principal],
    ) -> Versions:
        where = collection_number(collection_id), _document_number(document_id)
        return await library.list_versions(answers, *where, principal)

    @get("/{collection_id:str}/live", media_type="text/event-stream")
    async def watch(
        self,
        collection_id: FromPath[str],
        answers: NamedDependency[Answers],
        principal: NamedDependency[Principal],
        live: NamedDependency[Live],
        last_event_id: Annotated[str | None, HeaderParameter(name="Last-Event-ID", max_length=20)] = None,
    ) -> Stream:
        """Documents as they change, as server-sent events; resumes after Last-Event-ID."""
        number = collection_number(collection_id)
        await library.own(answers, number, principal)
        return event_stream(sse(live.subscribe(library.topic(number), resume_after(last_event_id))))

    @post("/{collection_id:str}/search", status_code=200)
    async def search(
        self,
        collection_id: FromPath[str],
        data: JSONBody[Search],
        answers: NamedDependency[Answers],
        principal: NamedDependency[Principal],
    ) -> SearchResult:
        """The passages that fit best, with the scores of each way by which they were found."""
        return await searching.search(answers, collection_number(collection_id), data, principal)
