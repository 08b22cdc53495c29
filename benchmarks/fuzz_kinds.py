"""The kinds of files that `fuzz.py` damages, and how commands read each of them."""

import random
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

TESTS = Path(__file__).resolve().parent.parent / "tests"
sys.path.insert(0, str(TESTS))

from facevc_cli.core.errors import FaceVCError  # noqa: E402

PICTURES = ("jpg", "png", "webp", "tif", "gif", "bmp")
SOUNDS = ("wav", "flac", "ogg", "mp3", "m4a")
VIDEOS = ("mp4", "mkv", "webm")
RATE = 16000


@dataclass(frozen=True)
class Kind:
    """file: the damaged file, below `folder` of the inputs.

    read: reads it as a command does, and raises the same errors.
    """

    folder: str
    file: str
    format: str
    read: Callable[[Path], None]
    # runs after the damage; corrects checksums that a reader would refuse at once
    repair: Callable[[Path], None] | None = None


def attempt(*reads: Callable[[], Any]) -> None:
    """Run all reads, then raise the first refusal. A failed item of a stage counts as a refusal."""
    refusal: FaceVCError | None = None
    for read in reads:
        try:
            failures = getattr(read(), "failures", None)
            if failures:
                raise FaceVCError(str(failures[0][1]))
        except FaceVCError as error:
            refusal = refusal or error
    if refusal is not None:
        raise refusal


def _use_sound(name: str) -> Callable[[Path], None]:
    def read(folder: Path) -> None:
        from facevc_cli.stages.extract_wav import ExtractWavConfig
        from facevc_cli.stages.extract_wav import run as extract_wav
        from facevc_cli.stages.verify import VerifyConfig
        from facevc_cli.stages.verify import run as verify

        path = folder / name
        attempt(
            lambda: extract_wav(ExtractWavConfig(sources=(path,), output=folder / "out", jobs=1, overwrite=True)),
            lambda: verify(VerifyConfig(files=(path,))),
        )

    return read


def _use_speech(folder: Path) -> None:
    from facevc_cli.stages.extract_features import ExtractFeaturesConfig, run

    _use_sound("a.wav")(folder)
    attempt(
        lambda: run(
            ExtractFeaturesConfig(sources=(folder / "a.wav",), output=folder / "out.h5", jobs=1, overwrite=True)
        )
    )


def _use_video(name: str) -> Callable[[Path], None]:
    def read(folder: Path) -> None:
        from facevc_cli.files.video import iterate_frames

        path = folder / name
        attempt(lambda: _use_sound(name)(folder), lambda: [None for _ in iterate_frames(path, 2, 4)])

    return read


def _use_picture(name: str) -> Callable[[Path], None]:
    def read(folder: Path) -> None:
        from facevc_cli.files.image import load_image

        load_image(folder / name)

    return read


def _use_stores(folder: Path) -> None:
    from helpers.stores import TOY

    from facevc_cli.corpus.store import Store
    from facevc_cli.corpus.store_writer import StoreWriter
    from facevc_cli.families.fvmvc.training_inputs import FacePairs, read_inputs
    from facevc_cli.families.presets import load_config
    from facevc_cli.stages.info import InfoConfig
    from facevc_cli.stages.info import run as info

    paths = [folder / f"{name}.h5" for name in ("features", "voices", "faces")]

    def join() -> None:
        config = load_config("toy", None, TOY)
        with (
            Store(paths[0], "extract-features") as features,
            Store(paths[1], "extract-spkemb") as voices,
            Store(paths[2], "extract-face") as faces,
        ):
            inputs = read_inputs(features, voices, config, config.train, 0, faces=FacePairs(faces))
            attempt(
                lambda: inputs.training[0],
                lambda: inputs.training[1],
                lambda: inputs.validation and inputs.validation[0],
            )

    def go_on(path: Path) -> None:
        with Store(path) as store:
            settings, stage = store.settings, store.attributes["stage"]
        with StoreWriter(path, stage, settings) as writer:
            writer.merge(sorted(writer.done))

    attempt(lambda: info(InfoConfig(paths=tuple(paths))), join, *[lambda path=path: go_on(path) for path in paths])


def _use_part(folder: Path) -> None:
    from facevc_cli.corpus.store import Store
    from facevc_cli.corpus.store_writer import StoreWriter

    path = folder / "features.h5"
    with Store(path) as store:
        settings = store.settings
    parts = folder / "features.h5.parts"
    parts.mkdir(exist_ok=True)
    shutil.copy(folder / "part.h5", parts / "part-0.h5")
    with StoreWriter(path, "extract-features", settings) as writer:
        writer.merge([])


def _use_model(folder: Path) -> None:
    from facevc_cli.conversion.converter import Converter
    from facevc_cli.stages.info import InfoConfig, run

    path = folder / "checkpoint"
    attempt(lambda: run(InfoConfig(paths=(path,))), lambda: Converter(path, "griffin-lim", "cpu"))


def _use_metrics(folder: Path) -> None:
    """Import a checkpoint. That reads the metrics of the new one and of the one that it would replace."""
    from facevc_cli.stages.import_checkpoint import ImportCheckpointConfig, run

    path = folder / "checkpoint"
    shutil.copytree(path, folder / "other")
    attempt(
        lambda: _use_model(folder),
        lambda: run(ImportCheckpointConfig(source=path, output=folder / "copy")),
        lambda: run(ImportCheckpointConfig(source=path, output=folder / "other")),
    )


def _use_card(folder: Path) -> None:
    from facevc_cli.stages.info import InfoConfig, run

    attempt(lambda: run(InfoConfig(paths=(folder / "card.safetensors",), checkpoint=folder / "checkpoint")))


def _use_addresses(folder: Path) -> None:
    from facevc_cli.manifest.manifest import Addresses, read_addresses

    def go_on() -> None:
        addresses = Addresses(folder, np.zeros((16, 256), np.float32))
        addresses.put(folder / "b.jpg", np.full(16, 1 / 16, np.float32))
        addresses.save()

    attempt(lambda: read_addresses(folder / "addresses.safetensors"), go_on)


def pretrain(folder: Path, **options: Any) -> Any:
    from helpers.stores import TOY

    import facevc_cli.training.run_folder
    from facevc_cli.stages.pretrain import PretrainStageConfig, run

    if hasattr(facevc_cli.training.run_folder, "_plot"):  # drawing takes longer than the training
        facevc_cli.training.run_folder._plot = lambda table, picture: None
    inputs, settings = (folder / "features.h5", folder / "voices.h5"), (*TOY, "pretrain.steps=4")
    return run(
        PretrainStageConfig(
            features=inputs[0],
            voices=inputs[1],
            output=folder / "run",
            preset="toy",
            overrides=settings,
            device="cpu",
            **options,
        )
    )


def _resume(folder: Path) -> None:
    from facevc_cli.stages.info import InfoConfig, run

    attempt(lambda: run(InfoConfig(paths=(folder / "run",))), lambda: pretrain(folder))


def _weigh(folder: Path) -> None:
    attempt(lambda: pretrain(folder, sampling_weights=folder / "weights.csv", overwrite=True, stop_at=1))


def _plan(**given: str) -> Callable[[Path], None]:
    """Make a dry run of a benchmark with these tables. If the list is damaged, the sources come from it."""

    def read(folder: Path) -> None:
        from facevc_cli.stages.benchmark import BenchmarkConfig, run
        from facevc_cli.stages.convert import ConvertConfig

        tables: dict[str, Any] = {name: folder / file for name, file in given.items()}
        sources = f"@{tables.pop('list')}" if "list" in tables else folder / "wavs"
        pairs, protocol = tables.pop("pairs", None), tables.pop("protocol", None)
        tables |= {"protocol": protocol and str(protocol), "baselines": ("voice",) if "labels" in tables else ()}
        asked = {"faces": (folder / "faces",), "pairs": pairs, "dry_run": True, "device": "cpu"}
        conversions = ConvertConfig(sources=(sources,), output=folder / "out", **asked)
        attempt(lambda: run(BenchmarkConfig(conversions=conversions, **tables)))

    return read


def _extract(**given: str) -> Callable[[Path], None]:
    def read(folder: Path) -> None:
        from facevc_cli.stages.extract_features import ExtractFeaturesConfig, run

        tables: dict[str, Any] = {name: folder / file for name, file in given.items()}
        attempt(
            lambda: run(ExtractFeaturesConfig(sources=(folder / "wavs",), output=folder / "out.h5", jobs=1, **tables))
        )

    return read


def go_on_extracting(folder: Path) -> None:
    from facevc_cli.stages.extract_wav import ExtractWavConfig, run

    attempt(lambda: run(ExtractWavConfig(sources=(folder / "wavs",), output=folder / "extracted", jobs=1)))


class _Spectrum:
    def embed(self, wav: np.ndarray) -> np.ndarray:
        bands = np.abs(np.fft.rfft(wav, RATE))[100:7300].reshape(72, 100).mean(1) + 1e-3
        return (bands / np.linalg.norm(bands)).astype(np.float32)


def evaluate(folder: Path, **options: Any) -> Any:
    from facevc_cli.evaluation.judges import Judges
    from facevc_cli.evaluation.metrics.gender import PitchGenderJudge
    from facevc_cli.stages.evaluate import EvaluateConfig, run

    config = EvaluateConfig(manifest=folder, output=folder / "evaluation", jobs=1, **{"html": False, **options})
    return run(config, judges=Judges(_Spectrum(), "spectrum", PitchGenderJudge()))


def _use_evaluation(**given: str) -> Callable[[Path], None]:
    def read(folder: Path) -> None:
        tables: dict[str, Any] = {name: folder / file for name, file in given.items()}
        if "answers" in tables:
            tables["answers"] = (tables["answers"],)
        attempt(lambda: evaluate(folder, **tables))

    return read


def _draw_addresses(folder: Path) -> None:
    """Do what an evaluation's page does, without drawing, which takes longer than all the rest."""
    from facevc_cli.evaluation.report import plots

    if hasattr(plots, "to_svg"):
        plots.to_svg = lambda *given, **options: ""  # type: ignore[assignment]
    attempt(lambda: plots.draw_address_map(plots.read_addresses(folder / "addresses.safetensors"), {}))


def _use_cache(folder: Path) -> None:
    from facevc_cli.evaluation.listening import CACHE_VERSION

    (folder / ".facevc-cache").mkdir(exist_ok=True)
    shutil.copy(folder / "voices.npz", folder / ".facevc-cache" / f"voices-spectrum-v{CACHE_VERSION}.npz")
    attempt(lambda: evaluate(folder))


def _use_manifest(folder: Path) -> None:
    from facevc_cli.manifest.manifest import Manifest

    def go_on() -> None:
        manifest = Manifest(folder)
        manifest.put({"converted": "new.wav", "status": "done", "key": "1"})
        manifest.save()

    attempt(lambda: evaluate(folder), go_on)


def _use_published(folder: Path) -> None:
    from facevc_cli.stages.import_checkpoint import ImportCheckpointConfig, run

    attempt(
        lambda: run(
            ImportCheckpointConfig(
                source=folder / "published.pt", output=folder / "out", stats=folder / "stats.npy", overwrite=True
            )
        )
    )


def _use_vocoder(mel: str, file: str | None = None) -> Callable[[Path], None]:
    def read(folder: Path) -> None:
        import torch

        from facevc_cli.vocoders.load import load_vocoder

        vocoder = load_vocoder(str(folder / file) if file else folder, mel)
        with torch.inference_mode():
            vocoder(torch.zeros(20, 80))

    return read


def _configure(folder: Path) -> None:
    from facevc_cli.families.fvmvc.model import FaceVC
    from facevc_cli.families.presets import load_config

    config = load_config("toy", folder / "config.yaml")
    FaceVC(config.model)


def _mend_sum(folder: Path, model: str) -> None:
    """Write the sha256 of the damaged weights into config.yaml, so that the reader opens them."""
    import hashlib

    config = folder / model / "config.yaml"
    found = hashlib.sha256((folder / model / "model.safetensors").read_bytes()).hexdigest()
    config.write_text(re.sub(r"(?<=weights_sha256: ).*", found, config.read_text(encoding="utf-8")), encoding="utf-8")


LAST = "run/checkpoints/last"
CONVERT_ALL = {"labels": "labels.csv", "sources_table": "sources.csv"}
KINDS: dict[str, Kind] = {
    **{
        suffix: Kind("media", f"a.{suffix}", "medium", _use_speech if suffix == "wav" else _use_sound(f"a.{suffix}"))
        for suffix in SOUNDS
    },
    **{suffix: Kind("media", f"a.{suffix}", "medium", _use_video(f"a.{suffix}")) for suffix in VIDEOS},
    **{
        suffix: Kind("media", f"a.{suffix}", "png" if suffix == "png" else "medium", _use_picture(f"a.{suffix}"))
        for suffix in PICTURES
    },
    **{f"{name}.h5": Kind("stores", f"{name}.h5", "hdf5", _use_stores) for name in ("features", "voices", "faces")},
    "part.h5": Kind("stores", "part.h5", "hdf5", _use_part),
    "checkpoint-config": Kind("model", "checkpoint/config.yaml", "yaml", _use_model),
    "checkpoint-weights": Kind(
        "model",
        "checkpoint/model.safetensors",
        "safetensors",
        _use_model,
        lambda folder: _mend_sum(folder, "checkpoint"),
    ),
    "checkpoint-metrics": Kind("model", "checkpoint/metrics.json", "json", _use_metrics),
    "voice-card": Kind("model", "card.safetensors", "safetensors", _use_card),
    "addresses": Kind("model", "addresses.safetensors", "safetensors", _use_addresses),
    "run-config": Kind("run", "run/config.yaml", "yaml", _resume),
    "run-starts": Kind("run", "run/run.json", "json", _resume),
    "run-losses": Kind("run", "run/losses.csv", "table", _resume),
    "run-last-config": Kind("run", f"{LAST}/config.yaml", "yaml", _resume),
    "run-last-metrics": Kind("run", f"{LAST}/metrics.json", "json", _resume),
    "run-last-weights": Kind(
        "run", f"{LAST}/model.safetensors", "safetensors", _resume, lambda folder: _mend_sum(folder, LAST)
    ),
    "run-last-optimiser": Kind("run", f"{LAST}/training/optimiser_model.safetensors", "safetensors", _resume),
    "run-last-auxiliary": Kind("run", f"{LAST}/training/auxiliary.safetensors", "safetensors", _resume),
    "weights-table": Kind("run", "weights.csv", "table", _weigh),
    "pairs": Kind("tables", "pairs.csv", "table", _plan(pairs="pairs.csv")),
    "labels": Kind("tables", "labels.csv", "table", _plan(**CONVERT_ALL)),
    "sources": Kind("tables", "sources.csv", "table", _plan(**CONVERT_ALL)),
    "protocol": Kind("tables", "protocol.yaml", "yaml", _plan(**CONVERT_ALL, protocol="protocol.yaml")),
    "list": Kind("tables", "list.txt", "table", _plan(list="list.txt")),
    "speakers": Kind("tables", "speakers.csv", "table", _extract(speakers_table="speakers.csv")),
    "splits": Kind("tables", "splits.csv", "table", _extract(split_table="splits.csv")),
    "manifest": Kind("evaluation", "manifest.csv", "table", _use_manifest),
    "evaluate-labels": Kind("evaluation", "labels.csv", "table", _use_evaluation(labels="labels.csv")),
    "evaluate-sources": Kind("evaluation", "sources.csv", "table", _use_evaluation(sources="sources.csv")),
    "calibrate": Kind("evaluation", "real.csv", "table", _use_evaluation(calibrate="real.csv")),
    "answers": Kind("evaluation", "answers.csv", "table", _use_evaluation(answers="answers.csv")),
    "page-addresses": Kind("evaluation", "addresses.safetensors", "safetensors", _draw_addresses),
    "metrics-cache": Kind("evaluation", "voices.npz", "npz", _use_cache),
    "config": Kind("settings", "config.yaml", "yaml", _configure),
    "published": Kind("published", "published.pt", "torch", _use_published),
    "statistics": Kind("published", "stats.npy", "npy", _use_published),
    "pwg": Kind("pwg", "checkpoint-400000steps.pkl", "torch", _use_vocoder("fvmvc")),
    "pwg-config": Kind("pwg", "config.yml", "yaml", _use_vocoder("fvmvc")),
    "pwg-stats": Kind("pwg", "stats.npy", "npy", _use_vocoder("fvmvc")),
    "pwg-stats.h5": Kind("pwg5", "stats.h5", "hdf5", _use_vocoder("fvmvc")),
    "hifigan": Kind("hifigan", "g_02500000", "torch", _use_vocoder("hifigan", "g_02500000")),
    "hifigan-config": Kind("hifigan", "config.json", "json", _use_vocoder("hifigan", "g_02500000")),
    "whisper": Kind("teacher", "whisper/model.bin", "bytes", _extract(teacher="whisper")),
    "extract-manifest": Kind("extracted", "extracted/manifest.csv", "table", go_on_extracting),
    "extract-settings": Kind("extracted", "extracted/.facevc-extract-wav.json", "json", go_on_extracting),
}


def choose_kinds(names: Sequence[str]) -> list[str]:
    unknown = [name for name in names if name not in KINDS]
    if unknown:
        raise SystemExit(f"--kinds {unknown[0]}: expected some of {', '.join(KINDS)}")
    return list(names) or list(KINDS)


def make_seed(kind: str, number: int) -> int:
    """Make one number from a kind and a case. It is the same on every machine."""
    return random.Random(f"{kind} {number}").getrandbits(60)
