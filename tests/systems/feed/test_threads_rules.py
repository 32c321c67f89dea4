"""The shape of a conversation, as a pure rule."""

from hypothesis import given
from hypothesis import strategies as st

from tenfold.systems.feed.rules.threads import descendants

ROOT = 1


@st.composite
def conversations(draw: st.DrawFn) -> dict[int, int | None]:
    """Posts with ascending ids that answer earlier ones; some of what is answered is gone."""
    answers: dict[int, int | None] = {}
    for post in range(ROOT + 1, ROOT + 1 + draw(st.integers(0, 30))):
        answers[post] = draw(st.integers(ROOT, post - 1))
    for gone in draw(st.sets(st.integers(ROOT + 1, ROOT + 30), max_size=4)):
        answers.pop(gone, None)
    return answers


def below(answers: dict[int, int | None], post: int) -> list[int]:
    """All that answers a post, however far down, each with its own answers behind it."""
    return [one for each in sorted(answers) if answers[each] == post for one in (each, *below(answers, each))]


def depth(answers: dict[int, int | None], post: int | None) -> int:
    return 0 if post in (None, ROOT) else 1 + depth(answers, answers[post])  # type: ignore[index]


@given(conversations())
def test_all_answers_are_there_in_the_order_of_reading(answers: dict[int, int | None]) -> None:
    assert descendants(answers, ROOT, len(answers) + 1) == below(answers, ROOT)


@given(conversations(), st.integers(0, 12))
def test_the_closest_are_chosen_and_none_without_what_it_answers(answers: dict[int, int | None], most: int) -> None:
    found = descendants(answers, ROOT, most)
    everything = below(answers, ROOT)
    assert len(found) == min(most, len(everything))
    assert found == [each for each in everything if each in found]
    for place, each in enumerate(found):
        assert answers[each] == ROOT or answers[each] in found[:place]
    left_out = set(everything) - set(found)
    if found and left_out:
        assert max(depth(answers, each) for each in found) <= min(depth(answers, each) for each in left_out)


@given(conversations(), st.integers(ROOT, ROOT + 30))
def test_any_post_of_it_has_its_own_answers_only(answers: dict[int, int | None], post: int) -> None:
    assert descendants(answers, post, 100) == below(answers, post)


def test_what_goes_in_circles_ends() -> None:
    assert descendants({1: 2, 2: 1, 3: 3}, 1, 10) == [2]
    assert descendants({1: 2, 2: 1, 3: 3}, 3, 10) == []
