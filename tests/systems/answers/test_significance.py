"""Tests of differences, beside scipy's."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tenfold.systems.answers.rules import significance
from tenfold.systems.answers.rules.significance import sample

NUMBERS = st.lists(st.integers(-400, 400).map(lambda each: each / 8), min_size=2, max_size=20)
# Of what is all the same scipy says nothing without a warning.
SPREAD = NUMBERS.filter(lambda values: len({*values}) > 1)


@given(SPREAD, SPREAD)
def test_means_are_compared_as_welch_does(first: list[float], second: list[float]) -> None:
    ours = significance.welch(sample(first), sample(second))
    theirs = stats.ttest_ind(second, first, equal_var=False)
    assert ours.p_value == pytest.approx(theirs.pvalue, abs=1e-6)
    between = theirs.confidence_interval()
    assert (ours.low, ours.high) == pytest.approx((between.low, between.high), rel=1e-6, abs=1e-6)
    assert significance.welch(sample([1.0, 1.0]), sample([2.0, 2.0])).p_value == 1


@given(st.integers(0, 50), st.integers(0, 70), st.integers(50, 90), st.integers(70, 90))
def test_proportions_are_compared_as_a_table_is(first: int, second: int, all_first: int, all_second: int) -> None:
    ours = significance.proportions((first, second), (all_first, all_second))
    if 0 < first + second < all_first + all_second:
        table = [[first, all_first - first], [second, all_second - second]]
        assert ours.p_value == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue, abs=1e-9)
    else:
        assert ours.p_value == 1


def test_pairs_are_compared_as_scipy_does() -> None:
    draw = np.random.default_rng(2)
    first = draw.random(80)
    second = first + draw.normal(0.05, 0.2, 80)
    ours = significance.paired(first.tolist(), second.tolist())
    theirs = stats.permutation_test(
        (second - first,), np.mean, permutation_type="samples", n_resamples=5000, rng=np.random.default_rng(3)
    )
    assert ours.p_value == pytest.approx(theirs.pvalue, abs=0.02)
    around = stats.bootstrap((second - first,), np.mean, method="percentile", rng=np.random.default_rng(3))
    assert ours.low == pytest.approx(around.confidence_interval.low, abs=0.005)
    assert ours.high == pytest.approx(around.confidence_interval.high, abs=0.005)
    assert significance.paired([0.5] * 9, [0.5] * 9).p_value == 1


@given(st.lists(st.floats(0, 1), max_size=8))
def test_many_p_values_only_grow(p_values: list[float]) -> None:
    adjusted = significance.holm(p_values)
    assert all(after >= before or after == 1 for before, after in zip(p_values, adjusted, strict=True))
    order = sorted(range(len(p_values)), key=lambda each: p_values[each])
    assert [adjusted[each] for each in order] == sorted(adjusted)


def test_a_sample_is_as_large_as_textbooks_say() -> None:
    # From 30 % to 35 %, 5 % and 80 %: 1,377 each (Fleiss, Levin and Paik, without correction).
    assert significance.needed(0.30, 0.05) == pytest.approx(1377, abs=2)
    assert significance.needed(0.30, -0.05) < significance.needed(0.30, 0.02)
    with pytest.raises(ValueError, match="nothing"):
        significance.needed(0.5, 0.0)


def test_who_looks_often_is_not_deceived() -> None:
    draw = random.Random(11)
    looks, each, runs = 20, 50, 400
    naive = careful = 0
    for _ in range(runs):
        counts = [0, 0]
        seen = [False, False]
        for look in range(1, looks + 1):
            counts = [count + sum(draw.random() < 0.5 for _ in range(each)) for count in counts]
            p_value = significance.proportions((counts[0], counts[1]), (look * each, look * each)).p_value
            seen[0] |= p_value < significance.ALPHA
            seen[1] |= p_value < significance.bound_while_watched(look / looks)
        naive, careful = naive + seen[0], careful + seen[1]
    assert naive / runs > 0.15
    assert careful / runs <= 0.05
