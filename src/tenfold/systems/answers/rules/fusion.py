"""What the two searches say, made into one ranking: section 5 of the case study, hybrid search with reranking."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Final

#: Of reciprocal rank fusion (Cormack, Clarke, Buettcher 2009): how little the first places matter more than the next.
K: Final = 60
#: The share that a reranker's score has in the last one.
RERANKED: Final = 0.7
#: Chunks of one source at most.
PER_SOURCE: Final = 2


def fuse[T: Hashable](rankings: Sequence[Sequence[T]], k: int = K, weights: Sequence[float] = ()) -> dict[T, float]:
    """The sum of 1 / (k + rank) over the rankings, the highest first; of equals the one that was named first."""
    scores: dict[T, float] = {}
    for ranking, weight in zip(rankings, weights or [1.0] * len(rankings), strict=True):
        for rank, each in enumerate(ranking, start=1):
            scores[each] = scores.get(each, 0.0) + weight / (k + rank)
    return dict(sorted(scores.items(), key=lambda item: -item[1]))


def share(score: float, rankings: int, k: int = K) -> float:
    """A fused score as a share of the highest possible, 0 to 1.

    The case study adds 0.3 of the bare score to 0.7 of a reranker's. That is at most 0.01, and decides nothing.
    """
    return score * (k + 1) / max(rankings, 1)


def combine[T: Hashable](
    reranked: Mapping[T, float], fused: Mapping[T, float], weight: float = RERANKED
) -> dict[T, float]:
    """0.7 of a reranker's score and 0.3 of the fused one, both 0 to 1, the highest first.

    What wasn't reranked is behind all that was, in its order.
    """
    both = {each: weight * score + (1 - weight) * fused[each] for each, score in reranked.items()}
    floor = min(both.values(), default=1.0)
    behind = {each: min(floor, 1.0) * (1 - weight) * score for each, score in fused.items() if each not in both}
    return dict(sorted(both.items(), key=lambda item: -item[1])) | behind


def diverse[T](ranked: Iterable[T], source: Callable[[T], Hashable], most: int = PER_SOURCE) -> list[T]:
    """What is ranked without more than so many of one source."""
    counts: dict[Hashable, int] = {}
    kept: list[T] = []
    for each in ranked:
        count = counts.get(source(each), 0)
        if count < most:
            counts[source(each)] = count + 1
            kept.append(each)
    return kept
