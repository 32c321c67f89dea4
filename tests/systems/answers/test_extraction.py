"""What documents say: each kind as its author meant it, and files that are broken or mean harm."""

import io
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from tenfold.platform.jobs import ConfinedFailed
from tenfold.platform.jobs.confined import confined
from tenfold.systems.answers.engine import archives
from tenfold.systems.answers.engine.extraction import extract
from tenfold.systems.answers.engine.pdf import Line, joined, without_edges
from tenfold.systems.answers.errors import ArchiveRefused, DocumentTooLong, UnreadableDocument
from tenfold.systems.answers.types.reading import Extract

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def told(document: Extract) -> list[tuple[str, int, str]]:
    return [(each.kind, each.level, document.text[each.start : each.end]) for each in document.blocks]


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def pdf(pages: list[list[tuple[float, str]]], *, title: str = "", flags: int = 32) -> bytes:
    """A PDF whose pages have lines of a size each, written by hand."""
    described = b"<</Type/FontDescriptor/FontName/Any/Flags %d>>" % flags
    font = b"<</Type/Font/Subtype/TrueType/BaseFont/Any/FontDescriptor %s>>" % described
    objects = [b"<</Type/Catalog/Pages 2 0 R>>", b"", font]
    kids = []
    for lines in pages:
        at, parts = 780.0, []
        for size, text in lines:
            at -= 1.3 * size
            parts.append(f"BT /F1 {size} Tf 60 {at} Td ({text}) Tj ET")
        stream = "\n".join(parts).encode("latin-1")
        objects.append(b"<</Length %d>>stream\n%s\nendstream" % (len(stream), stream))
        page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents %d 0 R/Resources<</Font<</F1 3 0 R>>>>>>"
        objects.append(page % len(objects))
        kids.append(b"%d 0 R" % len(objects))
    objects[1] = b"<</Type/Pages/Kids[%s]/Count %d>>" % (b" ".join(kids), len(kids))
    objects.append(b"<</Title(%s)>>" % title.encode())
    out, places = io.BytesIO(b"%PDF-1.4\n"), []
    out.seek(0, io.SEEK_END)
    for number, content in enumerate(objects, 1):
        places.append(out.tell())
        out.write(b"%d 0 obj%s endobj\n" % (number, content))
    start = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    out.write(b"".join(b"%010d 00000 n \n" % place for place in places))
    out.write(
        b"trailer<</Size %d/Root 1 0 R/Info %d 0 R>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, len(objects), start)
    )
    return out.getvalue()


def word(body: str, styles: str = "") -> bytes:
    head = '<?xml version="1.0"?>'
    files = {
        "word/document.xml": f'{head}<w:document xmlns:w="{WORD}"><w:body>{body}</w:body></w:document>'.encode(),
        "word/styles.xml": f'{head}<w:styles xmlns:w="{WORD}">{styles}</w:styles>'.encode(),
    }
    return zipped(files)


def test_markdown() -> None:
    text = """---
title: "Of owls"
---
# Owls

They *hunt* at [night](http://x) with `ears`.
Softly.

- one
  - inner
- two

```py
a = 1

b = 2
```

| kind | weight |
| --- | --- |
| tawny | 450 g |

<div><p>Some <b>HTML</b></p></div>
"""
    document = extract(text.encode(), "owls.md")
    assert document.title == "Of owls"
    assert told(document) == [
        ("heading", 1, "Owls"),
        ("paragraph", 0, "They hunt at night with ears. Softly."),
        ("list", 0, "- one\n- inner\n- two"),
        ("code", 0, "a = 1\n\nb = 2"),
        ("table", 0, "| kind | weight |\n| tawny | 450 g |"),
        ("paragraph", 0, "Some HTML"),
    ]


def test_a_page_without_what_leads_around_it() -> None:
    said = "The tawny owl weighs 450 grams. " * 8
    page = f"""<!doctype html><meta charset=utf-8><title>Tawny owl - Birds</title>
    <nav><a href=/>Home</a></nav><div class="sidebar">Related</div><script>evil()</script>
    <main><h1>Tawny owl<a class=headerlink>¶</a></h1><p>{said}<br>Next <i>line</i>.</p>
    <pre><code>def f():\n    return 1</code></pre>
    <table><tr><th>a<th>b|c<tr><td>1<td>2</table>
    <ul><li>One<ul><li>Inner</ul><li>Two</ul>
    <ul><li><a href=1>a</a><li><a href=2>b</a><li><a href=3>c</a><li><a href=4>d</a></ul>
    <p hidden>unseen</p>Loose text</main><footer>Imprint</footer>"""
    document = extract(page.encode(), "owl.html")
    assert document.title == "Tawny owl - Birds"
    assert told(document) == [
        ("heading", 1, "Tawny owl"),
        ("paragraph", 0, f"{said.strip()}\nNext line."),
        ("code", 0, "def f():\n    return 1"),
        ("table", 0, "| a | b\\|c |\n| 1 | 2 |"),
        ("list", 0, "- One\n- Inner\n- Two"),
        ("paragraph", 0, "Loose text"),
    ]


def test_a_section_may_have_the_name_of_what_leads_around() -> None:
    """Generators of documentation make ids of titles."""
    page = """<body><div id=docs-bottom-navigation>Previous: Syntax</div><div id=docs-copyright>By somebody</div>
    <section id=menu><h2>Menu</h2><p>Menus pop up.</p></section>
    <div class=section id=toc><h2 id=related>TOC</h2><p>A list.</p></div>"""
    assert told(extract(page.encode(), "widgets.html")) == [
        ("heading", 2, "Menu"),
        ("paragraph", 0, "Menus pop up."),
        ("heading", 2, "TOC"),
        ("paragraph", 0, "A list."),
    ]


def test_plain_text() -> None:
    text = (
        "Owls\n====\n\nThey are quiet and they are large and they\nare seldom seen by anybody at day.\n\n"
        "    $ hoot --loud\n\n* one\n* two\n\nVoice\n-----\n\nName: owl\nClass: bird\n"
    )
    assert told(extract(text.encode(), "owls.rst")) == [
        ("heading", 1, "Owls"),
        ("paragraph", 0, "They are quiet and they are large and they\nare seldom seen by anybody at day."),
        ("code", 0, "$ hoot --loud"),
        ("list", 0, "* one\n* two"),
        ("heading", 2, "Voice"),
        ("paragraph", 0, "Name: owl\nClass: bird"),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings(encoding: str) -> None:
    said = "Die Eule hört sehr gut, größer als ein Käuzchen ist sie auch. Überall in Österreich gibt es Eulen."
    assert extract(said.encode(encoding), "eule.txt").text == said


def test_word() -> None:
    styles = (
        '<w:style w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>'
        '<w:style w:styleId="Mein"><w:name w:val="Mein Titel"/><w:basedOn w:val="berschrift1"/></w:style>'
    )
    body = (
        '<w:p><w:pPr><w:pStyle w:val="berschrift1"/></w:pPr><w:r><w:t>Eulen</w:t></w:r></w:p>'
        "<w:p><w:r><w:t>Sie jagen </w:t></w:r><w:r><w:t>nachts.</w:t></w:r></w:p>"
        '<w:p><w:pPr><w:pStyle w:val="Mein"/></w:pPr><w:r><w:t>Arten</w:t></w:r></w:p>'
        "<w:p><w:pPr><w:numPr/></w:pPr><w:r><w:t>Kauz</w:t></w:r></w:p>"
        "<w:p><w:pPr><w:numPr/></w:pPr><w:r><w:t>Uhu</w:t></w:r></w:p>"
        "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>Art</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>g</w:t></w:r></w:p></w:tc></w:tr>"
        "<w:tr><w:tc><w:p><w:r><w:t>Uhu</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>2500</w:t></w:r></w:p></w:tc></w:tr></w:tbl>"
    )
    assert told(extract(word(body, styles), "eulen.docx")) == [
        ("heading", 1, "Eulen"),
        ("paragraph", 0, "Sie jagen nachts."),
        ("heading", 1, "Arten"),
        ("list", 0, "- Kauz\n- Uhu"),
        ("table", 0, "| Art | g |\n| Uhu | 2500 |"),
    ]


def test_a_table() -> None:
    document = extract(b'name;weight\n"owl; tawny";450\n\nbarn owl;300\n', "birds.csv")
    assert told(document) == [("table", 0, "| name | weight |\n| owl; tawny | 450 |\n| barn owl | 300 |")]


def test_a_pdf_has_headings_pages_and_no_running_titles() -> None:
    prose = ["Owls are quiet since the edges of their feath-", "ers are soft, which breaks up the air. They"]
    names = ("one", "two", "three", "four")
    pages = [
        [(8, "The book of owls"), (20, f"Chapter {name}")]
        + [(11.0, line) for line in (*prose, f"are {name}.")]
        + [(8.0, f"- {n} -")]
        for n, name in enumerate(names, 1)
    ]
    document = extract(pdf(pages, title="Owls"), "owls.pdf")
    assert (document.title, document.pages) == ("Owls", 4)
    said = "Owls are quiet since the edges of their feathers are soft, which breaks up the air. They are"
    chapters = [[("heading", 1, f"Chapter {name}"), ("paragraph", 0, f"{said} {name}.")] for name in names]
    assert told(document) == [each for chapter in chapters for each in chapter]
    assert [each.page for each in document.blocks] == [1, 1, 2, 2, 3, 3, 4, 4]


def test_a_pdf_has_no_names_of_chapters_above_its_pages_and_no_table_of_contents() -> None:
    contents = [
        (20.0, "Contents"),
        (11.0, "Owls . . . . . . . . 2"),
        (11.0, "Mice ........ iv"),
        (11.0, "Wait . . . ."),
    ]
    parts = [("Owls", "Habits", what) for what in ("fly", "hunt", "nest")]
    parts += [("Mice", what.title(), what) for what in ("hide", "run", "eat", "dig", "sleep")]
    pages = [
        [(9.0, chapter), (20.0, title), (11.0, f"The one that {what}s is seen."), (11.0, f"Others {what} too.")]
        for chapter, title, what in parts
    ]
    document = extract(pdf([contents, *pages]), "animals.pdf")
    assert told(document)[:2] == [("heading", 1, "Contents"), ("paragraph", 0, "Wait . . . .")]
    # What is large is a title, as on slides that go on, and stays.
    assert told(document)[2:] == [
        each
        for _, title, what in parts
        for each in (("heading", 1, title), ("paragraph", 0, f"The one that {what}s is seen. Others {what} too."))
    ]


def test_code_in_a_pdf_is_told_by_its_letters() -> None:
    apart = "let) Tj 30 0 Td (z;"  # without a space between its words, as browsers write it
    document = extract(pdf([[(11.0, apart), (11.0, "z = y;")]], flags=33), "a.pdf")  # 1: of fixed width
    assert told(document) == [("code", 0, "let z;\nz = y;")]


def test_lines_of_a_pdf() -> None:
    assert joined(iter(["an ex-", "ample of Anglo-", "Saxon \ufb01sh"])) == "an example of Anglo- Saxon fish"
    line = SimpleNamespace(size=10.0, bold=False, fixed=False, left=0.0, bottom=0.0)
    few = [Line(page, f"{page} of 2", **vars(line), top=10.0) for page in (1, 2)]
    assert without_edges(few, 2) == few  # two pages repeat nothing


@pytest.mark.parametrize(
    ("data", "name", "reason"),
    [
        (b"", "a.txt", "it is empty"),
        (b" \n ", "a.md", "it is empty"),
        (b"\x00\x01\x02\x03" * 100, "a.txt", "it isn't text"),
        (b"MZ\x90", "a.exe", "none of PDF"),
        (b"%PDF-1.7\nnothing", "a.pdf", "it is broken"),
        (pdf([[]]), "a.pdf", "no text, only pictures"),
        (b"PK\x03\x04broken", "a.docx", "broken, or encrypted"),
        (zipped({"other": b""}), "a.docx", "no document of Word"),
        (b"<html><script>1</script></html>", "a.html", "there is no text in it"),
        (
            zipped({"word/document.xml": b'<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]><a>&c;</a>'}),
            "a.docx",
            "declares a document type",
        ),
        (zipped({"word/document.xml": b" " * (300 * 1024 * 1024)}), "a.docx", "unpacks to more than 256 MB"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_says_why(data: bytes, name: str, reason: str) -> None:
    with pytest.raises(UnreadableDocument, match=reason):
        extract(data, name)


def test_bounds() -> None:
    with pytest.raises(DocumentTooLong):
        extract(b"word " * 300, "a.txt", characters=1000)
    with pytest.raises(UnreadableDocument, match="3 pages"):
        extract(pdf([[(11, "x")]] * 3), "a.pdf", pages=2)


def test_deep_nesting_is_read_all_the_same() -> None:
    depth = 20_000
    page = "<div>" * depth + "<p>the deepest owl</p>" + "</div>" * depth
    assert "the deepest owl" in extract(page.encode(), "deep.html").text
    assert "owl" in extract(("> " * 5000 + "owl").encode(), "deep.md").text


async def test_what_takes_too_much_ends_alone(tmp_path: Path) -> None:
    """In a process of its own, as documents are read."""
    huge = b",".join([b"cell"] * 200) + b"\n"
    with pytest.raises(ConfinedFailed):
        await confined(extract, (huge * 20_000, "a.csv"), seconds=60, memory=256 * 1024**2)
    said = await confined(extract, (b"# Owl\n\nQuiet.", "a.md"), seconds=60, memory=1024**3)
    assert said["title"] == "Owl"


def test_archives() -> None:
    files = {"docs/a.md": b"a", "__MACOSX/x": b"", "docs/.DS_Store": b"", "docs/sub/b.txt": b"bb"}
    limits = {"most": 10, "each": 1000, "together": 10_000}
    assert list(archives.members(zipped(files), **limits)) == [("docs/a.md", b"a"), ("docs/sub/b.txt", b"bb")]


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"../../etc/passwd": b"x"}, "leads out of it"),
        ({"/etc/passwd": b"x"}, "leads out of it"),
        ({f"{n}": b"" for n in range(11)}, "has 11 files"),
        ({"bomb": b"0" * 100_000}, "larger than"),
        ({f"{n}": b"0" * 900 for n in range(5)}, "too large together"),
    ],
)
def test_archives_that_mean_harm(files: dict[str, bytes], reason: str) -> None:
    with pytest.raises(ArchiveRefused, match=reason):
        list(archives.members(zipped(files), most=10, each=1000, together=3000))
    with pytest.raises(ArchiveRefused):
        list(archives.members(b"PK\x03\x04nothing", most=1, each=1, together=1))
