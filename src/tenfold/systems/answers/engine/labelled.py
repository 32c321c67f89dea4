"""Labelled collections as others publish them: BEIR's folders, and the JSON of SQuAD and XQuAD."""

import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated

import msgspec

from tenfold.platform.errors import Invalid
from tenfold.systems.answers.types.evaluation import Labelled, LabelledDocument, LabelledQuestion


class UnreadableSet(Invalid):
    """{path} is no labelled collection: {reason}."""


class _Entry(msgspec.Struct):
    """A line of corpus.jsonl or queries.jsonl."""

    id: str = msgspec.field(name="_id")
    text: str
    title: str = ""
    metadata: msgspec.Raw = msgspec.Raw(b"{}")


class _Answer(msgspec.Struct):
    text: str


class _Question(msgspec.Struct):
    id: str
    question: str
    answers: list[_Answer] = []
    is_impossible: bool = False


class _Paragraph(msgspec.Struct):
    context: str
    qas: list[_Question]


class _Article(msgspec.Struct):
    paragraphs: Annotated[list[_Paragraph], msgspec.Meta(min_length=1)]
    title: str = ""


class _Squad(msgspec.Struct):
    data: Annotated[list[_Article], msgspec.Meta(min_length=1)]


def read(path: Path) -> Labelled:
    """Read a labelled collection: a folder with corpus.jsonl, queries.jsonl and qrels/test.tsv, or a JSON file.

    Blocking. Only questions of which something relevant is known are kept. Raises UnreadableSet.
    """
    try:
        found = _beir(path) if path.is_dir() else _squad(path)
    except (OSError, UnicodeDecodeError, ValueError, msgspec.DecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UnreadableSet(path=path, reason=reason.rstrip(".")) from error
    if not found.questions:
        raise UnreadableSet(path=path, reason="of no question is anything relevant there")
    return found


def _beir(folder: Path) -> Labelled:
    documents = [LabelledDocument(each.id, each.title, each.text) for each in _entries(folder / "corpus.jsonl")]
    there = {each.key for each in documents}
    relevant: dict[str, dict[str, int]] = {}
    with (folder / "qrels" / "test.tsv").open(encoding="utf-8", newline="") as lines:
        for row in islice(csv.reader(lines, delimiter="\t"), 1, None):
            if len(row) != 3:
                raise ValueError("qrels/test.tsv has three columns: query-id, corpus-id, score")
            query, document, score = row
            if document in there and int(score) > 0:
                relevant.setdefault(query, {})[document] = int(score)
    questions = [
        LabelledQuestion(each.id, each.text, relevant[each.id], _answers(each))
        for each in _entries(folder / "queries.jsonl")
        if each.id in relevant
    ]
    return Labelled(folder.name, documents, questions)


class _Known(msgspec.Struct):
    answers: list[str] = []


def _answers(entry: _Entry) -> list[str]:
    """Right answers, where the set has put some beside the question; BEIR itself has none."""
    try:
        return msgspec.json.decode(entry.metadata, type=_Known).answers
    except msgspec.ValidationError:
        return []


def _entries(file: Path) -> Iterator[_Entry]:
    decoder = msgspec.json.Decoder(_Entry)
    with file.open("rb") as lines:
        yield from (decoder.decode(line) for line in lines if line.strip())


def _squad(file: Path) -> Labelled:
    documents: list[LabelledDocument] = []
    questions: list[LabelledQuestion] = []
    for article in msgspec.json.decode(file.read_bytes(), type=_Squad).data:
        for paragraph in article.paragraphs:
            key = str(len(documents))
            documents.append(LabelledDocument(key, article.title.replace("_", " "), paragraph.context))
            questions += [
                LabelledQuestion(each.id, each.question, {key: 1}, list({answer.text: None for answer in each.answers}))
                for each in paragraph.qas
                if not each.is_impossible
            ]
    return Labelled(file.stem, documents, questions)
