"""Pure decisions. No I/O."""
