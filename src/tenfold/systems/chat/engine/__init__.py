"""The heavy tools of chat: a sandbox for code, and readers of files."""
