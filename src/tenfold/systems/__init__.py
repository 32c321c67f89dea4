"""The systems. Each is a package with the same rooms; none imports another."""
