"""benchmark/labels.py: what tables say of people and sources."""

import pytest
from helpers.folders import NFC, NFD
from helpers.reporters import Notes

from facevc_cli.benchmark.labels import describe_sources, describe_targets
from facevc_cli.core.errors import FaceVCError
from facevc_cli.files.tables import read_table


def test_labels_know_people_whichever_way_they_are_written(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text(f" Target;Gender\n{NFD} ;f\n", encoding="utf-8-sig")
    assert describe_targets(table, read_table(table, ["target"]), {NFC}, []) == {NFC: {"gender": "f"}}


def test_labels_become_columns(tmp_path):
    (tmp_path / "a1.wav").write_bytes(b"")
    table, reporter = tmp_path / "labels.csv", Notes()
    rows = [
        {"target": "a", "gender": "", "references": "a1.wav", "age_bin": "20-29", "model": "x", "parallel": "p.wav"},
        {
            "target": "a",
            "gender": "female",
            "references": f"/far/a2.wav| {tmp_path}/a1.wav|",
            "age_bin": "30-39",
            "model": "x",
            "parallel": "",
        },
        {"target": "z", "gender": "male", "references": "", "age_bin": "", "model": "", "parallel": ""},
    ]
    about = describe_targets(table, rows, ["a", "b"], ["model", "face"], reporter)
    assert about == {"a": {"gender": "female", "references": f"{tmp_path}/a1.wav|/far/a2.wav", "age_bin": "20-29"}}
    assert reporter.notes == [
        f"{table}: no row for 1 of 2 targets, such as b",
        f"{table}: not taken into the manifest: model, parallel",
    ]
    with pytest.raises(FaceVCError, match=r"column target names such as 'q', found 'a', 'z'"):
        describe_targets(table, rows, ["q"], [])


def test_what_is_known_of_sources(tmp_path):
    rows = [{"source_id": "s", "gender": "f", "transcript": " hello ", "speaker": "1"}]
    assert describe_sources(tmp_path / "t.csv", rows, ["s"]) == {
        "s": {"source_gender": "f", "source_speaker": "1", "transcript": "hello"}
    }
    assert describe_sources(tmp_path / "t.csv", [{"source_id": "s", "gender": "f"}], ["s"]) == {
        "s": {"source_gender": "f"}
    }
    with pytest.raises(FaceVCError, match="column source_id"):
        describe_sources(tmp_path / "t.csv", rows, ["t"])
