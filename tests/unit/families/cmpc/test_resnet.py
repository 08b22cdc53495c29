"""families/cmpc on crops and log-mels: what is refused, the networks, what is varied, learnt and resumed."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from helpers.matchers import SMALL_NETWORKS
from helpers.reporters import Recorder
from helpers.stores import VOICE_DIM, have_same_weights, unit

from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.tuning import skip_weight_init
from facevc_cli.corpus.store import Item, Store
from facevc_cli.corpus.store_writer import StoreWriter
from facevc_cli.dsp.frontend import Frontend
from facevc_cli.families.base import Capability
from facevc_cli.families.checkpoint import load_checkpoint
from facevc_cli.families.cmpc.augmentation import cut_views, shift_colours, vary_pictures
from facevc_cli.families.cmpc.items import StoredCrops, StoredLogMels
from facevc_cli.families.cmpc.model import build_model
from facevc_cli.families.cmpc.resnet import ResNet
from facevc_cli.families.cmpc.terms import InstanceTerm, PlacedPairs
from facevc_cli.families.cmpc.training import PlacePairs
from facevc_cli.families.presets import load_config
from facevc_cli.stages.train import TrainStageConfig, run

PEOPLE = ("ann", "bea", "carl", "dan")
COLOURS = ((1, -1, -1), (-1, 1, -1), (-1, -1, 1), (1, 1, 1))
SIDE, FRAMES, BANDS = 32, 40, 80
SMALL = (
    *SMALL_NETWORKS,
    "train.steps=8",
    "train.batch_size=4",
    "train.crop_frames=24",
    "train.clusters=[2]",
    "train.cluster_from=3",
    "train.cluster_every=2",
    "train.checkpoint_every=4",
    "train.validate_every=8",
    "train.log_every=1",
    "train.workers=0",
    "train.validation_share=0",
)


def draw_crops(person: int, rng: np.random.Generator, count: int = 3) -> np.ndarray:
    """Faces of one person: a disc of their colour, before noise. (count, SIDE, SIDE, 3)."""
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    disc = (x**2 + y**2 < 100)[None, :, :, None] * np.array(COLOURS[person])
    noisy = 128 + 90 * disc + rng.normal(0, 12, (count, SIDE, SIDE, 3))
    return noisy.clip(0, 255).astype(np.uint8)


def draw_mel(person: int, rng: np.random.Generator, frames: int = FRAMES) -> np.ndarray:
    """An utterance of one person: loud in a quarter of the bands. (frames, BANDS)."""
    mel = rng.normal(-3, 0.5, (frames, BANDS))
    mel[:, 20 * person : 20 * person + 20] += 2
    return mel.astype(np.float32)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Four people: two pictures and two utterances of each; one utterance is shorter than a part."""
    folder, rng = tmp_path_factory.mktemp("people"), np.random.default_rng(0)
    settings = {"detector": "dlib", "embedder": "dlib", "on_many": "largest"}
    mels = []
    with (
        StoreWriter(folder / "crops.h5", "extract-face", {**settings, "crop_px": SIDE}) as crops,
        StoreWriter(folder / "faces.h5", "extract-face", settings) as faces,
        StoreWriter(folder / "features.h5", "extract-features", Frontend.standard("fvmvc").as_settings()) as features,
        StoreWriter(folder / "voices.h5", "extract-spkemb", {"embedder": "random"}) as voices,
    ):
        for i, person in enumerate(PEOPLE):
            for take in range(2):
                name = f"{person}/{take}"
                crops.add(Item(name, person, {"crop": draw_crops(i, rng)}))
                faces.add(Item(name, person, vectors={"embedding": unit(rng, 128)}))
                mels.append(draw_mel(i, rng, 10 if name == "dan/1" else FRAMES))
                features.add(Item(name, person, {"mel": mels[-1]}, columns={"split": "train"}))
                voices.add(Item(name, person, vectors={"dvector": unit(rng, VOICE_DIM)}))
        everything = np.concatenate(mels)
        features.merge([], statistics={"mel_mean": everything.mean(0), "mel_std": everything.std(0)})
        for writer in (crops, faces, voices):
            writer.merge([])
    return folder


def train(stores, output, *overrides, given=("crops.h5", "features.h5"), **changes):
    recorder = Recorder()
    settings = {"preset": "cmpc-resnet", "device": "cpu", **changes}
    paths = tuple(stores / name for name in given)
    run(TrainStageConfig(stores=paths, output=output, overrides=(*SMALL, *overrides), **settings), recorder)
    return recorder


# what is refused


def test_stores_that_do_not_fit(stores, tmp_path):
    for given, kind, reason in (
        (("faces.h5", "features.h5"), FaceVCError, r"faces\.h5: expected a store with the faces .*--store-crops 128"),
        (("crops.h5", "voices.h5"), UsageError, "a store of extract-features. Missing: features.h5"),
        (("features.h5",), UsageError, "Missing: faces.h5"),
        (("crops.h5", "features.h5", "voices.h5"), UsageError, r"faces and log-mels alone. Leave .*voices\.h5 out"),
    ):
        with pytest.raises(kind, match=reason):
            train(stores, tmp_path / "run", given=given)
    for setting, reason in (
        ("model.network={blocks: []}", "at least one group of blocks"),
        ("model.network={width: 1024, blocks: [1, 1, 1, 1, 1]}", "at most 8192 channels"),
        ("model.mel_bands=40", "have 80 bands, .* Pass --set model.mel_bands=80"),
    ):
        with pytest.raises(FaceVCError, match=reason):
            train(stores, tmp_path / "other", setting)


def test_crops_of_another_kind(tmp_path):
    with StoreWriter(tmp_path / "c.h5", "extract-face", {"crop_px": 4}) as writer:
        writer.add(Item("a", "a", {"crop": np.zeros((1, 4, 4, 3), np.float32)}))
        writer.merge([])
    with Store(tmp_path / "c.h5") as store, pytest.raises(FaceVCError, match=r"of bytes .*float32 in 'a'"):
        StoredCrops(store).read_middle(np.array([0]))


# networks


def test_the_presets_networks_are_resnet_34():
    """21,797,672 parameters, as published, without the 512 x 1000 + 1000 of the classifier."""
    network = load_config("cmpc-resnet").model.network
    with skip_weight_init():
        made = ResNet(3, network.width, network.blocks)
    assert sum(p.numel() for p in made.parameters()) == 21_797_672 - 513_000 and made.out_dim == 512


def test_shapes_and_unit_length():
    config = load_config("cmpc-resnet", overrides=SMALL_NETWORKS)
    model = build_model(config.model, "here").eval()
    assert model.capabilities == {Capability.MATCHING, Capability.CROPS, Capability.LOG_MELS}
    faces = model.place_faces(torch.randint(0, 256, (3, 40, 40, 3), dtype=torch.uint8))
    parts = torch.randn(3, 2, 30, BANDS)
    voices = model.place_voices(parts)
    assert faces.shape == voices.shape == (3, 8)
    assert torch.allclose(faces.norm(dim=-1), torch.ones(3)) and torch.allclose(voices.norm(dim=-1), torch.ones(3))
    both = model.voice(parts[0])  # the place of a recording is the direction of the mean of its parts' places
    assert torch.allclose(voices[0], both.mean(0) / both.mean(0).norm(), atol=1e-5)
    mixed = build_model(load_config("cmpc-resnet", overrides=(*SMALL_NETWORKS, "model.voices=d-vectors")).model, "here")
    assert mixed.capabilities == {Capability.MATCHING, Capability.CROPS}


def test_the_gradient_reaches_both_encoders():
    config = load_config("cmpc-resnet", overrides=SMALL)
    model = build_model(config.model, "here")
    placing = PlacePairs(model, config.train).train()
    rng = np.random.default_rng(0)
    batch = {
        "face": torch.from_numpy(np.concatenate([draw_crops(i, rng, 1) for i in range(4)])),
        "voice": torch.from_numpy(np.stack([draw_mel(i, rng) for i in range(4)])),
    }
    numbers = torch.arange(4)
    InstanceTerm(0.1).compute(PlacedPairs(*placing(batch), numbers, numbers, numbers)).mean().backward()
    still = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert still == []


# what is varied


def test_views_are_whole_or_mirrored_without_zoom():
    pictures = torch.rand(64, 3, 6, 6, generator=torch.Generator().manual_seed(0)) * 255
    seen = cut_views(pictures, torch.Generator().manual_seed(1), 1.0)
    same = [torch.allclose(one, other, atol=1e-2) for one, other in zip(seen, pictures, strict=True)]
    mirrored = [torch.allclose(one, other.flip(-1), atol=1e-2) for one, other in zip(seen, pictures, strict=True)]
    assert all(a != b for a, b in zip(same, mirrored, strict=True)) and 16 < sum(mirrored) < 48


def test_a_view_is_a_part_of_the_picture():
    """On a ramp from 0 to 1 a part of half the width spans about half of the values, and stays inside."""
    ramp = torch.linspace(0, 1, 64).expand(32, 3, 64, 64).contiguous()
    seen = cut_views(ramp, torch.Generator().manual_seed(0), 0.5)
    spans = (seen.amax((1, 2, 3)) - seen.amin((1, 2, 3))).tolist()
    assert all(0.45 < span <= 1.0 for span in spans) and min(spans) < 0.7 and max(spans) > 0.8
    assert seen.min() >= 0 and seen.max() <= 1


def test_colours_by_hand():
    drawn = torch.Generator().manual_seed(0)
    pictures = torch.rand(4, 3, 5, 5, generator=drawn) * 255
    assert torch.allclose(shift_colours(pictures, drawn, 0.0), pictures, atol=1e-3)
    grey = torch.full((200, 3, 2, 2), 100.0)  # neither contrast nor saturation changes one even grey
    values = shift_colours(grey, drawn, 0.3)
    assert torch.allclose(values, values[:, :1, :1, :1].expand_as(values), atol=1e-3)
    assert 69.9 < values.min() < 75 and 125 < values.max() < 130.1
    again = [vary_pictures(pictures.permute(0, 2, 3, 1), torch.Generator().manual_seed(5), 0.8, 0.3) for _ in range(2)]
    assert torch.equal(*again) and again[0].shape == (4, 5, 5, 3)
    with torch.autocast("cpu", torch.bfloat16):
        half = vary_pictures(pictures.permute(0, 2, 3, 1), torch.Generator().manual_seed(5), 0.8, 0.3)
    assert half.dtype == torch.float32 and torch.equal(half, again[0])


def test_parts_of_log_mels(stores):
    with Store(stores / "features.h5") as store:
        items = StoredLogMels(store, 24)
        short, long = store.position["dan/1"], store.position["ann/0"]
        read = items.draw(np.array([short, long]), np.random.default_rng(0))
        assert read.shape == (2, 24, BANDS)
        mel = store.read_frames("mel", short)
        np.testing.assert_array_equal(read[0].numpy(), np.concatenate([mel, mel, mel[:4]]))
        whole, rng = store.read_frames("mel", long), np.random.default_rng(0)
        starts = set()
        for _ in range(200):
            part = items.draw(np.array([long]), rng)[0].numpy()
            (start,) = [s for s in range(FRAMES - 24 + 1) if np.array_equal(whole[s : s + 24], part)]
            starts.add(start)
        assert starts == set(range(17))  # 40 - 24 + 1 places, the last included
        own = items.select(np.array([long])).read_middle(np.array([0]))[0].numpy()
        np.testing.assert_array_equal(own, whole[8:32])


# training


def test_four_people_are_learnt(stores, tmp_path):
    settings = (
        "train.steps=60",
        "train.temperature=0.2",
        "train.prototype=0",
        "train.instance_weights=0",
        "train.checkpoint_every=60",
        "train.log_every=20",
        "train.optimiser={learning_rate: 0.005, warmup_steps: 5, schedule: cosine}",
    )
    train(stores, tmp_path / "run", *settings)
    checkpoint = load_checkpoint(tmp_path / "run")
    assert checkpoint.embedders["face"]["crop_px"] == SIDE and checkpoint.embedders["voice"]["mel"] == "fvmvc"
    rng = np.random.default_rng(9)  # other pictures and utterances of the same people
    crops = torch.from_numpy(np.concatenate([draw_crops(i, rng, 1) for i in range(4)]))
    mels = torch.from_numpy(np.stack([draw_mel(i, rng)[None] for i in range(4)]))
    with torch.no_grad():
        cosines = checkpoint.model.place_faces(crops) @ checkpoint.model.place_voices(mels).T
    assert cosines.argmax(0).tolist() == cosines.argmax(1).tolist() == [0, 1, 2, 3]


def test_a_resumed_run_equals_an_uninterrupted_one(stores, tmp_path):
    train(stores, tmp_path / "whole")
    train(stores, tmp_path / "parts", stop_at=5)
    train(stores, tmp_path / "parts")
    one, other = (tmp_path / name / "checkpoints" / "last" for name in ("whole", "parts"))
    assert have_same_weights(one, other)
    states = [(folder / "training" / "auxiliary.safetensors").read_bytes() for folder in (one, other)]
    assert states[0] == states[1]  # the banks and the prototypes, too
    losses = []
    for name in ("whole", "parts"):
        rows = [line.split(",") for line in (tmp_path / name / "losses.csv").read_text().splitlines()]
        losses.append([row[rows[0].index("loss")] for row in rows[1:]])
    assert losses[0] == losses[1] and len(losses[0]) == 8


def test_bfloat16(stores, tmp_path):
    recorder = train(stores, tmp_path / "run", precision="bf16", stop_at=2)
    assert len(recorder.losses) == 2 and np.isfinite(list(recorder.losses.values())).all()


@pytest.mark.slow
def test_two_processes_resume_as_one_run(stores, tmp_path):
    """Each takes half of a batch; the memory banks, the clusters and the batch norms agree, so losses are the same."""

    def start(output, *options):
        settings = [word for setting in (*SMALL, "train.steps=6") for word in ("--set", setting)]
        command = [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
            *("-m", "facevc_cli", "train", str(stores / "crops.h5"), str(stores / "features.h5")),
            *("--preset", "cmpc-resnet", "-o", str(output), "--device", "cpu", "--quiet", *settings, *options),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
        assert done.returncode == 0, done.stderr[-3000:]

    start(tmp_path / "whole")
    start(tmp_path / "parts", "--stop-at", "4")
    start(tmp_path / "parts")
    one, other = (tmp_path / name / "checkpoints" / "last" for name in ("whole", "parts"))
    assert have_same_weights(one, other)
    assert len({(folder / "training" / "auxiliary.safetensors").read_bytes() for folder in (one, other)}) == 1
