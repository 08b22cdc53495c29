"""A run's folder: what it refuses, what it writes down, and its loss curves."""

import json
from pathlib import Path

import pytest
import yaml
from helpers.stores import Stores, pretrain

from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.settings import to_dict
from facevc_cli.corpus.store import Store
from facevc_cli.families.checkpoint import load_checkpoint
from facevc_cli.families.presets import load_config
from facevc_cli.files.hashes import hash_file
from facevc_cli.files.tables import read_table
from facevc_cli.training.run_folder import RunDirectory, hash_tables


def _open(
    path: Path,
    *overrides: str,
    stage: str = "train",
    inputs: dict | None = None,
    seed: int = 0,
    overwrite: bool = False,
) -> bool:
    return RunDirectory(path).open(
        to_dict(load_config("toy", overrides=overrides)), stage, inputs or {"features": "f1"}, seed, overwrite
    )


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"overrides": ("train.steps=9",)}, "train.steps: 60 there, 9 now"),
        ({"overrides": ("model.slots=3",)}, "model.slots: 16 there, 3 now"),
        ({"inputs": {"features": "f2"}}, "inputs.features: 'f1' there, 'f2' now"),
        ({"seed": 1}, "seed: 0 there, 1 now"),
        ({"stage": "pretrain"}, "stage: 'train' there, 'pretrain' now"),
    ],
)
def test_a_run_with_other_settings_is_refused(tmp_path: Path, other: dict, named: str):
    _open(tmp_path)
    with pytest.raises(FaceVCError, match=rf"other settings .*{named}.*another folder, or pass --overwrite"):
        _open(tmp_path, *other.pop("overrides", ()), **other)


@pytest.mark.parametrize("text", ["", "[", "format: 1\n", "just text\n"])
def test_a_folder_that_is_no_run(tmp_path: Path, text: str):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(FaceVCError, match=r"Choose another folder"):
        _open(tmp_path)


def test_a_file_in_the_way(tmp_path: Path):
    (tmp_path / "run").write_text("")
    with pytest.raises(FaceVCError, match=r"could not be written"):
        _open(tmp_path / "run")


def test_a_table_that_is_not_there(tmp_path: Path):
    with pytest.raises(FaceVCError, match=r"w.csv: cannot be read"):
        hash_tables(weights=tmp_path / "w.csv", pairs=None)


def test_the_same_settings_go_on_only_from_a_checkpoint(tmp_path: Path):
    assert not _open(tmp_path)
    assert not _open(tmp_path)
    (tmp_path / "checkpoints" / "last").mkdir(parents=True)
    assert not _open(tmp_path)  # an empty folder is no checkpoint
    for name in ("last", ".last.old"):
        (tmp_path / "checkpoints" / name / "training").mkdir(parents=True, exist_ok=True)
        (tmp_path / "checkpoints" / name / "config.yaml").write_text("x")
        assert _open(tmp_path) and _open(tmp_path, "train.log_every=1", "train.checkpoint_every=5", "train.workers=1")
        assert RunDirectory(tmp_path).find_resumable().name == name
        (tmp_path / "checkpoints" / name / "config.yaml").unlink()
    with pytest.raises(FaceVCError, match=r"found none"):
        RunDirectory(tmp_path).find_resumable()


def test_pretraining_does_not_mind_what_training_will_be(tmp_path: Path):
    _open(tmp_path, stage="pretrain")
    _open(tmp_path, "train.steps=9", stage="pretrain")


@pytest.mark.parametrize("stage", ["pretrain", "train"])
def test_a_run_of_before_there_was_a_content_encoder_for_streams_goes_on(tmp_path: Path, stage: str):
    _open(tmp_path, stage=stage)
    header = yaml.safe_load((tmp_path / "config.yaml").read_text())
    del header["model"]["stream_encoder"], header["distill"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(header))
    _open(tmp_path, stage=stage)
    with pytest.raises(FaceVCError, match=r"other settings .*model.slots"):
        _open(tmp_path, "model.slots=3", stage=stage)


def test_a_run_may_become_longer(tmp_path: Path):
    _open(tmp_path)
    _open(tmp_path, "train.steps=61")
    with pytest.raises(FaceVCError, match=r"train.steps: 61 there, 60 now"):
        _open(tmp_path)
    with pytest.raises(FaceVCError, match=r"settings \(pretrain.steps: \d+ there, 99999 now"):  # of the other training
        _open(tmp_path, "train.steps=61", "pretrain.steps=99999")
    header = tmp_path / "config.yaml"
    for steps in ("many", "null"):
        header.write_text(header.read_text().replace("steps: 61", f"steps: {steps}"))
        with pytest.raises(FaceVCError, match=r"train.steps: .* there, 99 now"):
            _open(tmp_path, "train.steps=99")
        header.write_text(header.read_text().replace(f"steps: {steps}", "steps: 61"))


def test_overwriting_begins_anew(tmp_path: Path):
    _open(tmp_path)
    (tmp_path / "checkpoints" / "best").mkdir(parents=True)
    (tmp_path / "losses.csv").write_text("step\n")
    assert not _open(tmp_path, "train.steps=9", overwrite=True)
    assert not (tmp_path / "checkpoints").exists() and not (tmp_path / "losses.csv").exists()
    assert yaml.safe_load((tmp_path / "config.yaml").read_text())["train"]["steps"] == 9


def test_tables_are_known_by_content(tmp_path: Path):
    one, two = tmp_path / "1.csv", tmp_path / "2.csv"
    one.write_text("utterance,weight\n")
    two.write_text("utterance,weight\na,2\n")
    assert hash_tables(weights=one)["weights"] != hash_tables(weights=two)["weights"]
    assert hash_tables(weights=one, pairs=None) == hash_tables(weights=one)


def test_leftovers_of_a_killed_run_go(tmp_path: Path):
    for name in (".last.12345678.tmp", ".best.abcdefgh.tmp", "last", ".last.old"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    RunDirectory(tmp_path).remove_leftovers()
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == [".last.old", "last"]


def test_every_start_is_described(tmp_path: Path):
    folder = RunDirectory(tmp_path)
    folder.describe(3, "cpu")
    folder.describe(3, "cuda")
    starts = json.loads((tmp_path / "run.json").read_text())
    assert [s["device"] for s in starts] == ["cpu", "cuda"] and starts[0]["seed"] == 3
    assert starts[0]["packages"]["torch"] and starts[0]["command"] and starts[0]["facevc"]


def test_losses_after_the_checkpoint_are_forgotten(tmp_path: Path, no_plots: None):
    folder = RunDirectory(tmp_path)
    for step in (1, 2, 3):
        folder.log({"step": step, "loss": step / 2})
    folder.log({"step": 3, "valid_loss": 1.0})
    folder.write_losses()
    again = RunDirectory(tmp_path)
    again.resume_losses(2)
    again.log({"step": 3, "loss": 9.0, "late": 1.0})
    again.write_losses()
    rows = read_table(tmp_path / "losses.csv")
    assert [(r["step"], r["loss"], r["late"]) for r in rows] == [
        ("1", "0.5", ""),
        ("2", "1.0", ""),
        ("3", "9.0", "1.0"),
    ]


def test_curves_as_table_and_picture(tmp_path: Path, toy_stores: Stores):
    pretrain(toy_stores, tmp_path / "run", "toy", "pretrain.checkpoint_every=6")
    rows = read_table(tmp_path / "run" / "losses.csv")
    training = [r for r in rows if r["loss"]]
    assert [int(r["step"]) for r in training] == [1, 2, 3, 4, 5, 6]
    assert [int(r["step"]) for r in rows if r["valid_loss"]] == [3, 6]
    for column in ("reconstruction", "cpc", "vq", "mi_content_voice", "perplexity", "steps_per_s"):
        assert all(float(r[column]) == float(r[column]) for r in training)
    assert all(0 <= float(r["data_wait"]) <= 1 for r in training)
    assert (tmp_path / "run" / "losses.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert not list((tmp_path / "run").glob(".*"))


def test_a_checkpoint_says_what_it_was_made_from(starter_stores: Stores, tmp_path: Path):
    """The stores' contents, tables, the weights to begin from, and the seed; kept through train and import."""
    weights = tmp_path / "weights.csv"
    weights.write_text("utterance,weight\nanna/a_1,2\n")
    pretrain(starter_stores, tmp_path / "first", "starter", stop_at=1)
    pretrain(
        starter_stores,
        tmp_path / "run",
        "starter",
        stop_at=1,
        init=tmp_path / "first",
        sampling_weights=weights,
        seed=7,
    )
    made_from = load_checkpoint(tmp_path / "run" / "checkpoints" / "last").made_from
    assert made_from == {
        "seed": 7,
        "features": Store(starter_stores.features).content_sha256,
        "voices": Store(starter_stores.voices).content_sha256,
        "sampling-weights": hash_file(weights),
        "init": hash_file(tmp_path / "first" / "checkpoints" / "last" / "model.safetensors"),
    }
    assert all(len(value) == 64 for name, value in made_from.items() if name != "seed")
