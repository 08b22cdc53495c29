"""Text as it is spoken."""

import time

import pytest

from facevc_cli.synthesis.text.normalise import normalise
from facevc_cli.synthesis.text.numbers import spell_cardinal, spell_decimal, spell_ordinal, spell_year


@pytest.mark.parametrize(
    ("text", "left_out"),
    [
        ("hello 你好 world", ("你好",)),
        ("Привет, мир", ("Привет", "мир")),
        ("👍🎉", ("👍🎉",)),
        ("I ❤️ you", ("❤️",)),
    ],
)
def test_what_cannot_be_said_is_named(text, left_out):
    assert normalise(text).left_out == left_out


@pytest.mark.parametrize("text", ["", " ", "...", "?!", "—", "\u200b\x00\x07", "***", "你好", '""', "()"])
def test_a_text_without_words_is_empty(text):
    assert normalise(text).text == ""


@pytest.mark.parametrize(
    "text", ["a." * 3000, "1," * 3000, "a@" * 3000, "1-" * 3000, "1/2" * 2000, "$1,111" * 1000, "- " * 3000]
)
def test_no_text_takes_long(text):
    started = time.process_time()
    normalise(text)
    assert time.process_time() - started < 2


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        # numbers
        ("1,234,567 people", "one million two hundred thirty-four thousand five hundred sixty-seven people"),
        ("3.14 and .5 and -7", "three point one four and zero point five and minus seven"),
        ("٣ eggs", "three eggs"),
        ("007", "zero zero seven"),
        ("12345678901", "one two three four five six seven eight nine zero one"),
        ("1st 22nd 103rd", "first twenty-second one hundred third"),
        ("1/2 cup, 2 1/2 cups, ¾", "one half cup, two and a half cups, three quarters"),
        ("10-20 pages, 5–7", "ten to twenty pages, five to seven"),
        ("3 x 4 > 2", "three times four is greater than two"),
        # dates, years and times
        ("on March 5th, 2024.", "on March fifth, twenty twenty-four."),
        ("2024-03-05", "March fifth, twenty twenty-four"),
        ("3/5/2024", "March fifth, twenty twenty-four"),
        ("5 March 1905", "the fifth of March, nineteen oh five"),
        ("in 1999, the 1990s, the '80s", "in nineteen ninety-nine, the nineteen nineties, the eighties"),
        ("3:30 pm, 9:00, 9 a.m.", "three thirty P M, nine o'clock, nine A M"),
        ("at 3.30 p.m. or 9.05am", "at three thirty P M or nine oh five A M"),
        ("at 3:45 pm. A man", "at three forty-five P M. A man"),
        ("at 3 p.m. Then 4 p.m. and 5pm.", "at three P M. Then four P M and five P M."),
        ("15:05", "fifteen oh five"),
        ("Sat. Jan. 3", "Saturday January third"),
        # money and units
        ("$3.50, $1, $0.99", "three dollars and fifty cents, one dollar, ninety-nine cents"),
        ("£20, 5€, $2.5 million", "twenty pounds, five euros, two point five million dollars"),
        ("$5k, 10M users", "five thousand dollars, ten million users"),
        ("50% at 21°C", "fifty percent at twenty-one degrees Celsius"),
        ("100 km/h, 1 km, 6 ft", "one hundred kilometers per hour, one kilometer, six feet"),
        ("5'11\"", "five foot eleven"),
        # abbreviations and acronyms
        ("Dr. Smith vs. Mr. Jones, e.g. now", "Doctor Smith versus Mister Jones, for example now"),
        ("On St. James St. and Main St. He", "On Saint James Street and Main Street. He"),
        ("J. R. R. Tolkien", "J R R Tolkien"),
        ("the U.S.A. He left", "the U S A. He left"),
        ("WHAT ARE YOU DOING?", "what are you doing?"),
        ("NASA and COVID-19, MP3, 4K", "NASA and COVID nineteen, MP three, four K"),
        # addresses and signs
        ("www.example.com/a", "W W W dot example dot com slash a"),
        ("bob.smith@x-y.org", "bob dot smith at x dash y dot org"),
        ("a & b = c", "a and b equals c"),
        ("#1 of #love", "number one of hashtag love"),
        ("TCP/IP and/or", "TCP IP and or"),
        ("555-1234", "five five five, one two three four"),
        # marks
        ("“Yes,” she said—‘ok’...", "\"Yes,\" she said — 'ok'…"),
        ("What?! No!!!", "What? No!"),
        ("naïve café Straße Łódź", "naive cafe Strasse Lodz"),
        ("π is 3", "pi is three"),
        ("**bold** _it_", "bold it"),
    ],
)
def test_english_is_written_out(text, spoken):
    assert normalise(text).text == spoken
    assert normalise(text).left_out == ()


def test_british_english():
    spoken = normalise("3/5/2024, 101 m", "en-gb").text
    assert spoken == "the third of May, twenty twenty-four, one hundred and one metres"


def test_other_languages_keep_their_letters_and_numbers():
    assert normalise("¿Qué tal?  Son 3 años 👍", "es") == normalise("¿Qué tal? Son 3 años 👍", "es")
    assert normalise("Son 3 años", "es").text == "Son 3 años"
    assert normalise("你好", "zh").text == "你好"


def test_numbers():
    assert [spell_cardinal(n) for n in (0, 13, 40, 115, 1000, 10**15)] == [
        "zero",
        "thirteen",
        "forty",
        "one hundred fifteen",
        "one thousand",
        " ".join(["one", *["zero"] * 15]),
    ]
    assert spell_cardinal(-1_000_001, british=True) == "minus one million and one"
    assert [spell_ordinal(n) for n in (1, 12, 20, 21, 100)] == [
        "first",
        "twelfth",
        "twentieth",
        "twenty-first",
        "one hundredth",
    ]
    assert [spell_year(n) for n in (1066, 1800, 1905, 2000, 2005, 2010)] == [
        "one thousand sixty-six",
        "eighteen hundred",
        "nineteen oh five",
        "two thousand",
        "two thousand five",
        "twenty ten",
    ]
    assert spell_decimal("1,234.05") == "one thousand two hundred thirty-four point zero five"
