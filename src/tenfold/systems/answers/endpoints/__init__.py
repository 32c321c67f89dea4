"""Doors of answers."""
