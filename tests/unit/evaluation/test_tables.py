"""What `evaluate` is given: tables of conversions, tables beside them, and folders of files with telling names."""

import pytest

from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.evaluation.tables import read_conversions
from facevc_cli.files.tables import write_table


def touch(folder, *names: str):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def test_the_manifest_of_convert_becomes_conversions(tmp_path):
    rows = [
        {
            "converted": "a.wav",
            "target": "anna",
            "system": "ours",
            "baseline": "",
            "degradation": "",
            "face": "anna.jpg",
            "driver": "anna.jpg",
        },
        {
            "converted": "b.wav",
            "target": "anna",
            "system": "ours",
            "baseline": "mean-face",
            "degradation": "",
            "face": "anna.jpg",
            "driver": "",
        },
        {
            "converted": "c.wav",
            "target": "anna",
            "system": "ours",
            "baseline": "",
            "degradation": "blur=4",
            "face": "gone.jpg",
            "driver": "",
        },
    ]
    write_table(
        touch(tmp_path, "anna.jpg") / "manifest.csv",
        [row | {"age_bin": "20s", "seconds": "1.5", "source": "s.wav"} for row in rows],
    )
    found = read_conversions(tmp_path).conversions
    assert [c.system for c in found] == ["ours", "ours/mean-face", "ours/blur=4"] and {c.base for c in found} == {
        "ours"
    }
    assert [c.baseline + c.degradation for c in found] == ["", "mean-face", "blur=4"]
    assert found[0].face == found[0].driver == str(tmp_path / "anna.jpg") and found[2].face == "gone.jpg"
    assert found[0].about == {"age_bin": "20s", "seconds": "1.5"} and found[0].source_id == "s.wav"


def test_columns_of_the_tables_are_kept(tmp_path):
    write_table(tmp_path / "manifest.csv", [{"converted": "a.wav", "target": "t", "source_id": "s", "accent": ""}])
    write_table(
        tmp_path / "people.csv",
        [{"target": "t", "accent": "", "age_bin": "20s"}, {"target": "t", "accent": "Scots", "age_bin": ""}],
    )
    write_table(
        tmp_path / "spoken.csv",
        [{"source_id": "s", "file": "s.wav", "accent": "Welsh", "noise": "no", "gender": "F", "speaker": "9"}],
    )
    (found,) = read_conversions(tmp_path, tmp_path / "people.csv", tmp_path / "spoken.csv").conversions
    assert found.about == {"accent": "Scots", "age_bin": "20s", "source_accent": "Welsh", "noise": "no", "speaker": "9"}
    assert found.source == str(tmp_path / "s.wav") and (found.source_gender, found.speaker) == ("female", "9")


def test_parallel_recordings_by_target_and_source(tmp_path):
    write_table(
        tmp_path / "manifest.csv",
        [{"converted": f"{s}{t}.wav", "target": t, "source_id": s} for s in "su" for t in "ab"],
    )
    rows = [
        {"target": "a", "source_id": "", "parallel": "a-any.wav"},
        {"target": "a", "source_id": "u", "parallel": "a-u.wav"},
        {"target": "b", "source_id": "s", "parallel": "b-s.wav"},
    ]
    write_table(tmp_path / "people.csv", rows)
    found = {
        c.converted.rsplit("/")[-1]: c.parallel.rsplit("/")[-1]
        for c in read_conversions(tmp_path, tmp_path / "people.csv").conversions
    }
    assert found == {"sa.wav": "a-any.wav", "ua.wav": "a-u.wav", "sb.wav": "b-s.wav", "ub.wav": ""}


def test_what_drove_a_conversion_is_no_reference_in_any_system(tmp_path):
    touch(tmp_path, "r1.wav", "r2.wav", "only.wav")
    columns = ("system", "converted", "target", "driver", "baseline", "voice", "references")
    rows = [
        ("face", "1.wav", "a", "a.jpg", "", "", "r1.wav|r2.wav"),
        ("face", "2.wav", "a", f"{tmp_path}/./r1.wav", "voice", "", "r1.wav|r2.wav"),
        ("face", "3.wav", "b", "", "", "only.wav", "only.wav"),
        ("other", "4.wav", "a", "", "", "", "r2.wav|r1.wav"),
        ("other", "5.wav", "c", "", "", "", "r1.wav"),
    ]
    write_table(tmp_path / "manifest.csv", [dict(zip(columns, row, strict=True)) for row in rows])
    found = read_conversions(tmp_path)
    names = [[name.rsplit("/")[-1] for name in c.references] for c in found.conversions]
    assert names == [["r2.wav"], ["r2.wav"], ["only.wav"], ["r2.wav"], ["r1.wav"]]
    driving = [[name.rsplit("/")[-1] for name in c.driving] for c in found.conversions]
    assert driving == [["r1.wav"], ["r1.wav"], [], ["r1.wav"], []]
    assert [note.split(" is ")[0] for note in found.notes] == [
        "recordings that drove a conversion are not used as references of its target, in any system (1 targets)",
        "the only reference",
    ]
    assert found.notes[1].endswith(": b")


def test_failed_rows_are_counted_by_system(tmp_path):
    done = {"target": "a", "system": "x", "status": "done"}
    rows = [
        done | {"converted": f"{i}.wav", "degradation": "blur=4" if i else "", "status": "failed" if i > 1 else "done"}
        for i in range(5)
    ]
    write_table(tmp_path / "manifest.csv", [*rows, {**rows[0], "converted": "p.wav", "status": "pending"}])
    found = read_conversions(tmp_path)
    assert found.lost == {"x/blur=4": 3} and found.excluded == 4 and len(found.conversions) == 2


def test_names_of_files_say_what_they_are(tmp_path):
    touch(
        tmp_path,
        "deep/er/s1__anna.wav",
        "s1__berta__2.flac",
        "s2__anna.wav",
        "notes.txt",
        "readme.wav",
        ".facevc-cache/x.npz",
    )
    write_table(tmp_path / "spoken.csv", [{"source_id": "s1", "path": "s1.wav", "transcript": "hello", "gender": "m"}])
    write_table(tmp_path / "people.csv", [{"target": "anna", "gender": "f", "references": "r.wav"}])
    found = read_conversions(
        tmp_path, tmp_path / "people.csv", tmp_path / "spoken.csv", pattern="{source}__{target}.wav"
    )
    assert [(c.source_id, c.target) for c in found.conversions] == [("s1", "anna"), ("s2", "anna")]
    first = found.conversions[0]
    assert (
        first.converted == str(tmp_path / "deep/er/s1__anna.wav")
        and first.system == tmp_path.name
        and first.transcript == "hello"
    )
    assert (first.source, first.references) == (
        str(tmp_path / "s1.wav"),
        (str(tmp_path / "r.wav"),),
    ) and "readme.wav" in " ".join(found.notes)
    faces = read_conversions(tmp_path, pattern="{source}__{target}__{face}").conversions  # no suffix: any
    assert [(c.source_id, c.target, c.face) for c in faces] == [("s1", "berta", "2")]


def test_folders_in_a_pattern(tmp_path):
    touch(tmp_path, "out/ours/anna/1/s1.wav", "out/theirs/anna/1/s1.wav", "s9.wav")
    found = read_conversions(tmp_path, pattern="{system}/{target}/{face}/{source}.wav").conversions
    assert [(c.system, c.target, c.face, c.source_id) for c in found] == [
        ("ours", "anna", "1", "s1"),
        ("theirs", "anna", "1", "s1"),
    ]
    with pytest.raises(FaceVCError, match="both give .*source 's1'"):
        read_conversions(tmp_path, pattern="{target}/{face}/{source}.wav")


def test_a_pattern_that_finds_nothing_or_makes_no_sense(tmp_path):
    touch(tmp_path, "one-two.wav")
    with pytest.raises(FaceVCError, match="found 1 audio files, such as 'one-two.wav'"):
        read_conversions(tmp_path, pattern="{source}__{target}.wav")
    with pytest.raises(FaceVCError, match="no audio files at all"):
        read_conversions(touch(tmp_path / "empty", "x.txt"), pattern="{source}__{target}.wav")
    for pattern in (
        "{source}.wav",
        "{source}_{target}_{source}",
        "{source}_{target}_{who}",
        "{source}_{target}_{",
        "all.wav",
    ):
        with pytest.raises(UsageError, match="expected the fields"):
            read_conversions(tmp_path, pattern=pattern)
    with pytest.raises(UsageError, match="expects a folder"):
        read_conversions(tmp_path / "one-two.wav", pattern="{source}-{target}")
    with pytest.raises(FaceVCError, match="--pattern"):
        read_conversions(tmp_path)
