"""Says how good the finder of personal data is on the labelled texts: python train/chat/pii.py. It isn't trained."""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from labelled import HERE

from tenfold.systems.chat.rules import pii

_MARK = re.compile(r"\[\[(\w+):(.*?)\]\]")


def examples() -> list[tuple[str, set[tuple[str, str]]]]:
    """Texts, and kind and value of what is in them."""
    lines = [line for line in (HERE / "pii.txt").read_text("utf-8").splitlines() if line and line[0] != "#"]
    return [(_MARK.sub(r"\2", line), {(mark[1], mark[2]) for mark in _MARK.finditer(line)}) for line in lines]


def judged() -> tuple[float, float, int, list[str]]:
    """Precision and recall of findings of the right kind at the right place, how many there are, and what is wrong."""
    hits = found = real = 0
    wrong: list[str] = []
    for text, marked in examples():
        seen = {(each.kind, text[each.start : each.end]) for each in pii.find(text) if each.score >= pii.SURE}
        hits, found, real = hits + len(seen & marked), found + len(seen), real + len(marked)
        wrong += [f"{text}: missed {marked - seen}, wrong {seen - marked}"] * (seen != marked)
    return hits / found, hits / real, real, wrong


if __name__ == "__main__":
    precision, recall, count, wrong = judged()
    print(f"precision {precision:.3f}, recall {recall:.3f} of {count} in {len(examples())} texts")
    print(*wrong, sep="\n")
