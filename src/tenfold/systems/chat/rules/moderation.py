"""Whether a text means harm: the categories of OpenAI's moderation API, by a linear classifier of our own.

What is trained, on what and how well it does: train/chat/moderation.py and docs/chat-safety.md.
"""

import re
import zlib
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from importlib.resources import files
from itertools import pairwise
from math import exp, inf
from struct import Struct

import msgspec
import numpy as np
from numpy.typing import NDArray

from tenfold.systems.chat.rules import disguise

NAME = "tenfold-moderation-1"

#: Subcategories behind their category.
CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/intent",
    "self-harm/instructions",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
#: What is of a subcategory is of its category.
_WITHIN = {name: name.partition("/")[0] for name in CATEGORIES if "/" in name}
#: From which score on a category is flagged. Scores are scaled so that it is the same for all.
THRESHOLD = 0.5

#: The same for texts of more than LONG characters that aren't talked but sent, as files: each window is another chance
#: to be wrong, and at the threshold of questions every fourth manual is refused. See docs/chat-safety.md.
LONG, LONG_THRESHOLD = 2000, 0.98

#: Margins below minus this are as good as none.
MOST_MARGIN = 700
#: Rows of the weights for words and parts of words.
BUCKETS = 1 << 14
#: Words of which a judgement is made, and those by which the next ones are further on: harm is no less for standing in
#: a long text.
WINDOW, STRIDE = 48, 36
#: Characters that are read, half of them at each end of a longer text.
MOST = 100_000
#: Words within which two subjects have to do with each other.
NEAR = 6

_TOKEN = re.compile(r"[^\W_][\w'@$!*+|#%]*|[@$][\w@$!*]+")
_PART = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
_AGE = re.compile(
    r"\b(\d{1,2}) ?-? ?(?:years?|yrs?|yo|y ?/? ?o)\b|\b(?:aged?|is|she's|he's|of) (\d{1,2})\b(?! ?[%$\u20ac:.\w])"
)
_DIGIT = re.compile(r"\d")
_GROWN = 18


class Window(msgspec.Struct, frozen=True):
    """What is seen of some words: rows of the weights."""

    words: list[int]
    #: Subjects, and pairs of them.
    subjects: list[int]


class Moderation(msgspec.Struct):
    """What a text is taken for. Scores are from 0 to 1; a category is flagged from THRESHOLD on."""

    flagged: bool
    categories: dict[str, bool]
    scores: dict[str, float]


def moderate(text: str) -> Moderation:
    """Judge a text. Of a long one, the worst part counts."""
    values = dict(zip(CATEGORIES, map(_share, _margins(text)), strict=True))
    for name, category in _WITHIN.items():
        values[category] = max(values[category], values[name])
    flags = {name: score >= THRESHOLD for name, score in values.items()}
    return Moderation(any(flags.values()), flags, {name: round(score, 4) for name, score in values.items()})


def is_harmful(text: str) -> bool:
    """Whether judging a text would flag it, for who needs no more: nearly all texts are innocent."""
    return _share(max(_margins(text))) >= THRESHOLD


def _share(margin: float) -> float:
    return 1 / (1 + exp(-margin)) if margin > -MOST_MARGIN else 0.0


def _margins(text: str) -> list[float]:
    """What the classifier says of each category, the most of all windows."""
    weights = _weights()
    margins = [-inf] * len(CATEGORIES)
    for window in windows(text):
        found = weights.bias
        if window.words:
            found = weights.words.add(found, window.words, len(window.words) ** -0.5)
        if window.subjects:
            found = weights.subjects.add(found, window.subjects, 1.0)
        margins = list(map(max, margins, found))
    return margins


def refuses(judged: Moderation, length: int) -> bool:
    """Whether a part of a file of so many characters, judged like this, is enough to refuse the file."""
    return judged.flagged and (length <= LONG or max(judged.scores.values()) >= LONG_THRESHOLD)


def windows(text: str) -> Iterator[Window]:
    """What the classifier sees of a text, window by window; one at least."""
    if len(text) > MOST:
        text = text[: MOST // 2] + "\n" + text[-MOST // 2 :]
    text = disguise.shown(text)
    if _DIGIT.search(text):
        text = _AGE.sub(_aged, text)
    words = [word for token in _TOKEN.findall(disguise.joined(text, is_known)) for word in _words(token[:40])]
    start = 0
    while True:
        yield _window(words[start : start + WINDOW])
        start += STRIDE
        if start + WINDOW - STRIDE >= len(words):
            return


def _window(words: Sequence["_Word"]) -> Window:
    rows = [row for word in words for row in word.rows]
    rows += [(before.rows[0] * 31 + word.rows[0] + 7) % BUCKETS for before, word in pairwise(words)]
    count = len(subjects())
    seen: set[int] = set()
    found: set[int] = set()
    near: list[tuple[int, int]] = []
    for place, word in enumerate(words):
        if word.subjects:
            near = [each for each in near if place - each[1] <= NEAR]
            for subject in word.subjects:
                found.update([count + before * count + subject for before, _ in near])
            seen.update(word.subjects)
            near += [(subject, place) for subject in word.subjects]
    found |= seen
    both = sorted(seen)
    for index, one in enumerate(both):
        at = count * (1 + count + one)
        found.update([at + other for other in both[index + 1 :]])
    return Window(rows, sorted(found))


class _Word(msgspec.Struct, frozen=True):
    #: The word itself, then its parts.
    rows: tuple[int, ...]
    subjects: tuple[int, ...]


@lru_cache(maxsize=1 << 14)
def _words(token: str) -> tuple[_Word, ...]:
    if not token.isalpha() and len(token) > 2:
        # What ends a sentence isn't part of its last word.
        plain = disguise.undisguised(token, is_known) or disguise.undisguised(token.rstrip("!*+|#%"), is_known)
        if plain is not None:
            return (_word(plain),)
    parts: list[str] = _PART.findall(token)
    return tuple(_word(disguise.undisguised(part, is_known) or part) for part in parts)


def _word(word: str) -> _Word:
    bounded = f"_{word}_"
    parts = [bounded[at : at + 4] for at in range(len(bounded) - 3)] if len(word) > 4 else []
    return _Word(tuple(zlib.crc32(each.encode()) % BUCKETS for each in (word, *parts)), _subjects(word))


def _aged(match: re.Match[str]) -> str:
    return " minorage " if int(match[1] or match[2]) < _GROWN else " adultage "


def is_known(word: str) -> bool:
    """Whether a word is about something of concern to moderation."""
    return bool(_subjects(word))


@cache
def subjects() -> dict[str, int]:
    """What words may be about, numbered."""
    return {line.split()[0]: index for index, line in enumerate(_lines())}


@cache
def _lines() -> list[str]:
    lines = (files(__package__) / "moderation-words.txt").read_text("utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


@cache
def _lexicon() -> tuple[dict[str, set[int]], dict[str, set[int]]]:
    whole: dict[str, set[int]] = {}
    stems: dict[str, set[int]] = {}
    for index, line in enumerate(_lines()):
        for word in line.split()[1:]:
            into = stems if word.endswith("*") else whole
            into.setdefault(word.rstrip("*"), set()).add(index)
    return whole, stems


@lru_cache(maxsize=1 << 14)
def _subjects(word: str) -> tuple[int, ...]:
    whole, stems = _lexicon()
    found = set(whole.get(word, ()))
    for end in range(3, len(word) + 1):
        found |= stems.get(word[:end], set())
    return tuple(sorted(found))


class Rows:
    """Weights, a row for each thing seen and a column a category: a row weighs its whole numbers times the scale.

    A row is kept as one large integer with 32 bits a category, so that adding up rows is one addition each: for the
    hundred rows of a question that takes a fifth of what it takes with arrays.
    """

    def __init__(self, numbers: "NDArray[np.int8]", scale: "NDArray[np.float32]") -> None:
        raised = (numbers.astype(np.int32) + 128).astype("<u4")  # no field may be below zero, or it borrows of the next
        self._rows = [int.from_bytes(row.tobytes(), "little") for row in raised]
        self._scale: list[float] = scale.tolist()
        self._fields = Struct(f"<{len(CATEGORIES)}I")

    def add(self, margins: Sequence[float], rows: Sequence[int], share: float) -> list[float]:
        """Margins with what these rows weigh together, times `share`."""
        total = sum(map(self._rows.__getitem__, rows)).to_bytes(self._fields.size, "little")
        raised = 128 * len(rows)
        sums = zip(margins, self._fields.unpack(total), self._scale, strict=True)
        return [margin + (found - raised) * scale * share for margin, found, scale in sums]


class Weights(msgspec.Struct):
    """Of a linear classifier."""

    bias: list[float]
    words: Rows
    subjects: Rows


@cache
def _weights() -> Weights:
    with (files(__package__) / "moderation.npz").open("rb") as file, np.load(file, allow_pickle=False) as kept:
        words, subjects = (Rows(kept[name], kept[f"{name[:-1]}_scale"]) for name in ("words", "subjects"))
        return Weights(kept["bias"].tolist(), words, subjects)


def forget() -> None:
    """Read the weights anew when they are next needed."""
    _weights.cache_clear()
