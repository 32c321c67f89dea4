"""Which notifications are shown as one, and whose are not shown at all."""

import re
import time

import msgspec

from tenfold.platform.ids import first_id, made_at
from tenfold.systems.feed.types import NoticeKind, Relations

#: What many people do to the same thing.
GROUPED: frozenset[NoticeKind] = frozenset(("favourite", "reblog", "follow"))
#: Seconds that a group spans, from fixed times on: so its key follows from any of its notifications alone.
WINDOW = 12 * 3600

_KEY = re.compile(r"ungrouped-(?P<id>\d{1,18})|(?P<kind>favourite|reblog)-(?P<post>\d{1,18})-(?P<window>\d{1,6})|"
                  r"follow-(?P<follows>\d{1,6})")  # fmt: skip


class Span(msgspec.Struct, frozen=True):
    """What is shown as one: of one kind, about one post or none, with ids from `low` up to, not including, `high`."""

    kind: NoticeKind
    post_id: int | None
    low: int
    high: int


def group_key(kind: NoticeKind, id: int, post_id: int | None) -> str:
    """The name of the group that a notification belongs to. One of its own for what isn't grouped."""
    if kind not in GROUPED:
        return f"ungrouped-{id}"
    window = int(made_at(id)) // WINDOW
    return f"{kind}-{window}" if post_id is None else f"{kind}-{post_id}-{window}"


def read_group_key(key: str) -> Span | int | None:
    """What a key stands for: a span, or the id of the only notification. None when it is no key."""
    found = _KEY.fullmatch(key)
    if found is None:
        return None
    if found["id"]:
        return int(found["id"])
    window = int(found["window"] or found["follows"]) * WINDOW
    low, high = first_id(window), first_id(window + WINDOW)
    kind: NoticeKind = "follow" if found["follows"] else "favourite" if found["kind"] == "favourite" else "reblog"
    return Span(kind, int(found["post"]) if found["post"] else None, low, high)


def silenced(relations: Relations, now: float | None = None) -> frozenset[int]:
    """Accounts that a reader isn't told of: blocked, blocking, or muted with their notifications."""
    now = time.time() if now is None else now
    mutes = relations.mutes
    muted = {each for each in relations.silenced if (until := mutes.get(each, -1.0)) == 0.0 or until > now}
    return relations.blocks | relations.blocked | muted
