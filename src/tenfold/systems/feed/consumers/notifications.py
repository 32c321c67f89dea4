"""Notifications, of everything that somebody does to somebody."""

from collections.abc import Sequence

from tenfold.contracts.feed import FollowChanged, PostDeleted, PostEdited, PostMarked, PostPublished
from tenfold.platform.bus import consumer
from tenfold.platform.db import Tx
from tenfold.systems.feed.actions import notifications
from tenfold.systems.feed.state import FeedState


@consumer(PostPublished, name="feed-notify-of-posts", batch=64, max_wait=0.02)
async def notify_of_posts(tx: Tx, events: Sequence[PostPublished], state: FeedState) -> None:
    """Tell of mentions, of reposts, and of the posts of those whom somebody watches."""
    await notifications.notify_of_posts(tx, state.feed, events)


@consumer(PostEdited, name="feed-notify-of-edits")
async def notify_of_edits(tx: Tx, event: PostEdited, state: FeedState) -> None:
    await notifications.notify_of_edit(tx, state.feed, event)


@consumer(PostDeleted, name="feed-forget-notifications", batch=64)
async def forget_notifications(tx: Tx, events: Sequence[PostDeleted], state: FeedState) -> None:
    await notifications.forget_posts(tx, state.feed, events)


@consumer(PostMarked, name="feed-notify-of-favourites", batch=256)
async def notify_of_favourites(tx: Tx, events: Sequence[PostMarked], state: FeedState) -> None:
    await notifications.notify_of_favourites(tx, state.feed, events)


@consumer(FollowChanged, name="feed-notify-of-follows", batch=256, max_wait=0.02)
async def notify_of_follows(tx: Tx, events: Sequence[FollowChanged], state: FeedState) -> None:
    await notifications.notify_of_follows(tx, state.feed, events)
