"""Scorers of plain text: exact, normalised, contains, one_of, regex, numeric, token_f1, rouge_l."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Context, Decimal, InvalidOperation, localcontext
from typing import Any, Literal

from ..errors import SuiteError
from ..nouns import Case, Score
from .numerals import Numeral, numerals
from .patterns import Pattern

Scorer = Callable[[Case, str], Score]
RIGHT, WRONG = Score(1.0), Score(0.0)
MOST_CHARACTERS = 20_000
# Marks that models write for those of a keyboard, and what takes no room; NFKC leaves them.
_AS_TYPED = str.maketrans("−‐‑‘’ʼ“”", "---'''\"\"", "") | dict.fromkeys(map(ord, "\u00ad\u200b\u2060\ufeff"))
_EDGES = "\"'`“”„‘’‚«»‹›*_.,;:!?¡¿。、「」『』《》〈〉【】〔〕؟؛،۔।॥()[]{}<> \t\r\n"
# Scripts that write words without spaces between them, or with endings that belong to the next word: Thai to
# Lao, Burmese, Khmer, Japanese, Chinese, Korean.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\U00020000-\U0003ffff"
)
_WORD = re.compile(rf"(?!\u30fb)[{_UNSPACED}]|[^\W{_UNSPACED}]+(?:[.,]\d+)*")


def exact() -> Scorer:
    """1 when the answer is the target, outer white space aside. `" Paris\n"` for `"Paris"` → 1, `"paris"` →
    0.
    """
    return lambda case, answer: _equal_to_any(case, answer, str.strip)


def normalised() -> Scorer:
    """1 when answer and target agree after Unicode NFKC, case folding, white space and outer punctuation:
    `"**Paris.**"` → 1.
    """
    return lambda case, answer: _equal_to_any(case, answer, normal_text)


def contains(words: bool = True) -> Scorer:
    """1 when every target text occurs in the answer, case and spacing aside; as whole words unless `words` is
    false.
    """

    def score(case: Case, answer: str) -> Score:
        targets = [normal_text(t) for t in texts_of(case.target)]
        if not targets or not all(targets):
            return _no_target(case)
        text = _folded(answer)
        return RIGHT if all(_found(target, text, words) for target in targets) else WRONG

    return score


def one_of(labels: Sequence[str]) -> Scorer:
    """1 when the only label named in the answer is the target, or one of a list of targets: `"It is
    Billing."` → 1, `"Billing or Account"` → 0.

    Where labels overlap (`General`, `General inquiry`) the longest one is read.
    """
    known = {normal_text(label): label for label in labels} if not isinstance(labels, str) else {}
    if len(known) < 2 or "" in known:
        raise SuiteError("one_of needs two or more different labels.", 'Give labels = ["yes", "no"].')
    pattern = re.compile("|".join(_as_words(k) for k in sorted(known, key=len, reverse=True)))

    def score(case: Case, answer: str) -> Score:
        wanted = {normal_text(target) for target in texts_of(case.target)}
        if not wanted or not wanted <= known.keys():
            return Score(None, f"the target {case.target!r} is none of the labels")
        named = set(pattern.findall(_folded(answer)))
        return RIGHT if len(named) == 1 and named <= wanted else WRONG

    return score


def regex(pattern: str = "", group: int | None = None, ignore_case: bool = False) -> Scorer:
    """1 when the pattern (or, when empty, the target as a pattern) is found; with `group`, when that group is
    the target.

    Bounded: at most 500 characters of pattern. An answer of more than 20,000 characters, or on which the
    pattern takes more than half a second, is unscored.
    """
    compiled = Pattern(pattern, ignore_case) if pattern else None
    if group is not None and (compiled is None or not 0 <= group <= compiled.groups):
        raise SuiteError(f"The pattern has no group {group}.", "Give a pattern with that group.")

    def score(case: Case, answer: str) -> Score:
        if len(answer) > MOST_CHARACTERS:
            return Score(None, f"an answer of {len(answer)} characters is too long for a pattern")
        search = compiled
        if search is None:
            if not isinstance(case.target, str) or not case.target:
                return _no_target(case)
            search = Pattern(case.target, ignore_case)
        try:
            match = search.search(answer)
        except SuiteError as error:
            return Score(None, error.message)
        if group is None or match is None:
            return RIGHT if match else WRONG
        return _equal_to_any(case, match.group(group) or "", normal_text)

    return score


def numeric(
    tolerance: float = 0.0, relative: float = 0.0, pick: Literal["last", "first", "only"] = "last"
) -> Scorer:
    """1 when a number of the answer is within tolerance + relative·|target| of the target, reckoned in
    decimals. Unscored where only another reading of that number is: `"12,5"` for 5.

    `pick` says which number: the last, the first, or the only one. `"so it is $1,250.00"` for 1250 → 1.
    """
    if not (0 <= tolerance < math.inf and 0 <= relative < math.inf):
        raise SuiteError("A tolerance cannot be negative or endless.", "Give 0 or a small number.")
    if pick not in ("last", "first", "only"):
        raise SuiteError(f"pick cannot be {pick!r}.", "Use last, first or only.")
    at = 0 if pick == "first" else -1

    def score(case: Case, answer: str) -> Score:
        target = _target_number(case.target)
        if target is None:
            return Score(None, f"the target {case.target!r} is no number")
        found = list(numerals(answer[:MOST_CHARACTERS] if pick == "first" else answer[-MOST_CHARACTERS:]))
        if not found or (pick == "only" and len({each.values for each in found}) != 1):
            return WRONG
        wanted, meant = target.values[-1], found[at]

        def near(number: Decimal) -> bool:
            with localcontext(Context(traps=[])):  # 1e999999999 is endlessly far, not a fault.
                within = Decimal(str(tolerance)) + Decimal(str(relative)) * abs(wanted)
                return abs(number - wanted) <= within

        if any(map(near, _in_units_of(target, meant))):
            return RIGHT
        if any(near(parts[at]) for parts in meant.others):
            return Score(None, f"{meant.text[:40]!r} can be read as the target {case.target!r}, or otherwise")
        return WRONG

    return score


def token_f1() -> Scorer:
    """F1 of the words answer and target share, counted with repeats (SQuAD, Rajpurkar et al. 2016; of
    characters in Chinese, Japanese, Korean, Thai, as CMRC and KorQuAD do); best of several targets.
    """
    return lambda case, answer: _best(case, answer, _token_f1)


def rouge_l() -> Scorer:
    """ROUGE-L: F1 of the longest common subsequence of words (Lin 2004, β = 1, no stemming); best of several
    targets.
    """
    return lambda case, answer: _best(case, answer, _rouge_l)


def normal_text(text: str) -> str:
    """NFKC, case folded, white space runs as one space, outer punctuation and Markdown removed; inner marks
    stay (3.5, -4).
    """
    folded = _folded(text)
    bare = folded.strip(_EDGES)
    if not bare:
        return folded  # A mark may be the answer itself.
    before = folded[: folded.index(bare)]
    # The point of ".5" belongs to the number.
    return "." + bare if bare[0].isdigit() and re.search(r"(?<!\.)\.\Z", before) else bare


def words_of(text: str) -> list[str]:
    """The words of a text, folded; digits joined by . or , stay one word. Where words are written without
    spaces between them every character is one: a whole sentence is hardly ever the same.
    """
    return _WORD.findall(_folded(text))


def _equal_to_any(case: Case, answer: str, form: Callable[[str], str]) -> Score:
    targets = texts_of(case.target)
    if not targets:
        return _no_target(case)
    return RIGHT if form(answer) in {form(target) for target in targets} else WRONG


def _best(case: Case, answer: str, measure: Callable[[list[str], list[str]], float]) -> Score:
    targets = [words_of(t) for t in texts_of(case.target)]
    if not targets or not all(targets):
        return _no_target(case)
    if len(answer) > 10 * MOST_CHARACTERS:
        return Score(None, f"an answer of {len(answer)} characters is too long to compare")
    return Score(max(measure(words_of(answer), target) for target in targets))


def _token_f1(answer: list[str], target: list[str]) -> float:
    shared = (Counter(answer) & Counter(target)).total()
    return 2 * shared / (len(answer) + len(target))


def _rouge_l(answer: list[str], target: list[str]) -> float:
    return 2 * _common_subsequence(answer, target) / (len(answer) + len(target))


def _common_subsequence(first: list[str], second: list[str]) -> int:
    """Length of the longest common subsequence, one bit per word of `first` (Hyyrö 2004)."""
    places: dict[str, int] = {}
    for i, word in enumerate(first):
        places[word] = places.get(word, 0) | 1 << i
    full = (1 << len(first)) - 1
    row = full
    for word in second:
        match = row & places.get(word, 0)
        row = ((row + match) | (row - match)) & full
    return len(first) - row.bit_count()


def texts_of(target: Any) -> list[str]:
    """The accepted answers of a target: itself, or each of a list, as `text_of` writes them."""
    if target is None:
        return []
    if isinstance(target, list | tuple):
        return [text_of(t) for t in target]
    return [text_of(target)]


def text_of(value: Any) -> str:
    """A target as an answer would write it: what is not text as JSON."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, bool | dict | list) else str(value)


def _no_target(case: Case) -> Score:
    return Score(None, f"the Case has no usable target: {case.target!r}")


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().translate(_AS_TYPED).split())


def _found(target: str, text: str, words: bool) -> bool:
    if not words:
        return target in text
    return re.search(_as_words(target), text) is not None


def _as_words(text: str) -> str:
    """A pattern for the text as whole words, and not within a number: no 5 in 15, 1.5, 5,000 or -5."""
    before = "" if re.match(f"[{_UNSPACED}]", text) else r"(?<!\w)"
    after = "" if re.match(f"[{_UNSPACED}]", text[-1]) else r"(?!\w)"
    if text[0].isdigit():
        before += r"(?<!\d[.,])(?<!\s[-.])(?<!\A[-.])"
    if text[-1].isdigit():
        after += r"(?![.,]\d)"
    return before + re.escape(text) + after


def _target_number(target: Any) -> Numeral | None:
    """The number that a target is, and nothing else is in it."""
    if isinstance(target, bool) or target is None:
        return None
    try:
        number = Decimal(str(target))
        return Numeral("", (number,)) if number.is_finite() else None
    except InvalidOperation:
        pass
    if not isinstance(target, str):
        return None
    found = list(numerals(target))
    alone = len(found) == 1 and len(found[0].text) >= len(target.strip())
    return found[0] if alone and found[0].values and found[0].values[-1].is_finite() else None


def _in_units_of(target: Numeral, answer: Numeral) -> list[Decimal]:
    """What the answer says, to be compared with the target as that is written: per cent are hundredths where
    one of them alone has the sign, or stand for what the question asked in per cent."""
    if target.share:
        return list(answer.values) if answer.share else [*answer.values, *(v * 100 for v in answer.values)]
    return [*answer.values, *(v / 100 for v in answer.values)] if answer.share else list(answer.values)
