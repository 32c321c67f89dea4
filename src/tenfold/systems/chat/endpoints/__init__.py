"""HTTP doors of chat."""
