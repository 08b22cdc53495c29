"""Turns a list into trials by number: who is asked about, what is right, and what is wrong.

For a table, every face meets every voice. The wrong candidates of a group, such as "same gender", are other people's
files of the probe's own gender. If there are more than `MOST_WRONG` of them, as many are drawn.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from facevc_cli.evaluation.association.lists import AssociationList, Person

MOST_WRONG = 50  # wrong candidates, or sets of them, for each pair of a probe and a right answer
CHOICES = (2, 10)  # of 1:N matching
TO_FACE, TO_VOICE = "voice to face", "face to voice"
GROUPS: dict[str, Callable[[Person], tuple[str, ...]]] = {
    "all": lambda person: (),
    "same gender": lambda person: (person.gender,),
    "same age": lambda person: (person.age,),
    "same gender and age": lambda person: (person.gender, person.age),
}


@dataclass(frozen=True)
class Verification:
    """n pairs of a face and a voice, by number. people: (n, 2) numbers of whose they are."""

    faces: np.ndarray
    voices: np.ndarray
    same: np.ndarray
    people: np.ndarray


@dataclass(frozen=True)
class Matching:
    """n choices. Probes are voices if `direction` is TO_FACE. candidates: (n, N) numbers, the first is right."""

    direction: str
    probes: np.ndarray
    candidates: np.ndarray
    people: np.ndarray  # (n,) whose the probes are


@dataclass(frozen=True)
class Retrieval:
    """Per probe, its gallery and which of it are the same person's."""

    direction: str
    probes: np.ndarray  # (n,)
    galleries: list[np.ndarray]
    relevant: list[np.ndarray]  # bool, as long as the gallery
    people: np.ndarray


@dataclass(frozen=True)
class Protocol:
    """The trials of one group."""

    verification: Verification | None
    matchings: list[Matching]
    retrievals: list[Retrieval]


@dataclass(frozen=True)
class NumberedFiles:
    """The files that could be read, by number, and their people by number."""

    faces: list[str]
    voices: list[str]
    face_people: np.ndarray
    voice_people: np.ndarray
    people: list[str]


def number_files(association: AssociationList, usable: Callable[[str], bool]) -> NumberedFiles:
    """Numbers the usable files and their people."""
    faces = [name for name in association.faces if usable(name)]
    voices = [name for name in association.voices if usable(name)]
    people = sorted({association.faces[name] for name in faces} | {association.voices[name] for name in voices})
    place = {person: i for i, person in enumerate(people)}
    owners = [
        np.array([place[owner[name]] for name in names], dtype=int)
        for names, owner in ((faces, association.faces), (voices, association.voices))
    ]
    return NumberedFiles(faces, voices, owners[0], owners[1], people)


def make_protocols(association: AssociationList, files: NumberedFiles, seed: int = 0) -> dict[str, Protocol]:
    """Makes the trials of each group for which the table knows enough. A list has the group "all" alone."""
    if association.trials:
        return {"all": _read_protocol(association, files)}
    protocols = {}
    for name, describe in GROUPS.items():
        known = [describe(association.people[person]) for person in files.people]
        if all(all(about) for about in known) or sum(all(about) for about in known) > 1:
            protocols[name] = _make_protocol(files, known, np.random.default_rng(seed))
    return protocols


def _make_protocol(files: NumberedFiles, groups: list[tuple[str, ...]], rng: np.random.Generator) -> Protocol:
    """groups: per person what must be equal. A person with an empty text is left out."""
    numbers = {about: i for i, about in enumerate(sorted(set(groups)))}
    group = np.array([numbers[about] if all(about) else -1 for about in groups])
    sides = {
        TO_FACE: (files.voice_people, files.face_people),
        TO_VOICE: (files.face_people, files.voice_people),
    }
    matchings, retrievals = [], []
    for direction, (probes, gallery) in sides.items():
        found = list(_find_candidates(probes, gallery, group))
        matchings += [_draw_matching(direction, count, found, probes, rng) for count in CHOICES]
        kept = [(i, np.concatenate([right, wrong]), len(right)) for i, right, wrong in found]
        retrievals.append(
            Retrieval(
                direction,
                np.array([i for i, _, _ in kept], dtype=int),
                [members for _, members, _ in kept],
                [np.arange(len(members)) < count for _, members, count in kept],
                probes[[i for i, _, _ in kept]],
            )
        )
    return Protocol(
        _pair_all(files, group, rng),
        [matching for matching in matchings if len(matching.probes)],
        [retrieval for retrieval in retrievals if len(retrieval.probes)],
    )


def _find_candidates(
    probes: np.ndarray, gallery: np.ndarray, group: np.ndarray
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yields probes with their right and wrong candidates, if there are some of both."""
    for i, person in enumerate(probes):
        right = np.flatnonzero(gallery == person)
        wrong = np.flatnonzero((group[gallery] == group[person]) & (gallery != person))
        if group[person] >= 0 and len(right) and len(wrong):
            yield i, right, wrong


def _draw_matching(
    direction: str,
    count: int,
    found: list[tuple[int, np.ndarray, np.ndarray]],
    people: np.ndarray,
    rng: np.random.Generator,
) -> Matching:
    """Makes the choices among `count`: for each right candidate each wrong one, or `MOST_WRONG` sets of several."""
    probes, rows = [], []
    for i, right, wrong in found:
        if len(wrong) < count - 1:
            continue
        for answer in right:
            if count == 2:
                chosen = wrong if len(wrong) <= MOST_WRONG else rng.choice(wrong, MOST_WRONG, replace=False)
                sets = chosen[:, None]
            else:
                sets = np.stack([rng.choice(wrong, count - 1, replace=False) for _ in range(MOST_WRONG)])
            rows.append(np.column_stack([np.full(len(sets), answer), sets]))
            probes.append(np.full(len(sets), i))
    if not rows:
        return Matching(direction, np.zeros(0, int), np.zeros((0, count), int), np.zeros(0, int))
    joined = np.concatenate(probes)
    return Matching(direction, joined, np.concatenate(rows), people[joined])


def _pair_all(files: NumberedFiles, group: np.ndarray, rng: np.random.Generator) -> Verification | None:
    faces, voices, same = [], [], []
    for i, right, wrong in _find_candidates(files.voice_people, files.face_people, group):
        most = MOST_WRONG * len(right)
        drawn = wrong if len(wrong) <= most else rng.choice(wrong, most, replace=False)
        faces.append(np.concatenate([right, drawn]))
        voices.append(np.full(len(right) + len(drawn), i))
        same.append(np.arange(len(right) + len(drawn)) < len(right))
    if not faces:
        return None
    face, voice = np.concatenate(faces), np.concatenate(voices)
    people = np.column_stack([files.face_people[face], files.voice_people[voice]])
    return Verification(face, voice, np.concatenate(same), people)


def _read_protocol(association: AssociationList, files: NumberedFiles) -> Protocol:
    """The trials of a list, without those that name a file that cannot be read."""
    face = {name: i for i, name in enumerate(files.faces)}
    voice = {name: i for i, name in enumerate(files.voices)}
    usable = [t for t in association.trials if all(n in face or n in voice for n in (t.probe, *t.candidates))]
    if usable and len(usable[0].candidates) == 1:
        pairs = [(t.probe, t.candidates[0]) if t.probe in face else (t.candidates[0], t.probe) for t in usable]
        faces = np.array([face[shown] for shown, _ in pairs])
        voices = np.array([voice[heard] for _, heard in pairs])
        people = np.column_stack([files.face_people[faces], files.voice_people[voices]])
        return Protocol(Verification(faces, voices, np.array([t.same for t in usable]), people), [], [])
    matchings = []
    for direction, own, other, people in (
        (TO_FACE, voice, face, files.voice_people),
        (TO_VOICE, face, voice, files.face_people),
    ):
        for count in sorted({len(t.candidates) for t in usable if t.probe in own}):
            chosen = [t for t in usable if t.probe in own and len(t.candidates) == count]
            probes = np.array([own[t.probe] for t in chosen])
            rows = [(t.candidates[t.right], *t.candidates[: t.right], *t.candidates[t.right + 1 :]) for t in chosen]
            candidates = np.array([[other[name] for name in row] for row in rows])
            matchings.append(Matching(direction, probes, candidates, people[probes]))
    return Protocol(None, matchings, [])
