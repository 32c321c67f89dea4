"""Ten internet-scale systems as one self-hostable product."""

__version__ = "0.1.0"
