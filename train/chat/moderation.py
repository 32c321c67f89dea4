"""Trains the moderation classifier and says how good it is: python train/chat/moderation.py (extra `train`)."""

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, StratifiedKFold

sys.path.insert(0, str(Path(__file__).parent))

import labelled
from labelled import Example

from tenfold.systems.chat.rules import moderation

#: How strongly weights may differ from none, and how much a subject counts beside words: chosen by cross-validation.
STRENGTH, SUBJECT = 3.0, 1.0
FOLDS = 5
SEED = 17
SAMPLES = 40
#: Of two thresholds as good by F, the one that flags less; beta < 1 weighs precision above recall, because nearly all
#: that is written is innocent.
BETA = 0.5


def matrix(examples: list[Example]) -> csr_matrix:
    """A row an example: counts of words by the root of how many there are, and 1 for each subject."""
    columns, values, ends = [], [], [0]
    for example in examples:
        # Examples are short: the first window is all.
        window = next(moderation.windows(example.text))
        rows, counts = np.unique(window.words, return_counts=True)
        columns += [*rows.tolist(), *(moderation.BUCKETS + each for each in window.subjects)]
        values += [*(counts / max(len(window.words), 1) ** 0.5).tolist(), *[SUBJECT] * len(window.subjects)]
        ends.append(len(columns))
    count = len(moderation.subjects())
    width = moderation.BUCKETS + count + 2 * count * count
    return csr_matrix((values, np.array(columns, np.int64), ends), shape=(len(examples), width))


def fitted(x: csr_matrix, y: NDArray[np.bool_]) -> LogisticRegression:
    model = LogisticRegression(C=STRENGTH, class_weight="balanced", solver="liblinear", random_state=SEED, max_iter=500)
    return model.fit(x, y)


def unseen(x: csr_matrix, y: NDArray[np.bool_], topics: list[str]) -> NDArray[np.float64]:
    """Margins of examples by models that weren't trained on their topic; on them, where a category has few topics."""
    few = len({topic for topic, real in zip(topics, y, strict=True) if real}) < 3
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED) if few else GroupKFold(FOLDS)
    margins = np.zeros(len(y))
    for fit, test in folds.split(x, y, None if few else topics):
        margins[test] = fitted(x[fit], y[fit]).decision_function(x[test])
    return margins


def cut(margins: NDArray[np.float64], y: NDArray[np.bool_]) -> float:
    """The margin from which on to flag: where F is best."""
    order = np.argsort(-margins, kind="stable")
    flagged = np.arange(1, len(y) + 1)
    f = (1 + BETA**2) * np.cumsum(y[order]) / (BETA**2 * y.sum() + flagged)
    return float(margins[order][np.argmax(f)]) - 1e-3


def train(examples: list[Example]) -> None:
    x = matrix(examples)
    topics = [each.topic for each in examples]
    columns, biases = [], []
    random = np.random.default_rng(SEED)
    for category in moderation.CATEGORIES:
        y = np.array([category in each.labels for each in examples])
        margins = unseen(x, y, topics)
        # Where there are few examples, one more or less would move it far: so it is the mean over samples of them.
        samples = random.integers(0, len(y), (SAMPLES, len(y)))
        threshold = float(np.mean([cut(margins[sample], y[sample]) for sample in samples]))
        model = fitted(x, y)
        columns.append(model.coef_[0])
        biases.append(model.intercept_[0] - threshold)
        yes = margins >= threshold
        print(f"{category:24} {(y & yes).sum() / yes.sum():9.2f} {(y & yes).sum() / y.sum():6.2f} {y.sum():4}")
    weights = np.stack(columns, axis=1)
    words, word_scale = labelled.quantised(weights[: moderation.BUCKETS])
    subjects, subject_scale = labelled.quantised(weights[moderation.BUCKETS :] * SUBJECT)
    bias = np.array(biases, np.float32)
    kept = {
        "bias": bias,
        "words": words,
        "word_scale": word_scale,
        "subjects": subjects,
        "subject_scale": subject_scale,
    }
    np.savez(labelled.RULES / "moderation.npz", **kept)
    moderation.forget()


def main() -> None:
    examples = labelled.moderation()
    # Questions that have nothing to do with it, of which there are many more in life.
    others = [Example(each.text, frozenset(), each.topic, each.held) for each in labelled.routing()]
    print(f"{'cross-validated':24} precision recall   of")
    train([each for each in examples + others if not each.held])
    held = [each for each in examples if each.held]
    print(f"\n{'held back':24} precision recall   of")
    for name, (precision, recall, count) in labelled.judged(held).items():
        print(f"{name:24} {precision:9.2f} {recall:6.2f} {count:4}")
    last = [each for each in held if each.topic.startswith("last look")]
    precision, recall, count = labelled.judged(last)["flagged at all"]
    print(f"{'of them written last':24} {precision:9.2f} {recall:6.2f} {count:4} of {len(last)}")
    wrong = [each.text for each in others if each.held and moderation.moderate(each.text).flagged]
    print(f"innocent questions of other topics that are flagged: {len(wrong)} of {sum(each.held for each in others)}")
    if "-v" in sys.argv:
        print(*wrong, sep="\n")
        for each in held:
            found = moderation.moderate(each.text)
            if found.flagged != bool(each.labels):
                print(found.flagged, [name for name, flag in found.categories.items() if flag], each.text)


if __name__ == "__main__":
    main()
