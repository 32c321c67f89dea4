"""What a passage is worth to a question, from what is known without a neural cross-encoder: a learned combination.

This is no cross-encoder and doesn't pretend to be one: a logistic regression over eight figures, trained by
train/answers/relevance.py. How good it is, and what else was tried: docs/decisions/0032-reranking.md.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import exp
from typing import Final

from tenfold.systems.answers.rules import bm25

#: What the figures are, in the order of the weights.
FIGURES: Final = (
    "cosine", "bm25", "covered", "pairs", "sentence", "nearest", "cosine of the best", "bm25 of the best",
)  # fmt: skip
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+|\n+")


def figures(
    question: Sequence[str],
    passage: str,
    weights: Mapping[str, float],
    cosine: float,
    score: float,
    best: tuple[float, float],
    language: str = "english",
) -> list[float]:
    """What is known of a passage, each 0 to about 1. `best` are the highest cosine and BM25 score of all candidates."""
    total = sum(weights.get(term, 0.0) for term in question) or 1.0
    asked = set(question)
    sentences = [bm25.terms(each, language) for each in _SENTENCE.split(passage)]
    words = [term for each in sentences for term in each]
    covered = sum(weights.get(term, 0.0) for term in asked & set(words)) / total
    pairs = set(pairwise(question))
    together = len(pairs & set(pairwise(words))) / max(len(pairs), 1)
    # The sentence that says most of the question, and two neighbours together.
    said = [sum(weights.get(term, 0.0) for term in asked & set(each)) / total for each in sentences]
    around = [sum(weights.get(term, 0.0) for term in asked & {*a, *b}) / total for a, b in pairwise(sentences)]
    return [
        cosine,
        score / total,
        covered,
        together,
        max(said, default=0.0),
        max(around, default=max(said, default=0.0)),
        cosine / best[0] if best[0] > 0 else 0.0,
        score / best[1] if best[1] > 0 else 0.0,
    ]


def relevance(figures: Sequence[float]) -> float:
    """How likely it is the passage that answers, 0 to 1, among candidates of a hybrid search."""
    margin = BIAS + sum(weight * figure for weight, figure in zip(WEIGHTS, figures, strict=True))
    return 1 / (1 + exp(-max(-30.0, min(30.0, margin))))


#: Written by train/answers/relevance.py.
BIAS: Final = -14.61
WEIGHTS: Final = (1.85, -2.26, -0.05, -0.17, 1.54, 1.65, 7.20, 6.44)
