"""Sources that contradict each other: about the same thing they say other numbers, or one says that it isn't so."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from tenfold.systems.answers.rules import bm25

#: How alike sentences of two sources must be to be about the same thing: the share of words that both have.
ALIKE: Final = 0.6
_END: Final = re.compile(r"(?<=[.!?])\s+|\n+")
_NUMBER: Final = re.compile(r"\d+(?:[.,:]\d+)*")
_NOT: Final = re.compile(r"\b(?:not|no|never|none|cannot|without|neither|nor)\b|n['\u2019]t\b", re.IGNORECASE)


def conflicts(
    question: str, weights: Mapping[str, float], passages: Sequence[tuple[int, str]]
) -> list[tuple[int, int]]:
    """Pairs of passages (document and text; told by their places from 1) that say different things to the question."""
    asked = set(bm25.terms(question))
    said = [_closest(asked, weights, text) for _, text in passages]
    return [
        (one + 1, other + 1)
        for one in range(len(passages))
        for other in range(one + 1, len(passages))
        if passages[one][0] != passages[other][0] and _contradict(asked, said[one], said[other])
    ]


def _closest(asked: set[str], weights: Mapping[str, float], text: str) -> str:
    """The sentence of a passage that says most of the question."""
    return max(
        _END.split(text),
        key=lambda each: sum(weights.get(term, 0.0) for term in asked & set(bm25.terms(each))),
        default="",
    )


def _contradict(asked: set[str], one: str, other: str) -> bool:
    numbers = [set(_NUMBER.findall(each)) for each in (one, other)]
    words = [set(bm25.terms(_NUMBER.sub(" ", each))) for each in (one, other)]
    if words[0] & asked != words[1] & asked:
        return False  # of another owl
    if not all(words) or len(words[0] & words[1]) < ALIKE * min(map(len, words)) or min(map(len, words)) < 3:
        return False
    if all(numbers) and not numbers[0] & numbers[1]:
        return True
    return (_NOT.search(one) is None) != (_NOT.search(other) is None)
