"""Forgetting what was only kept in case a client asks twice."""

from datetime import timedelta

from tenfold.platform.jobs import schedule
from tenfold.systems.feed.state import FeedState
from tenfold.systems.feed.store import posts


@schedule(every=timedelta(hours=1), name="feed-forget-idempotency-keys")
async def forget_idempotency_keys(state: FeedState) -> None:
    """Remove the keys of posts that were sent more than a day ago."""
    async with state.db.transaction() as tx:
        await posts.delete_old_idempotency(tx)
