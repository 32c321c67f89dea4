"""What the feed does when something happened."""
