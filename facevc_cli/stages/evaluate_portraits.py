"""`evaluate --portraits`: measures imagined faces by the voices that they recall, and by real faces."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch

from facevc_cli.conversion.converter import Converter
from facevc_cli.conversion.sketch import sketch_voice
from facevc_cli.conversion.voice_reading import can_read
from facevc_cli.conversion.voice_spec import is_card
from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.core.progress import SILENT, Reporter, Summary, Tally
from facevc_cli.evaluation.association.embedding import FilePlacer
from facevc_cli.evaluation.association.lists import AssociationList, read_association
from facevc_cli.evaluation.association.measures import BETTER as BETTER_PAIRS
from facevc_cli.evaluation.association.measures import measure_protocol
from facevc_cli.evaluation.association.protocols import make_protocols, number_files
from facevc_cli.evaluation.association.systems import PlacesScorer
from facevc_cli.evaluation.cache import choose_cache_folder
from facevc_cli.evaluation.listening_items import MOS, USUAL_OF_IMAGINED, choose_kinds
from facevc_cli.evaluation.portraits.figures import (
    BETTER,
    measure_frechet,
    measure_looks,
    measure_round_trip,
    measure_variety,
    measure_voice_spread,
    shuffle_voices,
)
from facevc_cli.evaluation.portraits.networks import FID_PX, LPIPS_PX, PictureNetwork, measure_fid, measure_lpips
from facevc_cli.evaluation.portraits.results import Figures, describe_groups, save_groups
from facevc_cli.evaluation.portraits.study import SYSTEM, list_heard
from facevc_cli.evaluation.portraits.table import DrawnPortrait, join_people, read_portraits
from facevc_cli.faces.analyser import make_settings
from facevc_cli.faces.reading import DLIB_DIM
from facevc_cli.families.reading import FaceReader, VoiceReader
from facevc_cli.files.atomic import check_writable
from facevc_cli.imagining.score import TAKEN

IMAGINED, SHUFFLED, REAL = SYSTEM, "shuffled", "real faces"
ROUND_TRIP, VARIETY, LISTENERS = "round trip", "variety", "listeners"


@dataclass(frozen=True, kw_only=True)
class PortraitsConfig:
    table: Path  # portraits.csv or its folder
    pairs: Path | None = None  # real faces of the same voices: columns face, voice, person
    checkpoint: Path | None = None  # the model that recalls voices; None: the starter
    output: Path | None = None
    device: str = "auto"
    seed: int = 0
    jobs: int = 0
    limit: int | None = None
    listening_test: Path | None = None
    listening_items: int = 30
    questions: tuple[str, ...] = ()  # voices, faces; empty: both
    answers: tuple[Path, ...] = ()
    fid_network: Path | None = None  # ONNX files: see `evaluation.portraits.networks`
    lpips_network: Path | None = None


def run(config: PortraitsConfig, reporter: Reporter = SILENT) -> Summary:
    """Measures the pictures. Writes portraits.json and portraits_figures.csv into the output folder.

    Summary.data: `groups` (group -> system -> figure -> value, n, low, high), `better`, and the numbers of `portraits`
    and `voices`. A file that cannot be read is a failure.
    """
    kinds = choose_kinds(config.questions, USUAL_OF_IMAGINED)
    if MOS in kinds:
        raise UsageError("--question naturalness asks about converted speech. With --portraits, ask voices or faces.")
    if config.fid_network is not None and config.pairs is None:
        raise UsageError("--fid-network compares with real faces. Pass --association, too.")
    fid = config.fid_network and PictureNetwork(config.fid_network, 1, FID_PX)
    lpips = config.lpips_network and PictureNetwork(config.lpips_network, 2, LPIPS_PX)
    portraits = read_portraits(config.table, config.limit)
    pairs = read_association(config.pairs) if config.pairs is not None else None
    if config.output is not None:
        check_writable(config.output)  # before any work
    converter = Converter(config.checkpoint, "griffin-lim", config.device, reporter=reporter)
    _check_model(converter)
    tally = Tally(reporter)
    paths = {one.name: one.path for one in portraits} | {str(one.voice): one.voice for one in portraits}
    cache = choose_cache_folder(config.table, config.output)
    voices = _embed_voices(portraits, converter, FilePlacer(paths, cache, tally, config.jobs), tally)
    reader = FaceReader.make(make_settings("dlib", "fused", "largest"), False, "fused")
    faces = FilePlacer(paths, cache, tally, config.jobs).read_faces([one.name for one in portraits], reader)
    used = [one for one in portraits if one.name in faces and str(one.voice) in voices]
    if len({one.owner for one in used}) < 2:
        raise FaceVCError(
            f"{config.table}: expected pictures of at least two voices, found {len({one.owner for one in used})} that "
            "can be used."
        )
    groups = _measure(used, faces, voices, converter, config.seed)
    if pairs is not None:
        joined = join_people(used, pairs, cast(Path, config.pairs))
        real = FilePlacer(joined.paths, cache, tally, config.jobs).read_faces(joined.faces, reader)
        _measure_real(groups, joined, {**real, **{one.name: faces[one.name] for one in used}}, used, config.seed)
        if fid:
            _measure_fid(
                groups[VARIETY], fid, used, [joined.paths[name] for name in joined.faces if name in real], config
            )
    if lpips:
        owners = np.unique([one.owner for one in used], return_inverse=True)[1]
        groups[VARIETY][IMAGINED] |= measure_lpips(lpips, [one.path for one in used], owners, config.seed)
    _ask_listeners(config, groups, used, kinds, reporter)
    counts = {"portraits": len(used), "voices": len({one.owner for one in used})}
    data = describe_groups(groups, BETTER | BETTER_PAIRS, counts)
    save_groups(config.output, groups, data)
    return tally.summarise(config.output, None, **data)


def _check_model(converter: Converter) -> None:
    face = converter.checkpoint.embedders.get("face", {})
    if not can_read(converter.model) or face.get("embedder") not in TAKEN:
        raise FaceVCError(
            f"the model {converter.checkpoint.config.name!r} recalls no voice that can be read for a face by dlib or "
            "fused. Choose another --system, such as the bundled one."
        )


def _embed_voices(
    portraits: list[DrawnPortrait], converter: Converter, placer: FilePlacer, tally: Tally
) -> dict[str, np.ndarray]:
    """Returns the d-vector of each recording and card by its name."""
    named = {str(one.voice): one.voice for one in portraits}
    found = placer.read_voices([name for name, path in named.items() if not is_card(path)], VoiceReader())
    for name, path in named.items():
        if is_card(path):
            try:
                found[name] = cast(np.ndarray, sketch_voice(converter, converter.target_from_card(path)).dvector)
            except FaceVCError as error:
                tally.fail(name, str(error))
    return found


@torch.inference_mode()
def _measure(
    used: list[DrawnPortrait],
    faces: Mapping[str, np.ndarray],
    voices: Mapping[str, np.ndarray],
    converter: Converter,
    seed: int,
) -> dict[str, Figures]:
    owners = np.unique([one.owner for one in used], return_inverse=True)[1]
    taken = TAKEN[converter.checkpoint.embedders["face"]["embedder"]]
    recalled = np.stack(
        [converter.target_from_embedding(faces[one.name][taken]).speaker[0].float().cpu().numpy() for one in used]
    )
    heard = np.stack([voices[str(one.voice)] for one in used])
    others = shuffle_voices(owners, seed)
    descriptors = np.stack([faces[one.name][:DLIB_DIM] for one in used])
    looks = measure_looks(used, owners, seed)
    return {
        ROUND_TRIP: {
            IMAGINED: measure_round_trip(recalled, heard, owners, seed) | looks,
            SHUFFLED: measure_round_trip(recalled, heard[others], owners, seed),
        },
        VARIETY: {
            IMAGINED: measure_variety(descriptors, owners, seed) | measure_voice_spread(heard, owners, seed),
        },
    }


def _measure_real(
    groups: dict[str, Figures],
    joined: AssociationList,
    embeddings: Mapping[str, np.ndarray],
    used: list[DrawnPortrait],
    seed: int,
) -> None:
    """Adds what real faces of the same voices tell: variety, Frechet distance, and which real face is the right one."""
    files = number_files(joined, lambda name: name in embeddings)
    drawn, real = (np.stack([embeddings[n][:DLIB_DIM] for n in names]) for names in (files.voices, files.faces))
    variety = groups[VARIETY]
    variety[REAL] = measure_variety(real, files.face_people, seed)
    everyone = np.stack([embeddings[one.name][:DLIB_DIM] for one in used])
    variety[IMAGINED]["Frechet distance"] = measure_frechet(everyone, real)
    half = np.random.default_rng(seed).permutation(len(real))
    variety[REAL]["Frechet distance"] = measure_frechet(real[half[::2]], real[half[1::2]])
    scorer = PlacesScorer(*(x / np.linalg.norm(x, axis=1, keepdims=True) for x in (real, drawn)))
    for group, protocol in make_protocols(joined, files, seed).items():
        figures = measure_protocol(protocol, scorer, seed)
        groups[f"real pairs, {group}"] = {
            IMAGINED: {name.replace("voice", "portrait"): figure for name, figure in figures.items()}
        }


def _measure_fid(
    variety: Figures, network: PictureNetwork, used: list[DrawnPortrait], real: list[Path], config: PortraitsConfig
) -> None:
    """Adds FID beside that of two halves of the real pictures."""
    mixed = [real[i] for i in np.random.default_rng(config.seed).permutation(len(real))]
    variety[IMAGINED]["FID"] = measure_fid(network, [one.path for one in used], real)
    variety[REAL]["FID"] = measure_fid(network, mixed[::2], mixed[1::2])


def _ask_listeners(
    config: PortraitsConfig,
    groups: dict[str, Figures],
    used: list[DrawnPortrait],
    kinds: tuple[str, ...],
    reporter: Reporter,
) -> None:
    """Writes the listening test, and adds what listeners answered."""
    if config.listening_test is None and not config.answers:
        return
    from facevc_cli.evaluation.listening_study import read_answers, write_listening_test

    heard, notes = list_heard(used, config.table if config.table.is_dir() else config.table.parent)
    if config.answers:
        groups[LISTENERS] = {IMAGINED: read_answers(config.answers, heard).get(SYSTEM, {})}
    if config.listening_test is not None:
        items, seed = config.listening_items, config.seed
        notes += write_listening_test(heard, config.listening_test, items=items, seed=seed, kinds=kinds, imagined=True)
    for note in notes:
        reporter.note(note)
