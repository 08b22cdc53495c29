"""Texts from files."""

import pytest

from facevc_cli.core.errors import FaceVCError
from facevc_cli.speaking.narrator import Cue
from facevc_cli.speaking.text_files import NamedText, read_subtitles, read_texts, strip_markdown

SRT = """1
00:00:01,500 --> 00:00:03,000
<i>Hello</i>
there.

2
01:00:04.25 --> 01:00:06,000 X1:0
Bye.

3
00:00:09,000 --> 00:00:10,000

"""


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", b" \n", "expected a text, found none"),
        ("a.txt", b"\xff\xfe\xfa", "not a"),
        ("a.srt", b"hello", "expected subtitles, found none"),
        ("a.csv", b"id,words\na,hi\n", "text"),
        ("a.csv", b"id,text\n", "expected rows"),
        ("a.csv", b"id,text\na,hi\na,ho\n", "two rows have the id 'a'"),
        ("a.docx", b"x", r"expected a file that ends in \.txt, \.md, \.srt, \.csv"),
    ],
)
def test_files_without_texts(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FaceVCError, match=said):
        read_texts(tmp_path / name)
    with pytest.raises(FaceVCError, match="cannot be read"):
        read_texts(tmp_path / "none.txt")


def test_plain_text(tmp_path):
    (tmp_path / "story.txt").write_bytes("\ufeffHi.\r\nHo é.".encode())
    assert read_texts(tmp_path / "story.txt") == [NamedText("story", "story.txt", (Cue("Hi.\nHo é."),))]


def test_subtitles_keep_their_times(tmp_path):
    assert read_subtitles(SRT) == [Cue("Hello there.", 1.5), Cue("Bye.", 3604.25)]
    (tmp_path / "film.srt").write_text(SRT)
    assert read_texts(tmp_path / "film.srt")[0].cues == (Cue("Hello there.", 1.5), Cue("Bye.", 3604.25))


def test_markdown_loses_its_markup():
    text = (
        "---\ntitle: x\n---\n# A *title* #\n\nSome **bold** and _soft_ [link](http://a.b) ![pic](c.png), `code_x`.\n\n"
        "```py\nprint(1)\n```\n- [ ] one\n* two\n1. three\n> quoted\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\n***\n"
        "<br>snake_case stays <!-- gone -->\n[ref]: http://x.y\n"
    )
    words = " ".join(strip_markdown(text).split())
    assert words == ("A title Some bold and soft link pic, code_x. one two three quoted a, b 1, 2 snake_case stays")


def test_tables_have_ids_texts_and_faces(tmp_path):
    (tmp_path / "face.jpg").write_bytes(b"")
    (tmp_path / "lines.csv").write_text('id,text,face\na,"Hi, you.",face.jpg\n,Ho.,other.jpg\nc,Hey.,\n')
    first, second, third = read_texts(tmp_path / "lines.csv")
    assert (first.id, first.cues, first.faces) == ("a", (Cue("Hi, you."),), (tmp_path / "face.jpg",))
    assert (second.id, [str(face) for face in second.faces]) == ("lines-2", ["other.jpg"])
    assert third.faces == () and third.name == "lines.csv, c"


def test_texts_are_named_by_their_words():
    assert NamedText.from_words("Hi, the weather!").id == "hi-the-weather"
    assert NamedText.from_words("Hi.", ["hi", "hi-2"]).id == "hi-3"
    assert NamedText.from_words("?!").id == "text"
    assert NamedText.from_words("a\udcff").cues == (Cue("a?"),)
    long = NamedText.from_words("one two three four five six seven eight nine ten").id
    assert long == "one-two-three-four-five-six-seven-eight"
