"""What chat promises to others: its events."""
