"""A text without its disguises: look-alike letters, invisible characters, leetspeak, stretched and spelt-out words."""

import re
import unicodedata
from collections.abc import Callable

# Letters of other scripts that look like Latin ones (a part of Unicode's confusables, UTS #39, the lower case that
# is seen in practice), and characters that aren't seen at all.
_SHOWN = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u0501\u04bb\u043a\u043c\u0442\u0432\u043d"
    "\u03b1\u03b5\u03bf\u03c1\u03c5\u03b9\u03ba\u03bd\u03c4\u03c7\u0131\u0251\u0261\u1d0f\u1d07\u1d00",
    "aeopcyxijsdhkmtbhaeopuikvtxiagoea",
)
_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff"
    "\u0300-\u036f\U000e0000-\U000e007f]+"
)
_WORD = re.compile(r"[^\W\d_]+")
_SPELT = re.compile(r"(?<![\w'])\w(?:[ .*_-]{1,2}\w){2,20}(?![\w'])")
_STRETCHED = re.compile(r"(\w)\1{2,}")

# A one is an i or an l.
_LEET = [str.maketrans("0134578@$!|+", f"o{one}eastbasi{one}t") for one in "il"]
_MASKED = re.compile(r"[*#%]")


def shown(text: str) -> str:
    """The text in lower case as a reader sees it: compatibility forms (NFKC), look-alikes and marks made plain."""
    if text.isascii():
        return text.lower()
    text = _UNSEEN.sub("", unicodedata.normalize("NFKD", text.lower()))
    return _WORD.sub(_latin, unicodedata.normalize("NFKC", text))


def _latin(match: re.Match[str]) -> str:
    # Only a word that is Latin then is one: Russian words stay what they are.
    word = match[0]
    if word.isascii():
        return word
    plain = word.translate(_SHOWN)
    return plain if plain.isascii() else word


def joined(text: str, known: Callable[[str], bool]) -> str:
    """Words that are spelt out (k i l l, k.i.l.l) as one, if that is a known one."""

    def join(match: re.Match[str]) -> str:
        word = re.sub(r"[\W_]", "", match[0])
        for start in range(min(2, len(word) - 2)):
            if known(word[start:]):
                return f"{' '.join(word[:start])} {word[start:]}"
        return match[0]

    return _SPELT.sub(join, text)


def undisguised(word: str, known: Callable[[str], bool]) -> str | None:
    """The known word that this one stands for (k1ll, f*ck, kiiill), None if there is none."""
    options = [word] if word.isalpha() else [word.translate(table) for table in _LEET]
    if len(_MASKED.findall(word)) == 1:
        options += [_MASKED.sub(vowel, word) for vowel in "uioae"]
    if _STRETCHED.search(word):
        options += [_STRETCHED.sub(to, option) for option in options for to in (r"\1", r"\1\1")]
    return next(filter(known, options), None)
