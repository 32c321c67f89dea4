"""Ways in by HTTP: the Mastodon client API. Decode, call one action, encode."""
