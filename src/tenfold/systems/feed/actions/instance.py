"""What the instance says about itself."""

from time import time

from tenfold.platform.ids import first_id
from tenfold.systems.feed.actions.context import Feed
from tenfold.systems.feed.store import instance
from tenfold.systems.feed.store.instance import Usage

#: Seconds of a month, as the API counts active people.
MONTH = 30 * 86_400


async def usage(feed: Feed) -> Usage:
    """How much there is here, about."""
    async with feed.db.read() as tx:
        return await instance.find_usage(tx, first_id(time() - MONTH))
