"""The listening test: write an HTML page that asks people what judges cannot know, and read their answers.

MOS: one recording, "how natural does it sound?", from 1 (bad) to 5 (excellent). This is the absolute category rating of
ITU-T P.800, averaged. Real sources are among the recordings, unmarked. Their rating, under the name `source`, shows
what these listeners give real speech.

CPR: a face and two recordings of one sentence, "which voice fits the face better?". One is the system's; the other is
from a baseline of that system or from another system. The figure is the share of choices for the system. "No
preference" counts half, so chance is 50 %. Papers on face-driven conversion report a CPR but do not define it in the
texts at hand. This definition, comparative preference rate, is OURS.
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
ANCHOR = "source"  # the system name under which real sources are rated
SHUFFLED = "shuffled-faces"
RATED = ("", "voice")  # the other baselines use the same model, so their MOS would add nothing
CHOICES = {"system": 1.0, "none": 0.5, "other": 0.0}  # an answer to a CPR trial -> what it counts for the system
RATINGS = {str(rating): float(rating) for rating in range(1, 6)}
COLUMNS = ("listener", "trial", "kind", "item", "system", "other", "source_id", "target", "answer", "seconds")
KBIT_S = 128  # high, so that listeners do not rate the encoding
FACE_SIZE = 288  # pixels
THINKING_S = 5.0  # per trial, besides the length of its recordings


@dataclass(frozen=True)
class Item:
    """One item to judge: `conversion` alone (MOS), or against a conversion of the system `other` (CPR)."""

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
        """System, other, source_id and target: the columns that name the item in the answers."""
        return self.system, self.other, self.conversion.source_id, self.conversion.target

    @property
    def id(self) -> str:
        """Twelve hex digits. They reveal nothing to a listener and do not depend on the files' folder."""
        return _hash_parts(self.kind, *self.key, *(Path(name).name for name in self.recordings))[:12]


def write_listening_test(evaluation: Evaluation, path: Path, *, items: int, seed: int) -> list[str]:
    """Write the page. Return one line for each part that had to be left out.

    Listeners rate `items` recordings and compare `items` pairs, or all if there are fewer. `seed` draws them evenly
    over systems, sources and targets. Rated are the systems, their baseline `voice`, and as many real sources as
    recordings of one system. Compared is each system with each of its baselines and with each other system. A system
    without the baseline shuffled-faces is compared with its own conversions of the same source for other people, which
    is equivalent. Degraded faces are left out.

    The page needs no network. Each listener gets an order of their own, derived from their name or code, and saves a
    CSV of answers for `read_answers`. FaceVCError if there is nothing to judge, or a recording or picture cannot be
    read.
    """
    if items < 1:
        raise FaceVCError(f"listening test: expected one item or more, found {items}. Ask for 30, say.")
    shown = (
        [item for item in group if item.kind == MOS or Path(item.conversion.face).is_file()]
        for group in _list_items(evaluation.conversions)
    )
    pool = [group for group in shown if group]
    parts = [[group for group in pool if group[0].kind == kind] for kind in (MOS, CPR)]
    shares = [
        (group, share)
        for groups in parts
        for group, share in zip(groups, _share_out([len(g) for g in groups], items), strict=True)
    ]
    drawn = sorted((item for group, share in shares for item in _draw(group, share, seed)), key=lambda item: item.id)
    if not drawn:
        raise FaceVCError(
            "listening test: the manifest has no conversions by clean faces or voices, so there is nothing to judge."
        )
    recordings = {
        name: f"r{i}" for i, name in enumerate(dict.fromkeys(name for item in drawn for name in item.recordings))
    }
    faces = {
        name: f"f{i}"
        for i, name in enumerate(dict.fromkeys(item.conversion.face for item in drawn if item.kind == CPR))
    }
    sound = {name: encode_audio(name, kbit_s=KBIT_S) for name in recordings}
    media = {recordings[name]: uri for name, uri in sound.items()} | {
        faces[name]: encode_image(name, FACE_SIZE) for name in faces
    }
    trials = [
        {
            "item": item.id,
            "kind": item.kind,
            "recordings": [recordings[name] for name in item.recordings],
            "face": faces.get(item.conversion.face, ""),
        }
        for item in drawn
    ]
    # base64 hides the names from listeners who glance at the page's source; it is not secret
    names = base64.b64encode(json.dumps({item.id: item.key for item in drawn}).encode()).decode()
    played_s = sum(_find_duration_s(sound[name]) for item in drawn for name in item.recordings)
    page = Environment(
        loader=PackageLoader("facevc_cli.evaluation.report"), autoescape=True, undefined=StrictUndefined
    ).get_template("listening_test.html.j2")
    test = {
        "id": _hash_parts(str(seed), json.dumps(trials), *media.values())[:16],
        "trials": trials,
        "names": names,
        "columns": COLUMNS,
    }
    counts = Counter(item.kind for item in drawn)
    about = {"mos": counts[MOS], "cpr": counts[CPR], "anchors": any(item.system == ANCHOR for item in drawn)}
    write_text(
        path, page.render(test=test, media=media, minutes=math.ceil((played_s + THINKING_S * len(drawn)) / 60), **about)
    )
    return _note_left_out(
        evaluation.conversions, [group for group, _ in shares], [group for group, share in shares if not share]
    )


def read_answers(paths: Sequence[Path], evaluation: Evaluation) -> dict[str, dict[str, Figure]]:
    """Read the listeners' CSV files -> label -> {"MOS": figure, "CPR": figure}. A label that nobody judged is absent.

    A system's CPR covers all its comparisons together. The other side of a comparison gets the rest of each choice, so
    a baseline's CPR is 1 minus the system's CPR against it. Intervals resample target identities, or sources for
    anchors, and keep all answers to one identity together. They do not cover how other listeners would answer. If a
    listener answers an item several times, the last answer counts. FaceVCError if a row is malformed or belongs to
    another manifest.
    """
    known = {item.id: item for group in _list_items(evaluation.conversions) for item in group}
    answers: dict[tuple[str, str], float] = {}
    for path in paths:
        rows = read_table(path, COLUMNS)
        if not rows:
            raise FaceVCError(
                f"{path}: expected a listener's answers, found none below the first line. Save them from the page "
                "again."
            )
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
    labels = sorted(
        dict.fromkeys(label for label, _ in judged),
        key=lambda label: (order.index(label) if label in order else len(order), label),
    )
    return {label: {kind: found for kind in (MOS, CPR) if (found := judged.get((label, kind)))} for label in labels}


def _find_item(row: Mapping[str, str], known: Mapping[str, Item], where: str) -> Item:
    item = known.get(row["item"])
    found = (row["kind"], row["system"], row["other"], row["source_id"], row["target"])
    if item is None or found != (item.kind, *item.key):
        raise FaceVCError(
            f"{where}: expected an answer about a conversion of this manifest, found {row['kind']} item "
            f"{row['item']!r} of system {row['system']!r}, source {row['source_id']!r}, target {row['target']!r}. "
            "Give the manifest that the page was made from, and the file as the page saved it."
        )
    return item


def _parse_answer(row: Mapping[str, str], where: str) -> float:
    values = RATINGS if row["kind"] == MOS else CHOICES
    if row["answer"] not in values:
        raise FaceVCError(
            f"{where}: expected as the answer one of {', '.join(values)}, found {row['answer']!r}. Give the file as "
            "the page saved it."
        )
    if not row["listener"].strip():
        raise FaceVCError(f"{where}: expected the listener's name or code, found none. Fill in the column listener.")
    return values[row["answer"]]


def _list_items(conversions: Sequence[Conversion]) -> list[list[Item]]:
    """List all possible items: one list per rated system, one for the anchors, and one per comparison."""
    if any(c.system == ANCHOR for c in conversions):
        raise FaceVCError(
            f"listening test: a system is called {ANCHOR!r}, but that name is reserved for the real sources. Give the "
            "system another name."
        )
    by_label: dict[str, list[Conversion]] = {}
    for c in conversions:
        if not c.degradation:
            by_label.setdefault(c.system, []).append(c)
    rated = [
        [Item(MOS, label, "", c) for c in found] for label, found in by_label.items() if found[0].baseline in RATED
    ]
    spoken = {c.source_id: c for c in conversions if c.source}
    # an anchor's target is its source
    rated.append(
        [
            Item(MOS, ANCHOR, "", replace(c, system=ANCHOR, converted=c.source, target=name))
            for name, c in spoken.items()
        ]
    )
    systems = [label for label, found in by_label.items() if not found[0].baseline]
    compared = [
        (base, label)
        for base in systems
        for label, found in by_label.items()
        if found[0].baseline and found[0].base == base
    ]
    compared += combinations(systems, 2)
    groups = rated + [_pair_systems(by_label[system], by_label[other], other) for system, other in compared]
    groups += [_pair_targets(by_label[system]) for system in systems if make_label(system, SHUFFLED) not in by_label]
    return [group for group in groups if group]


def _pair_systems(conversions: Iterable[Conversion], others: Iterable[Conversion], other: str) -> list[Item]:
    """Pair two systems' conversions of the same source and face, or at least of the same target."""
    by_face = {(c.source_id, c.target, c.face): c for c in others}
    by_target = {(c.source_id, c.target): c for c in others}
    pairs = [
        (c, by_face.get((c.source_id, c.target, c.face)) or by_target.get((c.source_id, c.target))) for c in conversions
    ]
    return [item for c, against in pairs if against for item in _make_comparison(c, other, against)]


def _pair_targets(conversions: Iterable[Conversion]) -> list[Item]:
    """Pair each conversion with the next in a ring of the same source's conversions for other people.

    So each serves equally often as the other.
    """
    by_source: dict[str, list[Conversion]] = {}
    for c in conversions:
        by_source.setdefault(c.source_id, []).append(c)
    items = []
    for source_id, found in by_source.items():
        ring = sorted(found, key=lambda c: _hash_parts(source_id, c.target, Path(c.converted).name))
        for i, c in enumerate(ring):
            against = next((other for other in ring[i + 1 :] + ring[:i] if other.target != c.target), None)
            items += _make_comparison(c, make_label(c.system, SHUFFLED), against) if against else []
    return items


def _make_comparison(c: Conversion, other: str, against: Conversion) -> list[Item]:
    """Empty if no image drove the conversion, or both are the same recording."""
    driven = Path(c.face).suffix.lower() in IMAGE_SUFFIXES
    return [Item(CPR, c.system, other, c, against)] if driven and against.converted != c.converted else []


def _share_out(sizes: Sequence[int], items: int) -> list[int]:
    """Share the items out evenly over groups, as far as each has them. The first groups get the remainder."""
    shares = [0] * len(sizes)
    while items and shares != list(sizes):
        for i, size in enumerate(sizes):
            if items and shares[i] < size:
                shares[i] += 1
                items -= 1
    return shares


def _draw(group: Sequence[Item], items: int, seed: int) -> list[Item]:
    """Draw up to `items`. Each is of the target drawn least so far, then of the source drawn least. `seed` breaks ties.

    Ties are broken the same way for all systems, so that they are judged on the same sources and targets if possible.
    """

    def rank(item: Item) -> str:
        return _hash_parts(
            str(seed), item.kind, item.conversion.source_id, item.conversion.target, Path(item.conversion.face).name
        )

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


def _note_left_out(
    conversions: Sequence[Conversion], groups: Sequence[list[Item]], unasked: Sequence[list[Item]]
) -> list[str]:
    notes = []
    if not any(group[0].system == ANCHOR for group in groups):
        notes.append(
            "listening test: no real speech among the recordings: the manifest names no sources (column source)"
        )
    if not any(group[0].kind == CPR for group in groups):
        notes.append(
            "listening test: CPR is off: no two recordings of one source to compare for a face image (column face)"
        )
    if unasked:
        names = ", ".join(
            " against ".join(name for name in (group[0].system, group[0].other) if name) for group in unasked
        )
        notes.append(f"listening test: too few items to ask about {names}")
    if any(c.degradation for c in conversions):
        notes.append("listening test: conversions by degraded faces are not asked about")
    return notes


def _find_duration_s(uri: str) -> float:
    """Compute the duration of a constant-rate recording. Four characters of base64 hold three bytes."""
    return len(uri) * 0.75 * 8 / (KBIT_S * 1000)


def _hash_parts(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
