"""What answers does at length, and by the clock."""

from datetime import timedelta

from tenfold.platform.jobs import schedule
from tenfold.systems.answers.actions import library
from tenfold.systems.answers.actions.context import Answers
from tenfold.systems.answers.actions.ingestion import ingest
from tenfold.systems.answers.actions.library import remove_collection

JOBS = (ingest, remove_collection)


@schedule(every=timedelta(minutes=5), name="answers-remove-objects")
async def remove_objects(answers: Answers) -> None:
    """Remove the objects that nothing needs, also those whose uploads broke off."""
    await library.remove_objects(answers)
