"""How often tags are used, and by how many."""

from collections.abc import Sequence

from tenfold.contracts.feed import PostPublished
from tenfold.platform.bus import consumer
from tenfold.platform.db import Tx
from tenfold.systems.feed.actions import trends
from tenfold.systems.feed.state import FeedState


@consumer(PostPublished, name="feed-count-tags", batch=256, max_wait=0.5)
async def count_tags(tx: Tx, events: Sequence[PostPublished], state: FeedState) -> None:
    """Count the tags of public posts. Reposts aren't uses, and what isn't public stays among its readers."""
    await trends.count(
        tx,
        [
            trends.Tagged(event.post_id, event.author_id, event.tags)
            for event in events
            if event.visibility == "public" and event.reblog_of_id is None and event.tags
        ],
    )
