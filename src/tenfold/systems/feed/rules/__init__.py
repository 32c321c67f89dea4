"""What the feed decides without asking anyone."""
