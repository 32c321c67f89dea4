"""From a question to an answer with its sources: looked for, judged, said, checked, kept."""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from time import perf_counter

import msgspec
import structlog
from msgspec.structs import replace

from tenfold.platform.db import Tx
from tenfold.platform.errors import TenfoldError, Unavailable
from tenfold.platform.identity import Principal
from tenfold.platform.inference import Queued
from tenfold.platform.limits import Limit
from tenfold.systems.answers.actions import experiments, figures, library, searching
from tenfold.systems.answers.actions.context import Answers
from tenfold.systems.answers.actions.experiments import Chosen
from tenfold.systems.answers.actions.retrieval import Retrieved
from tenfold.systems.answers.errors import AnswerNotFound, ConversationNotFound
from tenfold.systems.answers.rules import citing, confidence, conflicts, prompting, quoting, rewriting
from tenfold.systems.answers.store import asking as store
from tenfold.systems.answers.types.asking import (
    Answer,
    Ask,
    Conversation,
    Conversations,
    Dialogue,
    Done,
    Event,
    Failed,
    Passages,
    Piece,
)
from tenfold.systems.answers.types.evaluation import Pipeline
from tenfold.systems.answers.types.experiments import Outcome
from tenfold.systems.answers.types.index import Filters
from tenfold.systems.answers.types.library import Narrow

log = structlog.get_logger(__name__)

#: Questions, of whatever kind.
ASK = Limit(
    "answers.ask", {"anonymous": "3/minute", "free": "20/minute", "plus": "60/minute", "enterprise": "6000/minute"}
)
#: The tier that answers.
TIER = "fast"
#: Questions before it that a follow-up is understood by.
REMEMBERED = 3
#: Answers of a conversation that are shown.
SHOWN = 200
#: Tokens of a rewritten question, and seconds that rewriting may take: without it there is a plain way.
REWRITTEN, REWRITING = 60, 8.0
#: Seconds that an answer takes beside what its model may.
SLACK = 30.0
BROKEN = "Something went wrong on our side. Ask again."
INTERRUPTED = "The process that was answering has ended. Ask again."
#: A share of supported sentences below which a model's answer is replaced by the documents' own words.
FAITHFUL = 0.5


async def answer(
    answers: Answers,
    account_id: int,
    collection_id: int,
    draft: Answer,
    history: Sequence[tuple[str, str]] = (),
    filters: Filters | None = None,
    chosen: Chosen | None = None,
    *,
    fresh: bool = False,
) -> AsyncGenerator[Event]:
    """Answer a question of `draft`: its passages, pieces of the text, and the whole. Nothing is kept.

    `history` are questions and answers before it, the oldest first; a `fresh` answer isn't one that was given before,
    nor is it given again. Raises Unavailable while nothing can be looked for.
    """
    filters, chosen, began = filters or Filters(), chosen or Chosen(Pipeline()), perf_counter()
    way, whole = chosen.pipeline, True
    took: dict[str, float] = {}
    wanted = await _rewritten(answers, account_id, draft.question, history)
    took["rewriting"] = _since(began)
    draft = replace(draft, rewritten="" if wanted == draft.question else wanted, variant=chosen.label)
    key = await _key(answers, collection_id, wanted, filters, way)
    if not fresh and (kept := await _recall(answers, key)) is not None:
        draft = replace(
            kept, **{name: getattr(draft, name) for name in _OWN}, cached=True, took={"query": _since(began)}
        )
        yield _passages(draft)
        yield Done(answer=draft)
        return
    looked = perf_counter()
    retrieved = await searching.look(answers, collection_id, wanted, way.mode, filters, way.top_k)
    took |= {"retrieval": _since(looked)} | dict(retrieved.took)
    sure = confidence.of(wanted, retrieved.weights, retrieved.passages)
    told = [(each.chunk.document_id, each.chunk.text) for each in retrieved.passages]
    draft = replace(
        draft,
        confidence=round(sure, 4),
        passages=[searching.found(each) for each in retrieved.passages],
        conflicts=conflicts.conflicts(wanted, retrieved.weights, told),
    )
    yield _passages(draft)
    wishes = (way.threshold, answers.settings.threshold, confidence.THRESHOLD)
    threshold = next(each for each in wishes if each is not None)
    if sure < threshold or not retrieved.passages:
        draft = replace(draft, text=prompting.UNKNOWN, model="none", took=took | {"query": _since(began)})
        yield Piece(text=draft.text)
    else:
        said = perf_counter()
        text, model = "", way.answerer or answers.settings.answerer
        if model == "model":
            try:
                async with aclosing(_say(answers, account_id, wanted, retrieved)) as pieces:
                    async for piece in pieces:
                        if not text:
                            took["first token"] = _since(began)
                        text += piece
                        yield Piece(text=piece)
            except TenfoldError as error:
                # The documents' own words are an answer too; the next one who asks may have the model's.
                whole = False
                figures.note_error(error.code)
        draft = _checked(draft, wanted, text if whole else "", retrieved)
        if not text and draft.known:
            yield Piece(text=draft.text)
        draft = replace(draft, took=took | {"generation": _since(said), "query": _since(began)})
    if whole and not fresh:
        await _keep(answers, key, draft)
    yield Done(answer=draft)


#: What an answer has of its own question, and none that was kept for another.
_OWN = ("id", "conversation_id", "collection_id", "question", "rewritten", "variant", "created_at")


def _since(began: float) -> float:
    return round(1000 * (perf_counter() - began), 2)


def _passages(draft: Answer) -> Passages:
    return Passages(
        id=draft.id,
        conversation_id=draft.conversation_id,
        rewritten=draft.rewritten,
        confidence=draft.confidence,
        items=draft.passages,
        conflicts=draft.conflicts,
    )


def _checked(draft: Answer, wanted: str, text: str, retrieved: Retrieved) -> Answer:
    """An answer with its citations: a model's where the passages bear it out, else in the passages' own words."""
    passages = [f"{' '.join(each.chunk.headings)}\n{each.chunk.text}" for each in retrieved.passages]
    if text and citing.is_unknown(text):
        return replace(draft, text=prompting.UNKNOWN, model=TIER)
    shown, sentences = citing.cite(text, passages)
    faithful = citing.faithfulness(sentences)
    if faithful is None or faithful < FAITHFUL:
        told = [(each.chunk.text, each.score) for each in retrieved.passages]
        shown, sentences = quoting.quote(wanted, retrieved.weights, told)
        if not sentences:
            return replace(draft, text=prompting.UNKNOWN, model="none")
        return replace(draft, text=shown, known=True, sentences=sentences, faithfulness=1.0, model="quoted")
    return replace(draft, text=shown, known=True, sentences=sentences, faithfulness=round(faithful, 4), model=TIER)


async def _say(answers: Answers, account_id: int, question: str, retrieved: Retrieved) -> AsyncGenerator[str]:
    """What the model says. Raises what Inference raises, and TimeoutError as Unavailable."""
    mark = secrets.token_hex(6)
    chunks = [each.chunk for each in retrieved.passages]
    messages, _ = prompting.prompt(question, retrieved.weights, chunks, mark, lambda text: len(text) // 3)
    body = {"messages": messages, "max_tokens": answers.settings.answer_tokens, "temperature": 0.0}
    async with answers.runtime.inference.stream(TIER, body, caller=f"account/{account_id}") as steps:
        try:
            async with asyncio.timeout(answers.settings.answer_seconds):
                async for step in steps:
                    if not isinstance(step, Queued) and step.text:
                        yield step.text
        except TimeoutError:
            raise Unavailable(part="The model") from None


async def _rewritten(answers: Answers, account_id: int, question: str, history: Sequence[tuple[str, str]]) -> str:
    """The question so that it stands alone: by a model if what it makes of it can be trusted, else by adding words."""
    if not history or not rewriting.needs_conversation(question):
        return question
    if answers.settings.answerer == "model":
        body = {"messages": prompting.rewriting(question, history), "max_tokens": REWRITTEN, "temperature": 0.0}
        with suppress(TenfoldError, TimeoutError):
            async with asyncio.timeout(REWRITING):
                said = await answers.runtime.inference.complete(TIER, body, caller=f"account/{account_id}")
            rewritten = said.text.strip().partition("\n")[0].strip("\"' ")
            if rewriting.is_acceptable(rewritten, question, history):
                return rewritten
    return rewriting.with_terms(question, history)


# Answers that were given before, as long as nothing in the collection has changed


async def _key(answers: Answers, collection_id: int, question: str, filters: Filters, way: Pipeline) -> str:
    async with answers.runtime.db.read(fresh=True) as tx:
        revision = await store.find_revision(tx, collection_id)
    settings = answers.settings
    how = settings.answerer, settings.threshold, settings.reranker, settings.answer_tokens
    wish = [revision, " ".join(question.lower().split()), filters, way, how]
    digest = hashlib.blake2b(msgspec.json.encode(wish), digest_size=16).hexdigest()
    return answers.runtime.hot.key("answers", "answer", f"{{{collection_id}}}", digest)


async def _recall(answers: Answers, key: str) -> Answer | None:
    try:
        kept = await answers.runtime.hot.get(key)
    except Unavailable:
        return None
    return None if kept is None else msgspec.json.decode(kept, type=Answer)


async def _keep(answers: Answers, key: str, answer: Answer) -> None:
    if answers.settings.cache_seconds:
        with suppress(Unavailable):
            row = key, msgspec.json.encode(answer), answers.settings.cache_seconds * 1000
            await answers.runtime.hot.set_many([row])


# Conversations


async def ask(answers: Answers, collection_id: int, data: Ask, principal: Principal) -> AsyncGenerator[Event]:
    """Answer a question of somebody's, in a conversation, and keep both.

    The question is kept before the first event; its answer is written to its end whether or not anybody listens.
    Iterating raises Unauthorized, CollectionNotFound, ConversationNotFound, TooManyRequests, before the first event.
    """
    account_id = await library.own(answers, collection_id, principal)
    await answers.runtime.limits.take(ASK, principal)
    number, question = answers.runtime.ids.next(), data.question.strip()
    begun = data.conversation_id is None
    conversation = answers.runtime.ids.next() if data.conversation_id is None else int(data.conversation_id)
    async with answers.runtime.db.transaction() as tx:
        if begun:
            await store.insert_conversation(tx, account_id, conversation, collection_id, question[:200])
        elif not await store.touch_conversation(tx, account_id, conversation, collection_id):
            raise ConversationNotFound
        before = await store.list_questions(tx, account_id, conversation, REMEMBERED)
        created_at = await store.insert_question(tx, account_id, number, conversation, collection_id, question)
    draft = Answer(
        id=str(number),
        conversation_id=str(conversation),
        collection_id=str(collection_id),
        question=question,
        created_at=created_at,
    )
    history = [(each.question, shown.text if (shown := _shown(each)).known else "") for each in before]
    filters = searching.read_filters(data.filters or Narrow())
    heard: asyncio.Queue[Event | None] = asyncio.Queue()
    task = asyncio.create_task(_answer(answers, account_id, collection_id, draft, history, filters, heard))
    answers.behind.add(task)
    task.add_done_callback(answers.behind.discard)
    while (event := await heard.get()) is not None:
        yield event


async def _answer(
    answers: Answers,
    account_id: int,
    collection_id: int,
    draft: Answer,
    history: Sequence[tuple[str, str]],
    filters: Filters,
    heard: "asyncio.Queue[Event | None]",
) -> None:
    try:
        chosen = await experiments.choose(answers.runtime, collection_id, account_id, int(draft.conversation_id))
        async for event in answer(answers, account_id, collection_id, draft, history, filters, chosen):
            if isinstance(event, Done):
                async with answers.runtime.db.transaction() as tx:
                    await store.save_answer(tx, account_id, int(draft.id), msgspec.json.encode(event.answer))
                    outcome = _outcome(account_id, event.answer)
                    await figures.note_outcome(tx, answers.numbers, collection_id, outcome, event.answer.took)
            heard.put_nowait(event)
    except TenfoldError as error:
        await _fail(answers, account_id, collection_id, draft, error.code, error.detail)
        heard.put_nowait(Failed(detail=error.detail))
    except Exception:
        log.exception("answer_failed", question_id=draft.id)
        await _fail(answers, account_id, collection_id, draft, "internal", BROKEN)
        heard.put_nowait(Failed(detail=BROKEN))
    finally:
        heard.put_nowait(None)


async def _fail(answers: Answers, account_id: int, collection_id: int, draft: Answer, code: str, why: str) -> None:
    """Keep that there is no answer, and why."""
    figures.note_error(code)
    with suppress(Unavailable):  # then it is found unfinished
        async with answers.runtime.db.transaction() as tx:
            await store.save_answer(tx, account_id, int(draft.id), msgspec.json.encode(replace(draft, reason=why)))
            outcome = replace(_outcome(account_id, draft), state="failed")
            await figures.note_outcome(tx, answers.numbers, collection_id, outcome)


def _outcome(account_id: int, answer: Answer) -> Outcome:
    return Outcome(
        id=int(answer.id),
        account_id=account_id,
        conversation_id=int(answer.conversation_id),
        variant=answer.variant,
        state="answered" if answer.known else "unknown",
        cached=answer.cached,
        took=answer.took.get("query", 0.0),
        faithfulness=answer.faithfulness,
        shown=len(answer.passages),
    )


def _shown(stored: store.StoredQuestion, patience: float = 0.0) -> Answer:
    """A question as the API has it; `patience` are seconds after which nobody answers it any more."""
    if stored.answer is not None:
        return replace(msgspec.json.decode(stored.answer, type=Answer), good=stored.good)
    lost = datetime.now(UTC) - stored.created_at > timedelta(seconds=patience + SLACK)
    return Answer(
        id=str(stored.id),
        conversation_id=str(stored.conversation_id),
        collection_id=str(stored.collection_id),
        question=stored.question,
        done=lost,
        reason=INTERRUPTED if lost else "",
        created_at=stored.created_at,
    )


async def list_conversations(
    answers: Answers, collection_id: int, principal: Principal, cursor: int | None, limit: int
) -> Conversations:
    """Conversations about a collection of one's own; `cursor` is the last one of the page before."""
    account_id = await library.own(answers, collection_id, principal)
    async with answers.runtime.db.read(fresh=True) as tx:
        last = None if cursor is None else await store.find_conversation(tx, account_id, cursor)
        before = None if last is None else (last.updated_at, int(last.id))
        found: list[Conversation] = await store.list_conversations(tx, account_id, collection_id, before, limit + 1)
    return Conversations(items=found[:limit], next=found[limit - 1].id if len(found) > limit else None)


async def read_conversation(answers: Answers, id: int, principal: Principal) -> Dialogue:
    """Raises ConversationNotFound."""
    account_id = principal.require(library.SCOPE)
    async with answers.runtime.db.read(fresh=True) as tx:
        found = await store.find_conversation(tx, account_id, id)
        if found is None:
            raise ConversationNotFound
        said = await store.list_questions(tx, account_id, id, SHOWN)
    patience = float(answers.settings.answer_seconds)
    return Dialogue(
        id=found.id,
        collection_id=found.collection_id,
        title=found.title,
        answers=[_shown(each, patience) for each in said],
    )


async def delete_conversation(answers: Answers, id: int, principal: Principal) -> None:
    """Raises ConversationNotFound."""
    account_id = principal.require(library.SCOPE)
    async with answers.runtime.db.transaction() as tx:
        if not await store.delete_conversation(tx, account_id, id):
            raise ConversationNotFound


async def judge(answers: Answers, id: int, good: bool, note: str, principal: Principal) -> None:
    """What somebody says of an answer of theirs. Raises AnswerNotFound."""
    account_id = principal.require(library.SCOPE)
    async with answers.runtime.db.transaction() as tx:
        collection_id = await store.save_feedback(tx, account_id, id, good, note)
        if collection_id is None:
            raise AnswerNotFound
        await figures.note_feedback(tx, answers.numbers, collection_id, id, good=good)


async def note_click(answers: Answers, id: int, passage: int, principal: Principal) -> None:
    """Somebody has opened a passage of an answer of theirs. Raises AnswerNotFound."""
    async with _of(answers, id, principal) as (tx, collection_id):
        if not await figures.note_click(tx, collection_id, id, passage):
            raise AnswerNotFound


async def note_accepted(answers: Answers, id: int, principal: Principal) -> None:
    """An answer of somebody's was taken over, as by copying it. Raises AnswerNotFound."""
    async with _of(answers, id, principal) as (tx, collection_id):
        await figures.note_accepted(tx, answers.numbers, collection_id, id)


@asynccontextmanager
async def _of(answers: Answers, id: int, principal: Principal) -> AsyncIterator[tuple[Tx, int]]:
    """A transaction, and the collection that one's own answer is about. Raises AnswerNotFound."""
    account_id = principal.require(library.SCOPE)
    async with answers.runtime.db.transaction() as tx:
        found = await store.find_question(tx, account_id, id)
        if found is None:
            raise AnswerNotFound
        yield tx, found.collection_id
