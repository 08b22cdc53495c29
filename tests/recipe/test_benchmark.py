"""recipes/benchmark: what it checks, the commands it calls, how other systems join, and a run of a tiny benchmark."""

import csv
import json
import runpy
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import typer
from helpers.checkpoints import checkpoint
from helpers.pictures import draw_face
from helpers.recipes import FAKE, list_stages, run_recipe, table
from helpers.repository import RECIPES
from helpers.sounds import recording

from facevc_cli.cli.app import app
from facevc_cli.files.image import save_image

LOCAL = RECIPES / "benchmark" / "local"
PEOPLE = ("ada", "eve", "bob", "dan")
F0_HZ = {"ada": 210.0, "eve": 230.0, "bob": 110.0, "dan": 125.0}


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def gender(name: str) -> str:
    return "female" if F0_HZ[name] > 180 else "male"


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Path]:
    """Two speakers and four people; the pictures are grey and the sounds short, for what looks at names alone."""
    for name in ("ada", "bob"):
        recording(tmp_path / "wavs" / f"says-{name}.wav", 0.3)
    labels, sources = [], []
    for name in PEOPLE:
        for k in (1, 2):
            save_image(tmp_path / "faces" / name / f"{k}.png", np.full((8, 8, 3), 128, np.uint8))
        recording(tmp_path / "real" / f"{name}.wav", 0.3)
        labels.append({"target": name, "gender": gender(name), "references": f"real/{name}.wav", "group": "x"})
    for name in ("ada", "bob"):
        sources.append(
            {"source_id": f"says-{name}", "speaker": f"speaker-{name}", "gender": gender(name), "transcript": ""}
        )
    return {
        "--sources": tmp_path / "wavs",
        "--faces": tmp_path / "faces",
        "--labels": write(tmp_path / "labels.csv", labels),
        "--sources-table": write(tmp_path / "sources.csv", sources),
        "--out": tmp_path / "out",
    }


def options(given: dict[str, Path], **changes: object) -> list[object]:
    changed: dict[str, object] = {**given, **{f"--{name.replace('_', '-')}": value for name, value in changes.items()}}
    return [word for option, value in changed.items() if value is not None for word in (option, value)]


def test_tables_are_needed_to_draw_by_gender(given: dict[str, Path]) -> None:
    for missing in ("labels", "sources_table"):
        run = run_recipe("benchmark", *options(given, **{missing: None}))
        assert run.returncode == 2
        assert f"--{missing.replace('_', '-')} '': expected a table" in run.stderr
    assert (
        run_recipe(
            "benchmark", *options(given, labels=None, sources_table=None, protocol="none", stop_stage=1)
        ).returncode
        == 0
    )


def test_check_says_what_is_there(given: dict[str, Path]) -> None:
    save_image(given["--faces"] / "new" / "1.png", np.zeros((8, 8, 3), np.uint8))
    run = run_recipe("benchmark", *options(given, stop_stage=1))
    assert run.returncode == 0, run.stderr
    assert list_stages(run) == [1]
    for line in (
        "2 sources: 1 female, 1 male",
        "5 people: 2 female, 2 male, 1 unknown",
        "  not in the table labels.csv: new",
        "4 real recordings",
        "9 images, 1 to 2 per person",
    ):
        assert line in run.stderr


def test_check_refuses_what_would_spoil_the_figures(given: dict[str, Path], tmp_path: Path) -> None:
    def refused(**changes: object) -> str:
        run = run_recipe("benchmark", *options(given, stop_stage=1, **changes))
        assert run.returncode == 1
        return run.stderr

    other = write(tmp_path / "other.csv", [{"target": "someone", "gender": "male", "references": ""}])
    assert "none of its targets (someone) is among the people (ada, bob, dan, eve)" in refused(labels=other)
    lost = write(
        tmp_path / "lost.csv", [{"target": "ada", "gender": "female", "references": "real/ada.wav|real/gone.wav"}]
    )
    assert "1 of 2 references do not exist: real/gone.wav" in refused(labels=lost)
    assert "gender is missing" in refused(labels=write(tmp_path / "bare.csv", [{"target": "ada"}]))
    assert "expected files that end in" in refused(sources=tmp_path / "faces")
    save_image(tmp_path / "faces" / "loose.png", np.zeros((8, 8, 3), np.uint8))
    assert "expected PERSON/IMAGE, found loose" in refused()


def test_sources_may_be_a_table(given: dict[str, Path], tmp_path: Path) -> None:
    rows = [
        {**row, "path": f"wavs/{row['source_id']}.wav", "source_id": f"x/{row['source_id']}"}
        for row in table(given["--sources-table"])
    ]
    listed = write(tmp_path / "listed.csv", rows)
    run = run_recipe("benchmark", *options(given, sources=listed, sources_table=None, stop_stage=1))
    assert run.returncode == 0, run.stderr
    assert "2 sources: 1 female, 1 male" in run.stderr
    assert (tmp_path / "out" / "sources" / "x" / "says-ada.wav").resolve() == tmp_path / "wavs" / "says-ada.wav"
    (tmp_path / "wavs" / "says-bob.wav").unlink()
    assert "there is no recording" in run_recipe("benchmark", *options(given, sources=listed, stop_stage=1)).stderr


def test_benchmark_calls_commands_that_exist(
    given: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every option of the recipe reaches a command that has it."""
    fake = tmp_path / "bin"
    fake.mkdir()
    (fake / "facevc").write_text(FAKE)
    (fake / "facevc").chmod(0o755)
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    run = run_recipe(
        "benchmark",
        *options(
            given,
            checkpoint="model",
            system="mine",
            degrade="blur=4 jpeg=10",
            by="group age_bin",
            language="en",
            listening_test="test.html",
            limit=7,
            seed=3,
        ),
        path=fake,
    )
    assert run.returncode == 0, run.stderr
    assert list_stages(run) == [1, 2, 3]
    lines = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    assert [line[0] for line in lines] == ["benchmark", "evaluate"]
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for command, *words in lines:
        known = {option for parameter in commands[command].params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= known
    converting, measuring = (list(pairwise(line)) for line in lines)
    names = [value for option, value in converting if option == "--baseline"]
    assert names == ["shuffled-faces", "shuffled-within-gender", "mean-face", "source", "voice"]
    assert [value for option, value in converting if option == "--degrade"] == ["blur=4", "jpeg=10"]
    for pair in (
        ("--protocol", "held-out"),
        ("--checkpoint", "model"),
        ("--system", "mine"),
        ("--limit", "7"),
        ("--seed", "3"),
        ("--labels", str(given["--labels"])),
        ("--sources", str(given["--sources-table"])),
    ):
        assert pair in converting
    for pair in (
        ("--by", "group"),
        ("--by", "age_bin"),
        ("--language", "en"),
        ("--listening-test", "test.html"),
        ("--seed", "3"),
        ("--sources", str(given["--sources-table"])),
    ):
        assert pair in measuring

    (tmp_path / "log").unlink()
    another = run_recipe("benchmark", *options(given, seed=4), path=fake)
    assert another.returncode == 2
    assert "holds another draw (held-out, seed 3, of " in another.stderr
    assert not (tmp_path / "log").exists()
    plain = options(
        given, out=tmp_path / "all", labels=None, sources_table=None, protocol="none", baselines="none", judges="light"
    )
    assert run_recipe("benchmark", *plain, path=fake).returncode == 0
    said = (tmp_path / "log").read_text()
    assert "--recogniser none" in said
    assert not [
        option for option in ("--baseline", "--protocol", "--labels", "--sources", "--system") if f"{option} " in said
    ]


def test_other_systems_join_on_the_same_sources(tmp_path: Path) -> None:
    join = runpy.run_path(str(LOCAL / "join.py"))["main"]
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for path in (ours / "a.wav", theirs / "b.wav", tmp_path / "said.wav", tmp_path / "real1.wav"):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    source = str(tmp_path / "said.wav")
    manifest = write(
        ours / "manifest.csv",
        [
            {
                "converted": "a.wav",
                "status": "done",
                "system": "starter",
                "source": source,
                "source_id": "x/said",
                "target": "ada",
                "references": source,
            },
        ],
    )
    other = write(
        theirs / "other.csv",
        [
            {
                "system": "other",
                "converted": "b.wav",
                "source": "../said.wav",
                "target": "ada",
                "references": "../real1.wav| ../said.wav",
            },
        ],
    )
    join(ours / "joined.csv", manifest, [other])
    first, second = table(ours / "joined.csv")
    assert (first["system"], first["converted"]) == ("starter", str(ours / "a.wav"))
    assert (second["system"], second["status"], Path(second["converted"])) == ("other", "done", theirs / "b.wav")
    assert second["source_id"] == "x/said"
    assert [Path(name).resolve() for name in second["references"].split("|")] == [
        tmp_path / "real1.wav",
        tmp_path / "said.wav",
    ]
    with pytest.raises(SystemExit, match="'starter' is already in another table"):
        join(ours / "joined.csv", manifest, [write(theirs / "same.csv", [{**table(other)[0], "system": "starter"}])])
    with pytest.raises(SystemExit, match="system is missing"):
        join(
            ours / "joined.csv",
            manifest,
            [write(theirs / "bare.csv", [{"converted": "b.wav", "source": "", "target": "ada"}])],
        )


def test_a_tiny_benchmark(given: dict[str, Path], tmp_path: Path) -> None:
    """Drawn faces, synthetic voices and random weights: 2 sources x 4 faces, with baselines and another system, to a
    page.
    """
    for i, name in enumerate(PEOPLE):
        (tmp_path / "faces" / name / "2.png").unlink()
        save_image(tmp_path / "faces" / name / "1.png", draw_face(i, 240, mouth_open=0.2, manly=gender(name) == "male"))
        recording(tmp_path / "real" / f"{name}.wav", 1.0, f0_hz=F0_HZ[name])
    for name in ("ada", "bob"):
        recording(tmp_path / "wavs" / f"says-{name}.wav", 1.0, f0_hz=F0_HZ[name])
    protocol = tmp_path / "tiny.yaml"
    protocol.write_text(
        "sources: {speakers: 1, utterances: 1}\ntargets: {people: 2, images: 1}\nreferences: {least: 1}\n"
    )
    theirs = [
        {
            "system": "parrot",
            "converted": str(tmp_path / "wavs" / f"says-{said}.wav"),
            "source": str(tmp_path / "wavs" / f"says-{said}.wav"),
            "target": name,
        }
        for said in ("ada", "bob")
        for name in PEOPLE
    ]
    run = run_recipe(
        "benchmark",
        *options(
            given,
            protocol=protocol,
            checkpoint=checkpoint(tmp_path / "model", seed=1),
            vocoder="griffin-lim",
            device="cpu",
            system="tiny",
            baselines="shuffled-faces mean-face source",
            others=write(tmp_path / "parrot.csv", theirs),
            by="group",
            judges="light",
            jobs=1,
        ),
    )
    assert run.returncode == 0, run.stderr
    assert list_stages(run) == [1, 2, 3]
    out = given["--out"]
    manifest = table(out / "converted" / "manifest.csv")
    assert {row["status"] for row in manifest} == {"done"}
    plain = [row for row in manifest if not row["baseline"]]
    assert sorted((row["source_id"], row["target"]) for row in plain) == [
        (f"says-{said}", who) for said in ("ada", "bob") for who in sorted(PEOPLE)
    ]
    figures = json.loads((out / "evaluation" / "metrics.json").read_text())["systems"]
    assert set(figures) == {"tiny", "tiny/shuffled-faces", "tiny/mean-face", "tiny/source", "parrot"}
    assert figures["tiny"]["consistency"]["n"] == 8
    for name in ("parrot", "tiny/source"):  # both are the unchanged source
        assert figures[name]["leakage"]["value"] == pytest.approx(1.0, abs=1e-4)
        assert figures[name]["SDO"]["value"] == pytest.approx(1.0, abs=1e-4)
    assert (out / "evaluation" / "metrics.csv").is_file()
    assert list((out / "evaluation").glob("*.html"))
