"""Reading attached files: what is found in each kind, what bounds it, and that bad files are told and hurt nobody."""

import asyncio
import codecs
import io
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import segno
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from tenfold.platform.errors import Unavailable
from tenfold.systems.chat.engine.reading import Reader
from tenfold.systems.chat.rules.kinds import kind_of
from tenfold.systems.chat.settings import ChatSettings

#: Machines that run tests are slow and shared.
PATIENT = ChatSettings(reading_seconds=120)
PROSE = {
    "cp1252": "Grüße aus Köln: über die schöne Straße gehen die Mädchen täglich zum Bäcker, für Öl und Käse. " * 3,
    "shift_jis": "これは日本語のテキストです。文字コードを推測するために、もう少し長い文章が必要です。",
    "koi8-r": "Широкая электрификация южных губерний даст мощный толчок подъёму сельского хозяйства. " * 3,
    "utf-16": "Hello wörld, said the mark.",
    "utf-16-le": "Hello wörld, without any mark at all.",
    "gb18030": "这是一个用于测试的中文文本。字符编码需要被正确地猜测出来。我们希望它能够工作。" * 2,
}


@pytest.fixture
def reader() -> Iterator[Reader]:
    reader = Reader(PATIENT)
    yield reader
    reader.close()


def limited(**overrides: Any) -> Reader:
    return Reader(msgspec.structs.replace(PATIENT, **overrides))


def pdf(pages: list[list[str]], more: str = "") -> bytes:
    """A PDF whose pages have these lines."""
    kids = " ".join(f"{4 + 2 * index} 0 R" for index in range(len(pages)))
    objects = [
        f"<< /Type /Catalog /Pages 2 0 R {more} >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for index, lines in enumerate(pages):
        stream = "BT /F1 12 Tf 50 780 Td 14 TL " + " ".join(f"({line}) Tj T*" for line in lines) + " ET"
        font = "/Resources << /Font << /F1 3 0 R >> >>"
        objects += [
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {5 + 2 * index} 0 R {font} >>",
            f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream",
        ]
    out, offsets = b"%PDF-1.4\n", []
    for number, each in enumerate(objects, 1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{each}\nendobj\n".encode()
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    end = f"trailer << /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{len(out)}\n%%EOF"
    return out + f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode() + table + end.encode()


def word(body: str, head: str = "", **more: bytes) -> bytes:
    """A document of Word with this body."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        namespace = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
        xml = f'<?xml version="1.0"?>{head}<w:document xmlns:w="{namespace}"><w:body>{body}</w:body></w:document>'
        archive.writestr("word/document.xml", xml)
        for name, data in more.items():
            archive.writestr(name, data)
    return out.getvalue()


def paragraph(text: str, style: str = "") -> str:
    return f'<w:p><w:pPr><w:pStyle w:val="{style}"/></w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>'


def picture(text: str, kind: str = "PNG", size: tuple[int, int] = (700, 200)) -> bytes:
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    draw.text((20, 20), text, fill="black", font=ImageFont.load_default(28))
    draw.rectangle((0, size[1] // 2, size[0], size[1]), fill=(40, 90, 210))
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


@pytest.mark.parametrize("encoding", PROSE)
async def test_text_in_any_encoding(reader: Reader, encoding: str) -> None:
    read = await reader.read(PROSE[encoding].encode(encoding), "notes.txt", "text/plain")
    assert read.text == PROSE[encoding]
    assert read.how.startswith("text, ")
    assert not read.truncated


@pytest.mark.parametrize("name", ["a.md", "a.csv", "a.tsv", "a.json", "a.py", "a", "a.svg"])
async def test_utf_8_is_text_as_it_is_without_what_cant_be_seen(reader: Reader, name: str) -> None:
    read = await reader.read(codecs.BOM_UTF8 + "# a;b\r\n\tnö 1\x00\x1b[0m\n".encode(), name)
    assert (read.text, read.how) == ("# a;b\n\tnö 1[0m\n", "text, UTF-8")


async def test_text_is_cut_at_the_end() -> None:
    reader = limited(reading_characters=10)
    for data in ("ä" * 11, "ä" * 10):
        read = await reader.read(data.encode(), "a.txt")
        assert (read.text, read.truncated) == ("ä" * 10, len(data) == 11)


async def test_a_web_page_is_what_it_shows(reader: Reader) -> None:
    page = """<!doctype html><html><head><title>The title</title><style>p { hidden: 1 }</style></head><body>
    <h2>Heading</h2><p>One <b>bold</b>
    word &amp; <a href="x">a link</a>.</p><script>hidden()</script><ul><li>first<li>second</ul>
    <table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>
    <pre>x = 1\n    y = 2</pre><img alt="a cat" src="x"><noscript>hidden</noscript><br>end"""
    read = await reader.read(page.encode(), "page.html", "text/html")
    assert read.how == "a web page, UTF-8"
    assert "hidden" not in read.text
    assert read.text.split("\n") == [
        "The title", "", "## Heading", "", "One bold word & a link.", "", "- first", "- second", "", "a | b", "1 | 2",
        "", "x = 1", "    y = 2", "", "[picture: a cat]", "end",
    ]  # fmt: skip


async def test_a_web_page_says_its_encoding(reader: Reader) -> None:
    read = await reader.read('<meta charset="windows-1251"><p>Привет'.encode("cp1251"), "a.htm")
    assert (read.text, read.how) == ("Привет", "a web page, WINDOWS-1251")


async def test_a_pdf_page_by_page(reader: Reader) -> None:
    read = await reader.read(pdf([["Hello there", "second line"], [], ["third page"]]), "a.bin")
    assert read.text == "[page 1]\nHello there\nsecond line\n\n[page 3]\nthird page"
    assert (read.how, read.truncated) == ("a PDF, 3 of 3 pages", False)


async def test_a_pdf_has_bounds() -> None:
    long = pdf([[f"page number {number}"] for number in range(9)])
    read = await limited(reading_pages=4).read(long, "a.pdf")
    assert (read.how, read.truncated) == ("a PDF, 4 of 9 pages", True)
    read = await limited(reading_characters=20).read(long, "a.pdf")
    assert (len(read.text), read.truncated) == (20, True)


async def test_a_scanned_pdf_is_read_by_ocr(reader: Reader) -> None:
    read = await reader.read(picture("Invoice 4711 total 12.50", "PDF"), "scan.pdf")
    assert "4711" in read.text
    assert read.how == "a PDF without text: 1 of 1 pages read by OCR"


async def test_a_document_of_word(reader: Reader) -> None:
    cell = "<w:tc>{}</w:tc>".format
    rows = "".join(
        f"<w:tr>{cell(paragraph(left))}{cell(paragraph(right))}</w:tr>" for left, right in (("a", "b"), ("1", "2"))
    )
    body = paragraph("The &amp; title", "Heading2") + paragraph("some text") + f"<w:tbl>{rows}</w:tbl>"
    body += paragraph("an item", "ListParagraph") + "<w:p><w:r><w:t>a</w:t><w:tab/><w:br/><w:t>b</w:t></w:r></w:p>"
    body += "<w:del><w:r><w:delText>deleted</w:delText></w:r></w:del>"
    read = await reader.read(word(body), "letter.docx")
    assert read.how == "a document of Word"
    assert [line for line in read.text.split("\n") if line] == [
        "## The & title", "some text", "a  | b", "1  | 2", "- an item", "a", "b",
    ]  # fmt: skip


async def test_a_picture_is_described_by_what_can_be_measured(reader: Reader) -> None:
    read = await reader.read(picture("Meeting at 14:30 in room 7"), "note.png", "image/png")
    assert read.text.startswith("No vision model has looked at this picture.")
    assert "Format: PNG, 700 x 200 pixels, landscape." in read.text
    assert "blue 5" in read.text
    assert "white 4" in read.text
    assert "few colours in plain areas" in read.text
    assert "Meeting at 14:30 in room 7" in read.text
    assert read.how == "a picture (PNG), measured and read by OCR, without a vision model"


async def test_a_picture_without_text_says_so(reader: Reader) -> None:
    out = io.BytesIO()
    frames = [Image.new("RGBA", (64, 64), colour) for colour in ("red", "#00ff0000")]
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    read = await reader.read(out.getvalue(), "a.gif")
    assert "No text was found by OCR." in read.text
    assert "2 frames" in read.text


def huge() -> bytes:
    out = io.BytesIO()
    Image.new("1", (7000, 7000)).save(out, "PNG")
    return out.getvalue()


async def test_a_qr_code_is_read(reader: Reader) -> None:
    out = io.BytesIO()
    segno.make("https://example.org/a-table").save(out, kind="png", scale=8)
    assert "QR code: https://example.org/a-table" in (await reader.read(out.getvalue(), "code.png")).text


BOMB = b"\0" * 40_000_000
ENTITIES = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
BAD = {
    "nothing": (b"", "a.txt", "an empty file"),
    "binary": (bytes(range(256)) * 10, "a.txt", "no text"),
    "program": (b"\x7fELF" + bytes(1000), "a.txt", "no text"),
    "archive": (word("x"), "a.zip", "an archive"),
    "gzip": (b"\x1f\x8b" + zlib.compress(BOMB), "a.txt", "an archive"),
    "broken pdf": (b"%PDF-1.7\n" + bytes(range(256)) * 100, "a.pdf", "broken"),
    "cut pdf": (pdf([["x"]])[:200], "a.pdf", "broken"),
    "broken word": (word("x")[:-40], "a.docx", "broken"),
    "no word": (b"PK\x03\x04" + bytes(100), "a.docx", "broken"),
    "broken xml": (word("<w:p>"), "a.docx", "broken"),
    "zip bomb": (word(paragraph(" " * 200_000_000)), "a.docx", "unpacks to more than 32 MB"),
    "entity bomb": (
        word(paragraph("&e11;"), f'<!DOCTYPE d [<!ENTITY e0 "lol">{ENTITIES}]>'), "a.docx", "declares a document type",
    ),
    "outer entity": (
        word(paragraph("&e;"), '<!DOCTYPE d [<!ENTITY e SYSTEM "file:///etc/passwd">]>'), "a.docx", "document type",
    ),
    "broken picture": (picture("x")[:300], "a.png", "broken"),
    "huge picture": (huge(), "a.png", "at most 40000000 pixels"),
}  # fmt: skip


@pytest.mark.parametrize("bad", BAD)
async def test_bad_files_are_told(reader: Reader, bad: str) -> None:
    data, name, why = BAD[bad]
    read = await reader.read(data, name)
    assert read.text == ""
    assert why in read.how


async def test_a_file_has_bounds() -> None:
    read = await limited(reading_bytes=10).read(b"x" * 11, "a.txt")
    assert read.how == "not read: it has more than 10 bytes"


async def test_what_takes_too_long_is_killed() -> None:
    page = "<p>" + "<b>" * 3_000_000
    read = await limited(reading_seconds=1).read(page.encode(), "a.html")
    assert read.how == "not read: it takes longer than 1 seconds"


async def test_what_needs_too_much_memory_is_told() -> None:
    read = await limited(reading_memory=150 * 1024 * 1024).read(picture("x", size=(6000, 6000)), "a.png")
    assert "memory" in read.how


async def test_few_are_read_at_once_and_few_wait() -> None:
    reader = limited(reading_waiting=0)
    slow = asyncio.create_task(reader.read(pdf([["x"]]), "a.pdf"))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await reader.read(b"x", "a.txt")
    assert (await slow).text
    assert (await reader.read(b"x", "a.txt")).text == "x"


@given(st.binary(max_size=200), st.text(max_size=20), st.sampled_from(["", "text/html", "image/png"]))
def test_every_file_is_of_some_kind(data: bytes, name: str, media_type: str) -> None:
    assert kind_of(data, name, media_type) in {"text", "html", "pdf", "word", "image", "archive", "binary"}


@given(st.text(min_size=3, alphabet=st.characters(categories=["L", "N", "P"])), st.sampled_from(["utf-8", "utf-16"]))
def test_texts_are_texts(text: str, encoding: str) -> None:
    assert kind_of(text.encode(encoding), "a.txt") in {"text", "image"}
