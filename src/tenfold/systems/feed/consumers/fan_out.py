"""Fan-out on write: posts into the home timelines of their authors' followers."""

from collections.abc import Sequence

from tenfold.contracts.feed import PostPublished
from tenfold.platform.bus import consumer
from tenfold.platform.db import Tx
from tenfold.systems.feed.actions import timelines
from tenfold.systems.feed.state import FeedState
from tenfold.systems.feed.types import FanOut


@consumer(PostPublished, name="feed-fan-out", batch=64, max_wait=0.01, ack_wait=10.0)
async def fan_out(tx: Tx, events: Sequence[PostPublished], state: FeedState) -> None:
    """Deliver to small audiences at once, and cut big ones into pieces."""
    deliveries = [
        timelines.Delivery(
            event.post_id,
            event.author_id,
            None if event.in_reply_to_account_id == event.author_id else event.in_reply_to_account_id,
            event.pushed,
        )
        for event in events
        if event.visibility != "direct"
    ]
    if deliveries:
        await timelines.deliver(tx, state.feed, deliveries)


@consumer(FanOut, name="feed-fan-out-pieces", batch=8, max_wait=0.01, ack_wait=10.0)
async def fan_out_pieces(tx: Tx, events: Sequence[FanOut], state: FeedState) -> None:
    """Deliver pieces of big audiences, behind everybody's small ones and beside other workers."""
    await timelines.deliver_pieces(tx, state.feed, events)
