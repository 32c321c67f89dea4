"""SQL of answers. Takes a transaction, returns structs, decides nothing."""
