"""Removing uploads that no post has wanted."""

from datetime import timedelta

from tenfold.platform.jobs import schedule
from tenfold.systems.feed.actions import media
from tenfold.systems.feed.state import FeedState


@schedule(every=timedelta(hours=1), name="feed-remove-abandoned-media")
async def remove_abandoned_media(state: FeedState) -> None:
    """Remove what has waited for a post for a day."""
    await media.remove_abandoned(state.feed)
