"""Questions that need their conversation to be understood, and how they are made to stand alone."""

import re
from collections.abc import Sequence
from typing import Final

from tenfold.systems.answers.rules import bm25

#: Words that stand for something said before.
_REFERS: Final = re.compile(
    r"\b(?:it|its|they|them|their|theirs|this|that|these|those|he|she|him|her|his|one|ones|there|former|latter|same|"
    r"else|both|instead|then)\b",
    re.IGNORECASE,
)
#: How questions begin that go on with the last one.
_GOES_ON: Final = re.compile(
    r"\s*(?:and|but|or|so|also|what about|how about|what if|why\b\W*$|how so|which ones?)\b", re.IGNORECASE
)
#: Terms under which a question hardly says what it is about, and those that are added from the last one.
FEW, ADDED = 2, 8
#: How much longer than the question a rewriting may be, in characters.
LONGER: Final = 240


def needs_conversation(question: str) -> bool:
    """Whether a question goes on with what was said before."""
    terms = bm25.terms(question)
    return len(terms) < FEW or bool(_GOES_ON.match(question)) or (bool(_REFERS.search(question)) and len(terms) <= 6)


def with_terms(question: str, history: Sequence[tuple[str, str]]) -> str:
    """A follow-up with the words that the last question was about and it leaves out: plain, and never wrong."""
    own = set(bm25.terms(question))
    added: list[str] = []
    for asked, _ in reversed(history):
        for word in re.findall(r"[\w'-]+", asked):
            terms = bm25.terms(word)
            if terms and own.isdisjoint(terms):
                added.append(word)
                own.update(terms)
        if added and not needs_conversation(asked):
            break  # that question stood alone
    return f"{question.strip()} ({' '.join(added[:ADDED])})" if added else question


def is_acceptable(rewritten: str, question: str, history: Sequence[tuple[str, str]]) -> bool:
    """Whether a model's rewriting still asks the question, in words of the conversation only."""
    own, new = set(bm25.terms(_REFERS.sub(" ", question))), set(bm25.terms(rewritten))
    said = {term for pair in history for text in pair for term in bm25.terms(text)}
    return bool(new) and len(rewritten) <= len(question) + LONGER and own <= new and new <= own | said and new != own
