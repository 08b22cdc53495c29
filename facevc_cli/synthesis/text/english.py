"""The rules that turn English text into words. They run in order, because later ones see what earlier ones left."""

import re
from collections.abc import Callable

from facevc_cli.synthesis.text.numbers import (
    spell_cardinal,
    spell_decimal,
    spell_digits,
    spell_ordinal,
    spell_year,
)
from facevc_cli.synthesis.text.vocabulary import (
    ABBREVIATIONS,
    BRITISH_UNITS,
    CURRENCIES,
    FRACTIONS,
    MAGNITUDES,
    MONTH_NAMES,
    MONTHS,
    SIGNS,
    TITLES,
    UNITS,
    WEEKDAYS,
)

Rule = tuple[re.Pattern[str], Callable[[re.Match[str], bool], str]]

_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
_MONTH = "|".join(sorted(MONTH_NAMES, key=len, reverse=True))
_UNIT = "|".join(re.escape(unit) for unit in sorted(UNITS, key=len, reverse=True))
_MONEY = "|".join(re.escape(sign) for sign in sorted(CURRENCIES, key=len, reverse=True))
_MAGNITUDE = "|".join(MAGNITUDES)
_SCALE = "hundred|thousand|million|billion|trillion"
_SHOUTED_LETTERS = 4  # a text in capitals with a word this long is read, not spelled


def spell_english(text: str, *, british: bool = False) -> str:
    """Applies all rules to a text of one line."""
    text = _lower_shouting(text)
    for pattern, say in RULES:
        text = pattern.sub(lambda found, say=say: say(found, british), text)  # type: ignore[misc]
    for sign, word in SIGNS.items():
        text = text.replace(sign, word)
    return text


def _lower_shouting(text: str) -> str:
    """A text of several words in capitals becomes lower case. So only abbreviations are spelled."""
    words = re.findall(r"[^\W\d_]+", text)
    if len(words) > 1 and text.upper() == text and max(map(len, words)) >= _SHOUTED_LETTERS:
        return text.lower()
    return text


def _say_number(text: str, british: bool) -> str:
    """Says a number as it is written: with commas, with a decimal point, or with zeros in front."""
    plain = text.replace(",", "")
    if "." in plain:
        return spell_decimal(plain, british=british)
    if len(plain) > 1 and plain.startswith("0"):
        return spell_digits(plain)
    return spell_cardinal(int(plain), british=british)


def _say_address(found: re.Match[str], british: bool) -> str:
    """A URL or e-mail address."""
    text = re.sub(r"^https?://", "", found[0]).rstrip("/")
    text = re.sub(r"^www\.", "W W W.", text)
    for sign, word in {".": "dot", "/": "slash", "@": "at", "-": "dash", "_": "underscore", "~": "tilde"}.items():
        text = text.replace(sign, f" {word} ")
    text = re.sub(r"[?=&#%:+]+", " ", text)
    return re.sub(r"\d+", lambda number: f" {spell_digits(number[0])} ", text)


def _say_time(found: re.Match[str], british: bool) -> str:
    hour, minute = int(found["hour"]), int(found["minute"] or "0")
    half = {"a": " A M", "p": " P M", "": ""}[(found["half"] or "")[:1].lower()] + _end_sentence(found)
    said = spell_cardinal(hour)
    if found["second"]:
        return f"{said} {_say_minute(minute)} and {spell_cardinal(int(found['second']))} seconds{half}"
    if minute == 0:
        return f"{said}{half}" if half else (f"{said} o'clock" if 1 <= hour <= 12 else f"{said} hundred hours")
    return f"{said} {_say_minute(minute)}{half}"


def _end_sentence(found: re.Match[str]) -> str:
    """The full stop of "3 pm.", and that of "3 p.m." if another sentence seems to follow."""
    half = found["half"] or ""
    follows = re.match(r"\s+[\"'(]*[A-Z]", found.string[found.end() :])
    return "." if half.endswith(".") and ("." not in half[:-1] or follows) else ""


def _say_minute(minute: int) -> str:
    return f"{'oh ' if minute < 10 else ''}{spell_cardinal(minute)}"


def _say_date(year: str | None, month: str, day: str | None, british: bool) -> str:
    said = month
    if day:
        ordinal = spell_ordinal(int(day))
        said = f"the {ordinal} of {month}" if british else f"{month} {ordinal}"
    return f"{said}, {spell_year(int(year), british=british)}" if year else said


def _say_iso_date(found: re.Match[str], british: bool) -> str:
    return _say_date(found[1], MONTHS[int(found[2]) - 1], found[3], british)


def _say_numeric_date(found: re.Match[str], british: bool) -> str:
    first, second = int(found[1]), int(found[2])
    day, month = (first, second) if (british and second <= 12) or first > 12 else (second, first)
    if not 1 <= month <= 12 or not 1 <= day <= 31:
        return " ".join(_say_number(part, british) for part in re.split(r"[/.-]", found[0]))
    year = found[3] if len(found[3]) == 4 else f"20{found[3]}"
    return _say_date(year, MONTHS[month - 1], str(day), british)


def _say_month_day(found: re.Match[str], british: bool) -> str:
    """March 5, March 5th, 2024."""
    return f"{MONTH_NAMES[found[1]]} {spell_ordinal(int(found[2]))}" + (
        f", {spell_year(int(found[3]), british=british)}" if found[3] else ""
    )


def _say_day_month(found: re.Match[str], british: bool) -> str:
    """5 March, 5th of March 2024."""
    before = "" if found[1] else "the "
    return f"{before}{found[1] or ''}{spell_ordinal(int(found[2]))} of {MONTH_NAMES[found[3]]}" + (
        f", {spell_year(int(found[4]), british=british)}" if found[4] else ""
    )


def _say_money(found: re.Match[str], british: bool) -> str:
    sign, amount = found["sign"] or found["after"], (found["amount"] or found["before"]).replace(",", "")
    one, many, cent, cents = CURRENCIES[sign]
    scale = found["scale"] or ""
    if scale:
        return f"{_say_number(amount, british)} {MAGNITUDES.get(scale, scale)} {many}"
    whole, _, fraction = amount.partition(".")
    if fraction and (len(fraction) != 2 or not cent):
        return f"{_say_number(amount, british)} {many}"
    hundredths = int(fraction or "0")
    parts = []
    if int(whole) or not hundredths:
        parts.append(f"{_say_number(whole, british)} {one if int(whole) == 1 else many}")
    if hundredths:
        parts.append(f"{spell_cardinal(hundredths)} {cent if hundredths == 1 else cents}")
    return " and ".join(parts)


def _say_unit(found: re.Match[str], british: bool) -> str:
    number, unit = found[1], UNITS[found[2]]
    said = unit[0] if number == "1" else unit[1]
    if british:
        for american, own in BRITISH_UNITS.items():
            said = said.replace(american, own)
    return f"{_say_number(number, british)} {said}"


def _say_magnitude(found: re.Match[str], british: bool) -> str:
    return f"{_say_number(found[1], british)} {MAGNITUDES[found[2]]}"


def _say_decade(found: re.Match[str], british: bool) -> str:
    words = spell_year(int(found["four"])) if found["four"] else spell_cardinal(int(found["short"] or found["two"]))
    return f"{words[:-1]}ies" if words.endswith("y") else f"{words}s"


def _say_height(found: re.Match[str], british: bool) -> str:
    """5'11" -> five foot eleven."""
    return f"{spell_cardinal(int(found[1]))} foot {spell_cardinal(int(found[2]))}"


def _say_plain_number(found: re.Match[str], british: bool) -> str:
    """A number without a unit. Four digits are a year, unless it is no usual one."""
    text = found[0]
    if re.fullmatch(r"1[1-9]\d\d|20\d\d", text):
        return spell_year(int(text), british=british)
    if re.fullmatch(r"\d{10,}", text):
        return spell_digits(text)
    return _say_number(text, british)


def _say_fraction(found: re.Match[str], british: bool) -> str:
    whole = f"{_say_number(found[1], british)} and " if found[1] else ""
    said = FRACTIONS[found[2]]
    return whole + (f"a {said.removeprefix('one ')}" if whole and said.startswith("one ") else said)


def _expand_initials(found: re.Match[str], british: bool) -> str:
    """U.S.A. -> U S A. A period that ends the sentence stays."""
    ends = found.end() == len(found.string) or re.match(r"\s+[A-Z]", found.string[found.end() :])
    return " ".join(found[0].replace(".", " ").split()) + ("." if ends and len(found[0]) > 4 else "")


def _expand_abbreviation(found: re.Match[str], british: bool) -> str:
    """The period stays if the text ends with it."""
    return ABBREVIATIONS[found[1]] + ("." if found.end() == len(found.string) else "")


def _say_version(text: str, british: bool) -> str:
    return " point ".join(_say_number(part, british) for part in text.split("."))


def _say_digits_in(text: str) -> str:
    """'555-1234' -> 'five five five, one two three four'."""
    return ", ".join(spell_digits(group) for group in re.findall(r"\d+", text))


def _compile(pattern: str, flags: int = 0) -> re.Pattern[str]:
    return re.compile(pattern, flags)


RULES: tuple[Rule, ...] = (
    (
        _compile(
            r"(?:https?://|\bwww\.)[^\s<>\"']*[^\s<>\"'.,;:!?)]"
            r"|\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
            r"|\b(?:[\w-]+\.)+(?:com|org|net|edu|gov|io|dev|co|uk|de|info|eu)(?:/[^\s<>\"'.,;:!?)]+)*(?![\w.])"
        ),
        _say_address,
    ),
    (_compile(r"\b(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])(?!\d)"), _say_iso_date),
    (_compile(r"\+\d[\d ()-]{6,}\d"), lambda found, british: f"plus {_say_digits_in(found[0])}"),
    (_compile(r"(?<![\d-])(?:\d{3}-)?\d{3}-\d{4}(?![\d-])"), lambda found, british: _say_digits_in(found[0])),
    (_compile(r"(?<=\d)\s?-\s?(?=[$£€]?\d)"), lambda found, british: " to "),
    (_compile(r"\b(\d{1,2})[/.](\d{1,2})[/.](\d{4}|\d{2})\b"), _say_numeric_date),
    (
        _compile(
            r"\b(?P<hour>[01]?\d|2[0-4]):(?P<minute>[0-5]\d)(?::(?P<second>[0-5]\d))?"
            r"(?:\s?(?P<half>[aApP]\.?\s?[mM]\b\.?))?(?![\d:])"
        ),
        _say_time,
    ),
    (_compile(r"\b(?P<hour>1?\d)(?:\.(?P<minute>[0-5]\d))?(?P<second>)\s?(?P<half>[aApP]\.?[mM]\b\.?)"), _say_time),
    (_compile(rf"\b({_MONTH})\b\.?\s+(\d{{1,2}})(?:st|nd|rd|th)?\b(?:,?\s+(\d{{4}})\b)?(?![:.]\d)"), _say_month_day),
    (_compile(rf"\b(the )?(\d{{1,2}})(?:st|nd|rd|th)?(?: of)? ({_MONTH})\b(?:\.?,?\s+(\d{{4}})\b)?"), _say_day_month),
    (
        _compile(
            rf"(?P<sign>{_MONEY})\s?(?P<amount>{_NUMBER})(?:\s?(?P<scale>{_SCALE}|{_MAGNITUDE})\b)?"
            rf"|(?P<before>{_NUMBER})\s?(?P<after>[€£₹¥])"
        ),
        _say_money,
    ),
    (_compile(r"(?<!\w)(?:'(?P<short>\d0)|(?<=the )(?P<two>\d0)|(?P<four>\d{3}0))'?s\b"), _say_decade),
    (_compile(r"\b(\d)'\s?(\d{1,2})(?:\"|'')?(?!\w)"), _say_height),
    (_compile(rf"\b(\d+ )?({'|'.join(FRACTIONS)})(?![\d/])"), _say_fraction),
    (_compile(rf"(?<![\w.])({_NUMBER})\s?({_UNIT})(?![\w%°²/])"), _say_unit),
    (_compile(rf"(?<![\w.])({_NUMBER})(k|M|bn|B)\b"), _say_magnitude),
    (_compile(r"\b(\d+)(?:st|nd|rd|th)\b"), lambda found, british: spell_ordinal(int(found[1]), british=british)),
    (_compile(r"(?<![\d.])24/7\b"), lambda found, british: "twenty-four seven"),
    (_compile(r"#(?=\d)"), lambda found, british: "number "),
    (_compile(r"\b[Nn]o\.\s?(?=\d)"), lambda found, british: "number "),
    (_compile(r"\bp\.\s?(?=\d)"), lambda found, british: "page "),
    (_compile(r"(?<!\w)#(?=[A-Za-z])"), lambda found, british: "hashtag "),
    (_compile(r"(?<=\d)\s?[xX×]\s?(?=\d)"), lambda found, british: " by "),
    (_compile(r"(?<![\w-])~(?=\s?\d)"), lambda found, british: "about "),
    (_compile(r"(?<=\d)\s?<\s?(?=\d)"), lambda found, british: " is less than "),
    (_compile(r"(?<=\d)\s?>\s?(?=\d)"), lambda found, british: " is greater than "),
    (_compile(r"(?<=\d):(?=\d)"), lambda found, british: " to "),
    (_compile(r"(?<![\w-])-(?=\d)"), lambda found, british: "minus "),
    (_compile(r"\b\d+(?:\.\d+){2,}"), lambda found, british: _say_version(found[0], british)),
    (_compile(r"(?<=[A-Za-z])-(?=\d)"), lambda found, british: " "),
    (_compile(r"(?<=\d)(?=[A-Za-z])|(?<=[A-Za-z])(?=\d)"), lambda found, british: " "),
    (_compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d*\.\d+|\d+"), _say_plain_number),
    (_compile(rf"\b({'|'.join(WEEKDAYS)})\.(?=[\s,])"), lambda found, british: WEEKDAYS[found[1]]),
    (_compile(rf"\b({_MONTH})\.(?=[\s,])"), lambda found, british: MONTH_NAMES[found[1]]),
    (_compile(r"\bSt\.(?=$|\s+(?:He|She|It|The|We|They|I|You|A|This|That)\b)"), lambda found, british: "Street."),
    (_compile(r"\bSt(?:\.(?=[,;:!?)]|\s+[a-z])|(?=[,;:!?)]|\s+[a-z]))"), lambda found, british: "Street"),
    (_compile(rf"\b({'|'.join(TITLES)})\.?(?=\s+[A-Z])"), lambda found, british: TITLES[found[1]]),
    (
        _compile(rf"\b({'|'.join(map(re.escape, sorted(ABBREVIATIONS, key=len, reverse=True)))})\.(?!\w)"),
        _expand_abbreviation,
    ),
    (_compile(r"\bw/o\b"), lambda found, british: "without"),
    (_compile(r"\b(?:[A-Za-z]\.){2,}"), _expand_initials),
    (_compile(r"(?<![A-Za-z'])(?<![A-Z] )([A-HJ-Z])\.(?=\s*[A-Z])"), lambda found, british: found[1]),
    (_compile(r"\band/or\b"), lambda found, british: "and or"),
    (_compile(r"(?<=\w)/(?=\w)"), lambda found, british: " "),
)
