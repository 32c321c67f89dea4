"""What can be done with the feed. Opens transactions, never across a stream."""
