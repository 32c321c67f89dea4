"""What is rising: tags that more people use than usual, and public posts that are liked and passed on right now."""

from collections.abc import Iterable, Sequence
from math import exp2, sqrt

import msgspec

#: Hours of the present, and of the days before it that tell what is usual.
RECENT, USUAL = 24, 6 * 24
#: People without whom nothing is a trend: one alone is none, however often they say it.
FEWEST = 2


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """How a tag was used of late."""

    tag: str
    #: Hours ago, and the people who used it then for the first time that day.
    hours: Sequence[float]
    people: Sequence[int]
    #: People a day in the `USUAL` hours before the last `RECENT`, each counted once a day, added up.
    before: int


def heat(use: Use, half_life: float) -> float:
    """How much a tag rises: (now - usual) / sqrt(usual + 1), 0 when it doesn't.

    `now` is the people of the last day, each weighed by 2^(-age / half_life), hours; `usual` is what `now` would be if
    they came at the rate of the days before. Counts of people scatter by the square root of what is expected (Poisson),
    so this is by how many standard deviations a tag is above its own level: a tag that everybody uses every day stands
    at 0, and ten people more count less for a big tag than for a small one.
    """
    if sum(use.people) < FEWEST:
        return 0.0
    now = sum(people * exp2(-age / half_life) for age, people in zip(use.hours, use.people, strict=True))
    usual = use.before / USUAL * sum(exp2(-age / half_life) for age in range(RECENT))
    return max(0.0, now - usual) / sqrt(usual + 1)


def rising(uses: Iterable[Use], half_life: float) -> list[str]:
    """Tags that rise, the steepest first."""
    found = [(heat(use, half_life), use.tag) for use in uses]
    return [tag for score, tag in sorted(found, key=lambda each: (-each[0], each[1])) if score > 0]


class Marked(msgspec.Struct, frozen=True, kw_only=True):
    """A public post and what was done with it."""

    id: int
    author_id: int
    #: Hours.
    age: float
    favourites: int
    reblogs: int
    replies: int


def warmth(post: Marked, half_life: float) -> float:
    """How much a post is liked and passed on right now: (favourites + 2 reposts + replies) 2^(-age / half_life)."""
    return (post.favourites + 2 * post.reblogs + post.replies) * exp2(-post.age / half_life)


def liked(posts: Iterable[Marked], half_life: float, most: int) -> list[int]:
    """Ids of the warmest posts, one of each author."""
    best: dict[int, int] = {}
    for post in sorted(posts, key=lambda each: (-warmth(each, half_life), -each.id)):
        best.setdefault(post.author_id, post.id)
        if len(best) == most:
            break
    return list(best.values())
