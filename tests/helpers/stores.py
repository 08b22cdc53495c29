"""Tiny stores and runs for the training's tests: random features, voices and faces, and presets shrunk until a step
takes milliseconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from helpers.reporters import Recorder

from facevc_cli.corpus.store import Item, Value
from facevc_cli.corpus.store_writer import StoreWriter
from facevc_cli.dsp.frontend import Frontend
from facevc_cli.dsp.pitch import PitchStatistics

VOICE_DIM, FACE_DIM, TEACHER_DIM = 16, 12, 10

# id -> (speaker, split, frames); odd lengths, one shorter than a crop, ids with any character
UTTERANCES = {
    "anna/a_1": ("anna", "train", 41),
    "anna/a-2": ("anna", "train", 9),
    "bert/b 1": ("bert", "train", 30),
    "cleo/ç.1": ("cleo", "train", 27),
    "vera/v1": ("vera", "valid", 33),
}
RUN = (
    *("steps=6", "batch_size=3", "crop_frames=16", "validate_every=3", "checkpoint_every=3"),
    *("validation_batches=1", "log_every=1", "workers=0"),
)
MODEL = (f"voice_dim={VOICE_DIM}", f"dvector_dim={VOICE_DIM}", f"face_dim={FACE_DIM}", "z_dim=8", "slots=6")
TOY = (
    *(f"{part}.{setting}" for part in ("pretrain", "train") for setting in (*RUN, "optimiser.warmup_steps=2")),
    *(f"model.{setting}" for setting in MODEL),
    "model.content_encoder={channels: 16, layers: 1, codes: 8, context_dim: 8}",
    "model.decoder={channels: 16, recurrent_dim: 16, postnet_channels: 16}",
    "pretrain.mi_steps=1",
)
STARTER = (
    *(f"{part}.{setting}" for part in ("pretrain", "train") for setting in (*RUN, "optimiser.warmup_steps=2")),
    *(f"model.{setting}" for setting in MODEL),
    f"model.content_encoder={{kind: distilled, channels: 16, layers: 1, heads: 2, teacher_dim: {TEACHER_DIM}}}",
    "model.decoder={kind: convolutional, channels: 16, blocks: 1}",
    "pretrain.adversarial_from=0.0",
)


@dataclass(frozen=True)
class Stores:
    """Paths of three stores that fit together."""

    features: Path
    voices: Path
    faces: Path


def make_stores(
    folder: Path,
    mel: str = "fvmvc",
    utterances: Mapping[str, tuple[str, str, int]] | None = None,
    *,
    teacher_dim: int | None = None,
    unvoiced: tuple[str, ...] = (),
    face_dim: int = FACE_DIM,
    voice_dim: int = VOICE_DIM,
    seed: int = 0,
    keep_shards: int | None = None,
) -> Stores:
    """Random features (with a teacher's content where teacher_dim is given), d-vectors and one face a person."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    utterances = UTTERANCES if utterances is None else utterances
    frontend = Frontend.standard(mel)
    stores = Stores(folder / "features.h5", folder / "voices.h5", folder / "faces.h5")
    mels = {}
    settings = {**frontend.as_settings(), "teacher": None}
    with StoreWriter(stores.features, "extract-features", settings, keep_shards=keep_shards) as writer:
        for identifier, (speaker, split, frames) in utterances.items():
            mels[identifier] = rng.normal(-3, 2, (frames, 80)).astype(np.float32)
            f0 = rng.uniform(90, 300, frames).astype(np.float32) * (rng.random(frames) > 0.3)
            item = {"mel": mels[identifier], "f0": (f0 * (identifier not in unvoiced)).astype(np.float32)}
            if teacher_dim is not None:
                seconds = frames * frontend.definition.hop_samples / frontend.definition.rate
                item["content"] = rng.normal(size=(max(1, round(50 * seconds)), teacher_dim)).astype(np.float16)
            pitch = PitchStatistics.of(item["f0"])
            columns: dict[str, Value] = {"split": split, "log_f0_mean": pitch.mean, "log_f0_std": pitch.std}
            writer.add(Item(identifier, speaker, item, columns=columns))
        training = np.concatenate([mels[i] for i, (_, split, _) in utterances.items() if split == "train"])
        writer.merge(list(utterances), statistics={"mel_mean": training.mean(0), "mel_std": training.std(0)})
    with StoreWriter(stores.voices, "extract-spkemb", {"embedder": "random"}, keep_shards=keep_shards) as writer:
        for identifier, (speaker, _, _) in utterances.items():
            writer.add(Item(identifier, speaker, vectors={"dvector": unit(rng, voice_dim)}))
        writer.merge(list(utterances))
    make_faces(stores.faces, [*dict.fromkeys(speaker for speaker, _, _ in utterances.values())], face_dim, rng)
    return stores


def make_faces(path: Path, people: list[str], face_dim: int, rng: np.random.Generator) -> None:
    with StoreWriter(path, "extract-face", {"embedder": "random"}) as writer:
        for person in people:
            writer.add(Item(f"{person}/face", person, vectors={"embedding": unit(rng, face_dim)}))
        writer.merge([])


def unit(rng: np.random.Generator, dim: int) -> np.ndarray:
    """A random vector of length one."""
    vector = rng.normal(size=dim).astype(np.float32)
    return vector / np.linalg.norm(vector)


def pretrain(stores: Stores, output: Path, preset: str = "toy", *overrides: str, **stage: Any) -> Recorder:
    """Runs `pretrain` on a shrunk preset; what it reported."""
    from facevc_cli.stages.pretrain import PretrainStageConfig, run

    small = {"toy": TOY, "starter": STARTER}[preset]
    recorder = Recorder()
    overrides = (*small, *overrides)
    run(
        PretrainStageConfig(
            features=stores.features,
            voices=stores.voices,
            output=output,
            preset=preset,
            overrides=overrides,
            device="cpu",
            **stage,
        ),
        recorder,
    )
    return recorder


def train(stores: Stores, init: Path, output: Path, *overrides: str, **stage: Any) -> Recorder:
    """Runs `train` on top of a shrunk pretraining; what it reported."""
    from facevc_cli.stages.train import TrainStageConfig, run

    recorder = Recorder()
    small = tuple(o for o in TOY if o.startswith("train."))
    stage = {"device": "cpu", **stage}
    run(
        TrainStageConfig(
            stores=(stores.features,),
            faces=stores.faces,
            voices=stores.voices,
            init=init,
            output=output,
            overrides=(*small, *overrides),
            **stage,
        ),
        recorder,
    )
    return recorder


def weights(folder: Path) -> dict[str, Any]:
    """The tensors of a checkpoint folder."""
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def have_same_weights(one: Path, other: Path) -> bool:
    """Whether two checkpoints' weights agree bit for bit."""
    import torch

    a, b = weights(one), weights(other)
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def computes_bf16_lstm() -> bool:
    """Whether this CPU trains recurrent layers in bfloat16; some have no kernel for them."""
    import torch

    network = torch.nn.LSTM(4, 4)
    try:
        with torch.autocast("cpu", torch.bfloat16):
            network(torch.zeros(2, 1, 4))
    except RuntimeError:
        return False
    return True
