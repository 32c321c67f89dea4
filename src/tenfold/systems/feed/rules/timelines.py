"""Home timelines, the hybrid of the case study: what is pushed, what is merged at reading, and how."""

import time
from collections.abc import Iterable, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from tenfold.platform.ids import first_id
from tenfold.systems.feed.types import Post, Range, Relations

#: A timeline in memory: ids one behind the other, of which only those that a page needs become Python's numbers.
type Ids = NDArray[np.int64]

#: An id in a packed timeline.
_WORD = np.dtype("<i8")


def as_timeline(ids: Iterable[int]) -> Ids:
    return np.fromiter(ids, _WORD)


def pack(ids: Iterable[int]) -> bytes:
    """Ids in 8 bytes each, as Valkey keeps them: a quarter of what a sorted set takes, and one copy to read."""
    return as_timeline(ids).tobytes()


def unpack(packed: bytes) -> Ids:
    """Packed ids, laid over their bytes without a copy."""
    return np.frombuffer(packed, _WORD)


def is_celebrity(followers: int, threshold: int) -> bool:
    """Whether an author's posts are merged at reading (fan-out on read) rather than pushed to so many (on write).

    Once above the threshold, an author stays a celebrity: what they wrote as one was never pushed, so readers go on to
    merge it, and meet a post that was pushed before the crossing only once, since ids are unique.
    """
    return followers >= threshold


def merge(timelines: Iterable[Ids], page: Range) -> list[int]:
    """The ids of a page, newest first, of timelines that each ascend and may repeat what others have, or themselves.

    With `min_id` those next above it, else the newest below `max_id` and above `since_id`.
    """
    found: set[int] = set()
    for timeline in timelines:
        found.update(window(timeline, page))
    ordered = sorted(found)
    return ordered[: page.limit][::-1] if page.min_id is not None else ordered[::-1][: page.limit]


def window(timeline: Ids, page: Range) -> list[int]:
    """What one ascending timeline can give to a page: at least `page.limit` different ids if it has them in range."""
    start = int(timeline.searchsorted(max(page.since_id or 0, page.min_id or 0), "right"))
    end = len(timeline) if page.max_id is None else int(timeline.searchsorted(page.max_id))
    span = page.limit
    while True:
        if page.min_id is not None:
            part = timeline[start : min(start + span, end)]
        else:
            part = timeline[max(start, end - span) : max(start, end)]
        found: list[int] = part.tolist()
        if len(found) < span or len(set(found)) >= page.limit:
            return found
        span *= 2


def hidden_from_home(post: Post, original: Post | None, relations: Relations, now: float | None = None) -> bool:
    """Whether a reader has decided against what a timeline holds: by a block, a mute, or by having unfollowed.

    `original` is the post that a repost repeats. Replies among strangers are kept out when timelines are filled.
    """
    author = post.author_id
    if author in relations.unfollowed or author in relations.listed or hides(author, relations, now):
        return True
    if original is None:
        return False
    return author in relations.quiet or hides(original.author_id, relations, now)


def hides_any(relations: Relations) -> bool:
    """Whether there is anything that `hidden_from_home` could hide."""
    return bool(
        relations.blocks
        or relations.blocked
        or relations.mutes
        or relations.unfollowed
        or relations.quiet
        or relations.listed
    )


def home_floors(now: float) -> list[int]:
    """Ids from which on a rebuild looks for posts, in turn until it has enough: a day, eight days, 64, 512, all.

    Exact however much the followed write, and cheap for who follows many: all that is newer than a floor is found.
    """
    return [*(first_id(now - days * 86_400) for days in (1, 8, 64, 512)), 0]


def hides(account_id: int, relations: Relations, now: float | None = None) -> bool:
    """Whether somebody is blocked, blocks, or is muted."""
    if account_id in relations.blocks or account_id in relations.blocked:
        return True
    until = relations.mutes.get(account_id)
    return until is not None and (until == 0.0 or until > (time.time() if now is None else now))


def bounds(firsts: Sequence[int]) -> list[tuple[int, int]]:
    """Ranges of follower ids, each up to where the next one begins, the last one open."""
    return list(zip(firsts, [*islice(firsts, 1, None), (1 << 63) - 1], strict=True))
