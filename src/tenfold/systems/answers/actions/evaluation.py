"""Offline evaluation: variants of the pipeline on a labelled collection, by the code that answers questions."""

import asyncio
import random
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from time import perf_counter

from tenfold.platform.errors import Invalid
from tenfold.platform.runtime import Runtime
from tenfold.systems.answers.actions import baselines
from tenfold.systems.answers.actions.baselines import Answering, Asked
from tenfold.systems.answers.actions.context import Answers
from tenfold.systems.answers.actions.indexing import index_document, merge_segments
from tenfold.systems.answers.actions.retrieval import Retrieval
from tenfold.systems.answers.engine.extraction import extract
from tenfold.systems.answers.engine.labelled import read
from tenfold.systems.answers.errors import NoSuchVariant
from tenfold.systems.answers.rules import metrics, significance
from tenfold.systems.answers.rules.reports import report
from tenfold.systems.answers.rules.splitting import split
from tenfold.systems.answers.rules.targets import CLAIMS
from tenfold.systems.answers.store import chunks as chunks_store
from tenfold.systems.answers.store import evaluation as store
from tenfold.systems.answers.types.evaluation import (
    Difference,
    Evaluation,
    Evaluations,
    Interval,
    Labelled,
    LabelledDocument,
    LabelledQuestion,
    Measured,
    Mode,
)
from tenfold.systems.answers.types.index import Chunk, Filters, IndexedDocument, Stored

#: Documents that are looked at for a question, and chunks among which they are found: two of a section at most.
DEPTH, CHUNKS = 10, 20
#: Passages that an answer is made of.
READ = 5
#: Documents that are put into the index at once.
AT_ONCE = 4
#: Questions that are asked before times count, since the first ones fill what is kept.
WARMING = 10
#: How evaluations are listed at once.
PAGE = 20

ANY = Filters()
_TOKEN = re.compile(r"\w{1,6}|[^\w\s]")


@dataclass(slots=True)
class _Scores:
    """Of one variant: each figure by question, and each time."""

    figures: dict[str, list[float]] = field(default_factory=dict)
    took: dict[str, list[float]] = field(default_factory=dict)

    def add(self, figures: Mapping[str, float], took: Mapping[str, float]) -> None:
        for into, values in ((self.figures, figures), (self.took, took)):
            for name, value in values.items():
                into.setdefault(name, []).append(value)


async def evaluate(
    answers: Answers,
    labelled: Labelled,
    variants: Sequence[Mode],
    *,
    sizes: Sequence[int] = (),
    sample: int = 0,
    answerings: Mapping[str, Answering] | None = None,
    told: Callable[[str], None] = lambda line: None,
) -> Evaluation:
    """Measure variants on the same questions, keep what was found, and tell it. `sample`: so many questions, 0 is all.

    `sizes` are tokens of pieces that documents are cut into, instead of what the settings say.

    The first variant is what the others are compared with, figure by figure, question by question. `answerings` make
    answers too, of the questions of which right ones are known, and each is a variant. Raises Unavailable.
    """
    questions = chosen(labelled.questions, sample)
    sizes = list(sizes) or [answers.settings.chunk_tokens]
    made: list[tuple[str, Answering | None]] = [*(answerings or {}).items()] or [("", None)]
    scores: list[tuple[str, _Scores]] = []
    for size in sizes:
        collection_id = await _indexed(answers, labelled, size, told)
        for mode in variants:
            for answerer, answering in made:
                parts = [mode, str(size) if len(sizes) > 1 else "", answerer]
                name = " ".join([part for part in parts if part])
                told(f"{name}: {len(questions)} questions")
                found = await _measure(answers, collection_id, labelled.documents, questions, mode, answering)
                scores.append((name, found))
    evaluation = Evaluation(
        id=str(answers.runtime.ids.next()),
        name=labelled.name,
        documents=len(labelled.documents),
        questions=len(questions),
        chunk_tokens=sizes,
        variants=[_told(name, each, scores[0][1] if place else None) for place, (name, each) in enumerate(scores)],
        created_at=datetime.now(UTC),
    )
    async with answers.runtime.db.transaction() as tx:
        await store.insert_evaluation(tx, evaluation)
    return evaluation


async def list_evaluations(runtime: Runtime, before: int | None, limit: int = PAGE) -> Evaluations:
    """What was found of late, the newest first, beside what the case study says."""
    async with runtime.db.read() as tx:
        found = await store.list_evaluations(tx, (1 << 63) - 1 if before is None else before, limit + 1)
    more = found[limit - 1].id if len(found) > limit else None
    return Evaluations(found[:limit], CLAIMS, more)


def chosen(questions: Sequence[LabelledQuestion], sample: int) -> list[LabelledQuestion]:
    """So many questions, the same ones each time, so that evaluations can be compared."""
    if not sample or sample >= len(questions):
        return list(questions)
    return random.Random(0).sample(list(questions), sample)


def _told(variant: str, scores: _Scores, first: _Scores | None) -> Measured:
    differences: dict[str, Difference] = {}
    if first is not None:
        found = {name: significance.paired(first.figures[name], values) for name, values in scores.figures.items()}
        # Several figures are looked at, and each of them might differ by chance.
        adjusted = significance.holm([each.p_value for each in found.values()])
        differences = {
            name: Difference(each.difference, each.low, each.high, p_value)
            for (name, each), p_value in zip(found.items(), adjusted, strict=True)
        }
    figures: dict[str, Interval] = {name: significance.interval(values) for name, values in scores.figures.items()}
    took = {
        name: (metrics.quantile(values, 0.5), metrics.quantile(values, 0.95)) for name, values in scores.took.items()
    }
    return Measured(variant=variant, figures=figures, took=took, differences=differences)


# The collection


async def _indexed(answers: Answers, labelled: Labelled, size: int, told: Callable[[str], None]) -> int:
    """The collection that holds these documents: that of an earlier evaluation, as far as it got, or a new one."""
    overlap = min(answers.settings.chunk_overlap, size // 4)
    runtime = answers.runtime
    digest = blake2b(digest_size=12)
    for each in labelled.documents:
        for part in (each.key, each.title, each.text):
            digest.update(len(part).to_bytes(8) + part.encode())
    name = f"evaluation {digest.hexdigest()} {size} {overlap}"
    async with runtime.db.transaction() as tx:
        collection_id = await store.find_collection(tx, name)
        if collection_id is None:
            collection_id = runtime.ids.next()
            await chunks_store.insert_collection(tx, collection_id, store.NOBODY, name)
        there = await store.list_document_ids(tx, collection_id)
    missing = [(number, each) for number, each in enumerate(labelled.documents, start=1) if number not in there]
    gate = asyncio.Semaphore(AT_ONCE)
    done = 0

    async def put(number: int, document: LabelledDocument) -> None:
        nonlocal done
        async with gate:
            chunks = await asyncio.to_thread(_chunks, document.text, size, overlap)
            await index_document(runtime, collection_id, IndexedDocument(id=number, title=document.title), chunks)
            done += 1
            if done % 500 == 0:
                told(f"{done} of {len(missing)} documents indexed")

    async with asyncio.TaskGroup() as group:
        for number, document in missing:
            group.create_task(put(number, document))
    while await merge_segments(runtime, answers.segments, collection_id):
        pass
    return collection_id


def _chunks(text: str, size: int, overlap: int) -> list[Chunk]:
    """A text cut as documents are."""
    pieces = split(extract(text.encode(), "document.txt", "text/plain"), _tokens, size, overlap) if text.strip() else []
    return [
        Chunk(ordinal=place, text=each.text, begins=each.start, ends=each.end, tokens=each.tokens)
        for place, each in enumerate(pieces)
    ]


def _tokens(text: str) -> int:
    """About as many as tokenisers of language models count, without asking one."""
    return len(_TOKEN.findall(text))


# The questions


async def _measure(
    answers: Answers,
    collection_id: int,
    documents: Sequence[LabelledDocument],
    questions: Sequence[LabelledQuestion],
    mode: Mode,
    answering: Answering | None,
) -> _Scores:
    search = _search(answers, collection_id, mode)
    for question in questions[:WARMING]:
        await search(question.text)
    scores = _Scores()
    for question in questions:
        began = perf_counter()
        chunks, took = await search(question.text)
        took = {**took, "retrieval": 1000 * (perf_counter() - began)}
        ranked = [documents[number - 1].key for number in dict.fromkeys(each.document_id for each in chunks)][:DEPTH]
        figures = {
            "MRR": metrics.reciprocal_rank(ranked, question.relevant),
            "nDCG@10": metrics.ndcg(ranked, question.relevant),
            "P@5": metrics.precision(ranked, question.relevant),
            "R@10": metrics.recall(ranked, question.relevant),
        }
        if question.answers:
            passages = [each.text for each in chunks[:READ]]
            # Whether an answer can be had at all: the right words are in what would be read.
            figures["answer hit"] = metrics.contains("\n".join(passages), question.answers)
        if answering is not None and question.answers:
            began = perf_counter()
            said = await answering.answer(Asked(question.text, chunks[:READ], collection_id, mode))
            took["answer"] = 1000 * (perf_counter() - began)
            took["all"] = took["answer"] + (0.0 if answering.looks else took["retrieval"])
            figures |= await judged(answers.runtime, question, said, [each.text for each in chunks[:READ]])
        scores.add(figures, took)
    return scores


async def judged(
    runtime: Runtime, question: LabelledQuestion, answer: str, passages: Sequence[str]
) -> dict[str, float]:
    """How good an answer is beside the right ones, the question, and the passages that it is made of."""
    truths = list(question.answers)
    parts = metrics.sentences(answer) or [""]
    asked, whole, *vectors = await runtime.inference.embed([question.text, answer or " ", *parts, *truths, *passages])
    said, true, read = _cut(vectors, len(parts), len(truths))
    return {
        "exact match": metrics.exact_match(answer, truths),
        "F1": metrics.f1(answer, truths),
        "says it": metrics.contains(answer, truths),
        "BLEU": metrics.bleu(answer, truths),
        "ROUGE-L": metrics.rouge_l(answer, truths),
        "similarity": max(metrics.greedy([[_cosine(one, each)] for one in said]) for each in true),
        "faithfulness": metrics.faithfulness(answer, passages),
        "answer relevance": max(0.0, _cosine(asked, whole)),
        "context relevance": sum(max(0.0, _cosine(asked, each)) for each in read) / max(len(read), 1),
    }


def _cut[T](values: Sequence[T], first: int, second: int) -> tuple[Sequence[T], Sequence[T], Sequence[T]]:
    return values[:first], values[first : first + second], values[first + second :]


def _cosine(first: Sequence[float], second: Sequence[float]) -> float:
    """Of vectors of length 1."""
    return sum(one * other for one, other in zip(first, second, strict=True))


type _Search = Callable[[str], Awaitable[tuple[list[Stored], Mapping[str, float]]]]


def _search(answers: Answers, collection_id: int, mode: Mode) -> _Search:
    """Finds chunks for a question, the best first, and says what took how many milliseconds."""
    runtime, retrieval = answers.runtime, answers.retrieval
    if mode in ("hybrid", "reranked"):
        whole = retrieval if mode == "reranked" else Retrieval(runtime, answers.segments, None)

        async def both(question: str) -> tuple[list[Stored], Mapping[str, float]]:
            found = await whole.retrieve(collection_id, question, limit=CHUNKS)
            return [each.chunk for each in found.passages], found.took

        return both

    async def one(question: str) -> tuple[list[Stored], Mapping[str, float]]:
        began = perf_counter()
        took: dict[str, float] = {}
        if mode == "dense":
            [vector] = await runtime.inference.embed([question])
            took["embedding"] = 1000 * (perf_counter() - began)
            began = perf_counter()
            hits = await retrieval.dense(collection_id, vector, ANY, CHUNKS)
        else:
            hits = (await retrieval.words(collection_id, question, ANY, CHUNKS)).hits
        took[mode] = 1000 * (perf_counter() - began)
        async with runtime.db.read() as tx:
            found = {each.id: each for each in await chunks_store.list_chunks(tx, collection_id, [h.id for h in hits])}
        return [found[hit.id] for hit in hits if hit.id in found], took

    return one


# The command

#: Tokens of a piece at least.
SMALLEST = 16
MODES: tuple[Mode, ...] = ("dense", "bm25", "hybrid", "reranked")


async def evaluate_set(
    answers: Answers,
    told: Callable[[str], None],
    *,
    set: Path,
    variants: str = "",
    answerers: str = "",
    chunk_tokens: str = "",
    sample: int = 0,
) -> tuple[Evaluation, list[str]]:
    """`tenfold eval answers`: what was found, and as tables. Raises UnreadableSet, Invalid, Unavailable."""
    wanted = _names(variants) or list(MODES)
    modes = [mode for name in wanted for mode in MODES if mode == name]
    if len(modes) < len(wanted):
        raise NoSuchVariant(known=", ".join(MODES))
    known = baselines.known(answers)
    if missing := [name for name in _names(answerers) if name not in known]:
        raise Invalid(fields={"answerers": f"can't be {missing[0]}; there are {', '.join(known)}"})
    answerings = {name: known[name] for name in _names(answerers)}
    sizes = [int(size) for size in _names(chunk_tokens) if size.isdecimal() and int(size) >= SMALLEST]
    if len(sizes) < len(_names(chunk_tokens)):
        raise Invalid(fields={"chunk_tokens": f"are whole numbers from {SMALLEST} on, with commas between"})
    labelled = await asyncio.to_thread(read, set)
    evaluation = await evaluate(answers, labelled, modes, sizes=sizes, sample=sample, answerings=answerings, told=told)
    return evaluation, report(evaluation)


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]
