"""Pure decisions of chat: what a text gives away, what it means harm with, and which model it needs."""
