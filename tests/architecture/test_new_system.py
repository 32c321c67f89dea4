"""What `make new-system` lays out is clean and works."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={"PYTHONPATH": str(folder / "src"), "MYPYPATH": str(folder / "src"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_an_empty_flat_passes_the_checks_and_its_own_test(tmp_path: Path) -> None:
    copied = ("src", "tests/conftest.py", "tests/platform/conftest.py", "tools", "pyproject.toml", "README.md")
    for name in (*copied, "web/src/systems/index.ts"):
        source, target = ROOT / name, tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "static"))
        elif source.exists():
            shutil.copy(source, target)
    run(tmp_path, "tools/new_system.py", "notes")
    run(tmp_path, "-m", "ruff", "check", "src/tenfold/systems/notes", "tests/systems/notes", "src/tenfold/app.py")
    run(tmp_path, "-m", "ruff", "format", "--check", "src/tenfold/systems/notes", "tests/systems/notes")
    run(tmp_path, "-m", "mypy", "src/tenfold/systems/notes", "src/tenfold/app.py")
    run(tmp_path, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()")
    assert "2 passed" in run(tmp_path, "-m", "pytest", "tests/systems/notes")
    again = subprocess.run(
        [sys.executable, "tools/new_system.py", "notes"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert again.returncode == 1
    assert "already" in again.stderr
