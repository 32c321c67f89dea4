"""Labelled collections for retrieval: questions, and the one passage each that answers them.

XQuAD stands beside the repository in `shared/data` (CC BY-SA 4.0; skipped where it is absent): questions that people
asked of paragraphs of an encyclopaedia. The other is generated from the documentation inside installed packages: the
first sentence of a docstring asks, and what follows it answers, without the name of what it documents.
"""

import ast
import os
import random
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import msgspec

XQUAD = Path(os.environ.get("TENFOLD_SHARED", Path(__file__).parents[3] / "shared")) / "data/xquad.en.json"
#: Packages by what they are for: figures are told of those that nothing was trained on.
TRAINED, HELD = ("scipy", "asyncio", "email", "http", "logging", "xml"), ("numpy", "sklearn", "unittest", "concurrent")
#: Characters of a passage, at least and at most, and of a question.
PASSAGE, QUESTION = (200, 1200), (25, 200)


class Collection(msgspec.Struct, frozen=True):
    name: str
    passages: list[str]
    #: Each with the place of its passage.
    questions: list[tuple[str, int]]


class _Answer(msgspec.Struct):
    question: str


class _Paragraph(msgspec.Struct):
    context: str
    qas: list[_Answer]


class _Article(msgspec.Struct):
    paragraphs: list[_Paragraph]


class _Squad(msgspec.Struct):
    data: list[_Article]


def xquad(*, articles: slice = slice(None)) -> Collection:
    """All paragraphs, and the questions of some articles."""
    passages: list[str] = []
    questions: list[tuple[str, int]] = []
    whole = msgspec.json.decode(XQUAD.read_bytes(), type=_Squad).data
    wanted = set(range(len(whole))[articles])
    for number, article in enumerate(whole):
        for paragraph in article.paragraphs:
            if number in wanted:
                questions += [(each.question, len(passages)) for each in paragraph.qas]
            passages.append(paragraph.context)
    return Collection("XQuAD", passages, questions)


def docstrings(packages: tuple[str, ...] = HELD, most: int = 3000) -> Collection:
    """Documentation of packages, in an order that is the same everywhere."""
    found: dict[str, str] = {}
    for package in packages:
        for question, passage in _documented(package):
            found.setdefault(question, passage)
    once = {passage: question for question, passage in found.items()}  # what is said twice has no one place
    chosen = sorted(once.items())
    random.Random(3).shuffle(chosen)
    chosen = chosen[:most]
    questions = [(question, number) for number, (_, question) in enumerate(chosen)]
    return Collection("docstrings", [passage for passage, _ in chosen], questions)


def texts(packages: tuple[str, ...] = (*TRAINED, *HELD)) -> list[str]:
    """All passages of packages: real words in real proportions."""
    return [passage for package in packages for _, passage in _documented(package)]


def _documented(package: str) -> Iterator[tuple[str, str]]:
    folders = [Path(sysconfig.get_paths()[name]) / package for name in ("purelib", "stdlib")]
    for file in sorted(file for folder in folders for file in folder.rglob("*.py") if "test" not in str(file)):
        try:
            tree = ast.parse(file.read_text())
        except (SyntaxError, UnicodeDecodeError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                first, _, rest = (ast.get_docstring(node) or "").partition("\n\n")
                question, passage = " ".join(first.split()), rest.strip()[: PASSAGE[1]]
                if QUESTION[0] < len(question) < QUESTION[1] and len(passage) > PASSAGE[0]:
                    yield question, passage
