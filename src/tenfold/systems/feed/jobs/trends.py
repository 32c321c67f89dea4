"""Keeping the use of tags as short as its history."""

from datetime import timedelta

from tenfold.platform.jobs import schedule
from tenfold.systems.feed.actions import trends
from tenfold.systems.feed.state import FeedState


@schedule(every=timedelta(hours=6), name="feed-sweep-tags")
async def sweep_tags(state: FeedState) -> None:
    """Forget uses of tags that no history shows any more."""
    await trends.sweep(state.feed)
