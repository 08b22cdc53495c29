"""Pairs by paths, accents and blanks; targets out of folders as people have them: what `convert` plans."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from folders import Notes, touch

from facevc_cli.batch.jobs import Naming, Row, plan_conversions
from facevc_cli.benchmark.labels import describe_targets
from facevc_cli.conversion.voice_request import VoiceOptions
from facevc_cli.core.errors import FaceVCError
from facevc_cli.corpus.pairing import pair_faces
from facevc_cli.corpus.store import Item, Store
from facevc_cli.corpus.store_writer import StoreWriter
from facevc_cli.evaluation.patterns import read_by_pattern
from facevc_cli.files.tables import read_table

NFC, NFD = (unicodedata.normalize(form, "zoé") for form in ("NFC", "NFD"))


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sources and faces, of which nothing is decoded; the working directory is beside them."""
    touch(tmp_path / "wavs/ann/a.wav", tmp_path / f"wavs/{NFD}.wav", tmp_path / "faces/eve.jpg", tmp_path / f"faces/{NFD}.png")
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
        ("ann/a", "eve"), ("ann/a.wav", "eve.jpg"), ("a.wav", " eve "), ("./wavs/ann/a.wav", "faces/eve.jpg"), ("../wavs/ann/a.wav", "../faces/eve.jpg"),
        ("wavs/../wavs/ann/a.wav", "./faces/eve.jpg"), ("{here}/wavs/ann/a.wav", "{here}/faces/eve.jpg"), ("ann\\a", "faces\\eve.jpg"),
    ],
)  # fmt: skip
def test_pairs_by_any_path(given, source, face):
    rows = plan(given, f"source,face\n{source},{face}\n".replace("{here}", str(given)))
    assert [(row.source_id, row.target_id) for row in rows] == [("ann/a", "eve")]


@pytest.mark.parametrize("form", [NFC, NFD])
@pytest.mark.parametrize("cells", ["{0};{0}", "./wavs/{0}.wav;{0}.png", "../wavs/{0}.wav;../faces/{0}.png"])
def test_pairs_of_a_spreadsheet_with_accents(given, form, cells):
    row, = plan(given, "Source ; FACE\n" + cells.format(form) + "\n;\n")
    assert (row.source_id, row.target_id, row.person) == (NFC, NFC, NFC)
    assert row.source.is_file() and row.target.is_file()
    assert row.job.relative == f"{NFC}__{NFC}.wav"


def test_the_tables_folder_comes_before_the_working_directory(given):
    touch(given / "tables/wavs/ann/a.wav")
    pairs = given / "tables/pairs.csv"
    pairs.write_text("source,face\nwavs/ann/a.wav,eve\n")
    sources = [given / "wavs", given / "tables/wavs/ann/a.wav"]
    row, = plan_conversions(sources, [given / "faces"], [], Naming(given / "out"), pairs=pairs)
    assert row.source == given / "tables/wavs/ann/a.wav"


def test_two_files_of_one_stem_are_told_apart_and_pairs_say_which(given):
    touch(given / "faces/eve.png")
    rows = plan(given)
    assert sorted({row.target_id for row in rows}) == ["eve.jpg", "eve.png", NFC]
    assert len({row.job.relative for row in rows if row.job}) == 6
    row, = plan(given, "source,face\nann/a,eve.png\n")
    assert row.target == given / "faces/eve.png"
    with pytest.raises(FaceVCError, match=r"there are eve.jpg and eve.png: say which"):
        plan(given, "source,face\nann/a,eve\n")


def test_people_are_found_in_linked_folders_and_not_in_hidden_ones(given):
    touch(given / "pool/1.jpg", given / "pool/1.png", given / "pool/.thumbnails/1.jpg", given / "pool/@eaDir/1.jpg", given / "pool/x.txt")
    (given / "anna").symlink_to(given / "pool")
    told = Notes()
    row, = plan_conversions([given / "wavs/ann"], [], [], Naming(given / "out"), voice_options=VoiceOptions(persons=("anna",)), reporter=told)
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


def test_labels_know_people_whichever_way_they_are_written(given):
    table = given / "labels.csv"
    table.write_text(f" Target;Gender\n{NFD} ;f\n", encoding="utf-8-sig")
    assert describe_targets(table, read_table(table, ["target"]), {NFC}, []) == {NFC: {"gender": "f"}}


def test_names_of_another_system(given):
    touch(given / f"other/{NFD}__eve.wav", given / "other/.hidden/a__b.wav", given / "other/notes.md")
    rows, notes = read_by_pattern(given / "other", "{source}__{target}.wav")
    assert [(row["source_id"], row["target"], row["converted"]) for row in rows] == [(NFC, "eve", f"{NFD}__eve.wav")]
    assert notes == [f"{given / 'other'}: 1 file of another kind was passed over (.md 1)"]


def test_stores_of_two_systems_are_joined_by_names_that_look_the_same(tmp_path):
    for name, written in (("features", NFD), ("faces", NFC)):
        with StoreWriter(tmp_path / f"{name}.h5", name, {}) as writer:
            writer.add(Item(f"{written}/1", written, vectors={"embedding": np.zeros(2)}))
            writer.merge([])
    with Store(tmp_path / "features.h5") as features, Store(tmp_path / "faces.h5") as faces:
        assert features.ids == faces.ids == [f"{NFC}/1"]
        for table in (None, [{"face": NFD, "speaker": NFC}], [{"face": f" {NFD}/1", "utterance": f"{NFC}/1 "}]):
            assert {row: found.tolist() for row, found in pair_faces(features, np.arange(1), faces, table).items()} == {0: [0]}


def test_a_clip_with_a_picture_beside_it_keeps_its_faces(tmp_path):
    with StoreWriter(tmp_path / "features.h5", "features", {}) as writer:
        for name in ("IMG_1", "IMG_2", "IMG_3"):
            writer.add(Item(f"ann/{name}", "ann", vectors={"x": np.zeros(2)}))
        writer.merge([])
    with StoreWriter(tmp_path / "faces.h5", "faces", {}) as writer:
        for name in ("IMG_1.heic", "IMG_1.mov", "IMG_2"):
            writer.add(Item(f"ann/{name}", "ann", vectors={"embedding": np.zeros(2)}))
        writer.merge([])
    with Store(tmp_path / "features.h5") as features, Store(tmp_path / "faces.h5") as faces:
        pairs = pair_faces(features, np.arange(3), faces, None)
        assert {features.ids[row]: [faces.ids[i] for i in found.tolist()] for row, found in pairs.items()} == {
            "ann/IMG_1": ["ann/IMG_1.heic", "ann/IMG_1.mov"],
            "ann/IMG_2": ["ann/IMG_2"],
            "ann/IMG_3": ["ann/IMG_1.heic", "ann/IMG_1.mov", "ann/IMG_2"],
        }
