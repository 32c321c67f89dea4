"""Links: the URL shortener.

A long address becomes a seven-character code; following the code is a redirect answered from memory. Each redirect
is an event, counted apart from the request into rollups that the statistics page reads. Codes come from a counter
leased in ranges and scrambled by a keyed permutation, so they never collide and can't be walked through. Links can
carry an alias, an end, a password or a number of clicks.
"""
