"""voice_traits.py VOICES.h5 TABLE.csv... [--assets facevc_cli/assets]: fit what reads a voice's register and age.

VOICES.h5 is a store of d-vectors. The tables name their utterances (utterance, corpus, speaker, gender, age). Gender
and age may be empty. An age is a number or a word of Common Voice. Writes voice_traits.safetensors and
voice_traits.json (sha256, sizes, accuracies). The accuracies are those of five folds over speakers.
"""

import argparse
import collections
import csv
import hashlib
import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from facevc_cli.corpus.store import Store
from facevc_cli.evaluation.metrics.gender import fit
from facevc_cli.files.atomic import atomic_path
from facevc_cli.voices.traits import ASSET, OLD_FROM, YOUNG_BELOW

DECADES = {
    "teens": 16,
    "twenties": 25,
    "thirties": 35,
    "fourties": 45,
    "fifties": 55,
    "sixties": 65,
    "seventies": 75,
    "eighties": 84,
    "nineties": 93,
}
FOLDS = 5
AXES = 64  # of 16, 32, 64, 128, 256: the best in five folds over speakers
REGISTER_RIDGE = 30.0  # best of 3, 30, 300
AGE_RIDGE = 100.0  # 10 and 1000 are as good
BINS = ("young", "middle", "old")


def read_labels(tables: list[Path], names: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return corpus, femininity (1 female, 0 male, NaN unknown) and age in years (NaN unknown) of each utterance."""
    rows = {}
    for table in tables:
        with open(table, newline="", encoding="utf-8") as file:
            rows |= {row["utterance"]: row for row in csv.DictReader(file)}
    known = [rows.get(name, {}) for name in names]
    female = {"female": 1.0, "male": 0.0}
    return (
        np.array([row.get("corpus", "") for row in known]),
        np.array([female.get(row.get("gender", ""), np.nan) for row in known]),
        np.array([float(DECADES.get(age, age) or "nan") for age in (row.get("age", "") for row in known)]),
    )


def balance(groups: list[object], speakers: np.ndarray) -> np.ndarray:
    """Return a weight per utterance, with mean 1. Speakers of a group count equally, and so do all groups."""
    sizes = collections.Counter(zip(groups, speakers, strict=True))
    people = collections.Counter(group for group, _ in sizes)
    weights = np.array([1 / sizes[g, s] / people[g] for g, s in zip(groups, speakers, strict=True)])
    return weights / weights.mean()


def find_axes(x: np.ndarray, speakers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the mean (D,) of the speakers and their AXES first principal components, of unit deviation: (D, AXES).

    Voices hardly differ in the other directions, but the slots of a memory do, and a reading must not follow them.
    """
    means = np.stack([x[speakers == s].mean(0) for s in sorted(set(speakers))])
    _, deviations, axes = np.linalg.svd(means - means.mean(0), full_matrices=False)
    return means.mean(0), axes[:AXES].T / (deviations[:AXES] / len(means) ** 0.5)


def fit_register(
    x: np.ndarray, female: np.ndarray, weights: np.ndarray, speakers: np.ndarray
) -> tuple[np.ndarray, float]:
    """Fit the register: 0 at the median man's voice and 1 at the median woman's, .5 where both are as likely."""
    mean, axes = find_axes(x, speakers)
    judge = fit((x - mean) @ axes, female, weights, REGISTER_RIDGE)
    scores = (x - mean) @ axes @ judge.weight + judge.bias
    typical = (abs(np.median(scores[female == 1])) + abs(np.median(scores[female == 0]))) / 2
    weight = axes @ judge.weight / typical / 2
    return weight, judge.bias / typical / 2 + 0.5 - float(weight @ mean)


def fit_age(x: np.ndarray, years: np.ndarray, weights: np.ndarray, speakers: np.ndarray) -> tuple[np.ndarray, float]:
    """Fit the age in years by ridge regression."""
    mean, axes = find_axes(x, speakers)
    design = np.column_stack([(x - mean) @ axes, np.ones(len(x))])
    weighted = design * weights[:, None]
    penalty = np.diag(np.append(np.full(axes.shape[1], AGE_RIDGE), 0.0))
    solution = np.linalg.solve(weighted.T @ design + penalty, weighted.T @ years)
    weight = axes @ solution[:-1]
    return weight, float(solution[-1] - weight @ mean)


def find_bins(years: np.ndarray, slope: float = 1.0, offset: float = 0.0) -> np.ndarray:
    """Return 0 for young, 1 for middle, 2 for old. The line says what voices of an age read on average."""
    return np.digitize(years, [offset + slope * YOUNG_BELOW, offset + slope * OLD_FROM])


def fit_evidence(register: np.ndarray, female: np.ndarray, weights: np.ndarray) -> float:
    """Fit the log-odds that a voice is read right, for each unit of distance from the middle register: the likeliest.

    The weights are those of `balance`, so that women and men count alike.
    """
    signed = np.where(female == 1, 1.0, -1.0) * (register - 0.5)
    tried = np.linspace(0.5, 20, 391)
    losses = [float((weights * np.logaddexp(0, -slope * signed)).sum()) for slope in tried]
    return float(tried[int(np.argmin(losses))])


def measure_ages(
    true: np.ndarray, read: np.ndarray, speakers: np.ndarray, slope: float, offset: float
) -> dict[str, str]:
    """Measure how many speakers of each age are put into it, and how often an old voice reads older than a young."""
    people = sorted(set(speakers))
    own = np.array([true[speakers == s][0] for s in people])
    heard = np.array([read[speakers == s].mean() for s in people])
    bins, put = find_bins(own), find_bins(heard, slope, offset)
    figures = {
        name: f"{(put[bins == i] == i).sum()}/{(bins == i).sum()} = {(put[bins == i] == i).mean():.3f}"
        for i, name in enumerate(BINS)
    }
    young, old = heard[bins == 0], heard[bins == 2]
    return figures | {
        "mean error in years": f"{np.abs(own - heard).mean():.1f}",
        "old reads older than young": f"{(old[:, None] > young[None]).mean():.3f}",
        "correlation": f"{np.corrcoef(own, heard)[0, 1]:.3f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("voices", type=Path)
    parser.add_argument("tables", type=Path, nargs="+")
    parser.add_argument("--assets", type=Path, default=Path("facevc_cli/assets"))
    arguments = parser.parse_args()
    with Store(arguments.voices, "extract-spkemb") as store:
        x, names, speakers = store.read_vectors("dvector").astype(np.float64), store.ids, np.array(store.speakers)
    corpus, female, years = read_labels(arguments.tables, names)
    people = sorted(set(speakers))
    order = np.random.default_rng(0).permutation(len(people))
    fold_of = {people[p]: i % FOLDS for i, p in enumerate(order)}
    folds = np.array([fold_of[s] for s in speakers])
    register, age = np.full(len(x), np.nan), np.full(len(x), np.nan)
    by_gender = ~np.isnan(female)
    by_age = by_gender & ~np.isnan(years)
    weights = np.zeros(len(x))
    weights[by_gender] = balance(list(zip(corpus[by_gender], female[by_gender], strict=True)), speakers[by_gender])
    age_weights = np.zeros(len(x))
    # women and men of an age count equally, so that the age does not follow the register
    age_weights[by_age] = balance(list(zip(find_bins(years[by_age]), female[by_age], strict=True)), speakers[by_age])
    for fold in range(FOLDS):
        own = by_gender & (folds != fold)
        weight, bias = fit_register(x[own], female[own], weights[own], speakers[own])
        register[folds == fold] = x[folds == fold] @ weight + bias
        own = by_age & (folds != fold)
        weight, bias = fit_age(x[own], years[own], age_weights[own], speakers[own])
        age[folds == fold] = x[folds == fold] @ weight + bias
    right = (register > 0.5) == (female == 1)
    groups = {
        f"{name} {word}".strip(): by_gender & (female == value) & ((corpus == name) if name else True)
        for name in ("", *sorted(set(corpus[by_gender])))
        for word, value in (("women", 1.0), ("men", 0.0))
    }
    fitted = [
        fit_register(x[by_gender], female[by_gender], weights[by_gender], speakers[by_gender]),
        fit_age(x[by_age], years[by_age], age_weights[by_age], speakers[by_age]),
    ]
    content = save(
        {
            "weight": np.stack([weight for weight, _ in fitted]).astype(np.float32),
            "bias": np.array([bias for _, bias in fitted], np.float32),
        }
    )
    slope, offset = map(float, np.polyfit(years[by_age], age[by_age], 1, w=np.sqrt(age_weights[by_age])))
    card = {
        "sha256": hashlib.sha256(content).hexdigest(),
        "age_line": [round(slope, 4), round(offset, 2)],  # voices of an age read slope * age + offset years on average
        "register_evidence": round(fit_evidence(register[by_gender], female[by_gender], weights[by_gender]), 2),
        "register_fitted_on": f"{by_gender.sum()} utterances of {len(set(speakers[by_gender]))} speakers",
        "age_fitted_on": f"{by_age.sum()} utterances of {len(set(speakers[by_age]))} speakers",
        "register_right": {
            name: f"{right[own].sum()}/{own.sum()} = {right[own].mean():.3f}"
            for name, own in groups.items()
            if own.any()
        },
        "age_right": measure_ages(years[by_age], age[by_age], speakers[by_age], slope, offset),
    }
    name = Path(ASSET).name
    arguments.assets.mkdir(parents=True, exist_ok=True)
    for file, written in (
        (name, content),
        (name.replace(".safetensors", ".json"), json.dumps(card, indent=2).encode() + b"\n"),
    ):
        with atomic_path(arguments.assets / file) as temporary:
            temporary.write_bytes(written)
    print(json.dumps(card, indent=2))


if __name__ == "__main__":
    main()
