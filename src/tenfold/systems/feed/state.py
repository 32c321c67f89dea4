"""What the feed holds open in a process: endpoints, consumers and jobs share it."""

from dataclasses import dataclass

from tenfold.platform.db import Database
from tenfold.platform.runtime import Runtime
from tenfold.systems.feed.actions.context import Feed


@dataclass(frozen=True, slots=True)
class FeedState:
    runtime: Runtime
    feed: Feed

    @property
    def db(self) -> Database:
        return self.runtime.db
