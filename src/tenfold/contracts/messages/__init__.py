"""What messages promises to others: the frames of its WebSocket and the entities of its HTTP API, protocol version 1.

docs/messages-protocol.md tells the same in prose, for clients in any language.
"""
