"""The listening test: one HTML page that asks people what the judges of `evaluate` cannot know, and what their answers say.

MOS: one recording, "how natural does it sound?", 1 (bad) to 5 (excellent), the absolute category rating of ITU-T P.800; the mean
of the ratings. Real sources stand unmarked among them as anchors, under the name `source`: what these listeners give real speech.

CPR: a face and two recordings of one sentence, "which voice fits the face better?": the system's, or the other's (a baseline of that
system, or another system). The share of choices for the system; "no preference" counts half, so that .5 is chance. The papers
on face-driven conversion name a CPR that listeners judge, but the texts at hand do not define it, so this definition is OURS: read
it as comparative preference rate.
"""

import base64
import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from facevc_cli.core.errors import FaceVCError
from facevc_cli.evaluation.bootstrap import Figure, Terms, estimate_figure
from facevc_cli.evaluation.evaluation import Evaluation
from facevc_cli.evaluation.report.media import encode_audio, encode_image
from facevc_cli.files.atomic import write_text
from facevc_cli.files.inputs import IMAGE_SUFFIXES
from facevc_cli.files.tables import read_table
from facevc_cli.manifest.conversion import Conversion, make_label

MOS, CPR = "MOS", "CPR"
ANCHOR = "source"  # the system that the real sources are rated as
SHUFFLED = "shuffled-faces"
RATED = ("", "voice")  # the other baselines speak through the same model, so their MOS would say nothing new
CHOICES = {"system": 1.0, "none": 0.5, "other": 0.0}  # an answer to a CPR trial -> what it counts for the system
RATINGS = {str(rating): float(rating) for rating in range(1, 6)}
COLUMNS = ("listener", "trial", "kind", "item", "system", "other", "source_id", "target", "answer", "seconds")
KBIT_S = 128  # the page's players must not be what is rated
FACE_SIZE = 288  # pixels
THINKING_S = 5.0  # a trial takes its recordings' length and about this


@dataclass(frozen=True)
class Item:
    """One thing to judge: `conversion`, alone (MOS, other is "") or against `against`, which is heard as `other` (CPR)."""

    kind: str
    system: str
    other: str
    conversion: Conversion
    against: Conversion | None = None

    @property
    def recordings(self) -> tuple[str, ...]:
        return (self.conversion.converted, self.against.converted) if self.against else (self.conversion.converted,)

    @property
    def key(self) -> tuple[str, str, str, str]:
        """System, other, source_id and target: what the answers name the item by."""
        return self.system, self.other, self.conversion.source_id, self.conversion.target

    @property
    def id(self) -> str:
        """Twelve hex digits that tell a listener nothing, and stay the same wherever the files lie."""
        return _digest(self.kind, *self.key, *(Path(name).name for name in self.recordings))[:12]


def write_listening_test(evaluation: Evaluation, path: Path, *, items: int, seed: int) -> list[str]:
    """Writes the page; returns one line for each part that had to be left out.

    `items` recordings are rated and `items` pairs compared (all, where there are fewer), drawn by `seed` evenly over systems, their
    sources and targets. Rated: the systems, their baseline `voice`, and the real sources, as many as of a system. Compared: each
    system with each of its baselines and with each other system; one without the baseline shuffled-faces is compared with its own
    conversions of the same source for other people, which is the same. Degraded faces take no part.

    The page needs no network. Each listener gets an order of their own, from their name or code, and saves a CSV of answers for
    `read_answers`. FaceVCError where there is nothing to judge, or a recording or picture cannot be read.
    """
    if items < 1:
        raise FaceVCError(f"listening test: expected one item or more, found {items}. Ask for 30, say.")
    shown = ([item for item in group if item.kind == MOS or Path(item.conversion.face).is_file()] for group in _list_items(evaluation.conversions))
    pool = [group for group in shown if group]
    parts = [[group for group in pool if group[0].kind == kind] for kind in (MOS, CPR)]
    shares = [(group, share) for groups in parts for group, share in zip(groups, _share_out([len(g) for g in groups], items), strict=True)]
    drawn = sorted((item for group, share in shares for item in _draw(group, share, seed)), key=lambda item: item.id)
    if not drawn:
        raise FaceVCError("listening test: the manifest has no conversions by clean faces or voices, so there is nothing to judge.")
    recordings = {name: f"r{i}" for i, name in enumerate(dict.fromkeys(name for item in drawn for name in item.recordings))}
    faces = {name: f"f{i}" for i, name in enumerate(dict.fromkeys(item.conversion.face for item in drawn if item.kind == CPR))}
    sound = {name: encode_audio(name, kbit_s=KBIT_S) for name in recordings}
    media = {recordings[name]: uri for name, uri in sound.items()} | {faces[name]: encode_image(name, FACE_SIZE) for name in faces}
    trials = [
        {"item": item.id, "kind": item.kind, "recordings": [recordings[name] for name in item.recordings], "face": faces.get(item.conversion.face, "")}
        for item in drawn
    ]
    # the names are kept from listeners who look at the page's source; base64 is no secret, only no invitation
    names = base64.b64encode(json.dumps({item.id: item.key for item in drawn}).encode()).decode()
    played_s = sum(_find_duration_s(sound[name]) for item in drawn for name in item.recordings)
    page = Environment(loader=PackageLoader("facevc_cli.evaluation.report"), autoescape=True, undefined=StrictUndefined).get_template("listening_test.html.j2")
    test = {"id": _digest(str(seed), json.dumps(trials), *media.values())[:16], "trials": trials, "names": names, "columns": COLUMNS}
    counts = Counter(item.kind for item in drawn)
    about = {"mos": counts[MOS], "cpr": counts[CPR], "anchors": any(item.system == ANCHOR for item in drawn)}
    write_text(path, page.render(test=test, media=media, minutes=math.ceil((played_s + THINKING_S * len(drawn)) / 60), **about))
    return _note_left_out(evaluation.conversions, [group for group, _ in shares], [group for group, share in shares if not share])


def read_answers(paths: Sequence[Path], evaluation: Evaluation) -> dict[str, dict[str, Figure]]:
    """Label -> {"MOS": figure, "CPR": figure} from the listeners' CSV files; a label that nobody judged is absent.

    A system's CPR is taken over its comparisons with all others together; the other of a comparison gets what is left of each
    choice, so that a baseline's own CPR is 1 - the system's against it. Intervals resample target identities (of an anchor: the source),
    all answers to one staying together; that other listeners would have answered otherwise is not in them. Of several answers
    of a listener to one item the last counts. FaceVCError for a row that is malformed or of another manifest.
    """
    known = {item.id: item for group in _list_items(evaluation.conversions) for item in group}
    answers: dict[tuple[str, str], float] = {}
    for path in paths:
        rows = read_table(path, COLUMNS)
        if not rows:
            raise FaceVCError(f"{path}: expected a listener's answers, found none below the first line. Save them from the page again.")
        for number, row in enumerate(rows, start=1):
            item = _find_item(row, known, f"{path}, row {number}")
            answers[row["listener"].strip(), item.id] = _parse_answer(row, f"{path}, row {number}")
    terms: dict[tuple[str, str], list[tuple[float, Conversion]]] = {}
    for (_, item_id), value in sorted(answers.items()):
        item = known[item_id]
        terms.setdefault((item.system, item.kind), []).append((value, item.conversion))
        if item.kind == CPR:
            terms.setdefault((item.other, CPR), []).append((1 - value, item.conversion))
    judged = {key: estimate_figure(Terms.of(found)) for key, found in terms.items()}
    order = [label for label in (*dict.fromkeys(c.system for c in evaluation.conversions), ANCHOR)]
    labels = sorted(dict.fromkeys(label for label, _ in judged), key=lambda label: (order.index(label) if label in order else len(order), label))
    return {label: {kind: found for kind in (MOS, CPR) if (found := judged.get((label, kind)))} for label in labels}


def _find_item(row: Mapping[str, str], known: Mapping[str, Item], where: str) -> Item:
    item = known.get(row["item"])
    found = (row["kind"], row["system"], row["other"], row["source_id"], row["target"])
    if item is None or found != (item.kind, *item.key):
        raise FaceVCError(
            f"{where}: expected an answer about a conversion of this manifest, found {row['kind']} item {row['item']!r} of system "
            f"{row['system']!r}, source {row['source_id']!r}, target {row['target']!r}. Give the manifest that the page was made from, and "
            "the file as the page saved it."
        )
    return item


def _parse_answer(row: Mapping[str, str], where: str) -> float:
    values = RATINGS if row["kind"] == MOS else CHOICES
    if row["answer"] not in values:
        raise FaceVCError(f"{where}: expected as the answer one of {', '.join(values)}, found {row['answer']!r}. Give the file as the page saved it.")
    if not row["listener"].strip():
        raise FaceVCError(f"{where}: expected the listener's name or code, found none. Fill in the column listener.")
    return values[row["answer"]]


def _list_items(conversions: Sequence[Conversion]) -> list[list[Item]]:
    """Everything that could be asked: a list for each rated system, for the anchors, and for each comparison."""
    if any(c.system == ANCHOR for c in conversions):
        raise FaceVCError(f"listening test: a system is called {ANCHOR!r}, as are the real sources that are rated beside it. Give it another name.")
    by_label: dict[str, list[Conversion]] = {}
    for c in conversions:
        if not c.degradation:
            by_label.setdefault(c.system, []).append(c)
    rated = [[Item(MOS, label, "", c) for c in found] for label, found in by_label.items() if found[0].baseline in RATED]
    spoken = {c.source_id: c for c in conversions if c.source}
    # whose voice an anchor is, only the source tells
    rated.append([Item(MOS, ANCHOR, "", replace(c, system=ANCHOR, converted=c.source, target=name)) for name, c in spoken.items()])
    systems = [label for label, found in by_label.items() if not found[0].baseline]
    compared = [(base, label) for base in systems for label, found in by_label.items() if found[0].baseline and found[0].base == base]
    compared += combinations(systems, 2)
    groups = rated + [_pair_systems(by_label[system], by_label[other], other) for system, other in compared]
    groups += [_pair_targets(by_label[system]) for system in systems if make_label(system, SHUFFLED) not in by_label]
    return [group for group in groups if group]


def _pair_systems(conversions: Iterable[Conversion], others: Iterable[Conversion], other: str) -> list[Item]:
    """Pairs of one source and one face, or at least one target."""
    by_face = {(c.source_id, c.target, c.face): c for c in others}
    by_target = {(c.source_id, c.target): c for c in others}
    pairs = [(c, by_face.get((c.source_id, c.target, c.face)) or by_target.get((c.source_id, c.target))) for c in conversions]
    return [item for c, against in pairs if against for item in _make_comparison(c, other, against)]


def _pair_targets(conversions: Iterable[Conversion]) -> list[Item]:
    """Each conversion against the same source's conversion for another person: the next one in a ring, so that each is the other as often."""
    by_source: dict[str, list[Conversion]] = {}
    for c in conversions:
        by_source.setdefault(c.source_id, []).append(c)
    items = []
    for source_id, found in by_source.items():
        ring = sorted(found, key=lambda c: _digest(source_id, c.target, Path(c.converted).name))
        for i, c in enumerate(ring):
            against = next((other for other in ring[i + 1 :] + ring[:i] if other.target != c.target), None)
            items += _make_comparison(c, make_label(c.system, SHUFFLED), against) if against else []
    return items


def _make_comparison(c: Conversion, other: str, against: Conversion) -> list[Item]:
    """None where no image drove the conversion, or both are one recording."""
    driven = Path(c.face).suffix.lower() in IMAGE_SUFFIXES
    return [Item(CPR, c.system, other, c, against)] if driven and against.converted != c.converted else []


def _share_out(sizes: Sequence[int], items: int) -> list[int]:
    """How many of each group are asked: alike, as far as they have them; what is left over goes to the first."""
    shares = [0] * len(sizes)
    while items and shares != list(sizes):
        for i, size in enumerate(sizes):
            if items and shares[i] < size:
                shares[i] += 1
                items -= 1
    return shares


def _draw(group: Sequence[Item], items: int, seed: int) -> list[Item]:
    """Up to `items`, each of the target that was drawn least so far, of its sources the one drawn least; ties fall by `seed`.

    The ties fall alike for all systems, so that they are judged on the same sources and targets where they have them.
    """

    def rank(item: Item) -> str:
        return _digest(str(seed), item.kind, item.conversion.source_id, item.conversion.target, Path(item.conversion.face).name)

    left = sorted(group, key=rank)
    drawn: list[Item] = []
    targets: Counter[str] = Counter()
    sources: Counter[str] = Counter()
    while left and len(drawn) < items:
        item = min(left, key=lambda i: (targets[i.conversion.target], sources[i.conversion.source_id]))
        left.remove(item)
        drawn.append(item)
        targets[item.conversion.target] += 1
        sources[item.conversion.source_id] += 1
    return drawn


def _note_left_out(conversions: Sequence[Conversion], groups: Sequence[list[Item]], unasked: Sequence[list[Item]]) -> list[str]:
    notes = []
    if not any(group[0].system == ANCHOR for group in groups):
        notes.append("listening test: no real speech among the recordings: the manifest names no sources (column source)")
    if not any(group[0].kind == CPR for group in groups):
        notes.append("listening test: CPR is off: no two recordings of one source to compare for a face image (column face)")
    if unasked:
        names = ", ".join(" against ".join(name for name in (group[0].system, group[0].other) if name) for group in unasked)
        notes.append(f"listening test: too few items to ask about {names}")
    if any(c.degradation for c in conversions):
        notes.append("listening test: conversions by degraded faces are not asked about")
    return notes


def _find_duration_s(uri: str) -> float:
    """Of a constant-rate recording, whose four characters of base64 hold three bytes."""
    return len(uri) * 0.75 * 8 / (KBIT_S * 1000)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
