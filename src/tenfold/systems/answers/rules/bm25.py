"""BM25 as Lucene counts it: what a text's terms are, and what a chunk is worth to a question.

Robertson, Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond (2009); with Lucene's idf, which is never
negative, and without its constant factor k1 + 1, as Lucene since 8.0: no order depends on it.
"""

import re
import threading
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from math import log
from typing import Final

import numpy as np
import Stemmer
from numpy.typing import NDArray

#: How soon repetition stops to count, and how much length does. Chosen by measurement: docs/decisions/0031.
K1: Final = 1.2
B: Final = 0.75
#: Characters of a term that count; what is longer is no word.
LONGEST: Final = 40

#: Words, with the underscores of identifiers and the apostrophes of contractions inside them.
_WORD: Final = re.compile(r"[^\W_]+(?:['\u2019_]+[^\W_]+)*")
#: Scripts that put no spaces between words: there, two neighbours are a term.
_UNSPACED: Final = re.compile(
    r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0e7f\u0e80-\u0eff\u1780-\u17ff\u1000-\u109f]+"
)
#: English words that say how a sentence is made and not what it is about. Questions are full of them.
STOP_WORDS: Final = frozenset(
    """a about after again all also am an and any are as at be because been before being between both but by can could
    did do does doing down during each few for from further had has have having he her here hers herself him himself
    his how i if in into is it its itself just me might more most must my myself no nor not of off on once only or
    other our ours ourselves out over own same shall she should so some such than that the their theirs them themselves
    then there these they this those through to too under until up upon very was we were what when where which while
    who whom whose why will with would you your yours yourself yourselves don doesn didn isn aren wasn weren hasn
    haven hadn won wouldn couldn shouldn s t ll re ve d m""".split()  # noqa: SIM905 - a list is no easier to read
)
_local: Final = threading.local()

type _Stem = Callable[[str], str]


def terms(text: str, language: str = "english") -> list[str]:
    """The terms of a text in their order: words without case, stop words and endings; identifiers also in parts."""
    found: list[str] = []
    stem = _stemmer(language)
    for word in _WORD.findall(unicodedata.normalize("NFKC", text).casefold()):
        if word.isascii() or not (runs := _UNSPACED.findall(word)):
            found += _of_word(word, stem, language)
        else:
            for run in runs:
                found += ["".join(pair) for pair in pairwise(run)] or [run]
            found += [stem(rest) for rest in _UNSPACED.split(word) if rest]
    return found


def _of_word(word: str, stem: _Stem, language: str) -> list[str]:
    parts = re.split(r"['\u2019_]+", word)
    if len(parts) > 1 and "_" not in word:  # a contraction or a possessive: its end says nothing
        word, parts = parts[0], []
    stops = STOP_WORDS if language == "english" else frozenset()
    whole = [] if word in stops else [stem(word)[:LONGEST]]
    return whole + [stem(part)[:LONGEST] for part in parts[:8] if len(parts) > 1 and part not in stops]


def _stemmer(language: str) -> _Stem:
    """Cuts off the endings of a language. One for each thread, since it keeps state."""
    stemmers: dict[str, _Stem] = _local.__dict__.setdefault("stemmers", {})
    if language not in stemmers:
        stemmers[language] = Stemmer.Stemmer(language).stemWord
    return stemmers[language]


@lru_cache(maxsize=1 << 12)
def idf(chunks: int, holding: int) -> float:
    """What a term is worth that so many of the chunks hold."""
    return log(1 + (chunks - holding + 0.5) / (holding + 0.5))


def norms(lengths: NDArray[np.uint16], average: float) -> NDArray[np.float32]:
    """What stands beside a term's frequency below the line: for each chunk, by its length."""
    scaled = lengths.astype(np.float32) * np.float32(B / max(average, 1e-9))
    scaled += np.float32(1 - B)
    scaled *= np.float32(K1)
    return scaled


def add(
    scores: NDArray[np.float32],
    numbers: NDArray[np.uint16],
    counts: NDArray[np.uint8],
    norms: NDArray[np.float32],
    weight: float,
) -> None:
    """Add to the scores of the chunks with these numbers what a term's counts in them are worth."""
    found = counts.astype(np.float32)
    # A term has a chunk at most once, so that a plain assignment adds.
    scores[numbers] += np.float32(weight) * (found / (found + norms[numbers]))


def best(scores: NDArray[np.float32], limit: int) -> NDArray[np.intp]:
    """The places of the highest scores above 0, the best first; of equals the one that stands first."""
    places = np.flatnonzero(scores > 0)
    if len(places) > limit:
        cut = np.partition(scores[places], len(places) - limit)[len(places) - limit]
        places = places[scores[places] >= cut]
    order = np.argsort(-scores[places], kind="stable")
    result: NDArray[np.intp] = places[order[:limit]]
    return result


def indexed(title: str, headings: Sequence[str], text: str) -> str:
    """What is searched of a chunk: it is found by the words above it too. Neighbours that repeat are said once."""
    above = [each for before, each in pairwise(["", title, *headings]) if each and each != before]
    return "\n".join([*above, text])
