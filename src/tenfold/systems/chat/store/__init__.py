"""SQL of chat. Takes a transaction, returns structs, decides nothing."""
