"""What follows from following: counts, celebrities, and homes that are filled anew."""

from collections.abc import Sequence

from tenfold.contracts.feed import FollowChanged
from tenfold.platform.bus import consumer
from tenfold.platform.db import Tx
from tenfold.systems.feed.actions import relations
from tenfold.systems.feed.state import FeedState


@consumer(FollowChanged, name="feed-count-follows", batch=256, ack_wait=10.0)
async def count_follows(tx: Tx, events: Sequence[FollowChanged], state: FeedState) -> None:
    """Count followers, in one statement for all accounts of a batch."""
    await relations.count(tx, state.feed, events)


# By itself, because it waits while Valkey is away, and counting need not.
@consumer(FollowChanged, name="feed-refresh-homes", batch=256, max_wait=0.01, ack_wait=10.0)
async def refresh_homes(_: Tx, events: Sequence[FollowChanged], state: FeedState) -> None:
    """Forget the homes of those who follow others now."""
    await relations.refresh(state.feed, events)
