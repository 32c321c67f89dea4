"""How many innocent documents moderation would refuse, by threshold, and how many harmful texts it would catch.

python train/chat/documents.py FILE...
"""

import sys
from pathlib import Path

from labelled import moderation as labelled

from tenfold.systems.chat.actions.files import PART, SHARED
from tenfold.systems.chat.rules import moderation


def worst(text: str) -> float:
    """The highest score of any part of a text, taken apart as a file is."""
    parts = [text[at : at + PART] for at in range(0, len(text), PART - SHARED)]
    return max((max(moderation.moderate(part).scores.values()) for part in parts), default=0.0)


def main() -> None:
    texts = [Path(name).read_text(errors="replace")[:200_000] for name in sys.argv[1:]]
    documents = [worst(text) for text in texts if text.strip()]
    harmful = [worst(each.text) for each in labelled() if each.held and each.labels]
    print(f"{len(documents)} documents of {sum(map(len, texts)):,} characters, {len(harmful)} harmful texts")
    for threshold in (0.5, 0.8, 0.9, 0.95, 0.98, 0.99):
        refused, caught = (
            sum(score >= threshold for score in scores) / max(1, len(scores)) for scores in (documents, harmful)
        )
        print(f"{threshold:5}: {refused:6.1%} of the documents refused, {caught:6.1%} of harmful texts caught")


if __name__ == "__main__":
    main()
