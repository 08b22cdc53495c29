"""Reads the inputs of both trainings: joins features, voices and faces into batches for training and validation."""

from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np

from facevc_cli.core.errors import FaceVCError
from facevc_cli.corpus.aligned import find_partners
from facevc_cli.corpus.crops import CropBatches, CropReader, Voices, join_voices, read_utterance_weights
from facevc_cli.corpus.pairing import pair_faces
from facevc_cli.corpus.shard_order import RankOrder, ShardOrder
from facevc_cli.corpus.store import Store
from facevc_cli.dsp.frontend import Frontend
from facevc_cli.families.fvmvc.config import Config
from facevc_cli.files.tables import read_table
from facevc_cli.training.config import RunConfig

VALIDATION_SEED = 999_983  # draws the same validation crops in every run


@dataclass(frozen=True)
class FacePairs:
    """The faces store, and a table that pairs its faces with utterances."""

    store: Store
    table: Path | None = None


@dataclass(frozen=True)
class TrainingInputs:
    training: CropBatches
    validation: CropBatches | None
    voices: Voices  # of the training split
    statistics: tuple[np.ndarray, np.ndarray]  # mean, std per band
    frontend: Frontend


def read_inputs(
    features: Store,
    voices: Store | None,
    config: Config,
    run: RunConfig,
    seed: int,
    *,
    teacher: bool = False,
    weights: Path | None = None,
    more: int = 0,
    faces: FacePairs | None = None,
    aligned: Path | None = None,
    references: bool = False,
    rank: int = 0,
    processes: int = 1,
) -> TrainingInputs:
    """Joins the stores and checks that they fit the configuration. FaceVCError names what does not.

    voices: None for a training that needs no d-vectors. more: extra crops per training batch, with mel and d-vector
    only. aligned: table (utterance, text_id) of the utterances that say the same words at the same moments.
    references: as in CropBatches.
    """
    frontend = Frontend.from_settings(features.settings, str(features.path))
    if frontend.mel != config.model.mel:
        raise FaceVCError(
            f"{features.path}: its log-mel is {frontend.mel!r}, but the preset {config.name!r} works on "
            f"{config.model.mel!r}. Extract the features with --mel {config.model.mel}, or choose another preset."
        )
    if teacher and "content" not in features.frame_names:
        raise FaceVCError(
            f"{features.path} holds no teacher's content, which pretrain.distillation needs. Extract the features "
            "with --teacher FOLDER, or switch the term off with --set pretrain.distillation=0."
        )
    if teacher:
        _check_size(
            features,
            "teacher's content",
            features.read_frames("content", 0, 0, 1),
            "model.content_encoder.teacher_dim",
            config,
        )
    if voices is not None:
        _check_size(voices, "d-vectors", voices.read_vectors("dvector"), "model.dvector_dim", config)
    if faces is not None:
        _check_size(faces.store, "face embeddings", faces.store.read_vectors("embedding"), "model.face_dim", config)
    reader = CropReader(features, run.crop_frames, teacher)
    table = read_table(faces.table, ("face",)) if faces is not None and faces.table else None
    texts = read_table(aligned, ("utterance", "text_id")) if aligned else []
    training = join_voices(features, voices, "train")
    share = -(-run.batch_size // processes)
    hears_mel = config.model.speaker_encoder == "mel"
    frames = faces is None or hears_mel or config.train.decodes

    def make_batches(chosen: Voices, seed: int, weighted: bool) -> CropBatches:
        pairs = None
        if faces is not None:
            joined = pair_faces(features, chosen.rows, faces.store, table)
            keep = np.array([row in joined for row in chosen.rows.tolist()])
            chosen = Voices(chosen.rows[keep], chosen.dvectors[keep], chosen.speakers[keep])
            pairs = [joined[row] for row in chosen.rows.tolist()]
        drawn = (
            read_utterance_weights(read_table(weights, ("utterance", "weight")), features, chosen.rows, weights)
            if weighted and weights
            else None
        )
        order = None
        if features.shard_numbers is not None:
            shards = ShardOrder(features.shard_numbers[chosen.rows], seed, drawn)
            order = RankOrder(shards, run.batch_size, rank, processes)
        embeddings = faces.store.read_vectors("embedding").astype(np.float32) if faces is not None else None
        return CropBatches(
            reader,
            chosen,
            share,
            seed,
            weights=drawn,
            faces=pairs,
            face_embeddings=embeddings,
            other_mel=hears_mel,
            frames=frames,
            more=more if weighted else 0,
            partners=find_partners(texts, features, chosen.rows, aligned) if weighted and aligned else None,
            references=references,
            rank=rank,
            order=order,
        )

    train = make_batches(training, seed, True)
    try:
        valid = make_batches(join_voices(features, voices, "valid"), VALIDATION_SEED, False)
    except FaceVCError:
        valid = None  # without a validation split, the last checkpoint is the one to use
    return TrainingInputs(train, valid, train.voices, (reader.mean, reader.std - 1e-8), frontend)


def _check_size(store: Store, what: str, rows: np.ndarray, setting: str, config: Config) -> None:
    """Checks that each row has as many numbers as the setting (model.<...>) says."""
    wanted = reduce(getattr, setting.split("."), config)
    if rows.shape[1] != wanted:
        raise FaceVCError(
            f"{store.path}: its {what} have {rows.shape[1]} numbers, but the configuration says {setting} {wanted}. "
            f"Pass --set {setting}={rows.shape[1]}, or extract again with the extractor that the model was made for."
        )
