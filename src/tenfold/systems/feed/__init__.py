"""Feed: a social network that existing Mastodon clients use unchanged.

People post 280 characters, follow each other, and read what those they follow have written. The hard part is the home
timeline: posts are pushed to the followers of most authors when they are written, and merged at reading for the few
whose audience is too big for that. A timeline that lapsed is rebuilt on return, so nobody meets an empty home. A post
is in PostgreSQL and the outbox before it is acknowledged; losing Valkey altogether loses nothing.
"""
