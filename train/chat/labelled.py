"""Reads the labelled texts of this folder, and writes weights."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tenfold.systems.chat.rules.moderation import CATEGORIES, moderate
from tenfold.systems.chat.rules.routing import THRESHOLD, complexity

HERE = Path(__file__).parent
RULES = HERE.parents[1] / "src/tenfold/systems/chat/rules"


@dataclass(frozen=True)
class Example:
    text: str
    labels: frozenset[str]
    topic: str
    #: Of a topic that is kept back from training.
    held: bool


CODES = {
    "ha": "harassment",
    "ht": "harassment/threatening",
    "h": "hate",
    "hh": "hate/threatening",
    "il": "illicit",
    "iv": "illicit/violent",
    "sh": "self-harm",
    "si": "self-harm/intent",
    "sn": "self-harm/instructions",
    "sx": "sexual",
    "sm": "sexual/minors",
    "v": "violence",
    "vg": "violence/graphic",
}
#: Who is meant by {g}. Those of held-back topics are others.
GROUPS = ("immigrants", "Muslims", "Jews", "Mexicans", "black people")
HELD_GROUPS = ("gay people", "Hindus", "trans people", "atheists", "lesbians")


def moderation() -> list[Example]:
    """Texts with categories. A text with {g} stands for one that is held back, or for three, one group each."""
    examples: list[Example] = []
    for topic, held, line in _lines("moderation.txt"):
        codes, text = line.split(" | ", 1)
        labels = {CODES[code] for code in codes.split() if code != "-"}
        labels |= {label.partition("/")[0] for label in labels}
        if "{g}" in text:
            groups = HELD_GROUPS if held else GROUPS
            at = len(examples)
            texts = [text.replace("{g}", groups[(at + n) % len(groups)]) for n in range(1 if held else 3)]
        else:
            texts = [text]
        examples += [Example(each, frozenset(labels), topic, held) for each in texts]
    return examples


def routing() -> list[Example]:
    """Turns, simple or complex. Code blocks go over several lines."""
    examples: list[Example] = []
    code: list[str] = []
    for topic, held, line in _lines("routing.txt"):
        if code or line.startswith("```"):
            code.append(line)
            if len(code) > 1 and line.startswith("```"):
                last = examples.pop()
                examples.append(Example("\n".join([last.text, *code]), last.labels, topic, held))
                code = []
            continue
        examples.append(Example(line, frozenset({topic.partition(" ")[0]}), topic, held))
    return examples


def _lines(name: str) -> list[tuple[str, bool, str]]:
    found: list[tuple[str, bool, str]] = []
    topic, held = "", False
    for line in (HERE / name).read_text("utf-8").splitlines():
        if line.startswith("== "):
            topic = line.removeprefix("== ")
            held = topic.endswith(" held")
        elif line and not line.startswith("#"):
            found.append((topic.removesuffix(" held"), held, line))
    return found


def judged(examples: list[Example]) -> dict[str, tuple[float, float, int]]:
    """Precision and recall of moderation by category, and of how many."""
    found = [moderate(each.text) for each in examples]
    columns = {
        name: [(each.categories[name], name in e.labels) for each, e in zip(found, examples, strict=True)]
        for name in CATEGORIES
    }
    columns["flagged at all"] = [(each.flagged, bool(e.labels)) for each, e in zip(found, examples, strict=True)]
    figures: dict[str, tuple[float, float, int]] = {}
    for name, pairs in columns.items():
        hits = sum(yes and real for yes, real in pairs)
        flagged, count = sum(yes for yes, _ in pairs), sum(real for _, real in pairs)
        figures[name] = (hits / max(flagged, 1), hits / max(count, 1), count)
    return figures


#: Dollars a million tokens: of the fast tier, of the smart one.
PRICES = (0.5, 10.0)


def routed(examples: list[Example]) -> dict[str, float]:
    """How well turns are routed, and the share of the cost of always asking the smart tier that is saved.

    Turns are taken to be equally long, answers too.
    """
    smart = [complexity(each.text) >= THRESHOLD for each in examples]
    real = ["complex" in each.labels for each in examples]
    pairs = list(zip(smart, real, strict=True))
    fast, dear = PRICES
    cost = sum(dear if each else fast for each in smart)
    return {
        "accuracy": sum(one == other for one, other in pairs) / len(pairs),
        "simple to fast": pairs.count((False, False)),
        "simple to smart": pairs.count((True, False)),
        "complex to fast": pairs.count((False, True)),
        "complex to smart": pairs.count((True, True)),
        "cost saved": 1 - cost / (dear * len(pairs)),
        "cost saved by perfect routing": 1 - sum(dear if each else fast for each in real) / (dear * len(pairs)),
    }


def quantised(weights: NDArray[np.float64]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Whole numbers from -127 to 127 a column, and what one is worth."""
    scale = np.maximum(np.abs(weights).max(axis=0), 1e-6) / 127
    return np.round(weights / scale).astype(np.int8), scale.astype(np.float32)
