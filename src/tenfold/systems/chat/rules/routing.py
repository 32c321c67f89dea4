"""How much a turn asks of a model: a linear classifier of our own, so that simple turns go to the cheap one.

What is trained, on what and how well it does: train/chat/routing.py and docs/chat-safety.md.
"""

import re
import zlib
from functools import cache
from importlib.resources import files
from itertools import pairwise
from math import exp, log1p

import msgspec
import numpy as np
from numpy.typing import NDArray

#: From here on a turn is for the smart tier. Scores are probabilities, so it says that answering a complex turn with
#: the fast one is taken for 7/3 as bad as answering a simple one with the smart one.
THRESHOLD = 0.3

BUCKETS = 1 << 13
#: Characters that are read, half of them at each end of a longer turn.
MOST = 4000
#: Characters beyond which a turn is complex whatever it says: there is something long to read.
LONG = 6000

_WORD = re.compile(r"[^\W\d_]+|\d+")
_CODE = re.compile(
    r"```|^(?: {4}|\t)\S|[;{}]\s*$|\bdef |\bclass |=>|</\w+>|\w\(\w*\)|Traceback|Exception|Error:", re.MULTILINE
)
_MATHS = re.compile(r"[=^\u222b\u2211\u221a\u2264\u2265\u2260\u00b1\u221e]|\\[a-z]+\{|\b[a-z]\s?[+*/-]\s?[a-z0-9]\b")
_ITEM = re.compile(r"^\s*(?:[-*\u2022]|\d+[.)])\s", re.MULTILINE)
_CLAUSE = re.compile(r"[,;:]|\b(?:and|with|without|which|that|und|mit|y|con|et|avec|e|com)\b")


def complexity(turn: str, history_tokens: int = 0, *, files: int = 0, pictures: int = 0) -> float:
    """How likely a turn needs the smart tier, 0 to 1.

    `history_tokens` is how long the conversation is before it. That, and what is attached, isn't in the data that is
    trained on: each doubling beyond 500 tokens raises the odds by a fifth, a file or a picture makes them four times
    as high.
    """
    weights = _weights()
    rows, counts = features(turn)
    margin = weights.bias + float(np.dot(counts, weights.counts))
    if rows:
        margin += float(weights.words[rows].sum(dtype=np.int64)) * weights.word_scale / len(rows) ** 0.5
    margin += 0.26 * max(0.0, log1p(history_tokens / 500) - 0.69) + 1.4 * min(files + pictures, 4)
    if len(turn) > LONG:
        margin += 3.0
    return 1 / (1 + exp(-max(-30.0, min(30.0, margin))))


def features(turn: str) -> tuple[list[int], NDArray[np.float32]]:
    """What the classifier sees: rows of words, pairs of words and parts of words; and counts, each about 0 to 3."""
    length = len(turn)
    if length > MOST:
        turn = turn[: MOST // 2] + "\n" + turn[-MOST // 2 :]
    lower = turn.lower()
    words = [word if not word.isdigit() else "0" for word in _WORD.findall(lower)]
    seen = ["^", *words]
    pieces = [*words, *(f"{one} {other}" for one, other in pairwise(seen))]
    for word in words:
        if len(word) > 4:
            bounded = f"_{word[:30]}_"
            pieces += [bounded[at : at + 4] for at in range(len(bounded) - 3)]
    rows = [zlib.crc32(piece.encode()) % BUCKETS for piece in pieces]
    return rows, np.array(
        [
            log1p(length) / 2,
            log1p(len(words)),
            log1p(len(_CODE.findall(turn))),
            log1p(len(_MATHS.findall(turn))),
            log1p(len(_ITEM.findall(turn))),
            log1p(len(_CLAUSE.findall(lower))),
            log1p(turn.count("\n")),
            log1p(sum(map(turn.count, ("?", "\uff1f")))),
            # Languages without spaces say as much with fewer characters.
            log1p(sum("\u3040" <= character <= "\u9fff" for character in turn)),
        ],
        np.float32,
    )


class Weights(msgspec.Struct):
    """Of a linear classifier: what a row weighs is its number times the scale."""

    bias: float
    words: NDArray[np.int8]
    word_scale: float
    counts: NDArray[np.float32]


@cache
def _weights() -> Weights:
    with (files(__package__) / "routing.npz").open("rb") as file, np.load(file, allow_pickle=False) as kept:
        return Weights(float(kept["bias"]), kept["words"], float(kept["word_scale"]), kept["counts"])


def forget() -> None:
    """Read the weights anew when they are next needed."""
    _weights.cache_clear()
