"""Trains the default reranker and says how good it is: python train/answers/relevance.py (extra `train`).

It learns from candidates of the hybrid search: half of XQuAD's articles, and documentation of some packages. Figures
are told of the other half, and of documentation of other packages. `--keep` writes the weights into rules/relevance.py.
"""

import asyncio
import re
import sys
from math import log2
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

sys.path.insert(0, str(Path(__file__).parent))

import labelled
from labelled import Collection

from tenfold.platform.inference.embedding import Embedder
from tenfold.platform.settings import Settings
from tenfold.platform.testing import models_of_tests
from tenfold.systems.answers.rules import bm25, fusion, relevance, segments

DEPTH, FOUND, MOST = 20, 100, 1000
RULES = Path(__file__).parents[2] / "src/tenfold/systems/answers/rules/relevance.py"

#: Of a question: whether each candidate is the one, its figures, and its fused score as a share.
type Looked = list[tuple[bool, list[float], float]]


def looked(collection: Collection, embedder: Embedder) -> list[Looked]:
    """The candidates of each question, as the hybrid search has them."""
    passages = np.array(asyncio.run(_embedded(embedder, collection.passages)))
    asked = np.array(asyncio.run(_embedded(embedder, [question for question, _ in collection.questions])))
    index = segments.build((number, 0, bm25.terms(text)) for number, text in enumerate(collection.passages))
    view = segments.View(index, {term: index.postings(place) for place, term in enumerate(index.terms)})
    every: list[Looked] = []
    for (question, relevant), vector in zip(collection.questions, asked, strict=True):
        terms = bm25.terms(question)
        cosines = passages @ vector
        dense = {int(key): float(cosines[key]) for key in np.argsort(-cosines)[:FOUND]}
        ranking = segments.search([view], terms, np.zeros(0, np.int64), None, FOUND)
        words = dict(ranking.hits)
        fused = dict(list(fusion.fuse([list(dense), list(words)]).items())[:DEPTH])
        best = max(dense.get(key, 0.0) for key in fused), max(words.get(key, 0.0) for key in fused)
        every.append([
            (
                key == relevant,
                relevance.figures(
                    terms, collection.passages[key], ranking.weights, dense.get(key, 0.0), words.get(key, 0.0), best
                ),
                fusion.share(score, 2),
            )
            for key, score in fused.items()
        ])  # fmt: skip
    return every


async def _embedded(embedder: Embedder, texts: list[str]) -> list[list[float]]:
    return await embedder.embed(texts)


def gain(questions: list[Looked], model: LogisticRegression | None) -> float:
    """Mean nDCG@10, reranked by 0.7 of the model's score and 0.3 of the fused one, or not at all."""
    gains: list[float] = []
    for candidates in questions:
        scores: NDArray[np.float64] = np.array([share for _, _, share in candidates])
        if model is not None:
            likely = model.predict_proba(np.array([figures for _, figures, _ in candidates]))[:, 1]
            scores = fusion.RERANKED * likely + (1 - fusion.RERANKED) * scores
        order = np.argsort(-scores, kind="stable")[:10]
        gains.append(sum(1 / log2(rank + 2) for rank, place in enumerate(order) if candidates[place][0]))
    return sum(gains) / len(gains)


def main() -> None:
    from msgspec.structs import replace

    embedder = Embedder(replace(Settings(), models=models_of_tests().directory))
    trained = [
        *looked(labelled.xquad(articles=slice(0, 24)), embedder),
        *looked(labelled.docstrings(labelled.TRAINED, MOST), embedder),
    ]
    rows = [candidate for question in trained for candidate in question]
    x, y = np.array([figures for _, figures, _ in rows]), np.array([relevant for relevant, _, _ in rows])
    model = LogisticRegression(C=1.0, max_iter=2000).fit(x, y)
    for name, weight in zip(relevance.FIGURES, model.coef_[0], strict=True):
        print(f"{name:24} {weight:8.2f}")
    for held in (labelled.xquad(articles=slice(24, None)), labelled.docstrings(labelled.HELD, MOST)):
        questions = looked(held, embedder)
        before, after = gain(questions, None), gain(questions, model)
        print(f"{held.name}: {len(questions)} questions, nDCG@10 of RRF {before:.4f}, reranked {after:.4f}")
    if "--keep" in sys.argv:
        weights = ", ".join(f"{weight:.2f}" for weight in model.coef_[0])
        text = re.sub(r"BIAS: Final = .*", f"BIAS: Final = {model.intercept_[0]:.2f}", RULES.read_text())
        RULES.write_text(re.sub(r"WEIGHTS: Final = \(.*\)", f"WEIGHTS: Final = ({weights})", text))


if __name__ == "__main__":
    main()
