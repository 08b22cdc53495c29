"""The recipes: options, stages, which data they choose, and a run of the LRS3 recipe in miniature.

The toy recipe's run is CI's.
"""

import csv
import json
import runpy
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import soundfile
import typer
import yaml
from helpers.recipes import FAKE, list_stages, run_recipe, run_script, table
from helpers.repository import RECIPES, ROOT, load_script

from facevc_cli.cli.app import app
from facevc_cli.corpus.store import Store
from facevc_cli.files.tables import write_table

MAKE_CLIPS = RECIPES / "toy" / "local" / "make_clips.py"
NAMES = (
    "toy",
    "lrs3",
    "starter",
    "benchmark",
    "parallel",
    "faces",
    "cmpc",
    "vocoder",
    "stream",
    "crema-d",
    "grid",
    "voxceleb",
    "voxceleb2",
)


def make_clips(out: Path, *options: object) -> None:
    run_script(MAKE_CLIPS, out, *options)


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
    options = next(
        line
        for line in (RECIPES / name / "run.sh").read_text(encoding="utf-8").splitlines()
        if line.startswith("options=")
    )
    for option in options.split('"')[1].split():
        assert f"--{option.replace('_', '-')}" in run.stdout
    assert "\nCost" in run.stdout
    assert "set -e" not in run.stdout


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("lrs3", "--lrs3"),
        ("starter", "--data"),
        ("benchmark", "--sources"),
        ("faces", "--data"),
        ("cmpc", "--faces"),
        ("stream", "--features"),
    ],
)
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
    assert list_stages(run) == [1, 2, 3, 4]
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
    assert list_stages(again) == [3]
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
                (root / split / speaker / f"{number:05d}.txt").write_text(
                    f"Text:  SPOKEN BY {speaker.upper()}\nConf:  3\n"
                )
    return root


def test_lrs3_chooses_by_clips_and_split(lrs3_names: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = (
        "--lrs3",
        lrs3_names,
        "--out",
        out,
        "--stop-stage",
        0,
        "--speakers",
        2,
        "--valid-clips",
        2,
        "--sources",
        1,
        "--targets",
        2,
    )
    run = run_recipe("lrs3", *options)
    assert run.returncode == 0, run.stderr
    splits = {row["utterance"]: row["split"] for row in table(out / "splits.csv")}
    assert sorted(u for u, split in splits.items() if split == "train") == [
        "pretrain/also/00001",
        "pretrain/also/00002",
        "pretrain/many/00001",
        "pretrain/many/00002",
        "pretrain/many/00003",
    ]
    assert sorted(u for u, split in splits.items() if split == "valid") == [
        "trainval/new1/00001",
        "trainval/new2/00001",
    ]
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
    genders.write_text(
        "speaker,gender\n" + "".join(f"{p.name},{p.name.split('-')[0]}\n" for p in root.glob("test/*") if p.is_dir())
    )
    out = tmp_path / "out"
    run = run_recipe(
        "lrs3",
        "--lrs3",
        root,
        "--out",
        out,
        "--speakers",
        2,
        "--valid-clips",
        1,
        "--sources",
        2,
        "--targets",
        2,
        "--genders",
        genders,
        "--detector",
        "dlib",
        "--embedder",
        "dlib",
        "--preset",
        "toy",
        "--config",
        RECIPES / "lrs3" / "conf" / "smoke.yaml",
        "--vocoder",
        "griffin-lim",
        "--device",
        "cpu",
        "--jobs",
        1,
        "--judges",
        "light",
    )
    assert run.returncode == 0, run.stderr
    assert list_stages(run) == list(range(9))
    manifest = table(out / "converted" / "manifest.csv")
    assert {row["status"] for row in manifest} == {"done"}
    assert {row["source_id"] for row in manifest} == {row["utterance"] for row in table(out / "sources.csv")}
    assert {row["target"] for row in manifest} == {row["speaker"] for row in table(out / "targets.csv")}
    assert {row["transcript"] for row in table(out / "known" / "sources.csv")} == {"NOTHING AT ALL"}
    figures = json.loads((out / "evaluation" / "metrics.json").read_text())
    (system,) = figures["systems"].values()
    assert system["SHO"]["n"] >= 1


@pytest.fixture
def starter_data(tmp_path: Path) -> Path:
    """Tables of 40 English speakers (prepare.py holds some out), one of Common Voice, 3,100 faces, 32 people in the
    wild with two pictures each; no files but short noise for the English speech, which is whispered.
    """
    data = tmp_path / "data"
    (data / "speech").mkdir(parents=True)
    noise = 0.1 * np.random.default_rng(0).standard_normal(1600)
    for i in range(40):
        soundfile.write(data / "speech" / f"u{i}.opus", noise, 16000, format="OGG", subtype="OPUS")
    with open(data / "speech.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["utterance", "path", "corpus", "speaker", "gender", "age", "language", "seconds", "text"])
        for i in range(40):
            gender = ("female", "male")[i % 2]
            writer.writerow(
                [f"u{i}", f"speech/u{i}.opus", "librispeech", f"s{i}", gender, "", "en", "5.0", f"words {i}"]
            )
        writer.writerows(
            [f"c{i}", f"speech/c{i}.opus", "commonvoice", "c", "female", "", "de", "5.0", f"words {i}"]
            for i in range(2)
        )
    with open(data / "faces.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["face", "path", "corpus", "gender", "age_bin"])
        writer.writerows(
            [f"f{i}", f"faces/f{i}.jpg", "fairface", ("female", "male")[i % 2], "30-39"] for i in range(3100)
        )
    with open(data / "pairs.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["pair", "wav", "face", "speaker", "face_gender_estimate", "face_gender_confidence", "face_age_estimate"]
        )
        for person, k in product(range(32), (1, 2)):
            sure = 80 if (person, k) in ((0, 1), (1, 2)) else 99
            writer.writerow(
                [
                    f"p{person}-{k}",
                    f"p{person}-{k}.opus",
                    f"p{person}-{k}.jpg",
                    f"p{person}",
                    ("female", "male")[person % 2],
                    sure,
                    20 + person,
                ]
            )
    return data


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a `facevc` that writes its command lines to the file log."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "facevc").write_text(FAKE)
    (folder / "facevc").chmod(0o755)
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    return folder


def commands_called(log: Path) -> list[str]:
    """The log's commands, after their options were found among the real ones'."""
    lines = [line.split() for line in log.read_text().splitlines()]
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for command, *given in lines:
        known = {
            option for parameter in commands[command].params for option in (*parameter.opts, *parameter.secondary_opts)
        }
        assert {word for word in given if word.startswith("-")} <= known
    return [command for command, *_ in lines]


def make_parallel_index(folder: Path) -> Path:
    """The tables of two texts in two timbres each, as recipes/parallel leaves them; no sound."""
    names = ("utterance", "text_id", "timbre", "prosody", "language", "file", "seconds", "sha256", "text")
    texts = [(text, timbre) for text in ("en00000", "en00019") for timbre in ("t001", "t002")]
    rows = [
        (f"{t}_{v}", t, v, "af_heart", "en", f"speech/{t}/{t}_{v}.flac", "3.5", "0", "Some words.") for t, v in texts
    ]
    folder.mkdir()
    with open(folder / "index.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([names, *rows])
    run_script(RECIPES / "parallel" / "local" / "tables.py", folder)
    return folder


def test_starter_calls_commands_that_exist(tmp_path: Path, starter_data: Path, stand_in: Path) -> None:
    """Too long to run: every command line is written down by a stand-in and held against the real command's options."""
    out = tmp_path / "out"
    spoken = make_parallel_index(tmp_path / "spoken")
    options = (
        "--data",
        starter_data,
        "--out",
        out,
        "--teacher",
        tmp_path / "teacher",
        "--parallel",
        spoken,
        "--count",
        4,
    )
    first = run_recipe("starter", *options, "--stop-stage", 5, path=stand_in)
    then = run_recipe("starter", *options, "--stage", 7, path=stand_in)  # 6 reads stores
    assert (first.returncode, then.returncode) == (0, 0), first.stderr + then.stderr
    assert list_stages(first) + list_stages(then) == [1, 2, 3, 4, 5, *range(7, 13)]
    assert commands_called(tmp_path / "log") == [
        "extract-features",
        "extract-spkemb",
        "extract-spkemb",
        "extract-face",
        "pretrain",
        "pretrain",
        "train",
        "import-checkpoint",
        "convert",
        "evaluate",
    ]
    log = (tmp_path / "log").read_text()
    assert f"import-checkpoint {out}/train -o" in log
    whispered = table(out / "whispers.csv")
    assert {Path(row["path"]).parent for row in whispered} == {starter_data / "speech"}
    for row in whispered:
        assert soundfile.info(out / "whispers" / f"{row['utterance']}.flac").frames == 1600
    few, all_of_them = ((out / name).read_text().splitlines() for name in ("few_speech.txt", "speech.txt"))
    assert set(few) < set(all_of_them) and len(few) == 41 and len(all_of_them) == 46 + len(whispered)
    aligned = table(out / "aligned.csv")
    assert {row["text_id"] for row in aligned} == {"en00000", "en00019"} and f"--aligned {out}/aligned.csv" in log
    assert {row["utterance"] for row in aligned} <= {Path(line).stem for line in all_of_them}
    splits = {row["utterance"] or row["speaker"]: row["split"] for row in table(out / "splits.csv")}
    assert splits["en00000_t001"] == "train" and splits["en00019_t002"] == "valid"
    faces = {row["target"] for row in table(out / "test" / "targets.csv")}
    assert len(faces) == 4
    assert not faces & {Path(line).stem for line in (out / "faces.txt").read_text().splitlines()}
    assert [row["gender"] for row in table(out / "test" / "sources.csv")] == ["female", "female", "male", "male"]
    again = run_recipe("starter", *options, "--init", "before", "--stage", 7, "--stop-stage", 9, path=stand_in)
    assert again.returncode == 0 and list_stages(again) == [9], again.stderr
    last = (tmp_path / "log").read_text().splitlines()[-1]
    assert "train" in last and "--init before" in last and f"-o {out}/train" in last


def test_the_memory_is_trained_as_the_preset_says() -> None:
    preset, given = (
        yaml.safe_load((folder / name).read_text(encoding="utf-8"))
        for folder, name in (
            (ROOT / "facevc_cli" / "presets", "starter.yaml"),
            (RECIPES / "starter" / "conf", "memory.yaml"),
        )
    )
    for group, settings in given.items():
        assert settings.items() <= preset[group].items()


def test_settings_are_compared_on_validation_speakers_alone(tmp_path: Path, starter_data: Path) -> None:
    run_script(RECIPES / "starter" / "local" / "prepare.py", starter_data, tmp_path)
    script = load_script(RECIPES / "starter" / "local" / "compare_settings.py")
    valid = {row["speaker"] for row in table(tmp_path / "splits.csv") if row["split"] == "valid"}
    cases = script.choose_cases(starter_data, tmp_path)
    assert {f"s{case.path.stem[1:]}" for case in cases} == valid and len(valid) == 8
    for case in cases:
        voices = [int(path.stem[1:]) for path in case.references]
        same, other = (number % 2 == int(case.path.stem[1:]) % 2 for number in voices)
        assert same and not other and case.path not in case.references
    assert script.parse_settings("") == {}
    assert script.parse_settings("voice_guidance=.5,variance_scale=1.1") == {
        "voice_guidance": 0.5,
        "variance_scale": 1.1,
    }


def test_ablations_differ_in_what_is_drawn_and_in_what_is_aligned(tmp_path: Path, stand_in: Path) -> None:
    out, data = tmp_path / "out", tmp_path / "data"
    out.mkdir()
    data.mkdir()
    write_table(out / "weights.csv", [{"utterance": name, "weight": "2"} for name in ("old", "new", "made")])
    write_table(out / "aligned.csv", [{"utterance": "made", "text_id": "en00000"}])
    write_table(data / "speech_more.csv", [{"utterance": "new", "path": "new.opus"}])
    options = ("--data", data, "--out", out, "--steps", 3, "--stop-stage", 2)
    run = run_recipe("starter", *options, path=stand_in, script="ablate.sh")
    assert run.returncode == 0 and list_stages(run) == [1, 2], run.stderr
    drawn = {
        name: {row["utterance"] for row in table(out / "ablations" / f"{name}.csv") if float(row["weight"])}
        for name in ("first", "more", "all")
    }
    assert drawn == {"first": {"old"}, "more": {"old", "new"}, "all": {"old", "new", "made"}}
    assert commands_called(tmp_path / "log") == ["pretrain"] * 4
    lines = (tmp_path / "log").read_text().splitlines()
    assert ["--aligned" in line for line in lines] == [False, False, False, True]
    weights = [Path(line.split("--sampling-weights ")[1].split()[0]).stem for line in lines]
    assert weights == ["first", "more", "all", "all"]
    assert all("/assets/starter " in line and "pretrain.steps=3" in line for line in lines)


def test_starter_holds_out_the_listed_faces_whatever_the_tables_order(tmp_path: Path, starter_data: Path) -> None:
    """A draw that hangs on the table's order is another draw next time, and the faces of a test may then have been
    trained on.
    """
    listed = set((RECIPES / "starter" / "held_out_faces.txt").read_text().split())
    assert len(listed) == 561
    header, *rows = (starter_data / "faces.csv").read_text().splitlines()
    shown = [f"{name},faces/{name}.jpg,fairface,female,30-39" for name in sorted(listed)[:3]]
    kept = []
    for number, faces in enumerate((shown + rows, rows[::-1] + shown)):
        (starter_data / "faces.csv").write_text("\n".join([header, *faces]) + "\n")
        run_script(RECIPES / "starter" / "local" / "prepare.py", starter_data, tmp_path / str(number))
        kept.append({row["face"] for row in table(tmp_path / str(number) / "held_out_faces.csv")})
        assert not kept[-1] & {
            Path(line).stem for line in (tmp_path / str(number) / "faces.txt").read_text().splitlines()
        }
    assert kept[0] == kept[1] == set(sorted(listed)[:3])


CARD = {
    "faces": [
        ("starter", "all", "GA", 0.985, 8, 0.9, 1.0),
        ("starter", "F>M", "GA", 0.96, 2, "", ""),
        ("starter", "age_bin=20-29", "GA", 1.0, 4, "", ""),
        ("starter", "gender=female", "GA", 0.98, 4, 0.94, 1.0),
        ("starter", "gender=male", "GA", 0.99, 4, 0.95, 1.0),
        ("starter/mean-face", "all", "GA", 0.5, 8, 0.4, 0.6),
        ("starter", "all", "F0 deviation", 33.6, 8, 22.2, 49.4),
    ],
    "images": [
        ("starter", "all", "SHO", 0.94, 4, 0.9, 0.97),
        ("starter", "all", "SDO", 0.7, 40, 0.6, 0.8),
        ("starter", "F>F", "SDO", 0.8, 10, "", ""),
        ("starter", "M>M", "SDO", 0.84, 10, "", ""),
        ("starter", "F>F", "SHO", 0.95, 2, "", ""),
    ],
    "voices": [
        ("starter", "all", "naturalness", 4.0249, 8, 3.9, 4.1),
        ("starter", "all", "consistency", 0.75, 8, "", ""),
        ("starter", "all", "consistency driver", 0.8, 8, "", ""),
        ("starter", "all", "voicefilter consistency driver", 0.7, 8, "", ""),
        ("starter", "all", "voicefilter consistency source", 0.355, 8, "", ""),
        ("starter", "recordings=2", "voicefilter consistency", 0.68, 4, "", ""),
        ("starter", "all", "voicefilter consistency", 0.72, 8, "", ""),
        ("starter", "recordings=2", "voicefilter consistency ceiling", 0.8, 4, 0.7, 0.9),
        ("starter", "all", "voicefilter consistency ceiling", 0.8, 4, 0.7, 0.9),
        ("starter", "all", "campplus leakage strangers", 0.08, 8, "", ""),
    ],
}


def test_the_model_cards_tables_are_made_of_held_out_people_and_the_figures(
    tmp_path: Path, starter_data: Path, stand_in: Path
) -> None:
    out = tmp_path / "out"
    with open(starter_data / "speech.csv", "a", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(  # of each fourth speaker two more; one of them is too long
            [f"u{i}-{k}", f"speech/u{i}-{k}.opus", "librispeech", f"s{i}", "female", "", "en", seconds, "words of more"]
            for i in range(0, 40, 4)
            for k, seconds in ((1, "15.0"), (2, "6.0"))
        )
    for name, rows in CARD.items():
        (out / "evaluation" / name).mkdir(parents=True)
        with open(out / "evaluation" / name / "metrics.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("system", "slice", "metric", "value", "n", "low", "high"), *rows])
    run = run_recipe(
        "starter",
        "--data",
        starter_data,
        "--out",
        out,
        "--checkpoint",
        tmp_path / "model",
        path=stand_in,
        script="card.sh",
    )
    assert run.returncode == 0, run.stderr
    assert list_stages(run) == list(range(1, 9))
    assert commands_called(tmp_path / "log") == ["benchmark", "evaluate"] * 3

    speakers = {row["speaker"]: row["split"] for row in table(out / "splits.csv")}
    sources, labels, pairs = (table(out / "card" / f"{name}.csv") for name in ("sources", "labels", "pairs"))
    assert {row["speaker"] for row in sources} == {speaker for speaker, split in speakers.items() if split == "test"}
    assert {row["gender"] for row in sources} == {"female", "male"} and all(
        row["transcript"].startswith("words") for row in sources
    )
    assert [row["gender"] for row in labels] == ["female"] * 12 + ["male"] * 12 and not {"p0", "p1"} & {
        row["target"] for row in labels
    }
    assert all(len(row["references"].split("|")) == 2 and row["age_bin"] for row in labels)
    assert {path.name for path in (out / "card" / "faces").glob("*/*")} == {"1.jpg"}
    assert len(list((out / "card" / "images").glob("*/*"))) == 48 and len(list((out / "card" / "two").iterdir())) == 2
    voices = {row["target"]: row for row in table(out / "card" / "voices.csv")}
    assert set(voices) == {row["source_id"] for row in sources} and {row["recordings"] for row in voices.values()} == {
        "1",
        "2",
    }
    for name, row in voices.items():
        known = [f"{name}.opus", f"{name}-2.opus"][: 2 if int(name[1:]) % 4 == 0 else 1]
        assert [Path(path).name for path in row["references"].split("|")] == known
        assert row["recordings"] == str(len(known))
    assert len(pairs) == 3 * len(sources) and all(row["source"] != row["voice"] for row in pairs)

    card = (out / "card.md").read_text(encoding="utf-8")
    assert card == run.stdout
    for line in (
        "| gender accuracy | .985 (.900 to 1.000) |  | .960 |  |  |",
        "| gender accuracy | 1.000 |",
        "| figure | gender=female | gender=male |",
        "| gender accuracy | .980 (.940 to 1.000) | .990 (.950 to 1.000) |",
        "| starter/mean-face | .500 (.400 to .600) |  |  |  |",
        "| F0 deviation, Hz | 34 (22 to 49) |  |  |  |  |",
        "| predicted MOS (DistillMOS) | 4.02 (3.90 to 4.10) |  |  |  |  |",
        "| between the genders | 0.360 |",
        "| cosine to the recording | .800 |  |  |  |  |",
        "| cosine to the recording, by voicefilter | .700 |  |  |  |  |",
        "| ... of the unchanged source | .355 |  |  |  |  |",
        "| ... of the source to those speakers (two strangers) | .080 |  |  |  |  |",
        "| cosine to another recording of the speaker, by voicefilter | .680 |",
        "| ... between both recordings (ceiling) | .800 (.700 to .900) |",
        "| within one | 0.120 |",
        "| F>F | 0.150 |",
    ):
        assert line in card.splitlines()
    again = run_recipe(
        "starter",
        "--data",
        starter_data,
        "--out",
        tmp_path / "again",
        "--stop-stage",
        1,
        path=stand_in,
        script="card.sh",
    )
    assert again.returncode == 0 and table(tmp_path / "again" / "card" / "pairs.csv") == pairs


def test_the_model_card_says_which_table_it_lacks(tmp_path: Path, starter_data: Path) -> None:
    (starter_data / "pairs.csv").unlink()
    run = run_recipe("starter", "--data", starter_data, "--out", tmp_path / "out", script="card.sh")
    assert run.returncode == 2 and "expected a folder with pairs.csv" in run.stderr and "starter/card.sh" in run.stderr
