"""Messages: end-to-end encrypted conversations of two and of groups, over a documented protocol.

Sealed messages go in by a WebSocket, get a number in their conversation and a place in the inbox of every device, and
come out at whatever process holds the recipients' connections. The server can't read them: sessions, keys and names
live with the clients. What is hard is that nothing is lost or shown twice while processes, engines and connections
come and go. It promises that what was acknowledged to the sender reaches each device, in order, exactly once.
"""
