"""Online evaluation: how each question went is noted, and shown beside what the case study wants."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from time import monotonic

from tenfold.platform import telemetry
from tenfold.platform.db import Tx
from tenfold.platform.identity import Principal
from tenfold.systems.answers.actions.context import Answers
from tenfold.systems.answers.errors import CollectionNotFound
from tenfold.systems.answers.hot import Numbers
from tenfold.systems.answers.rules import online
from tenfold.systems.answers.store import experiments as store
from tenfold.systems.answers.types.experiments import Figures, Outcome

#: Stages of an answer whose times are shown, besides that of the whole query.
STAGES = ("retrieval", "generation")


async def note_outcome(
    tx: Tx, numbers: Numbers, collection_id: int, outcome: Outcome, took: Mapping[str, float] | None = None
) -> None:
    """A question has its answer, or none; `tx` is the one in which the answer is written.

    `took` are milliseconds of "retrieval" and "generation". What is noted twice counts once.
    """
    if not await store.insert_outcome(tx, collection_id, outcome):
        return

    async def count() -> None:
        numbers.asked(outcome.account_id, monotonic())
        numbers.queries += 1
        numbers.cached += outcome.cached
        numbers.unknown += outcome.state == "unknown"
        numbers.failed += outcome.state == "failed"
        numbers.late += outcome.state == "late"
        telemetry.observe("answers", outcome.took / 1000, stage="query")
        for stage in STAGES:
            if took and stage in took:
                telemetry.observe("answers", took[stage] / 1000, stage=stage)

    tx.after_commit(count)


def note_error(kind: str) -> None:
    """Something went wrong while a question was answered: counted by its kind, an error's code."""
    errors = _errors.setdefault(kind, _Errors())
    errors.errors += 1
    telemetry.watch("answers", errors, counters="errors", error_type=kind)


class _Errors:
    def __init__(self) -> None:
        self.errors = 0


_errors: dict[str, _Errors] = {}


async def note_click(tx: Tx, collection_id: int, answer_id: int, rank: int) -> bool:
    """Somebody has opened the passage of this rank, which counts from 1. False where that wasn't shown."""
    return await store.add_click(tx, collection_id, answer_id, rank)


async def note_feedback(tx: Tx, numbers: Numbers, collection_id: int, answer_id: int, *, good: bool) -> bool:
    """Thumbs up, which accepts, or down. False when there is no such answer."""
    if not await store.update_feedback(tx, collection_id, answer_id, good=good):
        return False
    numbers.accepted += good
    return True


async def note_accepted(tx: Tx, numbers: Numbers, collection_id: int, answer_id: int) -> bool:
    """The answer was taken over. False when there is no such answer."""
    if not await store.update_accepted(tx, collection_id, answer_id):
        return False
    numbers.accepted += 1
    return True


async def read_figures(answers: Answers, collection_id: int, principal: Principal, days: int) -> Figures:
    """Figures of a collection's questions of the last days, this one included. Raises CollectionNotFound."""
    account_id = principal.require("answers")
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    async with answers.runtime.db.read() as tx:
        if not await store.owns(tx, account_id, collection_id):
            raise CollectionNotFound
        tallies = await store.list_tallies(tx, collection_id, midnight - timedelta(days=days - 1))
    return online.beside(days, tallies)
