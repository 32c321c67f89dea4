"""Fusion of rankings, the last score, and few of one source."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.systems.answers.rules import fusion

RANKINGS = st.lists(st.lists(st.integers(0, 30), unique=True, max_size=20), min_size=1, max_size=4)


def test_the_formula_of_the_case_study() -> None:
    fused = fusion.fuse([["a", "b"], ["b", "c"]])
    assert list(fused) == ["b", "a", "c"]
    assert fused["b"] == 1 / 62 + 1 / 61
    assert fused["a"] == 1 / 61
    assert fused["c"] == 1 / 62


@given(RANKINGS)
def test_fusion_keeps_everything_once_and_what_all_agree_on(rankings: list[list[int]]) -> None:
    fused = fusion.fuse(rankings)
    assert set(fused) == {each for ranking in rankings for each in ranking}
    assert list(fused.values()) == sorted(fused.values(), reverse=True)
    for score in fused.values():
        assert 0 < fusion.share(score, len(rankings)) <= 1 + 1e-9
    alike = fusion.fuse([rankings[0]] * 3)
    assert list(alike) == rankings[0]


@given(RANKINGS)
def test_nobody_falls_by_being_found_once_more(rankings: list[list[int]]) -> None:
    fused = fusion.fuse(rankings)
    for each in fused:
        assert fusion.fuse([*rankings, [each]])[each] > fused[each]


def test_a_reranker_decides_by_seven_tenths() -> None:
    assert fusion.combine({"a": 0.0, "b": 1.0}, {"a": 1.0, "b": 0.0}) == {"b": 0.7, "a": pytest.approx(0.3)}


@given(
    st.dictionaries(st.integers(0, 20), st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1),
    st.integers(0, 20),
)
def test_what_was_not_reranked_is_behind(scores: dict[int, tuple[float, float]], count: int) -> None:
    fused = {each: score for each, (score, _) in sorted(scores.items(), key=lambda item: -item[1][0])}
    reranked = {each: scores[each][1] for each in list(fused)[:count]}
    combined = fusion.combine(reranked, fused)
    assert set(combined) == set(fused)
    assert set(list(combined)[: len(reranked)]) == set(reranked)
    assert list(combined.values()) == sorted(combined.values(), reverse=True)
    assert all(0 <= score <= 1 + 1e-9 for score in combined.values())


@given(st.lists(st.integers(0, 5)), st.integers(1, 3))
def test_few_of_one_source_are_left_in_order(sources: list[int], most: int) -> None:
    ranked = list(enumerate(sources))
    kept = fusion.diverse(ranked, lambda each: each[1], most)
    assert kept == sorted(kept)
    for source in set(sources):
        assert [each for each in kept if each[1] == source] == [each for each in ranked if each[1] == source][:most]
