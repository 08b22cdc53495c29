"""Reads the inputs of the training: people with recordings, with pictures or with both, as batches."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.corpus.crops import Batch, CropReader
from facevc_cli.corpus.store import Store
from facevc_cli.dsp.frontend import Frontend
from facevc_cli.dsp.pitch import SMALLEST_LOG_F0_STD
from facevc_cli.families.base import TrainingRequest
from facevc_cli.families.xfavot.config import Config
from facevc_cli.families.xfavot.model import SHORTEST_FRAMES, scale_pictures
from facevc_cli.families.xfavot.networks.readers import GENDERS
from facevc_cli.families.xfavot.roles import SERVES, Head, Service, find_corpus
from facevc_cli.families.xfavot.translations import Guide
from facevc_cli.files.names import normalise_name
from facevc_cli.files.tables import read_table
from facevc_cli.manifest.contract import FEMALE, MALE, parse_gender

GENDER_NUMBERS = {MALE: 0, FEMALE: 1}
CROP = "crop"  # the frames of a store of faces that hold pictures


@dataclass(frozen=True)
class Person:
    gender: int
    speaker: int | None  # the number among the domains of speakers, if this person may serve them
    utterances: tuple[int, ...] = ()  # rows of the features store
    pictures: tuple[tuple[int, int], ...] = ()  # rows of the faces store, and which of their crops

    @property
    def services(self) -> Service:
        return SERVES[find_corpus(bool(self.utterances), bool(self.pictures))]


class PictureReader:
    """Reads one crop of a store of faces, as the model takes it."""

    def __init__(self, store: Store, px: int):
        self.store, self.px = store, px

    def read(self, row: int, which: int, mirrored: bool) -> Tensor:
        """Returns (3, px, px) from -1 to 1."""
        crop = torch.from_numpy(self.store.read_frames(CROP, row, which, which + 1))
        picture = scale_pictures(crop.permute(0, 3, 1, 2).float(), self.px)[0]
        return picture.flip(-1) if mirrored else picture


class StyleBatches(Dataset):
    """`self[step]` is the batch of that step: B sources of each modality, and B people whose styles they get.

    A batch depends only on (seed, step). All that a step draws is in it: noise, guides and domains too.
    """

    def __init__(
        self,
        people: Sequence[Person],
        audio: CropReader,
        pictures: PictureReader,
        config: Config,
        seed: int,
        rank: int = 0,
        processes: int = 1,
    ):
        self.people, self.audio, self.pictures, self.seed, self.rank = people, audio, pictures, seed, rank
        self.latent_dim, self.t = config.model.latent_dim, config.train
        self.batch_size = -(-self.t.batch_size // processes)
        self.heard = [i for i, person in enumerate(people) if person.utterances]
        self.seen = [i for i, person in enumerate(people) if person.pictures]

    def __len__(self) -> int:
        return 2**31

    def __getitem__(self, step: int) -> Batch:
        rng = np.random.default_rng([self.seed, step, self.rank])
        items = [self._make_item(rng) for _ in range(self.batch_size)]
        return {name: torch.stack([torch.as_tensor(item[name]) for item in items]) for name in items[0]}

    def _make_item(self, rng: np.random.Generator) -> dict[str, Any]:
        item = self._draw_target(rng) | self._draw_sources(rng)
        for name in ("latent", "second_latent"):
            item[name] = rng.standard_normal(self.latent_dim).astype(np.float32)
        return item

    def _draw_sources(self, rng: np.random.Generator) -> dict[str, Any]:
        speaker, face = self.people[rng.choice(self.heard)], self.people[rng.choice(self.seen)]
        found = self.audio.read(int(rng.choice(speaker.utterances)), rng)
        mean, std = map(float, found["level"])
        voiced = found["lf0"] != 0
        log_f0 = np.where(voiced, found["lf0"] * max(std, SMALLEST_LOG_F0_STD) + mean, 0.0).astype(np.float32)
        return {
            "audio": found["mel"].T[None].copy(),
            "lf0": found["lf0"],
            "log_f0": log_f0,
            "level": found["level"],
            "audio_source": self._draw_domain(speaker, rng),
            "audio_source_gender": speaker.gender,
            "image": self._read_picture(face, rng),
            "image_source": face.gender,
            "image_source_gender": face.gender,
        }

    def _draw_target(self, rng: np.random.Generator) -> dict[str, Any]:
        """Draws a person. One who lacks a modality leaves it to another person, and both styles are then apart."""
        number = int(rng.integers(len(self.people)))
        drawn = self.people[number]
        speaker = drawn if drawn.utterances else self.people[rng.choice(self.heard)]
        face = drawn if drawn.pictures else self.people[rng.choice(self.seen)]
        paired = "match" in drawn.services.terms
        domain = self._draw_domain(speaker, rng) if speaker is drawn else speaker.gender
        return {
            **{f"{name}_audio": self._read_mel(speaker, rng) for name in ("reference", "second")},
            **{f"{name}_image": self._read_picture(face, rng) for name in ("reference", "second")},
            "audio_gender": speaker.gender,
            "audio_target": domain,
            "audio_domain": domain,
            "image_gender": face.gender,
            "image_target": face.gender,
            "image_domain": domain if paired else face.gender,
            "paired": paired,
            "person": number,
            "guide": self._draw_guide(paired, rng),
        }

    def _draw_domain(self, person: Person, rng: np.random.Generator) -> int:
        """Chooses by chance whether the person counts as one of a gender or as a speaker, if it may be both."""
        chance = rng.random() < 0.5
        if person.speaker is None or Head.SPEAKER not in person.services.heads or chance:
            return person.gender
        return GENDERS + person.speaker

    def _draw_guide(self, paired: bool, rng: np.random.Generator) -> int:
        chances = rng.random(2)
        if chances[0] < self.t.latent_share:
            return int(Guide.LATENT)
        return int(Guide.OTHER if paired and chances[1] < self.t.other_share else Guide.OWN)

    def _read_mel(self, person: Person, rng: np.random.Generator) -> np.ndarray:
        return self.audio.read_mel(int(rng.choice(person.utterances)), rng).T[None].copy()

    def _read_picture(self, person: Person, rng: np.random.Generator) -> Tensor:
        row, which = person.pictures[rng.integers(len(person.pictures))]
        return self.pictures.read(row, which, bool(rng.random() < 0.5))


@dataclass(frozen=True)
class TrainingInputs:
    training: StyleBatches
    samples: StyleBatches  # the first of these batches is shown in the sheets
    statistics: tuple[np.ndarray, np.ndarray]  # mean, std of each band
    frontend: Frontend


SAMPLES_SEED = 999_983


def read_inputs(request: TrainingRequest) -> TrainingInputs:
    """Joins the stores by the table of people. FaceVCError names what does not fit."""
    config, features, faces = request.config, request.features, request.faces
    if features is None or faces is None or request.pairs is None:
        raise UsageError(
            f"preset {config.name!r} trains on a store of log-mels, a store of faces with pictures, and a table of "
            "people. Pass features.h5, faces.h5 and --pairs TABLE.csv with the columns speaker, face and gender."
        )
    frontend = _check_stores(config, features, faces)
    audio = CropReader(features, config.train.crop_frames, teacher=False)
    people = join_people(read_table(request.pairs, ("speaker", "face", "gender")), features, faces, str(request.pairs))
    count = sum(person.speaker is not None for person in people)
    if config.model.speakers == 0:  # without the domains of speakers
        people = [Person(p.gender, None, p.utterances, p.pictures) for p in people]
    elif count > config.model.speakers:
        raise FaceVCError(
            f"{request.pairs}: {count} people have recordings and pictures, but the model has {config.model.speakers} "
            f"domains of speakers. Pass --set model.speakers={count}, or name fewer people."
        )
    lacking = "recordings" if not any(p.utterances for p in people) else "pictures"
    if not any(p.utterances for p in people) or not any(p.pictures for p in people):
        raise FaceVCError(
            f"{request.pairs}: expected people with recordings and people with pictures, found none with {lacking} "
            f"among {len(people)}. Name speakers of {features.path} and faces of {faces.path}."
        )
    reader = PictureReader(faces, config.model.image_px)
    return TrainingInputs(
        StyleBatches(people, audio, reader, config, request.seed, request.rank, request.processes),
        StyleBatches(people, audio, reader, config, SAMPLES_SEED),
        (audio.mean, audio.std - 1e-8),
        frontend,
    )


def _check_stores(config: Config, features: Store, faces: Store) -> Frontend:
    frontend = Frontend.from_settings(features.settings, str(features.path))
    if frontend.mel != config.model.mel:
        raise FaceVCError(
            f"{features.path}: its log-mel is {frontend.mel!r}, but the preset {config.name!r} works on "
            f"{config.model.mel!r}. Extract the features with --mel {config.model.mel}."
        )
    if CROP not in faces.frame_names:
        raise FaceVCError(
            f"{faces.path}: expected pictures of the faces, found only their embeddings. Extract the faces with "
            f"--store-crops {config.model.image_px}."
        )
    found = faces.read_frames(CROP, 0, 0, 1).shape[1:] if len(faces) else ()
    if len(found) != 3 or min(found[:2]) < config.model.image_px:
        raise FaceVCError(
            f"{faces.path}: expected pictures of at least {config.model.image_px} pixels, found the shape {found}. "
            f"Extract the faces with --store-crops {config.model.image_px}."
        )
    if config.train.crop_frames < SHORTEST_FRAMES or config.train.crop_frames % 4:
        raise FaceVCError(
            f"train.crop_frames: expected a multiple of 4 from {SHORTEST_FRAMES}, found {config.train.crop_frames}."
        )
    return frontend


def join_people(table: Sequence[Mapping[str, str]], features: Store, faces: Store, where: str) -> list[Person]:
    """Returns the people of the table. A row is a speaker with the recordings of the training split, a face (an id or a
    person) with its pictures, and a gender. An empty cell means that there are none.

    Rows that name one speaker are one person, who has all their pictures. People with both are numbered as speakers in
    the table's order.
    """
    splits = features.read_column("split")
    spoken: dict[str, list[int]] = {}
    for row, (speaker, split) in enumerate(zip(features.speakers, splits, strict=True)):
        if split == "train":
            spoken.setdefault(speaker.strip(), []).append(row)
    counts = faces.read_lengths(CROP)
    shown: dict[str, list[tuple[int, int]]] = {}
    for row, (face, person) in enumerate(zip(faces.ids, faces.speakers, strict=True)):
        found = [(row, which) for which in range(int(counts[row]))]
        for name in {face.strip(), person.strip()}:
            shown.setdefault(name, []).extend(found)
    people: dict[tuple[str, int], Person] = {}
    for number, line in enumerate(table, start=1):
        speaker, face = normalise_name(line["speaker"]).strip(), normalise_name(line["face"]).strip()
        gender = GENDER_NUMBERS.get(parse_gender(line["gender"]))
        if gender is None:
            raise FaceVCError(f"{where}: row {number}: gender: expected male or female, found {line['gender']!r}.")
        utterances, pictures = spoken.get(speaker, []), shown.get(face, [])
        for name, known, store in ((speaker, utterances, features), (face, pictures, faces)):
            if name and not known:
                raise FaceVCError(
                    f"{where}: row {number} names {name!r}, of whom {store.path} has nothing to train on. Leave the "
                    "cell empty, or correct the name."
                )
        if not utterances and not pictures:
            raise FaceVCError(f"{where}: row {number} names neither a speaker nor a face.")
        key = (speaker, 0 if speaker else number)
        before = people.get(key, Person(gender, None, tuple(utterances)))
        if before.gender != gender:
            raise FaceVCError(f"{where}: row {number} gives {speaker!r} another gender than an earlier row.")
        people[key] = replace(before, pictures=tuple(dict.fromkeys((*before.pictures, *pictures))))
    numbers = itertools.count()
    both = {key for key, person in people.items() if person.utterances and person.pictures}
    return [replace(one, speaker=next(numbers)) if key in both else one for key, one in people.items()]
