"""Numerals: the numbers of a text, as people and models write them.

What can be read in two ways has one first reading, by a fixed rule, and the others beside it. A scorer must
take these neither for a right answer nor for a wrong one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from decimal import Context, Decimal, localcontext

from msgspec import Struct

# Marks that models write for those of a keyboard, and what takes no room.
_TYPED = str.maketrans("−‐‑–‘’ʼ٫٬٪⁄", "----'''.,%/", "\u00ad\u200b\u2060\ufeff")
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_LATEX = (
    (re.compile(r"\\[dt]?frac\{(\d+)\}\{(\d+)\}"), r" \1/\2"),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"(?<=\d)\\[,; ](?=\d)"), "\u2009"),
    (re.compile(r"\\([$%])"), r"\1"),
)
_POWER = re.compile("(?<=[0-9])[⁰¹²³⁴-⁹⁻⁺]+")
_VULGAR = re.compile("[¼-¾⅐-⅞]")
_WIDE = re.compile("[\uff01-\uff5e]+")
_GAPS = " '_\u00a0\u2007\u2009\u202f"
_END = r"(?![.,]?\d)"
_NUMERAL = re.compile(
    rf"""(?<![\^\d])(?P<sign>(?<![\w)])[-+])?(?:[$€£¥₹]\ ?)?(?P<late>(?<=[$€£¥₹])-)?
    (?:
      (?<![\d/])(?:(?P<whole>\d{{1,4}})\ )?(?P<over>\d+(?:\.\d+)?)\ ?/\ ?(?P<under>\d+(?:\.\d+)?)(?!\d|[./]\d)
    | (?<![-\d.])(?P<low>\d+(?:\.\d+)?)-(?P<high>\d+(?:\.\d+)?)(?!\d|[-.]\d)
    | (?P<base>\d+)(?:\^|\*\*)\{{?(?P<power>[-+]?\d{{1,4}})\}}?
    | (?P<plain>
        (?<!\d[.,])(?:
          \d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?{_END}
        | \d{{1,2}}(?:,\d\d)+,\d{{3}}(?:\.\d+)?{_END}
        | \d{{1,3}}(?:\.\d{{3}})+,\d+{_END}
        | (?<!\d[{_GAPS}])[1-9]\d{{0,2}}(?P<gap>[{_GAPS}])\d{{3}}(?:(?P=gap)\d{{3}})*(?!(?P=gap)?\d)
          (?:[.,]\d+)?{_END}
        | \d+,\d+{_END}
        )
      | \d+(?:\.\d+)*|\.\d+
      )
      (?:[eE](?P<e>[-+]?\d+)|\ ?(?:[×x*·]|\\times|\\cdot)\ ?10(?:\^|\*\*)\{{?(?P<ten>[-+]?\d+)\}}?)?
    )
    (?:\ ?(?:±|\+/-|\\pm)\ ?\d+(?:\.\d+)?)?
    (?:\ ?(?:
      (?P<share>%|per\ ?cent\b)
    | (?P<times>[kKMB]|(?i:thousand|million|billion|trillion|bn|mn))(?![\w^/])
    ))?
    """,
    re.VERBOSE,
)
_TIMES = {
    "k": 3, "thousand": 3, "m": 6, "mn": 6, "million": 6, "b": 9, "bn": 9, "billion": 9, "trillion": 12,
}  # fmt: skip


class Numeral(Struct, frozen=True):
    """A number of a text. `values` is its first reading, alone or, with a unit of count (`1.2 million`), as
    it stands and in ones; empty where it is no one number (`12-15`). `others` are further readings, each as
    the numbers it is made of. `share`: a percent sign follows."""

    text: str
    values: tuple[Decimal, ...]
    others: tuple[tuple[Decimal, ...], ...] = ()
    share: bool = False


def numerals(text: str) -> Iterator[Numeral]:
    """The numbers of `text`, in order. A comma, blank, apostrophe or underline parts thousands where groups
    of three digits follow (`1,250`, `1 250`), and so do points where there are several; else the last comma
    or point of a number begins its decimals (`12,5`, `1.250`). `1/2` is a half."""
    text = _plain(text)
    with localcontext(Context(traps=[])):  # 1e999999999 is endless, not a fault
        for match in _NUMERAL.finditer(text):
            found = _read(match)
            if found is not None:
                yield found


def _plain(text: str) -> str:
    """The text in the marks of a keyboard, with powers as `10^6` and fractions as `1/2`."""
    text = _POWER.sub(lambda match: "^" + match.group().translate(_RAISED), text)
    text = _VULGAR.sub(lambda match: " " + unicodedata.normalize("NFKC", match.group()), text)
    text = _WIDE.sub(lambda match: unicodedata.normalize("NFKC", match.group()), text).translate(_TYPED)
    for pattern, plain in _LATEX:
        text = pattern.sub(plain, text)
    return text


def _read(match: re.Match[str]) -> Numeral | None:
    said = match.groupdict()
    sign = -1 if "-" in (said["sign"], said["late"]) else 1
    text, share, times = match.group().strip(), said["share"] is not None, said["times"]
    value: Decimal | None
    others: tuple[tuple[Decimal, ...], ...] = ()
    if said["over"] is not None:
        parts = tuple(Decimal(said[name]) for name in ("whole", "over", "under") if said[name] is not None)
        value = (parts[0] if said["whole"] else 0) + parts[-2] / parts[-1]
        others = (parts,)
    elif said["low"] is not None:
        return Numeral(text, (), ((Decimal(said["low"]), Decimal(said["high"])),), share)
    elif said["base"] is not None:
        value = Decimal(said["base"]) ** Decimal(said["power"])
    else:
        value, others = _separated(said["plain"], said["gap"])
        if value is None:
            return None
        value = value.scaleb(int((said["e"] or said["ten"] or "0")[:12]))
    value *= sign
    values = (value,) if times is None else (value, value.scaleb(_TIMES[times.lower()]))
    return Numeral(text, values, others, share)


def _separated(plain: str, gap: str | None) -> tuple[Decimal | None, tuple[tuple[Decimal, ...], ...]]:
    """A number with its marks, and its other readings; None: dotted like a date or a version."""
    if gap is not None:
        whole = plain.replace(gap, "").replace(",", ".")
        return Decimal(whole), (tuple(Decimal(part.replace(",", ".")) for part in plain.split(gap)),)
    points, commas = plain.count("."), plain.count(",")
    if points > 1 or (points and commas and plain.rindex(",") > plain.rindex(".")):
        whole, _, decimals = plain.partition(",")
        grouped = re.fullmatch(r"\d{1,3}(\.\d{3})+", whole) is not None
        return (Decimal(f"{whole.replace('.', '')}.{decimals or 0}") if grouped else None), ()
    if points == commas == 0 or (points and commas) or commas > 1:
        return Decimal(plain.replace(",", "")), ()
    first, _, rest = plain.partition("," if commas else ".")
    decimal = Decimal(f"{first or 0}.{rest}")
    thousands = len(rest) == 3 and 0 < len(first) <= 3 and first[0] != "0"
    if commas and thousands:
        return Decimal(first + rest), ((decimal,),)
    if commas:
        return decimal, ((Decimal(first), Decimal(rest)),)
    return decimal, (((Decimal(first + rest),),) if thousands else ())
