"""Answers over real documentation: Markdown, HTML and PDF of three packages, and what somebody asks of it."""

import asyncio
import gzip
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.journeys.conftest import House

from tenfold.platform.testing import models_of_tests
from tenfold.systems.answers.rules.prompting import UNKNOWN

pytestmark = pytest.mark.journey

HERE = Path(__file__).parent / "answers"
QUESTIONS = tomllib.loads((HERE / "questions.toml").read_text())
#: Packages with their versions, and which files of their archives are documentation.
PINNED = dict(re.findall(r"^(\w+)==(\S+)", (HERE / "packages.txt").read_text(), re.MULTILINE))
WANTED = {"structlog": "docs/*.md", "mako": "doc/*.html"}
#: Where Debian's bzip2-doc puts the manual, compressed or not.
MANUAL = Path("usr/share/doc/bzip2/manual.pdf")
SHOWN = 5
ACCOUNT = "ada"


def archive(name: str, folder: Path) -> Path:
    """The archive of a package's sources, kept from one run to the next."""
    kept = folder / f"{name}-{PINNED[name]}.tar.gz"
    if not kept.exists():
        how = "--disable-pip-version-check", "--quiet", "--no-deps", "--require-hashes", "--no-binary", ",".join(PINNED)
        what = "--requirement", HERE / "packages.txt", "--dest", folder
        subprocess.run([sys.executable, "-m", "pip", "download", *how, *what], check=True)
    return kept


def manual(folder: Path) -> bytes:
    """The manual of bzip2: where its package is installed, else out of the package, which is fetched then."""
    for root in (Path("/"), folder):
        for path in (root / MANUAL, (root / MANUAL).with_suffix(".pdf.gz")):
            if path.exists():
                data = path.read_bytes()
                return gzip.decompress(data) if path.suffix == ".gz" else data
    if shutil.which("apt-get") is None:
        pytest.skip("the manual of bzip2 comes with Debian's package bzip2-doc")
    subprocess.run(["apt-get", "-qq", "download", "bzip2-doc"], cwd=folder, check=True)
    [package] = folder.glob("bzip2-doc*.deb")
    subprocess.run(["dpkg-deb", "--extract", package, folder], check=True)
    package.unlink()
    return manual(folder)


def lay_out(place: Path) -> None:
    """Put the documents into a folder, each package's into one of its own."""
    folder = models_of_tests().directory.parent / "documents"
    folder.mkdir(parents=True, exist_ok=True)
    for name, pattern in WANTED.items():
        (place / name).mkdir(parents=True)
        with tarfile.open(archive(name, folder)) as opened:
            for member in opened:
                if fnmatch(member.name, f"{name}-{PINNED[name]}/{pattern}") and (file := opened.extractfile(member)):
                    (place / name / Path(member.name).name).write_bytes(file.read())
    (place / "bzip2").mkdir()
    (place / "bzip2" / "manual.pdf").write_bytes(manual(folder))


@dataclass
class Library:
    client: httpx.AsyncClient
    path: str

    async def documents(self) -> list[dict[str, Any]]:
        answer = await self.client.get(f"{self.path}/documents", params={"limit": 100})
        return list(answer.raise_for_status().json()["items"])

    async def ask(self, question: str) -> dict[str, Any]:
        answer = await self.client.post(f"{self.path}/ask", json={"question": question})
        return dict(answer.raise_for_status().json())


@pytest.fixture(scope="module")
async def library(shared_house: House) -> AsyncIterator[Library]:
    models = models_of_tests()
    if not models.present("minilm"):
        await models.pull("minilm")
    house = shared_house
    house.environment |= {
        "TENFOLD_MODELS": str(models.directory),
        "TENFOLD_ONLY": "answers",
        "TENFOLD_ANSWERS_ANSWERER": "quoted",
        "TENFOLD_TIERS": '{"fast": {"endpoints": []}}',
    }
    place = house.data.parent / "documents"
    await asyncio.to_thread(lay_out, place)
    house.empty()
    await house.up()
    account = "--name", ACCOUNT, "--password", "correct horse battery", "--tier", "enterprise"
    status, said = await house.run("account", "create", *account)
    assert status == 0, said
    status, said = await house.run("answers", "add", str(place), "--collection", "Manuals", "--account", ACCOUNT)
    assert status == 0, said
    status, key = await house.run("account", "key", "--name", ACCOUNT)
    assert status == 0, key
    headers = {"Authorization": f"Bearer {key.strip()}"}
    async with httpx.AsyncClient(base_url=f"{house.url}/answers/api", headers=headers, timeout=30) as client:
        [collection] = (await client.get("/collections")).raise_for_status().json()["items"]
        library = Library(client, f"/collections/{collection['id']}")
        async with asyncio.timeout(240):
            while (await client.get(library.path)).raise_for_status().json()["reading"]:  # noqa: ASYNC110 - it is of another process
                await asyncio.sleep(0.5)
        yield library


async def test_every_document_is_read(library: Library) -> None:
    documents = await library.documents()
    assert {each["kind"] for each in documents} == {"markdown", "html", "pdf"}
    assert {each["state"] for each in documents} == {"ready"}, [each for each in documents if each["reason"]]


async def test_what_answers_a_question_is_among_the_first_five(library: Library) -> None:
    missed, known = [], 0
    for each in QUESTIONS["answerable"]:
        answer = await library.ask(each["ask"])
        shown = [" ".join(passage["text"].split()) for passage in answer["passages"]]
        assert len(shown) == SHOWN
        if not any(said in text for said in each["says"] for text in shown):
            missed.append(each["ask"])
        if answer["known"]:
            known += 1
            assert all(set(each["citations"]) <= {1, 2, 3, 4, 5} for each in answer["sentences"])
            assert answer["faithfulness"] == 1.0
    assert len(QUESTIONS["answerable"]) == 30
    assert len(missed) <= 3, missed
    # Somebody who never knows anything is never wrong.
    assert known >= 15


async def test_what_no_document_says_is_not_known(library: Library) -> None:
    """Of what is far from the documents nothing is; of what is near a little is, as the decision about it tells."""
    answered = []
    for each in QUESTIONS["unanswerable"]:
        answer = await library.ask(each["ask"])
        assert answer["known"] or answer["text"] == UNKNOWN
        if answer["known"]:
            answered.append((each["ask"], answer["confidence"], answer["text"]))
            assert not each.get("far"), answered
    assert len(QUESTIONS["unanswerable"]) == 10
    assert len(answered) <= 2, answered
