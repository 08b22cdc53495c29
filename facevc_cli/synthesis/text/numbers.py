"""Spells English numbers."""

UNITS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
TENS = ["-", "-", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
SCALES = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (1000, "thousand"))
ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
MOST = 10**15  # larger numbers are read digit by digit


def spell_cardinal(value: int, *, british: bool = False) -> str:
    """1234 -> 'one thousand two hundred thirty-four', in Britain '... two hundred and thirty-four'.

    From 10^15 on, digit by digit.
    """
    if value < 0:
        return f"minus {spell_cardinal(-value, british=british)}"
    if value >= MOST:
        return spell_digits(str(value))
    parts = []
    for size, name in SCALES:
        if value >= size:
            parts.append(f"{_spell_hundreds(value // size, british)} {name}")
            value %= size
    if value or not parts:
        joined = "and " if british and parts and value < 100 else ""
        parts.append(joined + _spell_hundreds(value, british))
    return " ".join(parts)


def spell_ordinal(value: int, *, british: bool = False) -> str:
    """21 -> 'twenty-first'."""
    words = spell_cardinal(value, british=british)
    cut = max(words.rfind(" "), words.rfind("-")) + 1
    last = words[cut:]
    if last in ORDINALS:
        return words[:cut] + ORDINALS[last]
    return f"{words[:-1]}ieth" if last.endswith("y") else f"{words}th"


def spell_year(value: int, *, british: bool = False) -> str:
    """1999 -> 'nineteen ninety-nine', 1905 -> 'nineteen oh five', 2000 -> 'two thousand'."""
    high, low = divmod(value, 100)
    if not 1100 <= value <= 9999 or 2000 <= value <= 2009 or value % 1000 == 0:
        return spell_cardinal(value, british=british)
    if low == 0:
        return f"{spell_cardinal(high)} hundred"
    return f"{spell_cardinal(high)} {'oh ' if low < 10 else ''}{spell_cardinal(low)}"


def spell_decimal(text: str, *, british: bool = False) -> str:
    """'3.14' -> 'three point one four'. Thousands may have commas: '1,234.5'."""
    whole, _, fraction = text.replace(",", "").partition(".")
    spoken = spell_cardinal(int(whole or "0"), british=british)
    return f"{spoken} point {spell_digits(fraction)}" if fraction else spoken


def spell_digits(digits: str) -> str:
    """'007' -> 'zero zero seven'."""
    return " ".join(UNITS[int(digit)] for digit in digits)


def _spell_hundreds(value: int, british: bool) -> str:
    hundreds, rest = divmod(value, 100)
    parts = [f"{UNITS[hundreds]} hundred"] if hundreds else []
    if rest:
        word = UNITS[rest] if rest < 20 else TENS[rest // 10] + (f"-{UNITS[rest % 10]}" if rest % 10 else "")
        parts.append(f"and {word}" if british and parts else word)
    return " ".join(parts) or UNITS[0]
