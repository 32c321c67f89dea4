"""Which passage says what an answer says: sentences, their citations, and those that no passage supports.

Citations are found by looking, not by asking a model, which cites what it likes: a sentence is supported by a passage
that has most of its words, and all of its numbers. A model's own citations count where they are borne out.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from tenfold.systems.answers.rules import bm25
from tenfold.systems.answers.rules.prompting import UNKNOWN
from tenfold.systems.answers.types.asking import Sentence

#: Of what a sentence says, how much a passage must say to support it, and to bear out a model's own citation.
SUPPORTED, BORNE = 0.6, 0.4
#: How far from the best another passage may be to be cited too, and how many are.
NEAR, MOST = 0.1, 3
#: What a number or a name counts beside another word.
NAMED: Final = 2.0

_MARK: Final = re.compile(r"[ \t]*\[\s*(?:passage\s*)?(\d{1,2}(?:\s*[,;]\s*\d{1,2})*)\s*\]", re.IGNORECASE)
_END: Final = re.compile(r"(?<=[.!?:;])[\"')\]\u201d]*(?:\s*\[\d[\d, ;]*\])*\s+|\n+")
_NUMBER: Final = re.compile(r"\d+(?:[.,:]\d+)*")
_NAME: Final = re.compile(r"(?<![.!?\n] )(?<!^)\b[A-Z][\w-]+")
_UNKNOWN: Final = re.compile(r"\W*i\s+do(?:n['\u2019]t|\s+not)\s+know\b", re.IGNORECASE)


def is_unknown(text: str) -> bool:
    """Whether an answer says that it doesn't know, and nothing else to speak of."""
    return not text.strip() or (_UNKNOWN.match(text) is not None and len(text) < 4 * len(UNKNOWN))


def cite(text: str, passages: Sequence[str]) -> tuple[str, list[Sentence]]:
    """An answer without the marks that a model has set, and its sentences with the passages that say so (from 1)."""
    told = [_Said(passage) for passage in passages]
    shown, sentences = "", []
    for begin, end in _spans(text):
        piece = text[begin:end]
        marked = [int(each) for found in _MARK.finditer(piece) for each in re.findall(r"\d+", found[1])]
        plain = _MARK.sub("", piece)
        start = len(shown) + len(plain) - len(plain.lstrip())
        shown += plain
        said = plain.strip()
        if not any(each.isalnum() for each in said):
            continue
        citations, supported = _support(said, marked, told)
        sentences.append(Sentence(begins=start, ends=start + len(said), citations=citations, supported=supported))
    return shown.rstrip(), sentences


def faithfulness(sentences: Sequence[Sentence]) -> float | None:
    """The share of sentences that a passage supports; None of nothing."""
    return sum(each.supported for each in sentences) / len(sentences) if sentences else None


class _Said:
    __slots__ = ("numbers", "words")

    def __init__(self, text: str) -> None:
        self.words = set(bm25.terms(text))
        self.numbers = set(_numbers(text))


def _numbers(text: str) -> list[str]:
    return [found.rstrip(".,:").replace(",", "") for found in _NUMBER.findall(text)]


def _support(sentence: str, marked: Sequence[int], told: Sequence[_Said]) -> tuple[list[int], bool]:
    words = set(bm25.terms(sentence))
    names = {term for name in _NAME.findall(sentence) for term in bm25.terms(name)}
    numbers = set(_numbers(sentence))
    if not words or len(sentence.split()) < 2:
        return [], True  # "Yes." says nothing that could be looked up
    total = sum(NAMED if word in names or word in numbers else 1.0 for word in words)
    shares = [
        sum(NAMED if word in names or word in numbers else 1.0 for word in words & each.words) / total for each in told
    ]
    best = max(shares, default=0.0)
    whole = [at for at, each in enumerate(told) if shares[at] >= SUPPORTED and numbers <= each.numbers]
    cited = [at for at in whole if shares[at] >= best - NEAR]
    cited.sort(key=lambda at: (at + 1 not in marked, -shares[at], at))
    if whole:
        return sorted(at + 1 for at in cited[:MOST]), True
    return sorted({at for at in marked if 1 <= at <= len(told) and shares[at - 1] >= BORNE})[:MOST], False


def _spans(text: str) -> list[tuple[int, int]]:
    """Where sentences begin and end; together they are the text."""
    cuts = [0, *(found.end() for found in _END.finditer(text)), len(text)]
    return [(begin, end) for begin, end in pairwise(cuts) if end > begin]
