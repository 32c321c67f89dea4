"""HTTP doors of answers."""
