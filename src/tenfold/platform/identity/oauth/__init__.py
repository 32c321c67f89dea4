"""OAuth 2 (RFC 6749 as RFC 9700 wants it): applications of others act for an account within the scopes it allowed."""
