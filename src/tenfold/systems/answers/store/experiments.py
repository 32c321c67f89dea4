"""SQL of outcomes and experiments."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from tenfold.platform.db import Tx
from tenfold.systems.answers.types.experiments import Experiment, Outcome, Ratio, Tally, Unit


async def owns(tx: Tx, account_id: int, collection_id: int) -> bool:
    """Whether a collection is an account's."""
    sql = "SELECT true FROM answers.collection WHERE id = $1 AND account_id = $2"
    return bool(await tx.value(sql, collection_id, account_id))


# Outcomes


async def insert_outcome(tx: Tx, collection_id: int, outcome: Outcome) -> bool:
    """Keep how a question went. False when that is known already."""
    sql = """INSERT INTO answers.outcome (collection_id, id, account_id, conversation_id, variant, state, cached, took,
                 faithfulness, shown)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING"""
    return await tx.execute(sql, collection_id, *msgspec.structs.astuple(outcome)) == 1


async def add_click(tx: Tx, collection_id: int, id: int, rank: int) -> bool:
    """A passage was clicked; the first in the ranking is what counts. False where so many weren't shown."""
    sql = """UPDATE answers.outcome SET clicked = least(clicked, $3)
             WHERE collection_id = $1 AND id = $2 AND $3 BETWEEN 1 AND shown"""
    return await tx.execute(sql, collection_id, id, rank) == 1


async def update_feedback(tx: Tx, collection_id: int, id: int, *, good: bool) -> bool:
    """Thumbs up or down; up accepts. False when there is no such answer."""
    sql = """UPDATE answers.outcome SET good = $3, accepted = accepted OR $3
             WHERE collection_id = $1 AND id = $2"""
    return await tx.execute(sql, collection_id, id, good) == 1


async def update_accepted(tx: Tx, collection_id: int, id: int) -> bool:
    """The answer was taken over. False when there is no such answer."""
    sql = "UPDATE answers.outcome SET accepted = true WHERE collection_id = $1 AND id = $2"
    return await tx.execute(sql, collection_id, id) == 1


async def list_tallies(tx: Tx, collection_id: int, since: datetime) -> list[Tally]:
    """Outcomes added up: all, by day (of UTC, the oldest first), and by variant."""
    sql = """SELECT day, CASE WHEN grouping(variant) = 0 THEN variant END AS variant,
                 count(*) AS questions, count(DISTINCT account_id) AS users,
                 count(DISTINCT conversation_id) AS sessions,
                 count(DISTINCT conversation_id) FILTER (WHERE state = 'answered') AS successful,
                 count(*) FILTER (WHERE accepted) AS accepted, count(good) AS rated,
                 count(*) FILTER (WHERE good) AS good, count(*) FILTER (WHERE shown > 0) AS shown,
                 count(clicked) AS clicked, coalesce(sum(1.0::float8 / clicked), 0) AS reciprocal,
                 count(*) FILTER (WHERE state = 'unknown') AS unknown,
                 count(*) FILTER (WHERE state = 'failed') AS failed, count(*) FILTER (WHERE state = 'late') AS late,
                 count(*) FILTER (WHERE cached) AS cached, avg(took) AS latency_mean,
                 percentile_cont(0.5) WITHIN GROUP (ORDER BY took) AS latency_p50,
                 percentile_cont(0.95) WITHIN GROUP (ORDER BY took) AS latency_p95,
                 percentile_cont(0.99) WITHIN GROUP (ORDER BY took) AS latency_p99,
                 avg(faithfulness) AS faithfulness
             FROM (SELECT *, (created_at AT TIME ZONE 'UTC')::date AS day FROM answers.outcome
                   WHERE collection_id = $1 AND created_at >= $2) o
             GROUP BY GROUPING SETS ((), (day), (variant)) ORDER BY day, variant"""
    return await tx.rows(Tally, sql, collection_id, since)


# Experiments


class Counted(msgspec.Struct, frozen=True):
    """What outcomes of a variant come to: see Ratio. `label` is how their rows name it."""

    label: str
    units: int
    questions: int
    accepted: int
    squared_accepted: int
    products_accepted: int
    #: Of answers that showed passages.
    shown: int
    clicked: int
    squared_clicked: int
    products_clicked: int
    squared_questions: int
    squared_shown: int
    #: Milliseconds.
    latency_mean: float
    latency_variance: float

    def ratio(self, metric: str) -> Ratio:
        if metric == "clicks":
            return Ratio(
                units=self.units, successes=self.clicked, trials=self.shown, squared_successes=self.squared_clicked,
                squared_trials=self.squared_shown, products=self.products_clicked,
            )  # fmt: skip
        return Ratio(
            units=self.units, successes=self.accepted, trials=self.questions, squared_successes=self.squared_accepted,
            squared_trials=self.squared_questions, products=self.products_accepted,
        )  # fmt: skip


async def list_counted(tx: Tx, collection_id: int, labels: Sequence[str], unit: Unit) -> list[Counted]:
    """What the variants of an experiment came to, by who stays with one."""
    column = "account_id" if unit == "account" else "conversation_id"
    sql = f"""WITH each AS (
                  SELECT variant, count(*) AS n, count(*) FILTER (WHERE accepted) AS a,
                      count(*) FILTER (WHERE shown > 0) AS s, count(clicked) AS c,
                      sum(took) AS took, sum(took * took) AS squared
                  FROM answers.outcome WHERE collection_id = $1 AND variant = ANY($2::text[])
                  GROUP BY variant, {column})
              SELECT variant AS label, count(*) AS units, sum(n)::bigint AS questions, sum(a)::bigint AS accepted,
                  sum(a * a)::bigint AS squared_accepted, sum(a * n)::bigint AS products_accepted,
                  sum(s)::bigint AS shown, sum(c)::bigint AS clicked, sum(c * c)::bigint AS squared_clicked,
                  sum(c * s)::bigint AS products_clicked, sum(n * n)::bigint AS squared_questions,
                  sum(s * s)::bigint AS squared_shown, (sum(took) / sum(n))::float8 AS latency_mean,
                  coalesce((sum(squared) - sum(took) ^ 2 / sum(n)) / nullif(sum(n) - 1, 0), 0)::float8
                      AS latency_variance
              FROM each GROUP BY variant"""  # noqa: S608 - ours
    return await tx.rows(Counted, sql, collection_id, list(labels))


class _Kept(msgspec.Struct, frozen=True):
    id: int
    collection_id: int
    name: str
    unit: str
    metric: str
    variants: list[dict[str, object]]
    needed: int
    begun_at: datetime
    ended_at: datetime | None

    @property
    def whole(self) -> Experiment:
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        return msgspec.convert({**fields, "id": str(self.id), "collection_id": str(self.collection_id)}, Experiment)


async def insert_experiment(tx: Tx, collection_id: int, id: int, experiment: Experiment) -> bool:
    """Begin an experiment. False while another runs on the collection."""
    sql = """INSERT INTO answers.experiment (collection_id, id, name, unit, metric, variants, needed, begun_at)
             VALUES ($1, $2, $3, $4, $5, $6::jsonb, $7, $8)
             ON CONFLICT (collection_id) WHERE ended_at IS NULL DO NOTHING"""
    each = experiment
    variants: list[object] = [msgspec.to_builtins(variant) for variant in each.variants]
    count = await tx.execute(
        sql, collection_id, id, each.name, each.unit, each.metric, variants, each.needed, each.begun_at
    )
    return count == 1


async def list_experiments(tx: Tx, collection_id: int, before: int, limit: int) -> list[Experiment]:
    """Experiments of a collection, the newest first."""
    sql = """SELECT * FROM answers.experiment WHERE collection_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3"""
    return [each.whole for each in await tx.rows(_Kept, sql, collection_id, before, limit)]


async def find_experiment(tx: Tx, collection_id: int, id: int) -> Experiment | None:
    sql = "SELECT * FROM answers.experiment WHERE collection_id = $1 AND id = $2"
    found = await tx.find(_Kept, sql, collection_id, id)
    return None if found is None else found.whole


async def find_running(tx: Tx, collection_id: int) -> Experiment | None:
    """The experiment that runs on a collection."""
    sql = "SELECT * FROM answers.experiment WHERE collection_id = $1 AND ended_at IS NULL"
    found = await tx.find(_Kept, sql, collection_id)
    return None if found is None else found.whole


async def update_ended(tx: Tx, collection_id: int, id: int) -> bool:
    """End an experiment. False when there is none that runs."""
    sql = "UPDATE answers.experiment SET ended_at = now() WHERE collection_id = $1 AND id = $2 AND ended_at IS NULL"
    return await tx.execute(sql, collection_id, id) == 1
