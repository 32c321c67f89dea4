"""What can be done in chat, by noun."""
