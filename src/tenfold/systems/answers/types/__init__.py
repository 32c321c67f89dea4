"""The words of answers."""
