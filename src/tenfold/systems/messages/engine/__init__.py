"""The heavy tool of messages: Web Push."""
