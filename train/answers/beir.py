"""Writes the labelled collections as BEIR folders, for `tenfold eval answers --set DIR/docstrings`.

    python train/answers/beir.py DIR [--most 3000]

`docstrings` is made of the documentation inside installed packages, of those that nothing was trained on; `xquad` is
written where it is at hand. What is written is the same each time on the same packages.
"""

import argparse
import sys
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parent))

import labelled
from labelled import Collection


def write(collection: Collection, folder: Path) -> None:
    """One document a passage, and each question with the passage that answers it."""
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    documents = [{"_id": f"d{number}", "title": "", "text": text} for number, text in enumerate(collection.passages)]
    questions = [{"_id": f"q{number}", "text": text} for number, (text, _) in enumerate(collection.questions)]
    rows = [f"q{number}\td{place}\t1\n" for number, (_, place) in enumerate(collection.questions)]
    for name, entries in (("corpus", documents), ("queries", questions)):
        (folder / f"{name}.jsonl").write_bytes(b"".join(msgspec.json.encode(each) + b"\n" for each in entries))
    (folder / "qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(rows))
    print(f"{folder}: {len(documents):,} documents, {len(questions):,} questions")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--most", type=int, default=3000, metavar="N", help="documents of the generated collection")
    options = parser.parse_args()
    write(labelled.docstrings(most=options.most), options.folder / "docstrings")
    if labelled.XQUAD.is_file():
        write(labelled.xquad(), options.folder / "xquad")


if __name__ == "__main__":
    main()
