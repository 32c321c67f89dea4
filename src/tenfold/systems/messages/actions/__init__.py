"""What can be done. Opens transactions; never across a stream."""
