"""SQL of what moderation has flagged."""

from collections.abc import Mapping, Sequence

from tenfold.platform.db import Tx
from tenfold.systems.chat.types import Flagged


async def insert_flagged(tx: Tx, account_id: int, id: int, side: str, scores: Mapping[str, float], text: str) -> None:
    sql = """INSERT INTO chat.flagged (account_id, id, side, scores, text) VALUES ($1, $2, $3, $4::jsonb, $5)
             ON CONFLICT (account_id, id) DO NOTHING"""
    await tx.execute(sql, account_id, id, side, dict(scores), text)


async def list_waiting(tx: Tx, limit: int) -> list[Flagged]:
    """What nobody has looked at, of all accounts, the newest first."""
    sql = """SELECT id, side, scores, text, created_at FROM chat.flagged
             WHERE reviewed_at IS NULL ORDER BY id DESC LIMIT $1"""
    return await tx.rows(Flagged, sql, limit)


async def note_reviewed(tx: Tx, ids: Sequence[int]) -> int:
    """Somebody has looked at these. How many were waiting."""
    sql = "UPDATE chat.flagged SET reviewed_at = now() WHERE id = ANY($1::bigint[]) AND reviewed_at IS NULL"
    return await tx.execute(sql, list(ids))
