"""families/cmpc: what a training refuses, learns, logs and resumes; through the stage `train`."""

import numpy as np
import pytest
import torch
import yaml
from helpers.reporters import Recorder
from helpers.stores import FACE_DIM, VOICE_DIM, have_same_weights, make_stores, unit

from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.corpus.store import Item, Store
from facevc_cli.corpus.store_writer import StoreWriter
from facevc_cli.families.base import Capability, TrainingRequest
from facevc_cli.families.checkpoint import load_checkpoint
from facevc_cli.families.cmpc.config import Config
from facevc_cli.families.cmpc.family import FAMILY
from facevc_cli.families.cmpc.pairs import is_held_out
from facevc_cli.families.cmpc.terms import PlacedPairs
from facevc_cli.families.cmpc.training import PairTraining, measure_matching
from facevc_cli.families.presets import load_config
from facevc_cli.files.tables import write_table
from facevc_cli.stages.train import TrainStageConfig, run

SMALL = (
    f"model.face_dim={FACE_DIM}",
    f"model.dvector_dim={VOICE_DIM}",
    "model.hidden_dim=16",
    "model.space_dim=8",
    "train.steps=8",
    "train.batch_size=8",
    "train.clusters=[2, 3]",
    "train.cluster_from=3",
    "train.cluster_every=2",
    "train.checkpoint_every=4",
    "train.validate_every=4",
    "train.validation_batches=1",
    "train.log_every=1",
    "train.validation_share=0.2",
)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Forty people of two kinds: what a face and a voice of one kind share are their first eight numbers."""
    folder, rng = tmp_path_factory.mktemp("pairs"), np.random.default_rng(0)
    people = [f"p{i:02}" for i in range(40)]
    for name, stage, vector, dim in (
        ("faces", "extract-face", "embedding", FACE_DIM),
        ("voices", "extract-spkemb", "dvector", VOICE_DIM),
    ):
        with StoreWriter(folder / f"{name}.h5", stage, {"embedder": "random"}) as writer:
            for i, person in enumerate(people):
                for take in range(2):
                    found = rng.normal(0, 0.3, dim).astype(np.float32)
                    found[:8] += 1 if i % 2 else -1
                    writer.add(Item(f"{person}/{take}", person, vectors={vector: found}))
            writer.merge([])
    return folder


def train(stores, output, *overrides, given=("faces.h5", "voices.h5"), **changes):
    recorder = Recorder()
    settings = {"preset": "cmpc", "device": "cpu", **changes}
    paths = tuple(stores / name for name in given)
    summary = run(TrainStageConfig(stores=paths, output=output, overrides=(*SMALL, *overrides), **settings), recorder)
    return recorder, summary


# what is refused


def test_stores_and_models_that_do_not_fit(stores, tmp_path):
    extra = make_stores(tmp_path / "other")
    for given, changes, kind, reason in (
        (("voices.h5",), {}, UsageError, "Missing: faces.h5"),
        (("faces.h5",), {}, UsageError, "Missing: voices.h5"),
        (("faces.h5", "voices.h5", extra.voices), {}, UsageError, "both stores of extract-spkemb"),
        (("faces.h5", "voices.h5", extra.features), {}, UsageError, "Leave .*features.h5 out"),
        (("faces.h5", "voices.h5"), {"preset": None}, UsageError, "--init RUN, or a preset that begins anew"),
    ):
        with pytest.raises(kind, match=reason):
            train(stores, tmp_path / "run", given=given, **changes)
    assert not (tmp_path / "run").exists()
    both = (stores / "faces.h5", stores / "voices.h5")
    with pytest.raises(UsageError, match="Missing: features.h5, --init RUN. Presets of the family cmpc"):
        run(TrainStageConfig(stores=both, output=tmp_path / "run", preset="toy", device="cpu"))


def test_settings_that_do_not_fit(stores, tmp_path):
    for overrides, reason in (
        ((f"model.face_dim={FACE_DIM + 1}",), f"have {FACE_DIM} numbers.*model.face_dim={FACE_DIM}"),
        (("train.instance=0",), "nothing trains before the first clustering at step 3"),
        (("train.instance=0", "train.prototype=0"), "every weight of the training loss is 0"),
    ):
        with pytest.raises(FaceVCError, match=reason):
            train(stores, tmp_path / overrides[-1].replace("=", "_"), *overrides)
    with pytest.raises(FaceVCError, match="expected at least 2 people with faces and voices to learn from, found 1"):
        train(make_few(tmp_path), tmp_path / "run", "train.validation_share=0")


def make_few(folder):
    rng = np.random.default_rng(0)
    for name, stage, vector, dim in (
        ("faces", "extract-face", "embedding", FACE_DIM),
        ("voices", "extract-spkemb", "dvector", VOICE_DIM),
    ):
        with StoreWriter(folder / f"{name}.h5", stage, {"embedder": "random"}) as writer:
            writer.add(Item("anna/1", "anna", vectors={vector: unit(rng, dim)}))
            writer.merge([])
    return folder


def test_a_model_that_cannot_convert_says_so(stores, tmp_path):
    train(stores, tmp_path / "run", stop_at=1)
    checkpoint = load_checkpoint(tmp_path / "run")
    assert checkpoint.model.capabilities == {Capability.MATCHING} and not checkpoint.family.converts
    with pytest.raises(FaceVCError, match=r"'cmpc' of the family cmpc ranks faces and voices. It cannot convert"):
        _ = checkpoint.frontend


# settings


def test_the_preset_equals_the_defaults():
    assert load_config("cmpc") == Config() and list(FAMILY.presets) == ["cmpc", "cmpc-resnet"]


# training


def test_it_learns_what_faces_and_voices_share(stores, tmp_path):
    settings = (
        "train.steps=100",
        "train.temperature=0.2",
        "train.batch_size=16",
        "train.checkpoint_every=100",
        "train.validate_every=50",
        "train.face_noise=1",
        "train.voice_noise=1",
        "train.optimiser={learning_rate: 0.01, warmup_steps: 5, schedule: cosine}",
    )
    _, summary = train(stores, tmp_path / "run", *settings)
    assert summary.next_command.startswith("facevc nearest")
    model = load_checkpoint(tmp_path / "run").model
    drawn = torch.Generator().manual_seed(1)
    kind = torch.arange(200) % 2
    faces, voices = (0.3 * torch.randn(200, dim, generator=drawn) for dim in (FACE_DIM, VOICE_DIM))
    for given in (faces, voices):  # of people that it has never seen
        given[:, :8] += 2.0 * kind[:, None] - 1
    with torch.no_grad():
        cosines = model.place_faces(faces) @ model.place_voices(voices).T
    alike = kind[:, None] == kind[None]
    # the places of people of one kind differ, too, so that even the right kinds are far from 1
    assert cosines[alike].mean() > cosines[~alike].mean() + 0.3


def test_prototypes_come_after_the_first_clustering_and_stay(stores, tmp_path):
    train(stores, tmp_path / "run")
    rows = [row.split(",") for row in (tmp_path / "run" / "losses.csv").read_text().splitlines()]
    column = rows[0].index("prototype")
    trained = [row for row in rows[1:] if row[rows[0].index("instance")]]
    assert [bool(row[column]) for row in trained] == [False] * 3 + [True] * 5  # in every later batch


def test_a_resumed_run_equals_an_uninterrupted_one(stores, tmp_path):
    train(stores, tmp_path / "whole")
    train(stores, tmp_path / "parts", stop_at=4)
    train(stores, tmp_path / "parts")
    one, other = (tmp_path / name / "checkpoints" / "last" for name in ("whole", "parts"))
    assert have_same_weights(one, other)
    states = [(folder / "training" / "auxiliary.safetensors").read_bytes() for folder in (one, other)]
    assert states[0] == states[1]  # the banks and the prototypes, too


def test_validation_people_are_in_no_training_batch(stores):
    request = TrainingRequest(
        config=load_config("cmpc", None, SMALL),
        seed=0,
        voices=Store(stores / "voices.h5"),
        faces=Store(stores / "faces.h5"),
    )
    training = PairTraining(request)
    held_out = {f"p{i:02}" for i in range(40) if is_held_out(f"p{i:02}", 0.2)}
    names = sorted(set(request.voices.speakers))
    of = {
        part: {names[i] for i in batches.pairs.people}
        for part, batches in (("training", training.training), ("validation", training.validation))
    }
    assert 2 <= len(held_out) <= 20 and of["validation"] == held_out and not of["training"] & held_out
    batch = training.training[5]
    assert len(set(batch["person"].tolist())) == 8  # as many people as pairs
    again = training.training[5]
    assert all(torch.equal(batch[name], again[name]) for name in batch)


def test_pairs_of_other_people_by_a_table(stores, tmp_path):
    write_table(tmp_path / "pairs.csv", [{"speaker": f"p{i:02}", "face": f"p{(i + 2) % 40:02}"} for i in range(40)])
    recorder, _ = train(stores, tmp_path / "run", "train.validation_share=0", pairs=tmp_path / "pairs.csv", stop_at=2)
    made_from = yaml.safe_load((tmp_path / "run" / "checkpoints" / "last" / "config.yaml").read_text())["made_from"]
    assert len(recorder.losses) == 2 and "pairs" in made_from and "features" not in made_from


def test_matching_by_hand_counts_a_tie_half():
    """Two people at one place: every choice is a tie. Then a face nearer to the other's voice: 1 and 0 of each."""
    east, north = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    numbers = torch.arange(2)

    def measure(face, voice):
        return float(measure_matching(PlacedPairs(torch.stack(face), torch.stack(voice), numbers, numbers, numbers)))

    assert measure([east, east], [east, east]) == 0.5
    assert measure([east, north], [east, north]) == 1.0
    assert measure([north, east], [east, north]) == 0.0
