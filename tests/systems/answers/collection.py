"""What tests of retrieval have in common: a database with the tables of answers, a collection, and something in it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from tenfold.platform.runtime import Runtime, open_runtime
from tenfold.platform.testing import PLATFORM, Engines, fresh_settings, models_of_tests
from tenfold.systems.answers.actions import indexing
from tenfold.systems.answers.store import chunks as store
from tenfold.systems.answers.types.index import Chunk, IndexedDocument

PACKAGES = (PLATFORM, "tenfold.systems.answers")
COLLECTION = 7


@asynccontextmanager
async def opened(engines: Engines) -> AsyncIterator[Runtime]:
    """A process with a collection, and the real model of embeddings, which is fetched when it isn't here."""
    models = models_of_tests()
    if not models.present("minilm"):
        await models.pull("minilm")
    async with fresh_settings(engines, PACKAGES) as settings:
        from msgspec.structs import replace

        async with open_runtime(replace(settings, models=models.directory)) as runtime:
            async with runtime.db.transaction() as tx:
                await store.insert_collection(tx, COLLECTION, 1, "notes")
            yield runtime


def chunks(*texts: str) -> list[Chunk]:
    return [Chunk(ordinal=number, text=text, begins=0, ends=len(text)) for number, text in enumerate(texts)]


async def put(runtime: Runtime, id: int, texts: Sequence[str], **more: object) -> indexing.Indexed:
    document = IndexedDocument(id=id, title=f"Document {id}", **more)  # type: ignore[arg-type]
    return await indexing.index_document(runtime, COLLECTION, document, chunks(*texts))
