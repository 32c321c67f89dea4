"""What counts as rising."""

from hypothesis import given
from hypothesis import strategies as st

from tenfold.systems.feed.rules import trends as rules

HALF_LIFE = 4.0


def use(tag: str, people: list[int], before: int = 0) -> rules.Use:
    """A tag whose people came this many in each of the last hours, newest first."""
    return rules.Use(tag=tag, hours=[float(hour) for hour in range(len(people))], people=people, before=before)


def test_a_rise_counts_and_a_constant_level_does_not() -> None:
    steady = use("coffee", [100] * 24, before=100 * rules.USUAL)
    fresh = use("eclipse", [5, 4, 2, 1])
    fading = use("match", [1, 2, 4] + [50] * 21, before=40 * rules.USUAL)
    assert rules.rising([steady, fading, fresh], HALF_LIFE) == ["eclipse"]


def test_ten_more_people_are_less_for_a_big_tag_than_for_a_small_one() -> None:
    small = use("small", [12, *[2] * 23], before=2 * rules.USUAL)
    big = use("big", [210, *[200] * 23], before=200 * rules.USUAL)
    assert rules.rising([big, small], HALF_LIFE) == ["small", "big"]


def test_one_person_alone_makes_no_trend() -> None:
    assert rules.rising([use("me", [1])], HALF_LIFE) == []


def test_what_is_older_counts_less() -> None:
    now, earlier = use("now", [3]), use("earlier", [0, 0, 0, 0, 3])
    assert rules.rising([earlier, now], HALF_LIFE) == ["now", "earlier"]
    assert rules.heat(earlier, HALF_LIFE) * 2 == rules.heat(now, HALF_LIFE)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=24), st.integers(0, 10_000), st.integers(0, 23))
def test_more_people_never_count_less_and_a_higher_usual_level_never_more(
    people: list[int], before: int, hour: int
) -> None:
    score = rules.heat(use("x", people, before), HALF_LIFE)
    more = list(people)
    more[hour % len(more)] += 1
    assert rules.heat(use("x", more, before), HALF_LIFE) >= score >= 0
    assert rules.heat(use("x", people, before + 100), HALF_LIFE) <= score


def marked(id: int, author_id: int, age: float, favourites: int = 0, reblogs: int = 0) -> rules.Marked:
    return rules.Marked(id=id, author_id=author_id, age=age, favourites=favourites, reblogs=reblogs, replies=0)


def test_posts_that_are_liked_now_come_first_one_of_each_author() -> None:
    posts = [marked(1, 1, 8.0, favourites=10), marked(2, 2, 0.0, favourites=3), marked(3, 3, 0.0, reblogs=2),
             marked(4, 3, 0.0, reblogs=1)]  # fmt: skip
    assert rules.liked(posts, HALF_LIFE, 10) == [3, 2, 1]
    assert rules.liked(posts, HALF_LIFE, 2) == [3, 2]
