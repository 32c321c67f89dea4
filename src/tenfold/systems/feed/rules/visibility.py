"""Who may see a post."""

from collections.abc import Collection

from tenfold.systems.feed.types import Post, Relations


def may_see(post: Post, reader_id: int | None, relations: Relations, followed: Collection[int]) -> bool:
    """Whether a reader may see a post: `followed` are those of the authors in question whom they follow.

    Public and unlisted posts are for all, private ones for followers, direct ones for who is mentioned; what is not
    public also for who is mentioned. A block hides everything in both directions.
    """
    if post.author_id == reader_id:
        return True
    if post.author_id in relations.blocks or post.author_id in relations.blocked:
        return False
    if post.visibility in ("public", "unlisted"):
        return True
    if reader_id is None:
        return False
    if any(mention.id == reader_id for mention in post.mentions):
        return True
    return post.visibility == "private" and post.author_id in followed


def may_repost(post: Post, account_id: int) -> bool:
    """Anybody may repost what is public or unlisted; their own private posts only their authors."""
    return post.visibility in ("public", "unlisted") or (post.visibility == "private" and post.author_id == account_id)
