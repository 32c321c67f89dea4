"""SQL of the ledger."""

from collections.abc import Sequence
from datetime import date, datetime

from tenfold.platform.db import Tx
from tenfold.systems.chat.types import Hour, Spent


async def add_usage(tx: Tx, entries: Sequence[Spent]) -> None:
    sql = """INSERT INTO chat.usage AS u (account_id, day, model, requests, tokens_in, tokens_out, cost)
             SELECT * FROM unnest($1::bigint[], $2::date[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[],
                                  $7::bigint[])
             ON CONFLICT (account_id, day, model) DO UPDATE
             SET requests = u.requests + excluded.requests, tokens_in = u.tokens_in + excluded.tokens_in,
                 tokens_out = u.tokens_out + excluded.tokens_out, cost = u.cost + excluded.cost"""
    ordered = sorted(entries, key=lambda each: (each.account_id, each.day, each.model))
    columns = [[getattr(each, name) for each in ordered] for name in Spent.__struct_fields__]
    await tx.execute(sql, *columns)


async def count_tokens(tx: Tx, account_id: int, day: date) -> int:
    sql = "SELECT coalesce(sum(tokens_in + tokens_out), 0)::bigint FROM chat.usage WHERE account_id = $1 AND day = $2"
    found: int = await tx.value(sql, account_id, day)
    return found


async def list_usage(tx: Tx, account_id: int, since: date) -> list[Spent]:
    sql = """SELECT account_id, day, model, requests, tokens_in, tokens_out, cost FROM chat.usage
             WHERE account_id = $1 AND day >= $2 ORDER BY day, model"""
    return await tx.rows(Spent, sql, account_id, since)


async def add_hours(tx: Tx, hours: Sequence[Hour]) -> None:
    sql = """INSERT INTO chat.hourly AS h (at, model, answers, tokens)
             SELECT * FROM unnest($1::timestamptz[], $2::text[], $3::bigint[], $4::bigint[])
             ON CONFLICT (at, model) DO UPDATE
             SET answers = h.answers + excluded.answers, tokens = h.tokens + excluded.tokens"""
    ordered = sorted(hours, key=lambda each: (each.at, each.model))
    columns = [[getattr(each, name) for each in ordered] for name in Hour.__struct_fields__]
    await tx.execute(sql, *columns)


async def list_hours(tx: Tx, since: datetime) -> list[Hour]:
    return await tx.rows(Hour, "SELECT at, model, answers, tokens FROM chat.hourly WHERE at >= $1", since)
