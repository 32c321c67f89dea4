"""Live updates for browsers: published at any process, read at any other, resumable, bounded for slow readers."""

from tenfold.platform.live.streams import frames, sse
from tenfold.platform.live.topics import (
    BadTopic,
    Live,
    LiveMessage,
    MessageTooLarge,
    Subscription,
    TooManyReaders,
    open_live,
)

__all__ = [
    "BadTopic",
    "Live",
    "LiveMessage",
    "MessageTooLarge",
    "Subscription",
    "TooManyReaders",
    "frames",
    "open_live",
    "sse",
]
