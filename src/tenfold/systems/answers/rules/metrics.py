"""How good a ranking or an answer is: section 6 of the case study, offline evaluation. All figures are 0 to 1.

Written here because each is a few lines, and because an installation that only answers questions should need no more
packages; tests compare them with trec_eval and sacrebleu.
"""

import re
import string
from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence
from math import exp, log, log2
from typing import Final

from tenfold.systems.answers.rules import bm25

#: Ranks that count, as the case study has it.
NDCG_AT: Final = 10
PRECISION_AT: Final = 5
RECALL_AT: Final = 10
#: BLEU looks at runs of up to so many words (Papineni et al. 2002).
LONGEST_RUN: Final = 4


# Rankings


def reciprocal_rank[T: Hashable](ranked: Sequence[T], relevant: Collection[T]) -> float:
    """1 / rank of the first that is relevant, 0 where none is."""
    return next((1 / rank for rank, each in enumerate(ranked, start=1) if each in relevant), 0.0)


def ndcg[T: Hashable](ranked: Sequence[T], gains: Mapping[T, float], k: int = NDCG_AT) -> float:
    """Discounted gain of the first k as a share of the highest possible. `gains` are 1 where there are no grades."""
    best = _discounted(sorted(gains.values(), reverse=True)[:k])
    return _discounted([gains.get(each, 0.0) for each in ranked[:k]]) / best if best else 0.0


def _discounted(gains: Sequence[float]) -> float:
    return sum(max(gain, 0.0) / log2(rank + 1) for rank, gain in enumerate(gains, start=1))


def precision[T: Hashable](ranked: Sequence[T], relevant: Collection[T], k: int = PRECISION_AT) -> float:
    """Relevant ones of the first k, by k, however few were found. With one relevant document it is at most 1 / k."""
    return sum(each in relevant for each in ranked[:k]) / k


def recall[T: Hashable](ranked: Sequence[T], relevant: Collection[T], k: int = RECALL_AT) -> float:
    """Relevant ones of the first k, by all that are relevant; 0 where none is."""
    return sum(each in relevant for each in ranked[:k]) / len(relevant) if relevant else 0.0


# Answers

_ARTICLES: Final = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION: Final = str.maketrans("", "", string.punctuation)


def normalised(text: str) -> list[str]:
    """Words as SQuAD's own evaluation compares them: lower case, without punctuation and articles."""
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()


def exact_match(answer: str, truths: Sequence[str]) -> float:
    """1 where the answer is one of the true ones."""
    return float(any(normalised(answer) == normalised(truth) for truth in truths))


def f1(answer: str, truths: Sequence[str]) -> float:
    """Harmonic mean of precision and recall of words, of the true answer that it is nearest to."""
    return max((_overlap(normalised(answer), normalised(truth)) for truth in truths), default=0.0)


def _overlap(said: Sequence[str], true: Sequence[str]) -> float:
    if not said or not true:
        return float(said == true)
    return _harmonic((Counter(said) & Counter(true)).total(), len(said), len(true))


def _harmonic(common: float, said: int, true: int) -> float:
    return 2 * common / (said + true) if common else 0.0


def contains(answer: str, truths: Sequence[str]) -> float:
    """1 where the answer says one of the true ones. Of answers in whole sentences this tells more than exact match."""
    said = f" {' '.join(normalised(answer))} "
    return float(any(f" {' '.join(normalised(truth))} " in said for truth in truths if normalised(truth)))


def rouge_l(answer: str, truths: Sequence[str]) -> float:
    """F1 of the longest common subsequence of words (Lin 2004), of the true answer that it is nearest to."""
    return max((_common(_letters(answer), _letters(truth)) for truth in truths), default=0.0)


def _letters(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.lower())


def _common(said: Sequence[str], true: Sequence[str]) -> float:
    before = [0] * (len(true) + 1)
    for word in said:
        row = [0]
        for place, other in enumerate(true):
            row.append(before[place] + 1 if word == other else max(row[-1], before[place + 1]))
        before = row
    return _harmonic(before[-1], len(said), len(true))


def bleu(answer: str, truths: Sequence[str]) -> float:
    """BLEU of one answer, runs of words that it hasn't got smoothed as sacrebleu does (exponentially), 0 to 1.

    A sum over a collection is no mean of these; here each question counts the same. Runs are of at most as many words
    as the answer has (the effective order).
    """
    said, true = words_13a(answer), [words_13a(truth) for truth in truths]
    if not said or not true:
        return 0.0
    logs: list[float] = []
    smooth = 1.0
    for length in range(1, min(LONGEST_RUN, len(said)) + 1):
        runs = _runs(said, length)
        most: Counter[tuple[str, ...]] = Counter()
        for each in true:
            most |= _runs(each, length)
        found = (runs & most).total()
        if not found:
            smooth *= 2
        logs.append(log((found or 1 / smooth) / runs.total()))
        if length == 1 and not found:
            return 0.0  # no word in common
    nearest = min((abs(len(each) - len(said)), len(each)) for each in true)[1]
    brevity = 1.0 if len(said) >= nearest else exp(1 - nearest / len(said))
    return brevity * exp(sum(logs) / len(logs))


def _runs(words: Sequence[str], length: int) -> "Counter[tuple[str, ...]]":
    return Counter(tuple(words[at : at + length]) for at in range(len(words) - length + 1))


_TAKEN_APART: Final = (
    (re.compile(r"([\{-\~\[-\` -\&\(-\+\:-\@\/])"), r" \1 "),
    (re.compile(r"([^0-9])([\.,])"), r"\1 \2 "),
    (re.compile(r"([\.,])([^0-9])"), r" \1 \2"),
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),
)
_ENTITIES: Final = (
    *(("<skipped>", ""), ("-\n", ""), ("\n", " ")),
    *(("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")),
)


def words_13a(text: str) -> list[str]:
    """Words as BLEU is told of: the tokeniser of WMT's mteval-v13a, case kept."""
    for entity, plain in _ENTITIES:
        text = text.replace(entity, plain)
    text = f" {text} "
    for pattern, replacement in _TAKEN_APART:
        text = pattern.sub(replacement, text)
    return text.split()


def greedy(similarities: Sequence[Sequence[float]]) -> float:
    """F1 of greedy matching (as BERTScore, Zhang et al. 2020): rows are parts of the answer, columns of the true one.

    Ours matches sentences, not word pieces, by the embeddings that search uses, so figures can't be compared with those
    of BERTScore itself.
    """
    if not similarities or not similarities[0]:
        return 0.0
    precise = sum(max(row) for row in similarities) / len(similarities)
    whole = sum(max(column) for column in zip(*similarities, strict=True)) / len(similarities[0])
    return max(0.0, 2 * precise * whole / (precise + whole)) if precise + whole > 0 else 0.0


# Whether an answer keeps to its passages

_NUMBER: Final = re.compile(r"\d+(?:[.,]\d+)*")
#: No number of the answer's own.
_CITATION: Final = re.compile(r"\[\d+\]")
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+|\n+")
#: Content words of a sentence that its passages must say.
SUPPORTED: Final = 0.6


def sentences(text: str) -> list[str]:
    return [each for part in _SENTENCE.split(text) if (each := part.strip())]


def faithfulness(answer: str, passages: Sequence[str]) -> float:
    """The share of an answer's sentences that its passages say: most of the words, and each of the numbers.

    The case study asks an NLI model, of which none is at hand that may be passed on (docs/decisions/0032). This
    notices what is made up; it doesn't notice when the right words are put together wrongly.
    """
    said, numbers = set(bm25.terms(" ".join(passages))), set(_NUMBER.findall(" ".join(passages)))
    parts = [each for each in sentences(answer) if bm25.terms(each)]
    if not parts:
        return 1.0
    return sum(_supported(each, said, numbers) for each in parts) / len(parts)


def _supported(sentence: str, said: Collection[str], numbers: Collection[str]) -> bool:
    bare = _CITATION.sub("", sentence)
    wanted = set(bm25.terms(bare))
    return all(each in numbers for each in _NUMBER.findall(bare)) and (
        sum(word in said for word in wanted) >= SUPPORTED * len(wanted)
    )


# Times


def quantile(values: Sequence[float], share: float) -> float:
    """The value that so large a share doesn't exceed, between neighbours where it falls there; nan of nothing."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    pair = ordered[low], ordered[min(low + 1, len(ordered) - 1)]
    return pair[0] + (pair[1] - pair[0]) * (place - low)
