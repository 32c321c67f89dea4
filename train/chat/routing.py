"""Trains the classifier that routes turns and says how good it is: python train/chat/routing.py (extra `train`)."""

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

sys.path.insert(0, str(Path(__file__).parent))

import labelled
from labelled import Example

from tenfold.systems.chat.rules import routing

#: How strongly weights may differ from none: chosen by cross-validation.
STRENGTH = 10.0
FOLDS = 8
SEED = 17


def matrix(examples: list[Example]) -> NDArray[np.float64]:
    x = np.zeros((len(examples), routing.BUCKETS + 9))
    for line, example in zip(x, examples, strict=True):
        rows, counts = routing.features(example.text)
        line[: routing.BUCKETS] = np.bincount(rows, minlength=routing.BUCKETS) / max(len(rows), 1) ** 0.5
        line[routing.BUCKETS :] = counts
    return x


def fitted(x: NDArray[np.float64], y: NDArray[np.bool_]) -> LogisticRegression:
    return LogisticRegression(C=STRENGTH, solver="liblinear", random_state=SEED, max_iter=500).fit(x, y)


def train(examples: list[Example]) -> None:
    x, y = matrix(examples), np.array(["complex" in each.labels for each in examples])
    margins = np.zeros(len(y))
    for fit, test in GroupKFold(FOLDS).split(x, y, [each.topic for each in examples]):
        margins[test] = fitted(x[fit], y[fit]).decision_function(x[test])
    # Probabilities that hold for topics it hasn't met (Platt 1999): fitted to margins of models without that topic.
    scale = LogisticRegression(C=1e6).fit(margins[:, None], y)
    slope, shift = float(scale.coef_[0, 0]), float(scale.intercept_[0])
    odds = margins * slope + shift
    print(f"cross-validated accuracy at {routing.THRESHOLD}: {((odds >= cut()) == y).mean():.3f}, slope {slope:.2f}")
    model = fitted(x, y)
    weights = model.coef_[0] * slope
    words, word_scale = labelled.quantised(weights[: routing.BUCKETS, None])
    np.savez(
        labelled.RULES / "routing.npz",
        bias=np.float32(model.intercept_[0] * slope + shift),
        words=words[:, 0],
        word_scale=word_scale[0],
        counts=weights[routing.BUCKETS :].astype(np.float32),
    )
    routing.forget()


def cut() -> float:
    return float(np.log(routing.THRESHOLD / (1 - routing.THRESHOLD)))


def main() -> None:
    examples = labelled.routing()
    train([each for each in examples if not each.held])
    held = [each for each in examples if each.held]
    print(f"{len(examples) - len(held)} trained on, {len(held)} held back")
    figures = labelled.routed(held)
    for name, value in figures.items():
        print(f"{name:40} {value:.3f}")
    last = labelled.routed([each for each in held if "last look" in each.topic])
    print(f"{'accuracy on those written last':40} {last['accuracy']:.3f}")
    if "-v" in sys.argv:
        for each in held:
            score = routing.complexity(each.text)
            if (score >= routing.THRESHOLD) != ("complex" in each.labels):
                print(f"{score:.2f}", *each.labels, each.text[:120])


if __name__ == "__main__":
    main()
