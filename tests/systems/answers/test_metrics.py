"""Figures of rankings and answers, beside the reference implementations of each."""

import random
from functools import cache

import pytest
import pytrec_eval
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st

from tenfold.systems.answers.rules import metrics

SAID = ("owls", "owl", "mice", "hunt", "at", "night,", "1,500", "3.5", "(the)", "a", "It's", "half-life", "end.")
WORDS = st.lists(st.sampled_from(SAID), max_size=12)
TEXTS = WORDS.map(" ".join)
RANKINGS = st.lists(st.integers(0, 30), unique=True, max_size=20)
GRADES = st.dictionaries(st.integers(0, 30), st.integers(0, 3), max_size=8)


def test_rankings_score_as_trec_eval_has_them() -> None:
    draw = random.Random(7)
    runs, truths = {}, {}
    for number in range(300):
        every = [f"d{place}" for place in range(40)]
        ranked = draw.sample(every, draw.randint(1, 30))
        runs[f"q{number}"] = {each: float(100 - rank) for rank, each in enumerate(ranked)}
        truths[f"q{number}"] = {each: draw.randint(0, 3) for each in draw.sample(every, draw.randint(1, 9))}
    measures = {"recip_rank", "ndcg_cut.10", "P.5", "recall.10"}
    reference = pytrec_eval.RelevanceEvaluator(truths, measures).evaluate(runs)
    for query, run in runs.items():
        ranked = sorted(run, key=lambda each: -run[each])
        relevant = {each for each, grade in truths[query].items() if grade > 0}
        ours = {
            "recip_rank": metrics.reciprocal_rank(ranked, relevant),
            "ndcg_cut_10": metrics.ndcg(ranked, truths[query]),
            "P_5": metrics.precision(ranked, relevant),
            "recall_10": metrics.recall(ranked, relevant),
        }
        assert ours == pytest.approx(reference[query])


@given(RANKINGS, GRADES)
def test_figures_of_rankings_are_shares(ranked: list[int], gains: dict[int, int]) -> None:
    relevant = {each for each, grade in gains.items() if grade}
    ideal = sorted(gains, key=lambda each: -gains[each])
    assert 0 <= metrics.ndcg(ranked, gains) <= 1 + 1e-9
    assert metrics.ndcg(ideal, gains) == pytest.approx(1.0 if relevant else 0.0)
    assert 0 <= metrics.recall(ranked, relevant) <= 1
    assert 0 <= metrics.precision(ranked, relevant) <= 1
    # What isn't relevant at the end of a ranking takes nothing from it.
    assert metrics.reciprocal_rank([*ranked, 99], relevant) == metrics.reciprocal_rank(ranked, relevant)


@given(TEXTS, st.lists(TEXTS, min_size=1, max_size=3))
def test_bleu_is_that_of_sacrebleu(answer: str, truths: list[str]) -> None:
    assert metrics.words_13a(answer) == sacrebleu.BLEU().tokenizer(answer).split()
    reference = sacrebleu.sentence_bleu(answer, truths, use_effective_order=True).score / 100
    assert metrics.bleu(answer, truths) == pytest.approx(reference, abs=1e-9)


@given(TEXTS, TEXTS)
def test_rouge_is_made_of_the_longest_common_subsequence(answer: str, truth: str) -> None:
    said, true = metrics._letters(answer), metrics._letters(truth)

    @cache
    def longest(first: int, second: int) -> int:
        if first == len(said) or second == len(true):
            return 0
        if said[first] == true[second]:
            return 1 + longest(first + 1, second + 1)
        return max(longest(first + 1, second), longest(first, second + 1))

    common = longest(0, 0)
    precise, whole = common / max(len(said), 1), common / max(len(true), 1)
    wanted = 2 * precise * whole / (precise + whole) if common else 0.0
    assert metrics.rouge_l(answer, [truth]) == pytest.approx(wanted)


def test_answers_are_compared_as_squad_does() -> None:
    assert metrics.exact_match("The Broncos!", ["Denver Broncos", "broncos"]) == 1
    assert metrics.exact_match("Broncos", ["Denver Broncos"]) == 0
    assert metrics.f1("Broncos", ["Denver Broncos"]) == pytest.approx(2 / 3)
    assert metrics.f1("", [""]) == 1
    assert metrics.f1("something", [""]) == 0
    assert metrics.contains("It was won by the Denver Broncos.", ["Denver Broncos"]) == 1
    assert metrics.contains("In 1985.", ["198"]) == 0


def test_what_passages_do_not_say_is_not_faithful() -> None:
    passages = ["Owls hunt mice at night. An owl eats 1,500 mice a year."]
    assert metrics.faithfulness("Owls hunt mice at night [1].", passages) == 1
    assert metrics.faithfulness("An owl eats 900 mice a year.", passages) == 0
    assert metrics.faithfulness("Owls hunt mice. Hawks prefer fresh salmon.", passages) == 0.5


def test_greedy_matching_forgives_order() -> None:
    assert metrics.greedy([[0.0, 1.0], [1.0, 0.0]]) == 1
    assert metrics.greedy([[0.5, 0.5]]) == 0.5
    assert metrics.greedy([]) == 0


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 1))
def test_a_quantile_lies_within(values: list[float], share: float) -> None:
    assert min(values) - 1e-6 <= metrics.quantile(values, share) <= max(values) + 1e-6
