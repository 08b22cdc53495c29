"""evaluation/patterns.py: what the names of another system's files say."""

from helpers.folders import NFC, NFD, touch

from facevc_cli.evaluation.patterns import read_by_pattern


def test_names_of_another_system(tmp_path):
    touch(tmp_path / f"other/{NFD}__eve.wav", tmp_path / "other/.hidden/a__b.wav", tmp_path / "other/notes.md")
    rows, notes = read_by_pattern(tmp_path / "other", "{source}__{target}.wav")
    assert [(row["source_id"], row["target"], row["converted"]) for row in rows] == [(NFC, "eve", f"{NFD}__eve.wav")]
    assert notes == [f"{tmp_path / 'other'}: 1 file of another kind was passed over (.md 1)"]
