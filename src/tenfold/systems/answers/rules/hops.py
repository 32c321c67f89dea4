"""Whether one look is enough, and what a second one looks for.

The case study names multi-hop retrieval: retrieve, read, retrieve again. Here no model decides it. A second look is
worth its time when the best passages leave words of the question unsaid, and name something that the question doesn't:
then those names, with the words that are still open, are what is looked for (pseudo-relevance feedback, as Rocchio's,
but of names only).
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from tenfold.systems.answers.rules import bm25

#: Passages of the first look that are read.
READ: Final = 3
#: Names that are looked for in the second.
NAMES: Final = 3
#: The share of the question's weight that one passage may leave unsaid.
OPEN: Final = 0.15

_NAME: Final = re.compile(
    r"\b[A-Z][\w'\u2019-]+(?:[ ]+(?:of|de|von|van|the|and)?[ ]?[A-Z][\w'\u2019-]+)*|\b[a-z]+_\w+\b"
)


def second_look(question: str, passages: Sequence[str], weights: Mapping[str, float], language: str = "english") -> str:
    """What to look for after the first look, nothing when that was enough. `weights` are the idf of terms."""
    asked = list(dict.fromkeys(bm25.terms(question, language)))
    total = sum(weights.get(term, 0.0) for term in asked)
    if not passages or not total:
        return ""
    said = [set(bm25.terms(each, language)) for each in passages[:READ]]
    best = max(sum(weights.get(term, 0.0) for term in asked if term in each) for each in said)
    if total - best <= OPEN * total:
        return ""
    known = set(asked)
    names: Counter[str] = Counter()
    for place, passage in enumerate(passages[:READ]):
        for name in set(_names(passage)):
            if not known & set(bm25.terms(name, language)):
                names[name] += READ - place
    if not names:
        return ""
    covered = max(said, key=lambda each: sum(weights.get(term, 0.0) for term in asked if term in each))
    words = {term: word for word in re.findall(r"\w+", question) for term in bm25.terms(word, language)}
    still = [words[term] for term in asked if term in words and term not in covered]
    return " ".join([*still, *[name for name, _ in names.most_common(NAMES)]])


def _names(passage: str) -> list[str]:
    """What is written like a name within a sentence; where sentences begin, everything is."""
    return [
        found.group()
        for found in _NAME.finditer(passage)
        if found.start() and passage[: found.start()].rstrip()[-1:] not in {"", ".", "!", "?", ":", "\n"}
    ]
