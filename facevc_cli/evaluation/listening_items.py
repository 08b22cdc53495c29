"""What a listening test can ask: which recordings, and which pairs of voices or faces, and a fair draw of them."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

from facevc_cli.core.errors import FaceVCError, UsageError
from facevc_cli.files.inputs import IMAGE_SUFFIXES
from facevc_cli.manifest.conversion import Conversion, make_label

MOS, CPR, CPR_FACES = "MOS", "CPR", "CPR faces"
KINDS = {"naturalness": MOS, "voices": CPR, "faces": CPR_FACES}  # by the names of --question
USUAL, USUAL_OF_IMAGINED = ("naturalness", "voices"), ("voices", "faces")  # if no question is named
ANCHOR = "source"  # the system name under which real sources are rated
SHUFFLED = "shuffled-faces"
RATED = ("", "voice")  # the other baselines use the same model, so their MOS would add nothing


@dataclass(frozen=True)
class Item:
    """One item to judge: `conversion` alone (MOS), or its voice (CPR) or face (CPR faces) against those of another
    conversion, of the system `other`.
    """

    kind: str
    system: str
    other: str
    conversion: Conversion
    against: Conversion | None = None

    @property
    def recordings(self) -> tuple[str, ...]:
        if self.against is None or self.kind != CPR:
            return (self.conversion.converted,)
        return self.conversion.converted, self.against.converted

    @property
    def faces(self) -> tuple[str, ...]:
        """The pictures that are shown: none, the one of the voices, or the two to choose from."""
        if self.against is None:
            return ()
        return (self.conversion.face, *([self.against.face] if self.kind == CPR_FACES else []))

    @property
    def key(self) -> tuple[str, str, str, str]:
        """System, other, source_id and target: the columns that name the item in the answers."""
        return self.system, self.other, self.conversion.source_id, self.conversion.target

    @property
    def id(self) -> str:
        """Twelve hex digits. They reveal nothing to a listener and do not depend on the files' folder."""
        files = [*self.recordings, *(self.faces if self.kind == CPR_FACES else ())]
        return hash_parts(self.kind, *self.key, *(Path(name).name for name in files))[:12]


def choose_kinds(questions: Sequence[str], usual: Sequence[str] = USUAL) -> tuple[str, ...]:
    """Return the kinds of the questions with these names, in the order of the page. UsageError for another name.

    usual: the names to take if there are none.
    """
    unknown = next((name for name in questions if name not in KINDS), None)
    if unknown is not None:
        raise UsageError(f"--question {unknown}: expected {', '.join(KINDS)}.")
    return tuple(kind for name, kind in KINDS.items() if name in (questions or usual))


def list_items(conversions: Sequence[Conversion]) -> list[list[Item]]:
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
    groups += [
        _pair_targets(by_label[system], _make_comparison)
        for system in systems
        if make_label(system, SHUFFLED) not in by_label
    ]
    groups += [_pair_targets(by_label[system], _make_choice_of_faces) for system in systems]
    return [group for group in groups if group]


def _pair_systems(conversions: Iterable[Conversion], others: Iterable[Conversion], other: str) -> list[Item]:
    """Pair two systems' conversions of the same source and face, or at least of the same target."""
    by_face = {(c.source_id, c.target, c.face): c for c in others}
    by_target = {(c.source_id, c.target): c for c in others}
    pairs = [
        (c, by_face.get((c.source_id, c.target, c.face)) or by_target.get((c.source_id, c.target))) for c in conversions
    ]
    return [item for c, against in pairs if against for item in _make_comparison(c, other, against)]


def _pair_targets(
    conversions: Iterable[Conversion], make: Callable[[Conversion, str, Conversion], list[Item]]
) -> list[Item]:
    """Pair each conversion with the next in a ring of the same source's conversions for other people.

    So each serves equally often as the other.
    """
    by_source: dict[str, list[Conversion]] = {}
    for c in conversions:
        by_source.setdefault(c.source_id, []).append(c)
    items = []
    for source_id, found in by_source.items():
        ring = sorted(found, key=lambda c: hash_parts(source_id, c.target, Path(c.converted).name))
        for i, c in enumerate(ring):
            against = next((other for other in ring[i + 1 :] + ring[:i] if other.target != c.target), None)
            items += make(c, make_label(c.system, SHUFFLED), against) if against else []
    return items


def _make_comparison(c: Conversion, other: str, against: Conversion) -> list[Item]:
    """Empty if no image drove the conversion, or both are the same recording."""
    return [Item(CPR, c.system, other, c, against)] if _has_picture(c) and against.converted != c.converted else []


def _make_choice_of_faces(c: Conversion, other: str, against: Conversion) -> list[Item]:
    """Empty if one of the two is no image, or both are the same."""
    usable = _has_picture(c) and _has_picture(against) and against.face != c.face
    return [Item(CPR_FACES, c.system, other, c, against)] if usable else []


def _has_picture(c: Conversion) -> bool:
    return Path(c.face).suffix.lower() in IMAGE_SUFFIXES


def share_out(sizes: Sequence[int], items: int) -> list[int]:
    """Share the items out evenly over groups, as far as each has them. The first groups get the remainder."""
    shares = [0] * len(sizes)
    while items and shares != list(sizes):
        for i, size in enumerate(sizes):
            if items and shares[i] < size:
                shares[i] += 1
                items -= 1
    return shares


def draw_items(group: Sequence[Item], items: int, seed: int) -> list[Item]:
    """Draw up to `items`. Each is of the target drawn least so far, then of the source drawn least. `seed` breaks ties.

    Ties are broken the same way for all systems, so that they are judged on the same sources and targets if possible.
    """

    def rank(item: Item) -> str:
        return hash_parts(
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


def hash_parts(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
