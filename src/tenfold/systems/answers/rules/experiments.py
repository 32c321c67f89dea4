"""Who is given which variant, and what an experiment says: the case study's A/B tests, section 6."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from math import sqrt
from statistics import NormalDist
from typing import Final

from tenfold.systems.answers.rules import significance
from tenfold.systems.answers.rules.significance import ALPHA, Sample
from tenfold.systems.answers.types.evaluation import Difference, Interval
from tenfold.systems.answers.types.experiments import Analysis, Arm, Experiment, Ratio, Variant

#: The chance under which shares that differ from the weights are a mistake in the assignment, not an accident.
MISMATCH: Final = 0.001
#: Units of each variant under which nothing is decided: the normal approximation needs some.
FEWEST: Final = 30
_NORMAL: Final = NormalDist()


def assigned(experiment_id: int, unit: str, variants: Sequence[Variant]) -> Variant:
    """The variant of a conversation or an account: always the same one in one experiment, another draw in the next.

    The case study takes the lowest bit of Python's hash, which differs from process to process and knows no weights.
    """
    digest = blake2b(unit.encode(), digest_size=8, salt=experiment_id.to_bytes(16)).digest()
    place = int.from_bytes(digest) / 2**64 * sum(each.weight for each in variants)
    for each in variants:
        place -= each.weight
        if place < 0:
            return each
    return variants[-1]


def label(experiment_id: int | str, variant: str) -> str:
    """How a question's row names its variant."""
    return f"{experiment_id}:{variant}"


def rate(ratio: Ratio) -> Interval:
    """A ratio and its 95 % interval."""
    if not ratio.trials:
        return Interval(0.0, 0.0, 1.0)
    mean = ratio.successes / ratio.trials
    reach = _NORMAL.inv_cdf(1 - ALPHA / 2) * sqrt(_variance(ratio))
    return Interval(mean, max(0.0, mean - reach), min(1.0, mean + reach))


def _variance(ratio: Ratio) -> float:
    """Of a ratio of sums, by the delta method (Deng, Knoblich and Lu 2018).

    One person's questions are alike, so counting each as a draw of its own would see differences where none are.
    """
    if ratio.units < 2:
        return 0.0
    mean = ratio.successes / ratio.trials
    residual = ratio.squared_successes - 2 * mean * ratio.products + mean * mean * ratio.squared_trials
    return max(0.0, residual) * ratio.units / (ratio.units - 1) / ratio.trials**2


def compared(first: Ratio, second: Ratio) -> Difference:
    """How much the second ratio is above the first. With one question a unit it is the z test of two proportions."""
    if min(first.units, second.units) < FEWEST:
        return Difference(rate(second).mean - rate(first).mean, -1.0, 1.0, 1.0)
    apart = second.successes / second.trials - first.successes / first.trials
    error = sqrt(_variance(first) + _variance(second))
    if not error:
        return Difference(apart, apart, apart, 1.0 if not apart else 0.0)
    reach = _NORMAL.inv_cdf(1 - ALPHA / 2) * error
    return Difference(apart, apart - reach, apart + reach, 2 * (1 - _NORMAL.cdf(abs(apart) / error)))


def analyse(experiment: Experiment, ratios: Mapping[str, Ratio], latencies: Mapping[str, Sample]) -> Analysis:
    """What an experiment says so far. Both mappings are by the name of a variant."""
    names = [each.name for each in experiment.variants]
    found = [ratios.get(name, Ratio()) for name in names]
    times = [latencies.get(name, Sample(0, 0.0, 0.0)) for name in names]
    differences = [compared(found[0], each) for each in found[1:]]
    adjusted = significance.holm([each.p_value for each in differences])
    arms: list[Arm] = []
    for place, (name, ratio, time) in enumerate(zip(names, found, times, strict=True)):
        difference = slower = None
        if place:
            each = differences[place - 1]
            difference = Difference(each.difference, each.low, each.high, adjusted[place - 1])
            slower = significance.welch(times[0], time) if min(time.count, times[0].count) > 1 else None
        arms.append(Arm(
            variant=name, units=ratio.units, questions=ratio.trials, rate=rate(ratio),
            latency_mean=time.mean if time.count else None, difference=difference, slower=slower,
        ))  # fmt: skip
    progress = min(1.0, min(each.trials for each in found) / experiment.needed)
    bound = significance.bound_while_watched(progress)
    return Analysis(
        experiment=experiment,
        arms=arms,
        progress=progress,
        bound=bound,
        winner=_winner(arms, bound),
        warnings=_warnings(experiment, found, arms, progress, bound),
    )


def _winner(arms: Sequence[Arm], bound: float) -> str | None:
    """The best of those that differ from the first, or the first where all others are worse."""
    sure = [each for each in arms[1:] if each.difference is not None and each.difference.p_value < bound]
    better = [each for each in sure if each.difference is not None and each.difference.difference > 0]
    if better:
        return max(better, key=lambda each: each.rate.mean).variant
    return arms[0].variant if sure and len(sure) == len(arms) - 1 else None


def _warnings(
    experiment: Experiment, ratios: Sequence[Ratio], arms: Sequence[Arm], progress: float, bound: float
) -> list[str]:
    said: list[str] = []
    if progress < 1:
        tempting = [
            each.variant for each in arms if each.difference is not None and bound <= each.difference.p_value < ALPHA
        ]
        said.append(
            f"Only {progress:.0%} of the planned {experiment.needed:,} questions of each variant are there: "
            f"until then a difference counts under p = {bound:.2g}, since whoever looks often sees one by chance."
        )
        if tempting:
            said.append(f"{', '.join(tempting)}: p is under {ALPHA}, which proves nothing yet.")
    if mismatched([each.weight for each in experiment.variants], [each.units for each in ratios]):
        said.append("The variants' shares are not those of their weights, so something is wrong with who is counted.")
    return said


def mismatched(weights: Sequence[float], counts: Sequence[int]) -> bool:
    """Whether so many units of each variant can't be an accident (sample ratio mismatch)."""
    total = sum(counts)
    if total < FEWEST:
        return False
    p_values = []
    for weight, count in zip(weights, counts, strict=True):
        share = weight / sum(weights)
        p_values.append(2 * (1 - _NORMAL.cdf(abs(count - total * share) / sqrt(total * share * (1 - share)))))
    return min(significance.holm(p_values)) < MISMATCH
