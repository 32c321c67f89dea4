"""What systems promise to each other: their events and the typed clients of their public APIs."""
