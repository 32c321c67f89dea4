"""What an application may be allowed to do. Named as Mastodon's clients name it, since they ask for these words."""

from collections.abc import Collection

#: All scopes, in the words that a person consents to. `read` covers each `read:...`, and `write` each `write:...`.
SCOPES = {
    "read": "Read everything in your account",
    "read:accounts": "See account information",
    "read:blocks": "See whom you block",
    "read:bookmarks": "See your bookmarks",
    "read:favourites": "See your favourites",
    "read:filters": "See your filters",
    "read:follows": "See whom you follow",
    "read:lists": "See your lists",
    "read:me": "See who you are",
    "read:mutes": "See whom you mute",
    "read:notifications": "See your notifications",
    "read:search": "Search on your behalf",
    "read:statuses": "See all posts that you can see",
    "write": "Change everything in your account, and post for you",
    "write:accounts": "Change your profile",
    "write:blocks": "Block accounts for you",
    "write:bookmarks": "Bookmark posts for you",
    "write:conversations": "Mute and delete your conversations",
    "write:favourites": "Favourite posts for you",
    "write:filters": "Change your filters",
    "write:follows": "Follow and unfollow accounts for you",
    "write:lists": "Change your lists",
    "write:media": "Upload media for you",
    "write:mutes": "Mute accounts and conversations for you",
    "write:notifications": "Clear your notifications",
    "write:reports": "Report others for you",
    "write:statuses": "Publish and delete posts for you",
    "follow": "See and change whom you follow, mute and block",
    "profile": "See your name and picture",
    "push": "Send you push notifications",
    "offline_access": "Stay connected while you are away",
}
#: What `follow` covers, and is covered by.
FOLLOW = frozenset(f"{verb}:{what}" for verb in ("read", "write") for what in ("follows", "blocks", "mutes"))


def covers(granted: Collection[str], wanted: str) -> bool:
    """Whether who was granted these scopes may do what needs the wanted one. `*` covers all of them."""
    if "*" in granted or wanted in granted:
        return True
    broad, colon, _ = wanted.partition(":")
    if colon:
        return broad in granted or (wanted in FOLLOW and "follow" in granted)
    if wanted == "follow":
        return all(covers(granted, each) for each in FOLLOW)
    return wanted == "profile" and any(covers(granted, each) for each in ("read:accounts", "read:me"))
