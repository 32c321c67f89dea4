"""Print a benchmark's results as Markdown: `python bench/table.py links`."""

import sys
from pathlib import Path

import msgspec

from measure import Report, cells


def table(report: Report) -> str:
    """The rows, under a line that says where and how they were measured."""
    head = ["claim", "measured", "limit in the same run", "ratio", "verdict"]
    rows = [head, ["---"] * len(head), *(cells(row) for row in report.rows)]
    machine = ", ".join(report.machine.values())
    about = f"`{report.command}`, {report.date[:10]}; {machine}; Python {report.versions['python']}."
    return "\n".join([about, "", *(f"| {' | '.join(row)} |" for row in rows), "", *report.notes])


if __name__ == "__main__":
    file = Path(__file__).parent / "results" / f"{sys.argv[1]}.json"
    print(table(msgspec.json.decode(file.read_bytes(), type=Report)))
