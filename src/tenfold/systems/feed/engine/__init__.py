"""The heavy tools of the feed: pictures."""
