"""Counts of posts and authors, kept up behind the fact; and what goes when a post is gone."""

from collections import Counter
from collections.abc import Mapping
from datetime import date
from functools import partial

import msgspec

from tenfold.contracts.feed import PostDeleted
from tenfold.platform import outbox
from tenfold.platform.db import Tx
from tenfold.systems.feed.actions.context import Feed
from tenfold.systems.feed.store import marks, posts

#: Marks of a post that one statement removes.
PIECE = 1000


class Change(msgspec.Struct, kw_only=True):
    """By how much counts change: by author, and by post."""

    statuses: Counter[int] = msgspec.field(default_factory=Counter)
    #: Days on which authors have posted last.
    last: dict[int, date] = {}
    favourites: Counter[int] = msgspec.field(default_factory=Counter)
    reblogs: Counter[int] = msgspec.field(default_factory=Counter)
    replies: Counter[int] = msgspec.field(default_factory=Counter)


async def add(tx: Tx, feed: Feed, change: Change) -> None:
    """Write counts, and let caches forget what they were."""
    post_ids = sorted(_changed(change.favourites) | _changed(change.reblogs) | _changed(change.replies))
    if post_ids:
        rows = [(each, change.favourites[each], change.reblogs[each], change.replies[each]) for each in post_ids]
        await posts.add_counts(tx, rows)
        tx.after_commit(partial(feed.posts.invalidate, post_ids))
    authors = sorted(_changed(change.statuses))
    if authors:
        await posts.add_statuses(tx, [(each, change.statuses[each], change.last.get(each)) for each in authors])
        tx.after_commit(partial(feed.accounts.invalidate, authors))


def _changed(counts: Mapping[int, int]) -> set[int]:
    return {each for each, count in counts.items() if count}


async def delete_what_hung_on(tx: Tx, feed: Feed, post_id: int) -> None:
    """Remove the reposts of a post that is gone, and who liked it. Readers have not been shown them since.

    Bookmarks stay with who made them, and are passed over.
    """
    while gone := await marks.delete_marks_of(tx, post_id, PIECE):
        tx.after_commit(partial(feed.marks.invalidate, [each.account_id for each in gone]))
        made = [each for each in gone if each.kind == "reblog"]
        if made:
            reposts = await posts.delete_reposts(tx, [each.id for each in made], [each.account_id for each in made])
            deleted = [PostDeleted(post_id=each.id, author_id=each.author_id, reblog_of_id=post_id) for each in reposts]
            await outbox.emit_many(tx, deleted)
            tx.after_commit(partial(feed.posts.invalidate, [each.id for each in reposts]))
