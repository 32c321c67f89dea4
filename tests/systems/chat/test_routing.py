"""Routing: how well turns that are kept back are told apart, what that saves, and what must hold for any turn."""

import runpy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.systems.chat.rules.routing import LONG, THRESHOLD, complexity

labelled = runpy.run_path(str(Path(__file__).parents[3] / "train/chat/labelled.py"))


def held() -> Sequence[Any]:
    return [each for each in labelled["routing"]() if each.held]


def test_topics_that_are_kept_back_are_routed_well() -> None:
    figures = labelled["routed"](held())
    assert figures["accuracy"] >= 0.90
    complex_ones = figures["complex to fast"] + figures["complex to smart"]
    assert figures["complex to fast"] <= 0.05 * complex_ones
    assert figures["cost saved"] >= 0.40


def test_both_kinds_are_kept_back_and_no_turn_is_in_both_parts() -> None:
    examples = labelled["routing"]()
    trained = {each.text for each in examples if not each.held}
    assert not trained & {each.text for each in held()}
    assert 0.35 <= sum("complex" in each.labels for each in held()) / len(held()) <= 0.65


@pytest.mark.parametrize("turn", ["hi", "Hello!", "thanks", "what is 2+2", "capital of France?", "merci", "", "?"])
def test_small_talk_is_for_the_fast_tier(turn: str) -> None:
    assert complexity(turn, 0) < THRESHOLD


@pytest.mark.parametrize(
    "turn",
    [
        "Write a Python script that merges two CSV files by key and handles missing rows.",
        "Prove that there are infinitely many primes.",
        "```python\ndef f(n):\n    return f(n - 1)\n```\nWhy does this never end, and how do I fix it?",
        "Compare three ways to shard a database, with trade-offs for a team of five.",
        "lorem ipsum " * LONG,
    ],
)
def test_work_is_for_the_smart_tier(turn: str) -> None:
    assert complexity(turn, 0) >= THRESHOLD


@given(st.text(max_size=400), st.integers(0, 200_000), st.integers(0, 200_000))
def test_more_to_read_never_makes_a_turn_simpler(turn: str, one: int, other: int) -> None:
    less, more = sorted((one, other))
    assert 0 <= complexity(turn, less) <= complexity(turn, more) <= 1
    assert complexity(turn, less) <= complexity(turn, less, files=1) <= complexity(turn, less, files=1, pictures=1)
