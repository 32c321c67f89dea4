"""Forgetting what has ended between accounts."""

from datetime import timedelta

from tenfold.platform.jobs import schedule
from tenfold.systems.feed.actions import relations
from tenfold.systems.feed.state import FeedState


@schedule(every=timedelta(hours=1), name="feed-forget-ended-relations")
async def forget_ended_relations(state: FeedState) -> None:
    """Remove mutes that are over, and traces of those who were unfollowed a day ago."""
    await relations.forget_ended(state.feed)
