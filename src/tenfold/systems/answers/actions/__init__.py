"""What can be done with collections."""
