"""What can be said of a picture without a model that sees: its measures, its colours, and what is written on it."""

from io import BytesIO
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from tenfold.systems.chat.engine.extraction import Unreadable

if TYPE_CHECKING:
    from rapidocr import RapidOCR

FORMATS: Final = ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "BMP", "TIFF")
MOST_PIXELS: Final = 40_000_000
#: Pixels of the longer side of what is read: on larger ones letters of a usual size are found as well.
MOST_SIDE: Final = 2000
#: How sure the recognition has to be of a line, from 0 to 1.
SURE: Final = 0.6
INTRODUCTION: Final = (
    "No vision model has looked at this picture. What follows was measured, and read by optical character recognition "
    "(OCR), which can be wrong; what the picture shows beside text isn't known."
)
#: Colours by name, as people would say them, in red, green and blue.
NAMES: Final = {
    "black": (0, 0, 0), "dark grey": (70, 70, 70), "grey": (128, 128, 128), "light grey": (200, 200, 200),
    "white": (255, 255, 255), "red": (210, 30, 30), "dark red": (120, 10, 20), "orange": (245, 140, 20),
    "brown": (120, 75, 35), "beige": (230, 215, 180), "yellow": (245, 220, 40), "olive": (120, 120, 30),
    "green": (40, 150, 60), "dark green": (15, 70, 35), "light green": (150, 220, 140), "turquoise": (60, 200, 195),
    "light blue": (150, 195, 240), "blue": (40, 90, 210), "dark blue": (15, 30, 95), "purple": (125, 50, 165),
    "pink": (240, 140, 190),
}  # fmt: skip

Image.MAX_IMAGE_PIXELS = None  # the library's own limit only warns; ours is checked before anything is decoded


def describe(data: bytes) -> tuple[str, str]:
    """A description that says how it came about, and that in few words. Raises Unreadable."""
    try:
        source = Image.open(BytesIO(data), formats=FORMATS)
        if source.width * source.height > MOST_PIXELS:
            raise Unreadable(f"a picture has at most {MOST_PIXELS} pixels")
        kind, frames = str(source.format), getattr(source, "n_frames", 1)
        image = ImageOps.exif_transpose(source)
        clear = image.has_transparency_data
        canvas = Image.new("RGBA", image.size, "white")
        canvas.alpha_composite(image.convert("RGBA"))
        image = canvas.convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise Unreadable("the picture is broken") from error
    codes, lines = _read_codes(image), recognise(image)
    told = [
        INTRODUCTION,
        f"Format: {kind}, {image.width} x {image.height} pixels, {_shape(image)}"
        + (f", {frames} frames, of which this is the first" if frames > 1 else "")
        + (", partly transparent" if clear else "")
        + ".",
        f"Colours: {_colours(image)}; {_look(image)}.",
        *(f"QR code: {code}" for code in codes),
        "Text by OCR, from top to bottom:\n" + "\n".join(lines) if lines else "No text was found by OCR.",
    ]
    return "\n".join(told), f"a picture ({kind}), measured and read by OCR, without a vision model"


def recognise(image: Image.Image) -> list[str]:
    """Lines of text on a picture, from top to bottom."""
    if min(image.size) < 8:
        return []
    small = image.copy()
    small.thumbnail((MOST_SIDE, MOST_SIDE))
    found = _recogniser()(np.asarray(small)[:, :, ::-1])
    texts, scores = getattr(found, "txts", None) or (), getattr(found, "scores", None) or ()
    return [text for text, score in zip(texts, scores, strict=True) if score >= SURE and text.strip()]


_known: list["RapidOCR"] = []


def _recogniser() -> "RapidOCR":
    """Loaded once in a process; its models are inside its package."""
    if not _known:
        from rapidocr import RapidOCR

        threads = {f"EngineConfig.onnxruntime.{each}_op_num_threads": 1 for each in ("intra", "inter")}
        # Text is looked for on at most so many pixels a side; the usual way makes small pictures larger first, which
        # takes five times as long and finds the same.
        search = {"Det.limit_type": "max", "Det.limit_side_len": 1280}
        _known.append(RapidOCR(params={"Global.log_level": "critical", **search, **threads}))
    return _known[0]


def _read_codes(image: Image.Image) -> list[str]:
    import cv2

    small = image.copy()
    small.thumbnail((MOST_SIDE, MOST_SIDE))
    try:
        found, texts, _, _ = cv2.QRCodeDetector().detectAndDecodeMulti(np.asarray(small.convert("L")))
    except cv2.error:
        return []
    return [text for text in texts if text] if found else []


def _shape(image: Image.Image) -> str:
    ratio = image.width / image.height
    return "square" if 0.95 < ratio < 1.05 else "landscape" if ratio > 1 else "portrait"


def _colours(image: Image.Image) -> str:
    """Up to four colours and their shares, each pixel counted for the name that is nearest."""
    small = image.resize((64, 64), Image.Resampling.BOX)
    pixels = np.asarray(small, np.int32).reshape(-1, 1, 3)
    names = np.array(list(NAMES.values()), np.int32)
    nearest = ((pixels - names) ** 2).sum(axis=2).argmin(axis=1)
    shares = np.bincount(nearest, minlength=len(NAMES)) / len(nearest)
    order = [index for index in np.argsort(-shares, kind="stable")[:4] if shares[index] >= 0.02]
    return ", ".join(f"{list(NAMES)[index]} {shares[index]:.0%}" for index in order)


def _look(image: Image.Image) -> str:
    """Drawings and screenshots repeat few colours exactly; what a camera took repeats none."""
    small = image.copy()
    small.thumbnail((256, 256), Image.Resampling.NEAREST)
    counts = sorted((count for count, _ in small.getcolors(256 * 256) or ()), reverse=True)
    share = sum(counts[:16]) / (small.width * small.height)
    if share > 0.7:
        return "few colours in plain areas, as in a drawing, a diagram or a screenshot"
    return "many shades, as in a photograph or a rendering" if share < 0.3 else "some plain areas and some shades"
