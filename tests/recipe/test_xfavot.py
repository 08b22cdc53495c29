"""recipes/xfavot: who is listed, held out and joined, and a run in miniature."""

import csv
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.recipes import list_stages, run_recipe, table
from helpers.repository import RECIPES

from facevc_cli.families.checkpoint import load_checkpoint
from facevc_cli.files.image import load_image
from facevc_cli.files.tables import write_table

LOCAL = RECIPES / "xfavot" / "local"
CHOOSE = runpy.run_path(str(LOCAL / "choose.py"), run_name="choose")
PEOPLE = runpy.run_path(str(LOCAL / "people.py"), run_name="people")
TABLES = runpy.run_path(str(LOCAL / "tables.py"), run_name="tables")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--stgae", "1"), "unknown option '--stgae'"),
        (("--stage", "5", "--stop-stage", "4"), "--stage 5 comes after --stop-stage 4"),
        (("--preset", "starter"), "--preset 'starter': expected xfavot or xfavot-64"),
        (("--ablation", "all"), "--ablation 'all': expected none, paired-only, no-match or no-speakers"),
        (("--data", "nowhere"), "--data 'nowhere': expected a folder with speech.csv and faces.csv"),
        (("--clips", "nowhere"), "--clips 'nowhere': expected a folder of clips"),
        (("--vctk", "nowhere"), "--vctk 'nowhere': expected a folder with speaker-info.txt"),
        (("--vctk", "a", "--data", "b"), "pass one of --data, --clips and --vctk"),
        (("--conf", "nowhere.yaml"), "--conf 'nowhere.yaml': expected a file of settings"),
    ],
)
def test_wrong_options_are_usage_errors(options: tuple[str, ...], message: str) -> None:
    run = run_recipe("xfavot", *options)
    assert run.returncode == 2 and message in run.stderr


def test_help_says_cost_and_options() -> None:
    run = run_recipe("xfavot", "--help")
    lines = (RECIPES / "xfavot" / "run.sh").read_text(encoding="utf-8").splitlines()
    options = next(line for line in lines if line.startswith("options=")).split('"')[1].split()
    assert run.returncode == 0 and "\nCost" in run.stdout
    assert all(f"--{option.replace('_', '-')}" in run.stdout for option in options)


def test_half_of_the_held_out_are_women_and_somebody_is_left() -> None:
    genders = {"a": "female", "b": "female", "c": "female", "d": "male", "e": "male", "f": "male", "g": "male"}
    assert TABLES["hold_out"](genders, 4) == ["a", "b", "d", "f"]
    assert TABLES["hold_out"]({"a": "female", "d": "male", "e": "male"}, 4) == ["d"]


def test_who_has_most_is_joined_and_others_fill_the_hours() -> None:
    usable = {
        name: [
            {"speaker": name, "gender": "female" if name in "abc" else "male", "seconds": str(s), "path": f"{name}{i}"}
            for i, s in enumerate(seconds)
        ]
        for name, seconds in {"a": [9, 9], "b": [4], "c": [9, 9, 9], "d": [5, 5], "e": [6]}.items()
    }
    joined, others = CHOOSE["choose_speech"](usable, 2, 40 / 3600)
    assert [row["path"] for row in joined] == ["c0", "c1", "d0", "d1"]  # until each of the two has 10 seconds
    assert {row["speaker"] for row in others} <= {"a", "b", "e"} and CHOOSE["measure_s"](others) >= 20
    shown = CHOOSE["choose_faces"](
        ["x/f1.jpg", "x/m1.jpg", "x/f2.jpg", "x/q.jpg"], {"f1": "female", "f2": "female", "m1": "male"}, 2
    )
    assert shown == ["x/f1.jpg", "x/m1.jpg"]


def test_each_speaker_and_each_face_has_a_row() -> None:
    genders = {("voice", "anna"): "female", ("voice", "bert"): "male", ("voice", "carl"): "male"}
    genders |= {("face", "f1"): "female", ("face", "f2"): "female", ("face", "m1"): "male", ("face", "x"): ""}
    pairs = [("anna", "f1"), ("anna", "f2"), ("bert", "f1"), ("dora", "m1")]
    rows = PEOPLE["list_people"](["anna", "anna", "bert", "carl"], ["f1", "f2", "m1", "x"], genders, pairs)
    assert [tuple(row.values()) for row in rows] == [
        ("anna", "f1", "female"),
        ("anna", "f2", "female"),
        ("bert", "", "male"),  # of another gender than the face
        ("carl", "", "male"),
        ("", "m1", "male"),
    ]


def list_unpaired(root: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(LOCAL / "unpaired.py"), str(root / "vctk"), str(root / "celeba"), str(out)]
    return subprocess.run([*command, "--count", "2"], capture_output=True, text=True)


def test_vctk_and_celeba_are_listed_by_their_layout(tmp_path: Path) -> None:
    info = "ID  AGE  GENDER  ACCENTS  REGION\n225  23  F    English\np226  22  M    English\n"
    info += "p227 38 M English\np228 22 F English\n"
    (tmp_path / "vctk").mkdir()
    (tmp_path / "vctk" / "speaker-info.txt").write_text(info)
    for speaker in (225, 226, 227, 228, 999):
        for microphone in (1, 2):
            path = tmp_path / f"vctk/wav48_silence_trimmed/p{speaker}/p{speaker}_001_mic{microphone}.flac"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    assert list_unpaired(tmp_path, tmp_path / "out").returncode == 1  # no pictures yet
    for name in ("train/female/1", "train/female/2", "train/male/3", "train/male/4", "val/male/5", "other/6"):
        path = tmp_path / "celeba" / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    out = tmp_path / "out"
    out.mkdir()
    run = list_unpaired(tmp_path, out)
    assert run.returncode == 0, run.stderr
    assert {row["speaker"]: row["split"] for row in table(out / "splits.csv") if row["split"] == "test"} == {
        "p225": "test",
        "p226": "test",
    }
    assert [Path(line).name for line in (out / "speech.txt").read_text().splitlines()] == [
        "p227_001_mic1.flac",
        "p228_001_mic1.flac",
    ]
    assert [Path(line).stem for line in (out / "faces.txt").read_text().splitlines()] == ["1", "3", "4"]
    assert {row["target"]: row["gender"] for row in table(out / "test/targets.csv")} == {"2": "female", "5": "male"}
    assert table(out / "test" / "sources.csv") == [
        {"source_id": "p225_001", "gender": "female"},
        {"source_id": "p226_001", "gender": "male"},
    ]
    genders = {row["name"]: row["gender"] for row in table(out / "known.csv") if row["kind"] == "voice"}
    assert genders == {"p225": "female", "p226": "male", "p227": "male", "p228": "female"}


def test_a_run_in_miniature(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run = run_recipe("xfavot", "--out", out, "--jobs", 1, "--device", "cpu")
    assert run.returncode == 0, run.stderr
    assert list_stages(run) == [1, 2, *range(4, 12)]
    people = table(out / "people.csv")  # of each gender one is held out
    assert [(row["speaker"], row["face"]) for row in people] == [(row["face"], row["face"]) for row in people]
    assert {row["gender"] for row in people} == {"female", "male"} and len(people) == 2
    made = load_checkpoint(out / "model")
    assert (made.config.model.speakers, made.config.model.image_px, made.config.train.steps) == (2, 16, 4)
    assert load_image(out / "train/samples/step-000004/faces.png").shape == (2 * 16, 5 * 16, 3)
    assert len(list((out / "samples").glob("0-00*.png"))) == len(list((out / "samples").glob("0-00*.wav"))) == 2
    restyled = table(out / "restyled" / "restyled.csv")
    assert [row["status"] for row in restyled] == ["done", "done"]
    assert all(load_image(out / "restyled" / row["picture"]).shape == (16, 16, 3) for row in restyled)
    converted = table(out / "converted" / "manifest.csv")
    assert len(converted) == 4 and {row["status"] for row in converted} == {"done"}
    with open(out / "evaluation" / "metrics.csv", newline="", encoding="utf-8") as file:
        assert {row["metric"] for row in csv.DictReader(file)} >= {"GA"}
    again = run_recipe(
        "xfavot",
        "--out",
        out,
        "--jobs",
        1,
        "--device",
        "cpu",
        "--ablation",
        "no-speakers",
        "--stage",
        5,
        "--stop-stage",
        5,
    )
    assert again.returncode == 0 and table(out / "people.csv") == people
    write_table(out / "known.csv", [{"kind": "voice", "name": people[0]["speaker"], "gender": people[0]["gender"]}])
    alone = run_recipe("xfavot", "--out", out, "--ablation", "paired-only", "--stage", 5, "--stop-stage", 5)
    assert alone.returncode == 1 and "it says the gender of nobody" in alone.stderr
