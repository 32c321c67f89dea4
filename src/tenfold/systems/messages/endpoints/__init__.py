"""Ways in over HTTP and WebSocket. Decode, call one action, encode."""
