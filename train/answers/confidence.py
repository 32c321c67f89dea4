"""Trains when to say "I don't know" and says how well it is known: python train/answers/confidence.py (extra `train`).

Each question is looked for twice: where its passage is, and where that has been taken out (of an encyclopaedia with all
of its article). Half of XQuAD's articles and documentation of some packages teach; the rest tells how good it is.
`--keep` writes the weights into rules/confidence.py.
"""

import asyncio
import re
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

sys.path.insert(0, str(Path(__file__).parent))

import labelled
from labelled import Collection

from tenfold.platform.inference.embedding import Embedder
from tenfold.platform.settings import Settings
from tenfold.platform.testing import models_of_tests
from tenfold.systems.answers.rules import bm25, confidence, fusion, segments

RULES = Path(__file__).parents[2] / "src/tenfold/systems/answers/rules/confidence.py"
FOUND, SHOWN, MOST = 100, 5, 600
#: Of the answers that are given, how many have their passage.
PRECISION = 0.97


def looked(collection: Collection, around: int, embedder: Embedder) -> list[tuple[list[float], bool]]:
    """Figures of each question, with what answers it and without. `around` passages on both sides go with it."""
    passages = np.array(asyncio.run(_embedded(embedder, collection.passages)))
    asked = np.array(asyncio.run(_embedded(embedder, [question for question, _ in collection.questions])))
    index = segments.build((number, number, bm25.terms(text)) for number, text in enumerate(collection.passages))
    view = segments.View(index, {term: index.postings(place) for place, term in enumerate(index.terms)})
    every: list[tuple[list[float], bool]] = []
    for (question, relevant), vector in zip(collection.questions, asked, strict=True):
        for there in (True, False):
            gone = set() if there else set(range(relevant - around, relevant + around + 1))
            cosines = passages @ vector
            dense = [int(key) for key in np.argsort(-cosines) if int(key) not in gone][:FOUND]
            ranking = segments.search([view], bm25.terms(question), np.array(sorted(gone), np.int64), None, FOUND)
            fused = list(fusion.fuse([dense, [key for key, _ in ranking.hits]]))[:SHOWN]
            shown = [(collection.passages[key], float(cosines[key])) for key in fused]
            every.append((confidence.figures(question, ranking.weights, shown), there))
    return every


async def _embedded(embedder: Embedder, texts: list[str]) -> list[list[float]]:
    return await embedder.embed(texts)


def threshold(scores: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """The lowest at which PRECISION of what is answered has its passage."""
    order = np.argsort(-scores)
    precision = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    good = np.flatnonzero(precision >= PRECISION)
    return float(scores[order[good[-1]]]) if len(good) else 1.0


def tell(name: str, model: LogisticRegression, rows: list[tuple[list[float], bool]], at: float) -> None:
    x, y = np.array([figures for figures, _ in rows]), np.array([there for _, there in rows])
    scores = model.predict_proba(x)[:, 1]
    given = scores >= at
    print(
        f"{name}: {len(rows)} questions, AUC {roc_auc_score(y, scores):.3f}; at {at:.2f} answers "
        f"{given[y].mean():.1%} of those it can and {given[~y].mean():.1%} of those it can't, "
        f"precision {y[given].mean():.3f}"
    )
    for low in np.arange(0, 1, 0.2):
        inside = (scores >= low) & (scores < low + 0.2)
        if inside.any():
            print(f"   said {low:.1f} to {low + 0.2:.1f}: right in {y[inside].mean():.2f} of {inside.sum()}")


def main() -> None:
    from msgspec.structs import replace

    embedder = Embedder(replace(Settings(), models=models_of_tests().directory))
    parts = {
        "XQuAD": (labelled.xquad(articles=slice(0, 24)), labelled.xquad(articles=slice(24, None)), 5),
        "documentation": (labelled.docstrings(labelled.TRAINED, MOST), labelled.docstrings(labelled.HELD, MOST), 0),
    }
    trained, held = {}, {}
    for name, (one, other, around) in parts.items():
        trained[name], held[name] = looked(one, around, embedder), looked(other, around, embedder)
    rows = [row for part in trained.values() for row in part]
    x, y = np.array([figures for figures, _ in rows]), np.array([there for _, there in rows])
    model = LogisticRegression(C=10.0, max_iter=5000).fit(x, y)
    # Docstrings are no questions, and what is left often answers them too: the threshold is chosen by real questions.
    x, y = (np.array(column) for column in zip(*trained["XQuAD"], strict=True))
    at = threshold(model.predict_proba(x)[:, 1], y)
    for name, weight in zip(confidence.FIGURES, model.coef_[0], strict=True):
        print(f"{name:10} {weight:8.2f}")
    for name, part in held.items():
        tell(name, model, part, at)
    if "--keep" in sys.argv:
        weights = ", ".join(f"{weight:.2f}" for weight in model.coef_[0])
        text = re.sub(r"BIAS: Final = .*", f"BIAS: Final = {model.intercept_[0]:.2f}", RULES.read_text())
        text = re.sub(r"WEIGHTS: Final = \(.*\)", f"WEIGHTS: Final = ({weights})", text)
        RULES.write_text(re.sub(r"THRESHOLD: Final = .*", f"THRESHOLD: Final = {at:.2f}", text))


if __name__ == "__main__":
    main()
