"""What the feed does by itself, now and then."""
