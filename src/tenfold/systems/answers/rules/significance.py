"""Whether a difference is one: intervals, tests of pairs, of proportions and of means, and how many it takes."""

from collections.abc import Sequence
from math import exp, lgamma, log, sqrt
from statistics import NormalDist, fmean, variance
from typing import Final

import msgspec
import numpy as np

from tenfold.systems.answers.types.evaluation import Difference, Interval

#: Chance of seeing a difference where there is none, and of seeing one that is there.
ALPHA: Final = 0.05
POWER: Final = 0.8
#: Samples of bootstrap and permutation; their own error is far below what is printed.
DRAWS: Final = 5_000
#: Samples that are held in memory at once.
_AT_ONCE: Final = 4_000_000
_NORMAL: Final = NormalDist()


def interval(values: Sequence[float], *, seed: int = 1) -> Interval:
    """Mean with a percentile bootstrap interval (Efron 1979). nan of nothing."""
    if not values:
        return Interval(float("nan"), float("nan"), float("nan"))
    data = np.asarray(values, np.float64)
    draw = np.random.default_rng(seed)
    means: list[float] = []
    for count in _parts(len(data)):
        means += data[draw.integers(0, len(data), (count, len(data)))].mean(axis=1).tolist()
    low, high = np.quantile(means, [ALPHA / 2, 1 - ALPHA / 2])
    return Interval(float(data.mean()), float(low), float(high))


def paired(first: Sequence[float], second: Sequence[float], *, seed: int = 1) -> Difference:
    """Two variants on the same questions: bootstrap interval of the mean difference, and a test by swapping signs.

    Swapping signs is Fisher's randomisation, which Smucker, Allan and Carterette (2007) advise for comparing searches.
    """
    apart = np.asarray(second, np.float64) - np.asarray(first, np.float64)
    around = interval(apart.tolist(), seed=seed)
    draw = np.random.default_rng(seed)
    beyond = total = 0
    for count in _parts(len(apart)):
        signs = draw.integers(0, 2, (count, len(apart)), dtype=np.int8) * 2 - 1
        means = np.abs((signs @ apart) / max(len(apart), 1))
        beyond += int(np.count_nonzero(means >= abs(around.mean) - 1e-12))
        total += count
    # The data itself is one of the swaps, so p is never 0.
    return Difference(around.mean, around.low, around.high, (beyond + 1) / (total + 1))


def _parts(length: int) -> list[int]:
    """How many draws at a time, all DRAWS together."""
    size = max(1, min(DRAWS, _AT_ONCE // max(length, 1)))
    return [min(size, DRAWS - begun) for begun in range(0, DRAWS, size)]


def holm(p_values: Sequence[float]) -> list[float]:
    """The same p values made larger for how many there are (Holm 1979), in their order."""
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=lambda each: p_values[each])):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def proportions(successes: tuple[int, int], trials: tuple[int, int]) -> Difference:
    """Two-proportion z test, pooled for p, unpooled for the interval. p is 1 where nothing can be said."""
    if not all(trials):
        return Difference(0.0, -1.0, 1.0, 1.0)
    first, second = (count / of for count, of in zip(successes, trials, strict=True))
    pooled = sum(successes) / sum(trials)
    error = sqrt(pooled * (1 - pooled) * (1 / trials[0] + 1 / trials[1]))
    apart = second - first
    p_value = 2 * (1 - _NORMAL.cdf(abs(apart) / error)) if error else 1.0
    spread = _NORMAL.inv_cdf(1 - ALPHA / 2) * sqrt(first * (1 - first) / trials[0] + second * (1 - second) / trials[1])
    return Difference(apart, apart - spread, apart + spread, p_value)


class Sample(msgspec.Struct, frozen=True):
    """What a test of means needs of numbers."""

    count: int
    mean: float
    variance: float


def sample(values: Sequence[float]) -> Sample:
    return Sample(len(values), fmean(values) if values else 0.0, variance(values) if len(values) > 1 else 0.0)


def welch(first: Sample, second: Sample) -> Difference:
    """Welch's t test: two means whose variances may differ. p is 1 where nothing can be said."""
    apart = second.mean - first.mean
    if min(first.count, second.count) < 2 or first.variance + second.variance == 0:
        return Difference(apart, float("-inf"), float("inf"), 1.0)
    parts = first.variance / first.count, second.variance / second.count
    error = sqrt(sum(parts))
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / (first.count - 1) + parts[1] ** 2 / (second.count - 1))
    p_value = student(apart / error, freedom)
    spread = _student_bound(freedom) * error
    return Difference(apart, apart - spread, apart + spread, p_value)


def student(t: float, freedom: float) -> float:
    """The chance that Student's t is so far from 0, either way."""
    return _incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t))


def _student_bound(freedom: float) -> float:
    """What t exceeds with a chance of ALPHA, either way, by halving."""
    low, high = 0.0, 1e3
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if student(middle, freedom) > ALPHA else (low, middle)
    return high


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Regularised; its continued fraction by Lentz's method (Numerical Recipes, 6.4)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, 1 - x)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(1 - x)) / a
    tiny = 1e-30
    fraction, c, d = 1.0, 1.0, 0.0
    for number in range(400):
        half = number // 2
        if number == 0:
            term = 1.0
        elif number % 2 == 0:
            term = half * (b - half) * x / ((a + 2 * half - 1) * (a + 2 * half))
        else:
            term = -(a + half) * (a + b + half) * x / ((a + 2 * half) * (a + 2 * half + 1))
        d = 1 / ((1 + term * d) or tiny)
        c = (1 + term / c) or tiny
        fraction *= c * d
        if number and abs(1 - c * d) < 1e-12:
            break
    return front * (fraction - 1)


def needed(base: float, change: float, *, power: float = POWER) -> int:
    """Questions that each of two variants needs, so that a rate which moves from `base` by `change` is likely seen."""
    other = min(max(base + change, 0.0), 1.0)
    if other == base:
        raise ValueError("no number of questions shows a difference of nothing")
    middle = (base + other) / 2
    reach = _NORMAL.inv_cdf(1 - ALPHA / 2) * sqrt(2 * middle * (1 - middle))
    reach += _NORMAL.inv_cdf(power) * sqrt(base * (1 - base) + other * (1 - other))
    return int((reach / (other - base)) ** 2) + 1


def bound_while_watched(share: float) -> float:
    """The p value under which a difference counts although somebody looks again and again.

    `share` is how much of the planned number of questions is there. Whoever looks often enough at a p value under 0.05
    sees one by chance. A Brownian motion exceeds c at any time up to 1, either way, with a chance of at most four times
    that of being above c in the end (reflection), so z must exceed c / sqrt(share): the shape of O'Brien and Fleming.
    """
    if share <= 0:
        return 0.0
    c = _NORMAL.inv_cdf(1 - ALPHA / 4)
    return 2 * (1 - _NORMAL.cdf(c / sqrt(min(share, 1.0))))
