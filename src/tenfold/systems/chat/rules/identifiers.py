"""What identifies somebody: shapes of numbers and secrets, and the check digits that tell them from other numbers."""

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Iterator

import msgspec
import phonenumbers
from stdnum import iban, luhn
from stdnum.au import tfn
from stdnum.be import nn
from stdnum.bg import egn
from stdnum.br import cpf
from stdnum.ca import sin
from stdnum.ch import ssn as ch_ssn
from stdnum.cn import ric
from stdnum.cz import rc
from stdnum.de import idnr
from stdnum.es import dni, nie
from stdnum.fi import hetu
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.hr import oib
from stdnum.ie import pps
from stdnum.il import idnr as il_idnr
from stdnum.in_ import aadhaar, pan
from stdnum.it import codicefiscale
from stdnum.kr import rrn
from stdnum.mx import curp
from stdnum.nl import bsn
from stdnum.no import fodselsnummer
from stdnum.pl import pesel
from stdnum.pt import nif
from stdnum.ro import cnp
from stdnum.se import personnummer
from stdnum.tr import tckimlik
from stdnum.us import ssn
from stdnum.za import idnr as za_idnr


class Candidate(msgspec.Struct, frozen=True):
    """What may identify somebody, at [start, end) of the piece that was looked at."""

    kind: str
    start: int
    end: int
    #: How sure it is, 0 to 1.
    score: float


#: Characters that belong to a word or a number, and white space that may stand within a number.
INSIDE = "!-~\u00a1-\u052f\u1e00-\u1fff\u2010-\u2015"
GAP = " \t\u00a0\u2007\u2009\u202f"
_MONTHS = (
    "january|february|march|april|may|june|july|august|september|october|november|december"
    "|jan|feb|mar|apr|jun|jul|aug|sept|sep|oct|nov|dec"
    "|januar|februar|märz|mai|juni|juli|oktober|dezember"
    "|janvier|février|mars|avril|juin|juillet|août|septembre|octobre|novembre|décembre"
    "|enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre|octubre|noviembre|diciembre"
    "|gennaio|febbraio|aprile|maggio|giugno|luglio|settembre|ottobre|dicembre"
    "|janeiro|fevereiro|março|maio|junho|julho|setembro|outubro|novembro|dezembro"
)
MONTH = rf"(?:{'|'.join(sorted(set(_MONTHS.split('|')), key=lambda month: (-len(month), month)))})"

# --- e-mail addresses and network addresses -----------------------------------------------------------------------

# Lengths are those of RFC 5321: 64 before the sign, 255 after it, 63 a label.
_EMAIL = re.compile(
    r"(?<![\w.+%-])[\w+%-]{1,64}(?:\.[\w+%-]{1,64}){0,8}"
    r"@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}[^\W\d_](?:[\w-]{0,61}[^\W_])(?![\w-])"
)
_OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_IPV4 = re.compile(rf"(?<![\w.])(?:{_OCTET}\.){{3}}{_OCTET}(?![\w])(?!\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f:]{2,39}(?:(?<=:)(?:\d{1,3}\.){3}\d{1,3})?(?![\w:])")
_IPV6_LIKE = re.compile(r"(?i)(?:[23][0-9a-f]{3}|f[cdef][0-9a-f]{2}):|(?:[^:]*:){3}")
_VERSION = re.compile(r"(?i)(?:\bv|version|release|build|chapter|section|§)\s*:?\s*$")


def emails(piece: str) -> Iterator[Candidate]:
    if "@" in piece:
        for match in _EMAIL.finditer(piece):
            local = match[0].partition("@")[0]
            if len(local) <= 64:
                yield Candidate("email", match.start(), match.end(), 0.95)


def addresses(piece: str, before: str) -> Iterator[Candidate]:
    """IP addresses. Those that mean any machine, or one of a private network, identify nobody: 0.3."""
    if piece.count(".") >= 3:
        for match in _IPV4.finditer(piece):
            if not _VERSION.search((before + piece[: match.start()])[-16:]):
                yield _address(match)
    if piece.count(":") >= 2:
        for match in _IPV6.finditer(piece):
            if any(map(str.isdigit, match[0])) and _IPV6_LIKE.match(match[0]):
                try:
                    yield _address(match)
                except ValueError:
                    continue


def _address(match: re.Match[str]) -> Candidate:
    address = ipaddress.ip_address(match[0])
    shared = (
        address.is_loopback
        or address.is_unspecified
        or address.is_link_local
        or address.is_multicast
        or any(address in network for network in _PRIVATE if network.version == address.version)
    )
    return Candidate("ip", match.start(), match.end(), 0.3 if shared else 0.85)


_PRIVATE = [ipaddress.ip_network(each) for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")]

# --- secrets ------------------------------------------------------------------------------------------------------

# Prefixes as their issuers document them for scanners.
_SECRET = re.compile(
    r"""(?<![A-Za-z0-9])(?:
        (?:AKIA|ASIA)[A-Z0-9]{16}
      | gh[pousr]_[A-Za-z0-9]{36,255} | github_pat_[A-Za-z0-9_]{22,255} | glpat-[\w-]{20,64}
      | xox[abeoprs]-[A-Za-z0-9-]{10,255} | xapp-[A-Za-z0-9-]{20,255}
      | (?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,255} | whsec_[A-Za-z0-9+/=]{24,128}
      | sk-(?=[\w-]{0,60}\d)[A-Za-z0-9][\w-]{19,255}
      | AIza[\w-]{35} | ya29\.[\w-]{20,512} | GOCSPX-[\w-]{20,64}
      | npm_[A-Za-z0-9]{36} | pypi-AgEI[\w-]{50,512} | hf_[A-Za-z0-9]{30,64} | dop_v1_[a-f0-9]{64}
      | SG\.[\w-]{16,32}\.[\w-]{16,64} | SK[0-9a-f]{32} | \d{8,10}:AA[\w-]{33} | AGE-SECRET-KEY-1[A-Z0-9]{58}
    )(?![A-Za-z0-9])""",
    re.VERBOSE | re.ASCII,
)
_JWT = re.compile(r"(?<![\w-])(eyJ[\w-]{8,2048})\.eyJ[\w-]{4,4096}\.[\w-]{0,2048}(?![\w-])", re.ASCII)
_USERINFO = re.compile(r"(?<![\w+.-])[A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s/:@]{0,100}:([^\s/@]{1,100})@", re.ASCII)
_ASSIGNED = re.compile(
    r"""(?i)(?:api[_-]?key|secret|token|passw(?:or)?d|pwd)["']?[:=]["']?"""
    r"""((?=[\w+/=-]{0,60}\d)(?=[\w+/=-]{0,60}[a-z])[\w+/=-]{12,255})(?![\w(.\[+/=-])""",
    re.ASCII,
)


def secrets(piece: str) -> Iterator[Candidate]:
    if "eyJ" in piece:
        for match in _JWT.finditer(piece):
            if _is_header(match[1]):
                yield Candidate("jwt", match.start(), match.end(), 0.98)
    for match in _SECRET.finditer(piece):
        yield Candidate("secret", match.start(), match.end(), 0.95)
    if "://" in piece:
        for match in _USERINFO.finditer(piece):
            yield Candidate("password", match.start(1), match.end(1), 0.97)
    if "=" in piece or ":" in piece:
        for match in _ASSIGNED.finditer(piece):
            yield Candidate("secret", match.start(1), match.end(1), 0.6)


def _is_header(part: str) -> bool:
    """Whether this is the first part of a JWT (RFC 7519): an object that names an algorithm."""
    try:
        header = msgspec.json.decode(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError):
        return False
    return isinstance(header, dict) and "alg" in header


# --- numbers with check digits ------------------------------------------------------------------------------------


class Scheme(msgspec.Struct, frozen=True):
    """A national number."""

    kind: str
    valid: Callable[[str], bool]
    #: How it is usually written; so written it stands for itself with `alone`.
    written: re.Pattern[str]
    alone: float
    #: Words before it that make it sure.
    words: re.Pattern[str]
    #: Whether its separators say something.
    as_written: bool


def _scheme(kind: str, valid: Callable[[str], bool], written: str, alone: float, words: str) -> Scheme:
    as_written = kind == "se_personnummer"
    return Scheme(kind, valid, re.compile(written), alone, re.compile(rf"(?i){words}"), as_written)


_NEVER = r"(?!)"
_LETTER = re.compile(r"[^\W\d_]")
_NINO = re.compile(r"(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\d{6}[A-D]")

#: By how many digits they have. Where any number of that length passes one time in ten, a word or a spelling is needed.
NUMBERS: dict[int, list[Scheme]] = {
    9: [
        _scheme(
            "us_ssn", ssn.is_valid, r"\d{3}-\d{2}-\d{4}|\d{3} \d{2} \d{4}", 0.85, r"\bssn\b|social security|\bitin\b"
        ),
        _scheme("nl_bsn", bsn.is_valid, _NEVER, 0, r"\bbsn\b|burgerservice|sofi-?num"),
        _scheme("pt_nif", nif.is_valid, _NEVER, 0, r"\bnif\b|contribuinte"),
        _scheme("ca_sin", sin.is_valid, _NEVER, 0, r"\bsin\b|social insurance|\bnas\b"),
        _scheme("au_tfn", tfn.is_valid, _NEVER, 0, r"\btfn\b|tax file"),
        _scheme("il_id", il_idnr.is_valid, _NEVER, 0, r"teudat|israeli? id|\btz\b"),
        _scheme("cz_rc", rc.is_valid, r"\d{6}/\d{3}", 0.8, r"rodn"),
    ],
    10: [
        _scheme("gb_nhs", nhs.is_valid, r"\d{3} \d{3} \d{4}", 0.55, r"\bnhs\b|national health"),
        _scheme("cz_rc", rc.is_valid, r"\d{6}/\d{4}", 0.85, r"rodn"),
        _scheme("se_personnummer", personnummer.is_valid, r"\d{6}[-+]\d{4}", 0.8, r"personnummer|samordnings"),
        _scheme("bg_egn", egn.is_valid, _NEVER, 0, r"\begn\b"),
    ],
    11: [
        _scheme("br_cpf", cpf.is_valid, r"\d{3}\.\d{3}\.\d{3}-\d{2}", 0.95, r"\bcpf\b"),
        _scheme("de_idnr", idnr.is_valid, r"\d{2} \d{3} \d{3} \d{3}", 0.75, r"steuer|\bidnr\b|\btin\b|tax id"),
        _scheme("pl_pesel", pesel.is_valid, _NEVER, 0, r"\bpesel\b"),
        _scheme(
            "be_nn", nn.is_valid, r"\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}", 0.95, r"rijksregister|registre national|\bnn\b"
        ),
        _scheme("no_fnr", fodselsnummer.is_valid, r"\d{6} \d{5}", 0.75, r"f.dselsn|personnummer|\bfnr\b"),
        _scheme("tr_tckn", tckimlik.is_valid, _NEVER, 0, r"\bt\.?c\.? ?k?|kimlik"),
        _scheme("hr_oib", oib.is_valid, _NEVER, 0, r"\boib\b"),
    ],
    12: [
        _scheme(
            "in_aadhaar", aadhaar.is_valid, r"\d{4} \d{4} \d{4}|\d{4}-\d{4}-\d{4}", 0.75, r"aadhaa?r|\buidai?\b|आधार"
        ),
        _scheme("se_personnummer", personnummer.is_valid, r"\d{8}[-+]\d{4}", 0.85, r"personnummer|samordnings"),
    ],
    13: [
        _scheme("ch_ahv", ch_ssn.is_valid, r"756\.?\d{4}\.?\d{4}\.?\d{2}", 0.85, r"\bahv|\bavs\b|sozialversicherung"),
        _scheme("kr_rrn", rrn.is_valid, r"\d{6}-\d{7}", 0.85, r"\brrn\b|주민"),
        _scheme("ro_cnp", cnp.is_valid, _NEVER, 0, r"\bcnp\b|cod numeric"),
        _scheme("za_id", za_idnr.is_valid, _NEVER, 0, r"\bid (?:number|no)|south african id|identity"),
    ],
    15: [
        _scheme(
            "fr_nir", nir.is_valid, r"[12] ?\d{2} ?\d{2} ?\d{2} ?\d{3} ?\d{3} ?\d{2}", 0.8, r"s[ée]cu|\bnir\b|insee"
        )
    ],
    18: [_scheme("cn_ric", ric.is_valid, r"\d{18}", 0.9, r"身份证|resident id")],
}

_SCHEMES = [scheme for schemes in NUMBERS.values() for scheme in schemes]
_ANY_WORD = re.compile("(?i)" + "|".join(scheme.words.pattern.removeprefix("(?i)") for scheme in _SCHEMES))
_DAY = re.compile(r"(?:19|20)\d\d([-./])\d\d?\1\d\d?|\d\d?([-./])\d\d?\2(?:19|20)\d\d")

#: Those with letters, as they are written, and where they may start.
_LETTERED: list[tuple[str, re.Pattern[str], Callable[[str], bool], float]] = [
    (
        "gb_nino",
        re.compile(r"(?<!\w)[A-Z]{2} ?\d{2} ?\d{2} ?\d{2} ?[A-D](?!\w)"),
        lambda text: _NINO.fullmatch(text.replace(" ", "")) is not None,
        0.9,
    ),
    ("es_dni", re.compile(r"(?<!\w)\d{8}[ -]?[A-HJ-NP-TV-Za-hj-np-tv-z](?!\w)"), dni.is_valid, 0.9),
    ("es_nie", re.compile(r"(?<!\w)[XYZxyz][ -]?\d{7}[ -]?[A-HJ-NP-TV-Za-hj-np-tv-z](?!\w)"), nie.is_valid, 0.9),
    (
        "it_cf",
        re.compile(r"(?<!\w)(?:[A-Za-z]{6}\w{2}[A-Za-z]\w{2}[A-Za-z]\w{3}[A-Za-z])(?!\w)"),
        codicefiscale.is_valid,
        0.95,
    ),
    ("fi_hetu", re.compile(r"(?<!\w)\d{6}[-+A-FU-Y]\d{3}[0-9A-Y](?!\w)"), hetu.is_valid, 0.9),
    ("ie_pps", re.compile(r"(?<!\w)\d{7}[A-W][A-IW]?(?!\w)"), pps.is_valid, 0.75),
    ("in_pan", re.compile(r"(?<!\w)[A-Z]{3}[ABCFGHJLPT][A-Z]\d{4}[A-Z](?!\w)"), pan.is_valid, 0.8),
    ("mx_curp", re.compile(r"(?<!\w)[A-Z]{4}\d{6}[HMX][A-Z]{5}[A-Z0-9]\d(?!\w)"), curp.is_valid, 0.95),
    ("fr_nir", re.compile(r"(?<!\w)[12] ?\d{2} ?\d{2} ?2[AB] ?\d{3} ?\d{3} ?\d{2}(?!\w)"), nir.is_valid, 0.85),
    ("cn_ric", re.compile(r"(?<!\w)\d{17}[Xx](?!\w)"), ric.is_valid, 0.95),
]
_IBAN = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{1,4}){3,8}(?!\w)|(?<!\w)[a-z]{2}\d{2}[a-z0-9]{11,30}(?!\w)")
_IBAN_ENDS = re.compile(r"[ -]|$")


def lettered(piece: str) -> Iterator[Candidate]:
    """National numbers with letters in them, and IBANs (ISO 13616: the rest of a division by 97 is 1)."""
    if _LETTER.search(piece) is None:
        return
    for kind, written, valid, score in _LETTERED:
        for match in written.finditer(piece):
            if valid(match[0]):
                yield Candidate(kind, match.start(), match.end(), score)
    for match in _IBAN.finditer(piece):
        # What follows an IBAN may look like one more group of it.
        for end in sorted((each.start() for each in _IBAN_ENDS.finditer(match[0])), reverse=True):
            if end >= 15 and iban.is_valid(match[0][:end]):
                yield Candidate("iban", match.start(), match.start() + end, 0.98)
                break


# Issuer ranges of ISO/IEC 7812 as the networks publish them, with the lengths they issue.
_ISSUERS: list[tuple[re.Pattern[str], frozenset[int]]] = [
    (re.compile(prefix), frozenset(lengths))
    for prefix, lengths in (
        (r"4", (13, 16, 19)),
        (r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720", (16,)),
        (r"3[47]", (15,)),
        (r"6011|64[4-9]|65", (16, 17, 18, 19)),
        (r"30[0-5]|3095|36|3[89]", (14, 16)),
        (r"35(?:2[89]|[3-8])", (16, 17, 18, 19)),
        (r"62|81", (16, 17, 18, 19)),
        (r"220[0-4]", (16,)),
        (r"50[0-9]|5[6-8]|63|67", (12, 13, 14, 15, 16, 17, 18, 19)),
    )
]
_CARD_GROUPS = {(4, 4, 4, 4), (4, 6, 5), (4, 6, 4), (4, 4, 4, 4, 3), (4, 4, 5), (8, 8), (6, 13)}
_CARD_WORD = re.compile(
    r"(?i)card|visa|master|amex|american express|discover|maestro|karte|carte|tarjeta|cart[aã]o|\bcc\b"
)

_SEPARATOR = rf"[{GAP}./()\u2010-\u2013-]"
_RUN = re.compile(rf"\d++(?:{_SEPARATOR}{{1,3}}\d++){{0,11}}", re.ASCII)
_GROUP = re.compile(r"(?<!\w)(?<!\d[.,])\d++(?!_|[A-Za-z]{3})", re.ASCII)
_DIGITS = re.compile(r"\d+", re.ASCII)
_NANP = re.compile(r"(?:1[-. ]?)?(?:\([2-9]\d{2}\) ?|[2-9]\d{2}([-. ]))[2-9]?\d{2}(?(1)\1|[-. ])\d{4}")
_PHONE_WORD = re.compile(
    r"(?i)phone|\btel\b|\btel[.:]|telefon|t[ée]l[ée]phone|tel[ée]fono|\bcall|\bring\b|mobile|\bmob\b"
    r"|\bcell|\bfax|whats ?app"
    r"|\btext me|\bsms\b|\bhandy|\bnumber is\b|\bappel|\bll[aá]ma|\bruf|\bnummer\b|portable|celular"
    r"|movil|móvil|电话|手机|電話"
)
#: Where a number without a country may be from.
REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "NL", "PL", "BR", "IN", "AU", "JP")


def numbers(piece: str, until: int, before: str) -> Iterator[Candidate]:
    """Cards, telephone numbers and national numbers of digits alone that start before `until`."""
    for group in _GROUP.finditer(piece, 0, until):
        start = group.start()
        run = _RUN.match(piece, start)
        assert run is not None
        said = (before + piece[:start])[-48:]
        spans = [match.span() for match in _DIGITS.finditer(piece, start, run.end())]
        if piece[start - 1 : start] == "(":
            start -= 1
        plus = piece[start - 1 : start] == "+" or piece[start - 2 : start] == "+("
        if plus:
            start -= 1 if piece[start - 1] == "+" else 2
        best = _best(piece, start, spans, said, plus=plus)
        if best is not None:
            yield best


def _best(piece: str, start: int, spans: list[tuple[int, int]], said: str, *, plus: bool) -> Candidate | None:
    """The surest reading of a number that may end at any of its groups; of two as sure, the longer."""
    best: Candidate | None = None
    lengths = [end - begin for begin, end in spans]
    worded = _LETTER.search(said) is not None
    known = (
        [scheme.kind for scheme in _SCHEMES if scheme.words.search(said)] if worded and _ANY_WORD.search(said) else []
    )
    asked = worded and _PHONE_WORD.search(said) is not None
    carded = worded and _CARD_WORD.search(said) is not None
    for count in range(len(spans), 0, -1):
        begin, end = start, spans[count - 1][1]
        if not 7 <= sum(lengths[:count]) <= 19 or lengths[:count].count(1) > 2:
            continue
        if end < len(piece) and (piece[end].isalnum() or piece[end] == "_"):
            continue
        if piece[begin] == "(" and ")" not in piece[begin:end]:
            begin += 1
        for kind, score in _readings(piece[begin:end], lengths[:count], known, plus=plus, asked=asked, carded=carded):
            if best is None or score > best.score:
                best = Candidate(kind, begin, end, score)
    return best


def _readings(
    written: str, lengths: list[int], known: list[str], *, plus: bool, asked: bool, carded: bool
) -> Iterator[tuple[str, float]]:
    digits = "".join(_DIGITS.findall(written))
    if not plus:
        if (len(lengths) == 1 or tuple(lengths) in _CARD_GROUPS) and is_card(digits):
            yield "card", 0.98 if len(lengths) > 1 or carded else 0.9
        for scheme in NUMBERS.get(len(digits), ()):
            named = scheme.kind in known
            if (named or scheme.written.fullmatch(written)) and scheme.valid(written if scheme.as_written else digits):
                yield scheme.kind, 0.95 if named else scheme.alone
    if not _DAY.fullmatch(written):
        yield from _telephone(written, digits, asked=asked)


def is_card(digits: str) -> bool:
    """Whether these are digits of a payment card: an issuer's range and length, and Luhn's check digit."""
    return any(len(digits) in lengths and prefix.match(digits) for prefix, lengths in _ISSUERS) and luhn.is_valid(
        digits
    )


def _telephone(written: str, digits: str, *, asked: bool) -> Iterator[tuple[str, float]]:
    if written[0] == "+":
        if (number := _parsed(written, None)) is not None:
            if phonenumbers.is_valid_number(number):
                yield "phone", 0.95
            elif phonenumbers.is_possible_number(number):
                yield "phone", 0.7
        return
    if _NANP.fullmatch(written):
        yield "phone", 0.85 if asked else 0.6
    if not asked and not (digits[0] == "0" and len(written) > len(digits) and 9 <= len(digits) <= 12):
        return
    if len(digits) > 14 or (not asked and "." in written and written.count(".") < 3):
        return
    for region in REGIONS:
        number = _parsed(written, region)
        if number is not None and phonenumbers.is_valid_number(number):
            yield "phone", 0.8 if asked else 0.6
            return


def _parsed(written: str, region: str | None) -> phonenumbers.PhoneNumber | None:
    try:
        return phonenumbers.parse(written, region)
    except phonenumbers.NumberParseException:
        return None


# --- dates of birth -----------------------------------------------------------------------------------------------

_DATE = re.compile(
    rf"""(?<![\w/.-])(?:
        (?P<y1>\d{{4}})[-/.](?P<m1>\d{{1,2}})[-/.](?P<d1>\d{{1,2}})
      | (?P<a>\d{{1,2}})(?P<sep>[-/.])[ ]?(?P<b>\d{{1,2}})(?P=sep)[ ]?(?P<y2>\d{{4}}|\d{{2}})
      | (?P<d3>\d{{1,2}})(?:st|nd|rd|th|er|\.|º)?[ ](?:(?:of|de)[ ])?{MONTH}\.?,?[ ](?:de[ ])?(?P<y3>\d{{4}})
      | {MONTH}\.?[ ](?P<d4>\d{{1,2}})(?:st|nd|rd|th)?,?[ ](?P<y4>\d{{4}})
    )(?![\w/-])""",
    re.VERBOSE | re.IGNORECASE,
)
_BIRTH = re.compile(
    r"(?i)(?:\bborn\b|\bd\.?o\.?b\b|\b(?:date|day|year) of birth\b|\bbirth ?da(?:te|y)\b|\bgeboren\b|\bgeb\."
    r"|geburtsdatum"
    r"|\bnée?\b|naissance|\bnacid[oa]\b|\bnac[ií]\b|nacimiento|\bnat[oa]\b|nascita|nascimento|\bnascid[oa]\b|geboorte"
    r"|出生|生年月日)[^\n.!?\d]{0,24}$"
)


def births(piece: str, before: str) -> Iterator[Candidate]:
    """Dates of birth: real dates of a life, after a word that says so."""
    if _LETTER.search(before) is None and _LETTER.search(piece) is None:
        return
    for match in _DATE.finditer(piece):
        if _is_date(match) and _BIRTH.search((before + piece[: match.start()])[-48:]):
            yield Candidate("birth_date", match.start(), match.end(), 0.85)


def _is_date(match: re.Match[str]) -> bool:
    part = match.groupdict()
    year = int(part["y1"] or part["y2"] or part["y3"] or part["y4"])
    if year > 99 and not 1880 <= year <= 2100:
        return False
    if part["y1"]:
        return _fits(int(part["m1"]), int(part["d1"]))
    if part["y2"]:
        a, b = int(part["a"]), int(part["b"])
        return _fits(a, b) or _fits(b, a)
    return 1 <= int(part["d3"] or part["d4"]) <= 31


def _fits(month: int, day: int) -> bool:
    return 1 <= month <= 12 and 1 <= day <= 31
