"""Counting posts, likes, reposts and replies behind the fact, so that nobody waits for the row of a popular post."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from tenfold.contracts.feed import PostDeleted, PostMarked, PostPublished
from tenfold.platform.bus import consumer
from tenfold.platform.db import Tx
from tenfold.platform.ids import made_at
from tenfold.systems.feed.actions import counts, media
from tenfold.systems.feed.actions.posts import COUNTED
from tenfold.systems.feed.state import FeedState


@consumer(PostPublished, name="feed-count-posts", batch=256, ack_wait=10.0)
async def count_posts(tx: Tx, events: Sequence[PostPublished], state: FeedState) -> None:
    """One more for authors, unless it is a letter to some; for what is answered, and for what is repeated."""
    change = counts.Change()
    for event in events:
        if event.visibility != "direct":
            change.statuses[event.author_id] += 1
            change.last[event.author_id] = datetime.fromtimestamp(made_at(event.post_id), UTC).date()
        if event.in_reply_to_id is not None and event.visibility in COUNTED:
            change.replies[event.in_reply_to_id] += 1
        if event.reblog_of_id is not None:
            change.reblogs[event.reblog_of_id] += 1
    await counts.add(tx, state.feed, change)


@consumer(PostMarked, name="feed-count-likes", batch=512, ack_wait=10.0)
async def count_likes(tx: Tx, events: Sequence[PostMarked], state: FeedState) -> None:
    """Likes, in one statement for all posts of a batch."""
    likes: Counter[int] = Counter()
    for event in events:
        likes[event.post_id] += 1 if event.on else -1
    await counts.add(tx, state.feed, counts.Change(favourites=likes))


@consumer(PostDeleted, name="feed-count-deleted", batch=64, ack_wait=10.0)
async def count_deleted(tx: Tx, events: Sequence[PostDeleted], state: FeedState) -> None:
    """One fewer; and what hung on a post goes after it: reposts, who liked it, attachments that are not kept."""
    change = counts.Change()
    for event in events:
        change.statuses[event.author_id] -= event.visibility != "direct"
        if event.in_reply_to_id is not None:
            change.replies[event.in_reply_to_id] -= 1
        if event.reblog_of_id is not None:
            change.reblogs[event.reblog_of_id] -= 1
        else:
            await counts.delete_what_hung_on(tx, state.feed, event.post_id)
            await media.remove_abandoned_of(tx, state.feed, event.author_id)
    await counts.add(tx, state.feed, change)
