"""`nearest`: ranks faces by how well they fit a voice, or voices by how well they fit a face.

The score is the cosine of two places in a space of faces and voices (families/matching.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from facevc_cli.conversion.converter import Converter
from facevc_cli.conversion.resolver import VoiceResolver
from facevc_cli.conversion.voice import Target
from facevc_cli.conversion.voice_request import FACE_SUFFIXES, TargetRequest, request_faces, request_recordings
from facevc_cli.conversion.voice_spec import VoiceSpec
from facevc_cli.core.choices import OnMany
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.memory import report_memory_errors
from facevc_cli.core.progress import SILENT, Reporter, Summary, Tally
from facevc_cli.families.checkpoint import find_bundled_matcher, find_checkpoint_family
from facevc_cli.families.matching import Matcher, place_recalled
from facevc_cli.files.inputs import AUDIO_SUFFIXES, find_files

STAGE = "nearest"


@dataclass(frozen=True, kw_only=True)
class NearestConfig:
    candidates: tuple[str | Path, ...]  # faces and voice cards to rank for a voice, or recordings to rank for a face
    voice: Path | None = None
    face: Path | None = None  # a picture or a voice card
    top: int | None = None
    checkpoint: Path | None = None
    on_many: OnMany = "largest"
    device: str = "auto"


def run(config: NearestConfig, reporter: Reporter = SILENT) -> Summary:
    """Summary.data: `ranking`, best first: rank, id, file, score (-1 to 1).

    A candidate that cannot be used is a failure.

    FaceVCError if the query itself cannot be used.
    """
    if (config.voice is None) == (config.face is None):
        raise UsageError("nearest needs either --voice WAV, to rank faces, or --face IMAGE_OR_CARD, to rank voices.")
    query, candidates = _find_query(config), _find_candidates(config, reporter)
    place = _make_placer(config, [query, *(asked.voice_spec for asked in candidates)], reporter)
    asked_about = place(query)
    tally, found = Tally(reporter), []
    reporter.begin(len(candidates), "candidates", STAGE)
    for asked in candidates:
        try:
            with report_memory_errors(str(asked.path)):
                found.append((float(asked_about @ place(asked.voice_spec)), asked))
            tally.complete(asked.id)
        except FaceVCError as error:
            tally.fail(asked.id, str(error))
    ranked = sorted(found, key=lambda pair: (-pair[0], pair[1].id))[: config.top]
    ranking = [
        {"rank": i, "id": asked.id, "file": str(asked.path), "score": round(score, 4)}
        for i, (score, asked) in enumerate(ranked, 1)
    ]
    return tally.summarise(ranking=ranking)


def locate_voice(converter: Converter, target: Target) -> Tensor:
    """Returns the direction of a target's recalled voice from the mean of the slots: (voice_dim,), of unit length."""
    recalled = converter.target_from_mix([target], [1.0]).speaker
    return place_recalled(converter.memory, recalled)[0]


def _make_placer(
    config: NearestConfig, specs: Sequence[VoiceSpec], reporter: Reporter
) -> Callable[[VoiceSpec], Tensor]:
    """Loads the model, and the face networks if there are pictures. Returns what places a voice spec: (D,)."""
    folder, has_pictures = config.checkpoint, any(spec.has_pictures for spec in specs)
    if folder is None and not any(spec.kind == "card" for spec in specs):
        folder = find_bundled_matcher()
    if find_checkpoint_family(folder).converts:
        converter = Converter(folder, "griffin-lim", config.device, on_many=config.on_many, reporter=reporter)
        if has_pictures:
            converter.prepare_faces()
        resolver = VoiceResolver(converter, reporter=reporter)
        return lambda spec: locate_voice(converter, resolver.resolve(spec))
    matcher = Matcher(folder, config.device, config.on_many)
    if has_pictures:
        matcher.prepare_faces()
    return lambda spec: _place_file(matcher, spec)


def _place_file(matcher: Matcher, spec: VoiceSpec) -> Tensor:
    path = spec.files[0]
    if spec.kind == "card":
        raise FaceVCError(
            f"{path}: a voice card fits only the model that made it, and {matcher.checkpoint.config.name!r} makes "
            "none. Pass the picture, or the card's model as --checkpoint."
        )
    read, place = (
        (matcher.read_voice, matcher.place_voices) if spec.kind == "voice" else (matcher.read_face, matcher.place_faces)
    )
    return torch.from_numpy(place(np.asarray(read(path))[None])[0])


def _find_query(config: NearestConfig) -> VoiceSpec:
    path = config.voice or config.face or Path()
    named = find_files([path], AUDIO_SUFFIXES if config.voice else FACE_SUFFIXES)
    if len(named) > 1:
        raise UsageError(f"{path}: expected one file to compare with, found {len(named)}. Pass one of them.")
    return (request_recordings if config.voice else request_faces)(named)[0].voice_spec


def _find_candidates(config: NearestConfig, reporter: Reporter) -> Sequence[TargetRequest]:
    if config.voice:
        return request_faces(find_files(config.candidates, FACE_SUFFIXES, reporter))
    return request_recordings(find_files(config.candidates, AUDIO_SUFFIXES, reporter))
