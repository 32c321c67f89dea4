"""SQL of the feed. Takes a transaction, returns structs, decides nothing."""
