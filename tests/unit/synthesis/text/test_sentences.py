"""Sentences and pauses."""

from facevc_cli.synthesis.text.sentences import MOST_CHARACTERS, Sentence, split_text


def test_a_text_without_words_has_no_sentences():
    for text in ("", "\n\n \n", "...", "你好"):
        assert split_text(text).sentences == ()
    assert split_text("你好\n你好 👍").left_out == ("你好", "👍")


def test_pauses_are_shares_of_a_paragraphs():
    found = split_text("One. Two?\nThree\n\n\n\nFour!\r\n\r\nFive", pause_s=1.0)
    assert [(s.text, s.pause_s) for s in found.sentences] == [
        ("One.", 0.5),
        ("Two?", 0.3),
        ("Three", 1.0),
        ("Four!", 1.0),
        ("Five", 0.0),
    ]
    assert split_text("Hi.\n\nHo.").sentences == (Sentence("Hi.", 0.5), Sentence("Ho.", 0.0))


def test_abbreviations_decimals_and_quotes_end_no_sentence():
    found = split_text('Dr. Smith paid $3.50. "Stop!" he said, e.g. twice. "Why?" She left.')
    assert [s.text for s in found.sentences] == [
        "Doctor Smith paid three dollars and fifty cents.",
        '"Stop!" he said, for example twice.',
        '"Why?"',
        "She left.",
    ]


def test_a_long_sentence_is_cut_at_its_marks_and_loses_nothing():
    words = [f"word{'s' * (i % 7)}" for i in range(400)]
    text = " ".join(word + ("," if i % 20 == 19 else "") for i, word in enumerate(words))
    parts = [s.text for s in split_text(text).sentences]
    assert len(parts) > 5 and max(map(len, parts)) <= MOST_CHARACTERS
    assert " ".join(parts).replace(",", "").split() == words
    assert all(part.endswith(",") for part in parts[:-1])
    assert max(len(s.text) for s in split_text("x" * 1000).sentences) <= MOST_CHARACTERS


def test_many_sentences_are_split_once_each():
    found = split_text("This is a sentence. " * 2000)
    assert len(found.sentences) == 2000 and {s.text for s in found.sentences} == {"This is a sentence."}
