"""`extract-face`: images and videos -> a store of face embeddings, one item per file."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from facevc_cli.core.choices import DetectorName, OnMany
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.progress import SILENT, Reporter, Summary
from facevc_cli.corpus.extraction import ExtractionConfig, extract_into_store
from facevc_cli.corpus.store import Item
from facevc_cli.faces.analyser import (
    FaceAnalyser,
    FaceObservation,
    ManyFacesError,
    NoFaceError,
    check_choices,
    cut_face,
    make_settings,
)
from facevc_cli.files.image import load_image, save_image
from facevc_cli.files.inputs import IMAGE_SUFFIXES, VIDEO_SUFFIXES, Input
from facevc_cli.files.video import iterate_frames

STAGE = "extract-face"
SMALLEST_CROP_PX, LARGEST_CROP_PX = 64, 256


@dataclass(frozen=True, kw_only=True)
class ExtractFaceConfig(ExtractionConfig):
    detector: DetectorName = "dlib"
    embedder: str = "fused"  # fused (162-D), dlib (128-D) or facenet (512-D)
    on_many: OnMany = "largest"  # largest: use the largest face; skip: ignore a frame with several faces
    every: int = 5  # uses each n-th frame of a video
    max_frames: int | None = None  # largest number of frames that are used of a video
    save_crops: Path | None = None  # a folder for the face crops that the network gets
    crop_px: int | None = None  # side of the level crops that the store keeps; None: it keeps none
    device: str = "cpu"


def run(config: ExtractFaceConfig, reporter: Reporter = SILENT) -> Summary:
    """Writes frames/embedding (n, D), frames/box (n, 4) px, frames/score and frames/faces (n,), and vectors/embedding
    (files, D), the mean. With `crop_px` also frames/crop (n, crop_px, crop_px, 3) uint8 RGB.

    Columns: kind (image or video), path, frames_seen, frames_with_face. A file without any usable face is a failure.
    """
    check_choices(config.detector, config.embedder, config.on_many)
    if config.every < 1 or (config.max_frames is not None and config.max_frames < 1):
        raise UsageError(
            f"--every and --max-frames: expected at least 1, found {config.every} and {config.max_frames}."
        )
    if config.crop_px is not None and not SMALLEST_CROP_PX <= config.crop_px <= LARGEST_CROP_PX:
        raise UsageError(f"--store-crops {config.crop_px}: expected {SMALLEST_CROP_PX} to {LARGEST_CROP_PX} pixels.")
    settings: dict[str, Any] = {
        **make_settings(config.detector, config.embedder, config.on_many),
        "every": config.every,
        "max_frames": config.max_frames,
    }
    if config.crop_px is not None:  # a store without crops has the settings that it had before there were any
        settings["crop_px"] = config.crop_px
    return extract_into_store(
        config,
        stage=STAGE,
        suffixes=IMAGE_SUFFIXES | VIDEO_SUFFIXES,
        settings=settings,
        extract=partial(_extract, config),
        reporter=reporter,
        device=config.device,
        next_command=(
            f"facevc train features.h5 --faces {config.output} --voices voices.h5 --init runs/pretrain -o runs/train"
        ),
    )


@lru_cache(maxsize=1)
def _load_analyser(detector: str, embedder: str, on_many: str, device: str) -> FaceAnalyser:
    """Loads the networks once per process."""
    return FaceAnalyser(detector, embedder, on_many, device)


def _extract(config: ExtractFaceConfig, source: Input) -> Item:
    analyser = _load_analyser(config.detector, config.embedder, config.on_many, config.device)
    kind, frames = _read_frames(source, config)
    found: list[FaceObservation] = []
    crops: list[np.ndarray] = []
    seen, many = 0, 0
    refusal: FaceVCError | None = None
    for index, image in frames:
        seen += 1
        try:
            observation = analyser.analyse(image)
        except (NoFaceError, ManyFacesError) as error:
            refusal, many = error, many + isinstance(error, ManyFacesError)
            continue
        found.append(observation)
        if config.crop_px is not None:
            crops.append(cut_face(image, observation.box, observation.turns, config.crop_px))
        if config.save_crops:
            save_image(_make_crop_path(config.save_crops, source, index), observation.crop)
    if not found:
        counted = f" (in {seen} frames looked at, {many} of them with several faces)" if kind == "video" else ""
        raise NoFaceError(f"{source.path}: no usable face{counted}: {refusal}")
    embeddings = np.stack([o.embedding for o in found]).astype(np.float32)
    return Item(
        source.id,
        source.speaker,
        frames={
            "embedding": embeddings,
            "box": np.stack([o.box for o in found]).astype(np.float32),
            "score": np.array([o.score for o in found], dtype=np.float32),
            "faces": np.array([o.faces for o in found], dtype=np.int32),
            **({"crop": np.stack(crops)} if crops else {}),
        },
        vectors={"embedding": embeddings.mean(axis=0)},
        columns={"kind": kind, "path": str(source.path), "frames_seen": seen, "frames_with_face": len(found)},
    )


def _read_frames(source: Input, config: ExtractFaceConfig) -> tuple[str, Iterable[tuple[int | None, np.ndarray]]]:
    """Returns ('video', its frames with their index) or ('image', the one picture)."""
    if source.path.suffix.lower() in VIDEO_SUFFIXES:
        frames = iterate_frames(source.path, config.every, config.max_frames)
        return "video", ((index, image) for index, _, image in frames)
    return "image", [(None, load_image(source.path))]


def _make_crop_path(folder: Path, source: Input, frame: int | None) -> Path:
    """Returns <folder>/<id>.png, or <folder>/<id>/frame-<index>.png for a video.

    FaceVCError if the id leads out of the folder.
    """
    parts = source.id.split("/")
    if any(part in ("", ".", "..") or "\\" in part for part in parts):
        raise FaceVCError(f"{source.path}: its id {source.id!r} cannot be a file below {folder}. Rename the file.")
    if frame is None:
        return folder.joinpath(*parts[:-1], f"{parts[-1]}.png")
    return folder.joinpath(*parts, f"frame-{frame:06d}.png")
