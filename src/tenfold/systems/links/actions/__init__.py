"""What can be done with links, by noun."""
