"""evaluation/patterns.py: what the names of another system's files say."""

import unicodedata

from helpers.folders import touch

from facevc_cli.evaluation.patterns import read_by_pattern

NFC, NFD = (unicodedata.normalize(form, "zoé") for form in ("NFC", "NFD"))


def test_names_of_another_system(tmp_path):
    touch(tmp_path / f"other/{NFD}__eve.wav", tmp_path / "other/.hidden/a__b.wav", tmp_path / "other/notes.md")
    rows, notes = read_by_pattern(tmp_path / "other", "{source}__{target}.wav")
    assert [(row["source_id"], row["target"], row["converted"]) for row in rows] == [(NFC, "eve", f"{NFD}__eve.wav")]
    assert notes == [f"{tmp_path / 'other'}: 1 file of another kind was passed over (.md 1)"]
