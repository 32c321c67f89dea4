"""What every system stands on: engines, data, events, identity, HTTP. Knows no system."""
