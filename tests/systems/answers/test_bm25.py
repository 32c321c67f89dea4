"""Terms, scores and segments of BM25; the order agrees with a reference implementation."""

import bm25s
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.systems.answers.rules import bm25, segments
from tenfold.systems.answers.rules.segments import Segment, Size, View

NOBODY = np.zeros(0, np.int64)
#: Few words, so that texts share them; rare and frequent ones.
WORDS = st.sampled_from(["owl", "river", "stone", "lamp", "lamp", "lamp", "sea", "sea", "window", "bread"])
CORPORA = st.lists(st.lists(WORDS, min_size=1, max_size=12), min_size=1, max_size=40)


def view(segment: Segment) -> View:
    return View(segment, {term: segment.postings(place) for place, term in enumerate(segment.terms)})


def segment_of(corpus: list[list[str]], first: int = 0) -> Segment:
    return segments.build((first + number, number % 5, terms) for number, terms in enumerate(corpus))


def ranked(views: list[View], question: list[str], dead: object = NOBODY, limit: int = 1000) -> list[tuple[int, float]]:
    return segments.search(views, question, dead, None, limit).hits  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("Running, runners RUN!", ["run", "runner", "run"]),
        ("What is the meaning of it?", ["mean"]),
        ("The king's horses don't fly", ["king", "hors", "fli"]),
        ("set max_connections to 100", ["set", "max_connect", "max", "connect", "100"]),
        ("Stra\u00dfe caf\u00e9", ["strass", "caf\u00e9"]),
        ("\u65e5\u672c\u8a9e", ["\u65e5\u672c", "\u672c\u8a9e"]),
        ("\ufb01le \u2460", ["file", "1"]),
        ("", []),
        ("to be or not to be", []),
    ],
)
def test_terms(text: str, terms: list[str]) -> None:
    assert bm25.terms(text) == terms


@given(st.text())
def test_any_text_has_terms_that_are_no_longer_than_they_may_be(text: str) -> None:
    assert all(0 < len(term) <= bm25.LONGEST for term in bm25.terms(text))


@given(CORPORA, st.lists(WORDS, min_size=1, max_size=6))
def test_the_order_is_that_of_a_reference_implementation(corpus: list[list[str]], question: list[str]) -> None:
    reference = bm25s.BM25(k1=bm25.K1, b=bm25.B, method="lucene")
    reference.index(corpus, show_progress=False)
    scores = (
        reference.get_scores([term for term in question if term in reference.vocab_dict])
        if any(term in reference.vocab_dict for term in question)
        else np.zeros(len(corpus))
    )
    ours = ranked([view(segment_of(corpus))], question)
    assert {number for number, _ in ours} == set(np.flatnonzero(scores > 0).tolist())
    for number, score in ours:
        assert score == pytest.approx(scores[number], rel=1e-4)
    assert [score for _, score in ours] == sorted((score for _, score in ours), reverse=True)


@given(CORPORA, CORPORA, st.lists(WORDS, min_size=1, max_size=4), st.sets(st.integers(0, 60)))
def test_several_segments_are_searched_and_merged_as_one(
    first: list[list[str]], second: list[list[str]], question: list[str], gone: set[int]
) -> None:
    parts = [segment_of(first), segment_of(second, len(first))]
    alive = [(n, n % 5, terms) for n, terms in enumerate(first + second) if n not in gone]
    dead = np.array(sorted(n for n in gone if n < len(first) + len(second)), np.int64)
    expected = ranked([view(segments.build(alive))], question) if alive else []
    apart = ranked([view(each) for each in parts], question, dead)
    assert [number for number, _ in apart] == [number for number, _ in expected]
    assert [score for _, score in apart] == pytest.approx([score for _, score in expected])
    merged = segments.merge(parts, dead.tolist())
    assert merged.chunks.tolist() == [number for number, _, _ in alive]
    if alive:
        assert ranked([view(merged)], question) == ranked([view(segments.build(alive))], question)


@given(CORPORA)
def test_a_segment_is_read_as_it_was_written(corpus: list[list[str]]) -> None:
    segment = segment_of(corpus)
    again = segments.unpack(segments.pack(segment))
    rows = segments.with_rows(again, list(segment.rows()))
    for name in Segment.__struct_fields__:
        assert np.array_equal(getattr(again, name), getattr(segment, name))
        assert np.array_equal(getattr(rows, name), getattr(segment, name))


def test_a_large_segment_leaves_its_postings_to_rows() -> None:
    segment = segment_of([["lamp"]] * segments.SPREAD)
    assert not segment.packed
    assert segments.unpack(segments.pack(segment)).terms == []


@given(st.lists(st.integers(1, 5000), max_size=300))
def test_few_segments_are_left_and_none_is_too_large(writes: list[int]) -> None:
    there: list[Size] = []
    for number, chunks in enumerate(writes):
        there.append(Size(number, chunks))
        while chosen := segments.choose(there):
            assert len(chosen) > 1
            merged = sum(each.chunks for each in chosen)
            assert merged <= segments.MOST
            there = [each for each in there if each not in chosen] + [Size(1000 + number, merged)]
    small = [each for each in there if each.chunks < segments.MOST // segments.FAN]
    assert len(small) < 7 * segments.FAN


def test_a_segment_with_many_dead_is_written_anew() -> None:
    assert segments.choose([Size(1, 1000, 100), Size(2, 9, 0)]) == []
    assert segments.choose([Size(1, 1000, 101), Size(2, 9, 0)]) == [Size(1, 1000, 101)]


def test_a_filter_leaves_scores_as_they_are() -> None:
    corpus = [["lamp", "sea"], ["lamp"], ["sea"], ["lamp", "lamp"], ["owl"], ["lamp"]]
    whole = dict(ranked([view(segment_of(corpus))], ["lamp"]))
    some = segments.search([view(segment_of(corpus))], ["lamp"], NOBODY, np.array([0, 3], np.int64), 10).hits
    assert dict(some) == {number: score for number, score in whole.items() if number % 5 in (0, 3)}


def test_only_the_best_are_found_and_of_equals_the_older() -> None:
    corpus = [["lamp", "sea", "sea"], *[["lamp"]] * 9]
    assert [number for number, _ in ranked([view(segment_of(corpus))], ["lamp"], limit=3)] == [1, 2, 3]


def test_a_term_whose_chunks_are_all_gone_finds_nothing() -> None:
    one = view(segment_of([["lamp"], ["sea"]]))
    found = segments.search([one], ["lamp", "sea"], np.array([0], np.int64), None, 10)
    assert [number for number, _ in found.hits] == [1]
    assert list(found.weights) == ["sea"]
