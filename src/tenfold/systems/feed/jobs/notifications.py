"""What happens to notifications by the clock."""

from datetime import timedelta

from tenfold.platform.jobs import schedule
from tenfold.systems.feed.state import FeedState
from tenfold.systems.feed.store import notifications

#: Days that notifications are kept, and how many are removed in one transaction.
KEPT_DAYS = 180
AT_ONCE = 5000


@schedule(every=timedelta(hours=6), name="feed-forget-old-notifications")
async def forget_old_notifications(state: FeedState) -> None:
    """Remove notifications that nobody will look for any more, in small transactions."""
    while True:
        async with state.db.transaction() as tx:
            removed = await notifications.delete_old(tx, KEPT_DAYS, AT_ONCE)
        if removed < AT_ONCE:
            return
