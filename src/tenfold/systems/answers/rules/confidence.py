"""How likely it is that what was found answers the question: below a threshold the honest answer is "I don't know".

A logistic regression over five figures of the best passages, trained by train/answers/confidence.py on questions whose
passage is in the collection, and the same questions once it has been taken out.
"""

import re
from collections.abc import Mapping, Sequence
from math import exp
from typing import Final

from tenfold.systems.answers.rules import bm25
from tenfold.systems.answers.types.index import Passage

#: What the figures are, in the order of the weights.
FIGURES: Final = ("cosine", "covered", "sentence", "together", "ahead")
#: Passages that are looked at.
LOOKED: Final = 3
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+|\n+")


def figures(question: str, weights: Mapping[str, float], passages: Sequence[tuple[str, float]]) -> list[float]:
    """What is known of passages (text and cosine, the best first) together: 0 to 1 each.

    `weights` says what each term of the question is worth in the collection; a term that it doesn't know is in no
    chunk at all, and worth as much as the rarest.
    """
    if not passages:
        return [0.0] * len(FIGURES)
    asked = set(bm25.terms(question))
    rarest = max(weights.values(), default=1.0)
    worth = {term: weights.get(term, rarest) or rarest for term in asked}
    total = sum(worth.values()) or 1.0
    looked = passages[:LOOKED]
    said = [set(bm25.terms(text)) for text, _ in looked]
    sentences = [set(bm25.terms(each)) for text, _ in looked for each in _SENTENCE.split(text)]

    def share(found: set[str]) -> float:
        return sum(worth[term] for term in asked & found) / total

    cosines = sorted((cosine for _, cosine in passages), reverse=True)
    return [
        cosines[0],
        max(map(share, said)),
        max(map(share, sentences), default=0.0),
        share(set().union(*said)),
        cosines[0] - sum(cosines[1:]) / max(len(cosines) - 1, 1),
    ]


def confidence(figures: Sequence[float]) -> float:
    """How likely it is, 0 to 1, that the passages answer."""
    if not any(figures):
        return 0.0
    margin = BIAS + sum(weight * figure for weight, figure in zip(WEIGHTS, figures, strict=True))
    return 1 / (1 + exp(-max(-30.0, min(30.0, margin))))


def of(question: str, weights: Mapping[str, float], passages: Sequence[Passage]) -> float:
    """The confidence that passages answer a question."""
    told = [
        (bm25.indexed(each.chunk.title, each.chunk.headings, each.chunk.text), each.dense or 0.0) for each in passages
    ]
    return confidence(figures(question, weights, told))


#: Written by train/answers/confidence.py, with the threshold at which 97 of 100 answers rightly are given.
BIAS: Final = -6.04
WEIGHTS: Final = (5.47, 0.92, 2.90, 0.69, 7.14)
THRESHOLD: Final = 0.42
