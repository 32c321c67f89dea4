"""The shape of a conversation: what a post answers, and what answers it."""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec


class Bounds(msgspec.Struct, frozen=True):
    """How much of a conversation is shown around a post."""

    ancestors: int
    descendants: int


#: For strangers, and for those who are signed in.
STRANGERS: Final = Bounds(40, 60)
KNOWN: Final = Bounds(200, 500)
#: Posts of a conversation that are looked at for what answers one of them: the next ones after it.
LOOKED_AT: Final = 4096


def descendants(answers: Mapping[int, int | None], post_id: int, most: int) -> list[int]:
    """What answers a post, and what answers that: each followed by its own answers, older ones first.

    `answers` maps posts to what they answer. When there are more than `most`, those closest to the post are chosen, so
    that one long quarrel doesn't push out what was said to the post itself.
    """
    below: dict[int, list[int]] = {}
    for each in sorted(answers):
        above = answers[each]
        if above is not None and each != post_id:
            below.setdefault(above, []).append(each)
    chosen = set(_nearest(below, post_id, most))
    ordered: list[int] = []
    waiting = [post_id]
    while waiting:
        each = waiting.pop()
        ordered.append(each)
        waiting += (one for one in reversed(below.get(each, ())) if one in chosen)
    return ordered[1:]


def _nearest(below: Mapping[int, Iterable[int]], post_id: int, most: int) -> list[int]:
    """Level by level, older answers first. A post answers one other, so each is met once."""
    found: list[int] = []
    level = [post_id]
    while level and len(found) < most:
        level = [answer for each in level for answer in below.get(each, ())]
        found += level
    return found[:most]
