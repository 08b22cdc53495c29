"""evaluation/association/lists.py: tables of pairs and VoxCeleb's lists, and what is wrong in them."""

import pytest

from facevc_cli.core.errors import FaceVCError
from facevc_cli.evaluation.association.lists import Person, Trial, find_person, group_age, read_association


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("face,person\na.jpg,anna\n", r"expected the columns face, voice or wav, found face, person"),
        ("face,voice\na.jpg,a.wav\n", r"person or speaker"),
        ("face,voice,person\n", "no rows"),
        ("face,voice,person\na.jpg,a.wav,anna\na.jpg,b.wav,bert\n", r"a\.jpg belongs to anna and to bert"),
        ("", "found no line"),
        ("1 id1/a.wav\n", r"line 1: expected 'label path path'"),
        ("1 a.wav b.wav\n", r"line 1: expected a face and voices"),
        ("1 a.wav b.jpg\n0 a.wav b.txt\n", r"line 2: expected pictures and sound files, found b\.txt"),
        ("1 a.wav b.jpg\n0 a.wav b.jpg c.jpg\n", "found lines of both kinds"),
        ("2 a.wav b.jpg c.jpg\n", "line 1"),
    ],
)
def test_what_is_refused(tmp_path, text, reason):
    with pytest.raises(FaceVCError, match=reason):
        read_association(write(tmp_path / "pairs.csv", text))


def test_a_table(tmp_path):
    (tmp_path / "a.jpg").touch()
    table = "face,wav,speaker,gender,age\na.jpg,a.wav,anna,F,29\na2.jpg,a.wav,anna,,\nb.jpg,b.wav,bert,male,adult\n"
    found = read_association(write(tmp_path / "pairs.csv", table))
    assert found.faces == {"a.jpg": "anna", "a2.jpg": "anna", "b.jpg": "bert"}
    assert found.voices == {"a.wav": "anna", "b.wav": "bert"} and found.trials == []
    assert found.people == {"anna": Person("female", "20-39"), "bert": Person("male", "adult")}
    assert found.paths["a.jpg"] == tmp_path / "a.jpg"


def test_ages_are_grouped():
    assert [group_age(text) for text in ("19.9", "20", "59", "60", "young", "")] == [
        "0-19",
        "20-39",
        "40-59",
        "60+",
        "young",
        "",
    ]


def test_a_verification_list(tmp_path):
    lines = "1 id10270/x/1.wav id10270/y/1.jpg\n\n0 id10270/x/1.wav id10300/z/2.jpg\n"
    found = read_association(write(tmp_path / "veri.txt", lines))
    assert found.trials == [
        Trial("id10270/x/1.wav", ("id10270/y/1.jpg",), same=True),
        Trial("id10270/x/1.wav", ("id10300/z/2.jpg",), same=False),
    ]
    assert found.faces == {"id10270/y/1.jpg": "id10270", "id10300/z/2.jpg": "id10300"}
    assert found.people == {"id10270": Person(), "id10300": Person()}


def test_matching_lists_with_and_without_a_label(tmp_path):
    plain = read_association(write(tmp_path / "a.txt", "p/1.wav p/1.jpg q/1.jpg r/1.jpg\n"))
    assert plain.trials == [Trial("p/1.wav", ("p/1.jpg", "q/1.jpg", "r/1.jpg"), right=0)]
    labelled = read_association(write(tmp_path / "b.txt", "1 p/1.jpg q/1.wav p/1.wav\n"))
    assert labelled.trials == [Trial("p/1.jpg", ("q/1.wav", "p/1.wav"), right=1)]


def test_whose_a_file_is():
    assert find_person("vox/dev/id10001/abc/1.wav") == "id10001"
    assert (
        find_person("anna/photos/1.jpg") == find_person("./anna/1.jpg") == "anna" and find_person("anna.jpg") == "anna"
    )
