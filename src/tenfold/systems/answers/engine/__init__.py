"""The heavy tools of answers."""
