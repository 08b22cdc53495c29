"""Pairs by paths, accents and blanks; targets out of folders as people have them: what `convert` plans."""

from pathlib import Path

import pytest
from helpers.folders import NFC, NFD, touch
from helpers.reporters import Notes

from facevc_cli.batch.jobs import Naming, Row
from facevc_cli.batch.plan import plan_conversions
from facevc_cli.conversion.voice_request import VoiceOptions
from facevc_cli.core.errors import FaceVCError


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sources and faces, of which nothing is decoded; the working directory is beside them."""
    touch(
        tmp_path / "wavs/ann/a.wav",
        tmp_path / f"wavs/{NFD}.wav",
        tmp_path / "faces/eve.jpg",
        tmp_path / f"faces/{NFD}.png",
    )
    (tmp_path / "tables").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plan(given: Path, text: str | None = None, **options: object) -> list[Row]:
    if text is not None:
        (given / "tables/pairs.csv").write_text(text, encoding="utf-8")
    pairs = given / "tables/pairs.csv" if text is not None else None
    return plan_conversions([given / "wavs"], [given / "faces"], [], Naming(given / "out"), pairs=pairs, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("source", "face"),
    [
        ("ann/a", "eve"),
        ("ann/a.wav", "eve.jpg"),
        ("a.wav", " eve "),
        ("./wavs/ann/a.wav", "faces/eve.jpg"),
        ("../wavs/ann/a.wav", "../faces/eve.jpg"),
        ("wavs/../wavs/ann/a.wav", "./faces/eve.jpg"),
        ("{here}/wavs/ann/a.wav", "{here}/faces/eve.jpg"),
        ("ann\\a", "faces\\eve.jpg"),
    ],
)
def test_pairs_by_any_path(given, source, face):
    rows = plan(given, f"source,face\n{source},{face}\n".replace("{here}", str(given)))
    assert [(row.source.id, row.target_id) for row in rows] == [("ann/a", "eve")]


@pytest.mark.parametrize("form", [NFC, NFD])
@pytest.mark.parametrize("cells", ["{0};{0}", "./wavs/{0}.wav;{0}.png", "../wavs/{0}.wav;../faces/{0}.png"])
def test_pairs_of_a_spreadsheet_with_accents(given, form, cells):
    (row,) = plan(given, "Source ; FACE\n" + cells.format(form) + "\n;\n")
    assert (row.source.id, row.target_id, row.person) == (NFC, NFC, NFC)
    assert row.source.path.is_file() and row.target.is_file()
    assert row.job.relative == f"{NFC}__{NFC}.wav"


def test_the_tables_folder_comes_before_the_working_directory(given):
    touch(given / "tables/wavs/ann/a.wav")
    pairs = given / "tables/pairs.csv"
    pairs.write_text("source,face\nwavs/ann/a.wav,eve\n")
    sources = [given / "wavs", given / "tables/wavs/ann/a.wav"]
    (row,) = plan_conversions(sources, [given / "faces"], [], Naming(given / "out"), pairs=pairs)
    assert row.source.file == given / "tables/wavs/ann/a.wav"


def test_two_files_of_one_stem_are_told_apart_and_pairs_say_which(given):
    touch(given / "faces/eve.png")
    rows = plan(given)
    assert sorted({row.target_id for row in rows}) == ["eve.jpg", "eve.png", NFC]
    assert len({row.job.relative for row in rows if row.job}) == 6
    (row,) = plan(given, "source,face\nann/a,eve.png\n")
    assert row.target == given / "faces/eve.png"
    with pytest.raises(FaceVCError, match=r"there are eve.jpg and eve.png: say which"):
        plan(given, "source,face\nann/a,eve\n")


def test_people_are_found_in_linked_folders_and_not_in_hidden_ones(given):
    touch(
        given / "pool/1.jpg",
        given / "pool/1.png",
        given / "pool/.thumbnails/1.jpg",
        given / "pool/@eaDir/1.jpg",
        given / "pool/x.txt",
    )
    (given / "anna").symlink_to(given / "pool")
    told = Notes()
    (row,) = plan_conversions(
        [given / "wavs/ann"],
        [],
        [],
        Naming(given / "out"),
        voice_options=VoiceOptions(persons=("anna",)),
        reporter=told,
    )
    assert row.person == row.target_id == "anna"
    assert [path.name for path in row.job.voice_spec.files] == ["1.jpg", "1.png"]
    assert told.notes == ["anna: 1 file of another kind was passed over (.txt 1)"]


def test_what_every_folder_holds_besides_is_told(given):
    touch(given / "wavs/list.txt", given / "faces/Thumbs.db", given / "faces/a.pdf")
    told = Notes()
    plan(given, reporter=told)
    assert told.notes == [
        f"{given / 'wavs'}: 1 file of another kind was passed over (.txt 1)",
        f"{given / 'faces'}: 1 file of another kind was passed over (.pdf 1)",
    ]
