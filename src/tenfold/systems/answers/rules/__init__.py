"""Decisions of answers, without any I/O."""
