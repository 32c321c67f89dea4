"""SQL. Takes a transaction, returns structs, decides nothing."""
