"""What answers does when something happened."""

from tenfold.platform.bus import consumer
from tenfold.platform.db import Tx
from tenfold.platform.jobs import JobEnded
from tenfold.systems.answers.actions import ingestion
from tenfold.systems.answers.actions.context import Answers


@consumer(JobEnded, name="answers-fail-documents")
async def fail_documents(tx: Tx, event: JobEnded, answers: Answers) -> None:
    """Say so of documents whose job was given up, or cancelled, before it came to them."""
    if event.kind == ingestion.ingest.name and event.state in ("failed", "cancelled"):
        await ingestion.give_up(answers, tx, event.id, event.state)
