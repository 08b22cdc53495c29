"""The recipes of real pairs: what they refuse, and each on a small folder laid out as its corpus is."""

import runpy
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import pytest
from helpers.pictures import draw_face
from helpers.recipes import list_stages, run_recipe, run_script, table
from helpers.repository import RECIPES
from helpers.sounds import recording
from helpers.videos import write_video

from facevc_cli.corpus.store import Store
from facevc_cli.families.checkpoint import load_checkpoint
from facevc_cli.families.cmpc.pairs import is_held_out
from facevc_cli.files.image import save_image

SHARE = 0.5


def choose_people(pattern: str, first: int) -> list[str]:
    """Two people who are held out by their names, and two who are not."""
    named = [pattern.format(n) for n, _ in zip(count(first), range(50), strict=False)]
    return [*[p for p in named if is_held_out(p, SHARE)][:2], *[p for p in named if not is_held_out(p, SHARE)][:2]]


def lay_out_crema_d(root: Path, people: list[str]) -> None:
    rows = ["ActorID,Age,Sex,Race,Ethnicity"]
    for i, person in enumerate(people):
        rows.append(f"{person},{20 + i},{'Female' if i % 2 else 'Male'},Caucasian,Not Hispanic")
        for sentence in ("DFA", "IEO"):
            (root / "AudioWAV").mkdir(parents=True, exist_ok=True)
            recording(root / "AudioWAV" / f"{person}_{sentence}_ANG_XX.wav", 1.0, f0_hz=110 + 60 * (i % 2))
            write_video(root / "VideoFlash" / f"{person}_{sentence}_ANG_XX.flv", [draw_face(i)] * 12, codec="flv")
    (root / "VideoDemographics.csv").write_text("\n".join(rows) + "\n")


def lay_out_grid(root: Path, people: list[str]) -> None:
    made = root.parent / "made"
    script = RECIPES / "toy" / "local" / "make_clips.py"
    options = ["--people", "4", "--clips", "2", "--seconds", "1.5"]
    run_script(script, made, *options)
    for folder, person in zip(sorted(p for p in made.iterdir() if p.is_dir()), people, strict=True):
        for clip in folder.glob("*.mp4"):
            target = root / person / "video" / "mpg_6000" / f"bbaf{clip.stem}n.mpg"
            target.parent.mkdir(parents=True, exist_ok=True)
            clip.rename(target)


def lay_out_voxceleb(root: Path, people: list[str]) -> None:
    rows = ["VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet", "id99999\tNobody\tm\tUSA\tdev"]
    for i, person in enumerate(people):
        rows.append(f"{person}\tName_{i}\t{'f' if i % 2 else 'm'}\tUSA\tdev")
        for video in ("1zcIwhmdeo4", "7gWzIy6yIIk"):
            (root / "wav" / person / video).mkdir(parents=True)
            for number in (1, 2):
                recording(root / "wav" / person / video / f"0000{number}.wav", 1.0, f0_hz=110 + 60 * (i % 2))
                save_image(root / f"unzippedFaces/Name_{i}/1.6/{video}/000002{number}.jpg", draw_face(i))
    (root / "vox1_meta.csv").write_text("\n".join(rows) + "\n")


def lay_out_voxceleb2(root: Path, people: list[str]) -> None:
    rows = ["VoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set "]
    for i, person in enumerate(people):
        part = "test" if i == 3 else "dev"
        rows.append(f"{person} ,n00000{i} ,{'f' if i % 2 else 'm'} ,{part} ")
        for video in ("1zcIwhmdeo4", "7gWzIy6yIIk"):
            for number in (1, 2):
                sound = root / part / "aac" / person / video / f"0000{number}.m4a"
                sound.parent.mkdir(parents=True, exist_ok=True)
                recording(sound.with_suffix(".wav"), 1.0, f0_hz=110 + 60 * (i % 2)).rename(sound)
                write_video(root / part / "mp4" / person / video / f"0000{number}.mp4", [draw_face(i)] * 12)
    (root / "vox2_meta.csv").write_text("\n".join(rows) + "\n")


IN_JOBS = ("--engine", "slurm://cluster=debug") if find_spec("submitit") else ()  # jobs without processes of their own
CORPORA = {  # how a small corpus is laid out, how its people are called, further options, rows of a person's recordings
    "crema-d": (lay_out_crema_d, "{:04}", 1001, (), 2),
    "grid": (lay_out_grid, "s{}", 1, (), 2),
    "voxceleb": (lay_out_voxceleb, "id{:05}", 10001, ("--each", 3), 3),
    "voxceleb2": (lay_out_voxceleb2, "id{:05}", 12, ("--each", 3, *IN_JOBS), 3),
}


def test_presets_of_the_other_recipes(tmp_path: Path) -> None:
    (tmp_path / "wav").mkdir()
    for option, value in (("--preset", "toy"), ("--width", "0"), ("--precision", "fp16")):
        run = run_recipe("voxceleb", "--voxceleb", tmp_path, option, value)
        assert run.returncode == 2 and f"{option} '{value}': expected" in run.stderr
    run = run_recipe("grid", "--grid", tmp_path, "--preset", "cmpc-resnet")
    assert run.returncode == 2 and "unknown option '--preset'" in run.stderr


@pytest.mark.parametrize("name", CORPORA)
def test_what_is_refused(name: str, tmp_path: Path) -> None:
    for options in ((), (f"--{name}", "/nowhere")):
        run = run_recipe(name, "--out", tmp_path / "out", *options)
        assert run.returncode == 2 and f"--{name} '" in run.stderr and "expected the folder" in run.stderr
    assert not (tmp_path / "out").exists()
    (tmp_path / "AudioWAV").mkdir()
    run = run_recipe(name, f"--{name}", tmp_path, "--out", tmp_path / "out", "--stop-stage", 1)
    assert run.returncode == 1 and str(tmp_path) in run.stderr and "Traceback" not in run.stderr
    for option, value in (("--embedder", "facenet"), ("--held-out", "2"), ("--steps", "0"), ("--features", "maybe")):
        run = run_recipe(name, f"--{name}", tmp_path, option, value)
        assert run.returncode == 2 and f"{option} '{value}': expected" in run.stderr


def test_pictures_are_spread_over_the_videos(tmp_path: Path) -> None:
    for name in ("a/1", "a/2", "a/3", "b/1", "c/1"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.jpg").touch()
    spread = runpy.run_path(str(RECIPES / "voxceleb" / "local" / "list_people.py"))["spread"]
    chosen = [path.relative_to(tmp_path).as_posix() for path in spread(tmp_path, ".jpg", 4)]
    assert chosen == ["a/1.jpg", "a/2.jpg", "b/1.jpg", "c/1.jpg"]  # one of each video before a second of any


def test_names_are_spread_evenly() -> None:
    spread = runpy.run_path(str(RECIPES / "common" / "held_out_pairs.py"))["spread"]
    assert spread(list("abcdefgh"), 4) == ["a", "c", "e", "g"] and spread(["a"], 4) == ["a"]


@pytest.mark.slow
@pytest.mark.parametrize("name", CORPORA)
def test_a_small_corpus_goes_through_all_stages(name: str, tmp_path: Path) -> None:
    lay_out, pattern, first, options, each = CORPORA[name]
    people = choose_people(pattern, first)
    lay_out(tmp_path / "corpus", people)
    out = tmp_path / "out"
    given = ("--out", out, "--held-out", SHARE, "--steps", 2, "--device", "cpu", "--jobs", 1, "--features", "yes")
    run = run_recipe(name, f"--{name}", tmp_path / "corpus", *given, *options)
    assert run.returncode == 0, run.stderr
    assert list_stages(run) == [1, 2, 3, 4, 5, 6]
    for store, stage in (("voices", "extract-spkemb"), ("faces", "extract-face"), ("features", "extract-features")):
        with Store(out / f"{store}.h5", stage) as found:
            assert sorted(found.speakers) == sorted(people * each), store
    assert load_checkpoint(out / "train").config.model.face_dim == 162
    pairs = table(out / "pairs.csv")
    assert {row["person"] for row in pairs} == set(people[:2]) and len(pairs) == 2 * each
    genders = {people[0]: "", people[1]: ""} if name == "grid" else {people[0]: "male", people[1]: "female"}
    assert {row["person"]: row["gender"] for row in pairs} == genders
    figures = table(out / "evaluation" / "association.csv")
    assert {"cmpc", "cmpc/shuffled"} <= {row["system"] for row in figures}


@pytest.mark.slow
def test_voxceleb_with_networks_on_crops_and_log_mels(tmp_path: Path) -> None:
    people = choose_people("id{:05}", 10001)
    lay_out_voxceleb(tmp_path / "corpus", people)
    (tmp_path / "corpus" / "unzippedFaces" / "Name_0").rename(tmp_path / "corpus" / "unzippedFaces" / "Name_Jr")
    table_of_people = tmp_path / "corpus" / "vox1_meta.csv"
    table_of_people.write_text(table_of_people.read_text().replace("Name_0", "Name_Jr."))  # the folder lost its dot
    out = tmp_path / "out"
    given = ("--out", out, "--held-out", SHARE, "--steps", 2, "--device", "cpu", "--jobs", 1, "--each", 3)
    run = run_recipe("voxceleb", "--voxceleb", tmp_path / "corpus", *given, "--preset", "cmpc-resnet", "--width", 1)
    assert run.returncode == 0, run.stderr
    assert list_stages(run) == [1, 2, 3, 4, 5, 6] and not (out / "voices.h5").exists()
    with Store(out / "faces.h5", "extract-face") as faces:
        assert sorted(faces.speakers) == sorted(people * 3) and faces.read_frames("crop", 0).shape == (1, 128, 128, 3)
    checkpoint = load_checkpoint(out / "train")
    assert checkpoint.config.name == "cmpc-resnet" and checkpoint.config.model.network.width == 1
    figures = table(out / "evaluation" / "association.csv")
    assert {"cmpc-resnet", "cmpc-resnet/shuffled"} <= {row["system"] for row in figures}
