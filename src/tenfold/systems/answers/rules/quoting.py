"""An answer in the documents' own words: the sentences that say most of what was asked."""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

from tenfold.systems.answers.rules import bm25
from tenfold.systems.answers.types.asking import Sentence

#: Quotations, and how good another one is beside the best at least.
MOST, BESIDE = 3, 0.75
#: What the place of a passage in the ranking counts beside what a sentence says.
RANKED: Final = 0.25
#: Characters of a quotation, and of a sentence to which the next one is added.
LONG, SHORT = 600, 80

_END: Final = re.compile(r"(?<=[.!?])[\"')\]\u201d]*\s+(?=[\"'(A-Z0-9\u00c0-\u024f])|\n+")


def quote(
    question: str, weights: Mapping[str, float], passages: Sequence[tuple[str, float]]
) -> tuple[str, list[Sentence]]:
    """Quotations from passages (text and score, the best first), in their order, each with its citation.

    Terms that no chunk has are worth nothing here: no sentence could say them.
    """
    asked = set(bm25.terms(question))
    total = sum(weights.get(term, 0.0) for term in asked) or 1.0

    def share(terms: set[str]) -> float:
        return sum(weights.get(term, 0.0) for term in terms) / total

    found: list[tuple[float, int, int, str]] = []
    for number, (text, score) in enumerate(passages, 1):
        spans = [(begin, end) for begin, end in pairwise([0, *(cut.end() for cut in _END.finditer(text)), len(text)])]
        words = [set(bm25.terms(text[begin:end])) for begin, end in spans]
        for at, (begin, end) in enumerate(spans):
            said = share(asked & words[at])
            # What leads to a sentence often says what it is about.
            before = share((asked & words[at - 1]) - words[at]) if at else 0.0
            worth = said + before / 3 + RANKED * score
            if said and text[begin:end].strip():
                found.append((worth, number, begin, _whole(text, spans, at)))
    found.sort(key=lambda each: (-each[0], each[1], each[2]))
    best = [each for each in found if each[0] >= BESIDE * found[0][0]]
    chosen: list[tuple[float, int, int, str]] = []
    for each in best:
        if len(chosen) < MOST and not any(each[3] in other[3] or other[3] in each[3] for other in chosen):
            chosen.append(each)
    chosen.sort(key=lambda each: (each[1], each[2]))
    shown, sentences = "", []
    for _, number, _, text in chosen:
        start = len(shown) + (1 if shown else 0)
        shown = f"{shown}\n{text}" if shown else text
        sentences.append(Sentence(begins=start, ends=start + len(text), citations=[number], supported=True))
    return shown, sentences


def _whole(text: str, spans: Sequence[tuple[int, int]], at: int) -> str:
    """A sentence, with the next one when it is so short that it only leads to it."""
    begin, end = spans[at]
    if end - begin < SHORT and at + 1 < len(spans):
        end = spans[at + 1][1]
    return " ".join(text[begin:end].split())[:LONG]
