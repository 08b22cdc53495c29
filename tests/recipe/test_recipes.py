"""The recipes: options, stages, which data they choose, and a run of the LRS3 recipe in miniature. The toy recipe's run is CI's."""

import csv
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import typer
from tiny import checkpoint

from facevc_cli.cli.app import app
from facevc_cli.io.checkpoint import load_checkpoint
from facevc_cli.io.store import Store

RECIPES = Path(__file__).parents[2] / "recipes"
MAKE_CLIPS = RECIPES / "toy" / "local" / "make_clips.py"
NAMES = ("toy", "lrs3", "starter", "benchmark")


def run_recipe(name: str, *options: object, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """run.sh with this Python's commands first on the PATH, after those in `path`."""
    folders = [*([str(path)] if path else []), str(Path(sys.executable).parent), os.environ["PATH"]]
    environment = {**os.environ, "PATH": os.pathsep.join(folders)}
    command = ["bash", str(RECIPES / name / "run.sh"), *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL, timeout=600)


def stages_of(run: subprocess.CompletedProcess[str]) -> list[int]:
    return [int(line.split("stage ")[1].split(",")[0]) for line in run.stderr.splitlines() if line.startswith("== ") and "stage " in line]


def table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def make_clips(out: Path, *options: object) -> None:
    subprocess.run([sys.executable, str(MAKE_CLIPS), str(out), *map(str, options)], check=True)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--stgae", "1"), "unknown option '--stgae'"),
        (("--out",), "--out needs a value"),
        (("clips",), "unexpected argument 'clips'"),
        (("--stage", "two"), "--stage 'two': expected a whole number"),
        (("--stage", "5", "--stop-stage", "4"), "--stage 5 comes after --stop-stage 4"),
    ],
)
def test_wrong_options_are_usage_errors(name: str, options: tuple[str, ...], message: str) -> None:
    run = run_recipe(name, *options)
    assert run.returncode == 2
    assert message in run.stderr
    assert f"{name}/run.sh" in run.stderr


@pytest.mark.parametrize("name", NAMES)
def test_help_says_cost_and_options(name: str) -> None:
    run = run_recipe(name, "--help")
    assert run.returncode == 0
    options = next(line for line in (RECIPES / name / "run.sh").read_text(encoding="utf-8").splitlines() if line.startswith("options="))
    for option in options.split('"')[1].split():
        assert f"--{option.replace('_', '-')}" in run.stdout
    assert "\nCost" in run.stdout
    assert "set -e" not in run.stdout


@pytest.mark.parametrize(("name", "option"), [("lrs3", "--lrs3"), ("starter", "--data"), ("benchmark", "--sources")])
@pytest.mark.parametrize("given", [False, True])
def test_missing_data_is_a_usage_error(name: str, option: str, given: bool, tmp_path: Path) -> None:
    run = run_recipe(name, "--out", tmp_path / "out", *((option, "/nowhere") if given else ()))
    assert run.returncode == 2
    assert "expected" in run.stderr


@pytest.mark.parametrize("flat", [False, True])
def test_toy_extracts_in_stages(flat: bool, tmp_path: Path) -> None:
    made = tmp_path / "made"
    make_clips(made, "--people", 3, "--clips", 1, "--seconds", 1.5)
    data = made
    if flat:
        data = tmp_path / "flat"
        data.mkdir()
        for clip in made.glob("*/*.mp4"):
            clip.rename(data / f"{clip.parent.name}.mp4")
    out = tmp_path / "out"
    run = run_recipe("toy", "--data", data, "--out", out, "--stop-stage", 4, "--jobs", 1)
    assert run.returncode == 0, run.stderr
    assert stages_of(run) == [1, 2, 3, 4]
    assert {row["speaker"] for row in table(out / "splits.csv")} == {"female-1", "male-0", "male-2"}
    assert [row["split"] for row in table(out / "splits.csv")] == ["test", "train", "test"]
    ids = [p.relative_to(data).with_suffix("").as_posix() for p in sorted(data.rglob("*.mp4"))]
    for name, stage in (("features", "extract-features"), ("faces", "extract-face"), ("voices", "extract-spkemb")):
        with Store(out / f"{name}.h5", stage) as store:
            assert sorted(store.ids) == ids
            assert sorted(store.speakers) == ["female-1", "male-0", "male-2"]
    assert [row["utterance"] for row in table(out / "wav" / "manifest.csv")] == ids
    assert len(list((out / "crops").rglob("*.png"))) == 3 * 4

    again = run_recipe("toy", "--data", data, "--out", out, "--stage", 3, "--stop-stage", 3)
    assert again.returncode == 0
    assert stages_of(again) == [3]
    assert "0 done, 3 skipped, 0 failed" in again.stderr


def test_toy_needs_three_people() -> None:
    splits = runpy.run_path(str(RECIPES / "toy" / "local" / "splits.py"))["split_speakers"]
    with pytest.raises(SystemExit, match="three people or more, found 2"):
        splits(["a", "b"])
    assert splits(["a", "b", "c"]) == {"a": "test", "b": "train", "c": "test"}
    assert splits(list("abcde")) == {"a": "test", "b": "valid", "c": "train", "d": "train", "e": "test"}
    assert sorted(splits(list("abcdefghijk")).values()) == ["test"] * 3 + ["train"] * 7 + ["valid"]


LRS3_CLIPS = {
    "pretrain": {"many": 3, "some": 2, "also": 2, "few": 1},
    "trainval": {"many": 2, "new1": 2, "new2": 1},
    "test": {"t1": 2, "t2": 2, "t3": 1, "t4": 3},
}


@pytest.fixture
def lrs3_names(tmp_path: Path) -> Path:
    """A tree of LRS3's layout; the clips are empty files."""
    root = tmp_path / "LRS3"
    for split, speakers in LRS3_CLIPS.items():
        for speaker, count in speakers.items():
            (root / split / speaker).mkdir(parents=True)
            for number in range(1, count + 1):
                (root / split / speaker / f"{number:05d}.mp4").touch()
                (root / split / speaker / f"{number:05d}.txt").write_text(f"Text:  SPOKEN BY {speaker.upper()}\nConf:  3\n")
    return root


def test_lrs3_chooses_by_clips_and_split(lrs3_names: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ("--lrs3", lrs3_names, "--out", out, "--stop-stage", 0, "--speakers", 2, "--valid-clips", 2, "--sources", 1, "--targets", 2)
    run = run_recipe("lrs3", *options)
    assert run.returncode == 0, run.stderr
    splits = {row["utterance"]: row["split"] for row in table(out / "splits.csv")}
    assert sorted(u for u, split in splits.items() if split == "train") == [
        "pretrain/also/00001", "pretrain/also/00002", "pretrain/many/00001", "pretrain/many/00002", "pretrain/many/00003",
    ]  # fmt: skip
    assert sorted(u for u, split in splits.items() if split == "valid") == ["trainval/new1/00001", "trainval/new2/00001"]
    links = sorted(p.relative_to(out / "clips").with_suffix("").as_posix() for p in (out / "clips").rglob("*.mp4"))
    assert links == sorted(splits)
    assert (out / "clips/pretrain/many/00001.mp4").resolve() == (lrs3_names / "pretrain/many/00001.mp4").resolve()
    sources, targets = table(out / "sources.csv"), table(out / "targets.csv")
    assert (len(sources), len({row["speaker"] for row in targets})) == (1, 2)
    assert not {row["speaker"] for row in sources} & {row["speaker"] for row in targets}
    first = (out / "splits.csv").read_text(), (out / "sources.csv").read_text()
    assert run_recipe("lrs3", *options).returncode == 0
    assert first == ((out / "splits.csv").read_text(), (out / "sources.csv").read_text())

    (out / "wav").mkdir()
    another = run_recipe("lrs3", *options, "--speakers", 1)
    assert another.returncode == 1
    assert "holds the recordings of another choice" in another.stderr
    assert run_recipe("lrs3", *options).returncode == 0


def test_lrs3_draws_as_many_women_as_men(lrs3_names: Path) -> None:
    select = runpy.run_path(str(RECIPES / "lrs3" / "local" / "select_speakers.py"))
    clips = {f"s{i}": [f"test/s{i}/{k:05d}" for k in (1, 2)] for i in range(24)}
    genders = {f"s{i}": "female" if i % 3 == 0 else "male" for i in range(24)}
    sources, targets = select["draw_test"](clips, genders, 4, 8, select["random"].Random(0))
    assert sorted(genders[s] for s in sources) == ["female"] * 2 + ["male"] * 2
    assert sorted(genders[s] for s in targets) == ["female"] * 4 + ["male"] * 4
    assert not set(sources) & set(targets)
    with pytest.raises(SystemExit, match="expected LRS3's layout"):
        select["read_split"](lrs3_names, "missing")


def test_lrs3_runs_in_miniature(tmp_path: Path) -> None:
    root = tmp_path / "LRS3"
    for split, first, people, clips in (("pretrain", 0, 2, 2), ("trainval", 0, 3, 1), ("test", 3, 4, 1)):
        make_clips(root / split, "--first-person", first, "--people", people, "--clips", clips, "--seconds", 1.4)
    for clip in root.glob("test/*/*.mp4"):
        clip.with_suffix(".txt").write_text("Text:  NOTHING AT ALL\n")
    genders = tmp_path / "genders.csv"
    genders.write_text("speaker,gender\n" + "".join(f"{p.name},{p.name.split('-')[0]}\n" for p in root.glob("test/*") if p.is_dir()))
    out = tmp_path / "out"
    run = run_recipe(
        "lrs3", "--lrs3", root, "--out", out, "--speakers", 2, "--valid-clips", 1, "--sources", 2, "--targets", 2, "--genders", genders,
        "--detector", "dlib", "--embedder", "dlib", "--preset", "toy", "--config", RECIPES / "lrs3" / "conf" / "smoke.yaml",
        "--vocoder", "griffin-lim", "--device", "cpu", "--jobs", 1, "--judges", "light",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert stages_of(run) == list(range(9))
    manifest = table(out / "converted" / "manifest.csv")
    assert {row["status"] for row in manifest} == {"done"}
    assert {row["source_id"] for row in manifest} == {row["utterance"] for row in table(out / "sources.csv")}
    assert {row["target"] for row in manifest} == {row["speaker"] for row in table(out / "targets.csv")}
    assert {row["transcript"] for row in table(out / "known" / "sources.csv")} == {"NOTHING AT ALL"}
    figures = json.loads((out / "evaluation" / "metrics.json").read_text())
    (system,) = figures["systems"].values()
    assert system["SHO"]["n"] >= 1


FAKE = """#!/usr/bin/env bash
printf '%s\\n' "$*" >> "$LOG"
"""


def test_starter_calls_commands_that_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too long to run: every command line is written down by a stand-in and held against the real command's options."""
    data, out, fake = tmp_path / "data", tmp_path / "out", tmp_path / "bin"
    for folder in (data, fake):
        folder.mkdir()
    (fake / "facevc").write_text(FAKE)
    (fake / "facevc").chmod(0o755)
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    with open(data / "speech.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["utterance", "path", "corpus", "speaker", "gender", "age", "language", "seconds", "text"])
        for i in range(40):
            gender = ("female", "male")[i % 2]
            writer.writerow([f"u{i}", f"speech/u{i}.opus", "librispeech", f"s{i}", gender, "", "en", "5.0", f"words {i}"])
    with open(data / "faces.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["face", "path", "corpus", "gender", "age_bin"])
        writer.writerows([f"f{i}", f"faces/f{i}.jpg", "fairface", ("female", "male")[i % 2], "30-39"] for i in range(3100))

    for seed, name in enumerate(("refine", "verify")):  # whose mean stage 10 takes
        checkpoint(out / name / "checkpoints" / "last", "starter", faces=False, seed=seed)
    options = ("--data", data, "--out", out, "--teacher", tmp_path / "teacher", "--verifier", tmp_path / "verifier", "--count", 4)
    first = run_recipe("starter", *options, "--stop-stage", 5, path=fake)
    then = run_recipe("starter", *options, "--stage", 7, path=fake)  # 6 reads stores
    assert (first.returncode, then.returncode) == (0, 0), first.stderr + then.stderr
    assert stages_of(first) + stages_of(then) == [1, 2, 3, 4, 5, *range(7, 15)]
    lines = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    assert [line[0] for line in lines] == [
        "extract-features", "extract-spkemb", "extract-face", "pretrain", "pretrain", "pretrain", "train", "import-checkpoint", "convert", "evaluate",
    ]  # fmt: skip
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for command, *given in lines:
        known = {option for parameter in commands[command].params for option in parameter.opts}
        assert {word for word in given if word.startswith("-")} <= known
    refined, verified, mean = (load_checkpoint(out / name).model.state_dict() for name in ("refine", "verify", "pretrained"))
    assert not torch.equal(refined["memory.values"], verified["memory.values"])
    torch.testing.assert_close(mean["memory.values"], 0.7 * refined["memory.values"] + 0.3 * verified["memory.values"])
    faces = {row["target"] for row in table(out / "test" / "targets.csv")}
    assert len(faces) == 4
    assert not faces & {Path(line).stem for line in (out / "faces.txt").read_text().splitlines()}
    assert [row["gender"] for row in table(out / "test" / "sources.csv")] == ["female", "female", "male", "male"]
