"""What a model is told: always within its budget, always what matters, and always as little new as possible."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tenfold.systems.chat.rules.context import (
    EACH,
    KEPT,
    STEP,
    Attached,
    Budget,
    Material,
    Message,
    Related,
    Text,
    TooLong,
    Turn,
    assemble,
    cut,
    estimate,
    wants_summary,
)

WORDS = st.text(alphabet="abc déf.\n", max_size=120)


def text_of(text: str) -> Text:
    return Text(text, len(text))


def path_of(texts: Sequence[str]) -> list[Turn]:
    """Questions and answers in turn."""
    return [
        Turn(index + 100, "assistant" if index % 2 else "user", text, len(text)) for index, text in enumerate(texts)
    ]


def size(messages: Sequence[Message]) -> int:
    return sum(len(str(message["content"])) + EACH for message in messages)


@st.composite
def materials(draw: st.DrawFn) -> Material:
    path = path_of(draw(st.lists(WORDS, max_size=40)))
    before = 2 * draw(st.integers(0, len(path) // 2))
    turns = draw(st.lists(st.sampled_from(path), max_size=8)) if path else []
    return Material(
        system=text_of(draw(WORDS)),
        question=text_of(draw(WORDS)),
        summary=draw(st.none() | WORDS.map(text_of)),
        summarised=STEP * draw(st.integers(0, 5)),
        window=path[before:],
        before=before,
        related=[Related(turn, draw(st.floats(0, 1))) for turn in turns],
        files=[
            Attached(draw(WORDS), text, len(text))
            for text in draw(st.lists(st.text(alphabet="xyz \n", max_size=900), max_size=3))
        ],
    )


@given(materials(), st.integers(0, 3000), st.integers(0, 500))
def test_it_fits_and_has_what_matters(material: Material, context: int, answer: int) -> None:
    budget = Budget(context, answer)
    must = material.system.tokens + material.question.tokens + 2 * EACH
    if must > budget.room:
        with pytest.raises(TooLong) as raised:
            assemble(material, budget, len)
        assert (raised.value.tokens, raised.value.most) == (must, budget.room)
        return
    messages = assemble(material, budget, len)
    assert size(messages) <= budget.room
    assert messages[0] == {"role": "system", "content": material.system.text}
    assert messages[-1] == {"role": "user", "content": material.question.text}
    assert messages == assemble(material, budget, len)


@given(materials(), st.integers(0, 3000))
def test_the_window_is_what_was_said_last_in_its_order(material: Material, context: int) -> None:
    assume(material.system.tokens + material.question.tokens + 2 * EACH <= context)
    messages = assemble(material, Budget(context, 0), len)[1:-1]
    told = [message for message in messages if not str(message["content"]).startswith(("The file ", "Earlier in "))]
    if told and told[0]["role"] == "system":
        assert str(told.pop(0)["content"]).startswith("Previous context: ")
    shown = [{"role": turn.role, "content": turn.text} for turn in material.window[len(material.window) - len(told) :]]
    assert told == shown


@given(materials())
def test_with_room_for_all_the_last_ten_messages_are_there(material: Material) -> None:
    messages = assemble(material, Budget(100_000, 0), len)
    told = [message["content"] for message in messages]
    since = material.window[max(0, material.summarised - material.before) :]
    for turn in since[-KEPT:]:
        assert turn.text in told
    for file in material.files:
        assert any(file.text in str(content) for content in told)
    if material.summary is not None and material.summary.text:
        assert {"role": "system", "content": f"Previous context: {material.summary.text}"} in messages


def conversation(lengths: Sequence[int], budget: Budget, files: Sequence[Attached] = ()) -> list[list[Message]]:
    """What a model is told at each question, the summary following as it is wanted."""
    path = path_of([f"{index} ".ljust(length, "x") for index, length in enumerate(lengths)])
    summary, summarised, prompts = None, 0, []
    for asked in range(0, len(path), 2):
        taken = wants_summary(path[:asked], summarised, budget.room // 2)
        if taken.stop > taken.start:
            summarised = taken.stop
            summary = text_of(f"of {summarised} messages")
        question = path[asked]
        related = [Related(turn, 0.4 + turn.id % 7 / 10) for turn in path[:summarised] if (turn.id + asked) % 5 == 0]
        material = Material(
            system=text_of("be kind"), question=Text(question.text, question.tokens), summary=summary,
            summarised=summarised, window=path[:asked], related=related, files=files,
        )  # fmt: skip
        prompts.append(assemble(material, budget, len))
    return prompts


def common(one: Sequence[Any], other: Sequence[Any]) -> int:
    return next(
        (index for index, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


def stable(prompts: Sequence[Sequence[Message]]) -> int:
    """At how many questions the prompt before was only added to, but for its related turns and what stands behind."""
    kept = 0
    for before, after in pairwise(prompts):
        end = len(before) - 1
        if str(before[end - 1]["content"]).startswith("Earlier in"):
            end -= 1
        kept += common(before, after) >= end
    return kept


def test_most_questions_only_add_to_the_prompt_before() -> None:
    file = Attached("a.txt", "y" * 4000, 4000)
    for budget in (Budget(1_000_000, 0), Budget(12_000, 1000)):
        prompts = conversation([100] * 120, budget, [file])
        assert stable(prompts) >= len(prompts) * 7 // 10
        assert all(len(prompt) <= KEPT + STEP + 6 for prompt in prompts)


@given(st.lists(st.integers(3, 400), min_size=40, max_size=80), st.integers(2000, 20_000))
def test_prompts_share_their_beginnings_whatever_is_said(lengths: list[int], context: int) -> None:
    prompts = conversation(lengths, Budget(context, 0))
    if context > 8000:
        assert stable(prompts) >= (len(prompts) - 1) // 2
    # Nothing lies between the summary and the window that neither has.
    for prompt in prompts:
        told = next((str(m["content"]) for m in prompt if str(m["content"]).startswith("Previous")), "of 0 messages")
        summarised = int(told.rpartition("of ")[2].split()[0])
        numbers = [int(str(m["content"]).split()[0]) for m in prompt if str(m["content"])[:1].isdigit()]
        assert numbers[0] == summarised


@given(st.integers(0, 200), st.integers(0, 200), st.integers(10, 5000))
def test_the_summary_takes_in_whole_steps_and_leaves_the_window(length: int, summarised: int, room: int) -> None:
    path = path_of(["x" * 50] * length)
    taken = wants_summary(path, summarised)
    assert taken.start == min(summarised, length)
    assert (taken.stop - taken.start) % STEP == 0
    assert wants_summary(path, taken.stop).stop == taken.stop or taken.stop - taken.start == 4 * STEP
    assert taken.stop - taken.start <= 4 * STEP
    if taken.stop > taken.start:
        assert length - taken.stop >= KEPT
    assert wants_summary(path, summarised, room).stop >= taken.stop


def related_of(material: Material) -> str:
    return str(assemble(material, Budget(5000, 0), len)[-2]["content"])


def test_related_turns_are_near_different_and_not_told_already() -> None:
    texts = ["apples grow on trees", "apples grow on trees indeed", "boats sail by wind", "far away", "shown before"]
    turns = path_of(texts)
    scores = [0.9, 0.8, 0.7, 0.2, 0.99]
    material = Material(
        system=text_of("s"),
        question=text_of("q"),
        window=turns[4:],
        before=4,
        related=[Related(turn, score) for turn, score in zip(turns, scores, strict=True)],
    )
    told = related_of(material)
    assert told.endswith(":\n\nuser: apples grow on trees\n\nuser: boats sail by wind")


def test_what_is_given_up_first() -> None:
    """Related turns, then the oldest of the window, then files; the summary stays."""
    path = path_of([f"{index:03} " + "w" * 96 for index in range(20)])
    material = Material(
        system=text_of("system"), question=text_of("question"), summary=text_of("summary"), summarised=8,
        window=path[8:], before=8, related=[Related(path[0], 0.9)], files=[Attached("a.txt", "f" * 700, 700)],
    )  # fmt: skip
    seen = []
    for context in range(3000, 60, -20):
        told = [str(message["content"]) for message in assemble(material, Budget(context, 0), len)]
        parts = {
            "related": any(each.startswith("Earlier") for each in told),
            "window": sum(each[:3].isdigit() for each in told),
            "file": sum(each.count("f" * 20) for each in told),
            "summary": any(each.startswith("Previous context: summary") for each in told),
        }
        seen.append(parts)
    assert seen[0] == {"related": True, "window": 12, "file": 35, "summary": True}
    without = next(index for index, parts in enumerate(seen) if not parts["related"])
    assert all(parts["window"] == 12 for parts in seen[:without])
    shorter = next(index for index, parts in enumerate(seen) if parts["window"] == 0)
    assert all(parts["summary"] for parts in seen[:shorter])
    assert seen[-1]["window"] == seen[-1]["file"] == 0


@given(st.text(max_size=300), st.integers(-5, 320))
def test_what_is_cut_keeps_its_ends(text: str, most: int) -> None:
    short = cut(text, most, len)
    assert len(short) <= max(0, most)
    if len(text) <= most:
        assert short == text
    elif short:
        head, _, rest = short.partition("\n[... ")
        assert text.startswith(head) or "\n[... " in text
        assert rest


def test_small_files_leave_their_share_to_big_ones() -> None:
    files = [Attached("big", "b" * 5000, 5000), Attached("small", "s" * 50, 50), Attached("other", "o" * 5000, 5000)]
    material = Material(system=text_of("s"), question=text_of("q"), files=files)
    told = [str(message["content"]) for message in assemble(material, Budget(4000, 0), len)]
    assert "s" * 50 in told[2]
    assert "characters left out" in told[1]
    assert abs(told[1].count("b") - told[3].count("o")) < 10
    assert 1700 < len(told[1]) + len(told[2]) + len(told[3]) <= 2000


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("", 0, 0),
        ("The quick brown fox jumps over the lazy dog.", 10, 20),
        ("1234567890", 10, 10),
        ("def f(x):\n    return x\n", 9, 18),
        ("日本語のテキスト", 5, 9),
        ("👍🏽", 4, 8),
    ],
)
def test_an_estimate_leans_high(text: str, least: int, most: int) -> None:
    assert least <= estimate(text) <= most
