"""What the feed keeps in Valkey and in memory; always rebuildable from the store."""
