"""Timbres: Kokoro's voices, and blends of them pushed outwards from their gender's middle.

A timbre is a weight for each voice; weights sum to 1 and may be negative. `push` says how far a blend is from the
mean of its gender's voices, where 1 is how far those voices are from it on average.
"""

import random

import numpy as np

REFERENCE_TOKENS = 100  # styles depend a little on the number of tokens; distances are measured at this one
BLENDED = (2, 3)  # voices in a blend
CONCENTRATION = 0.8  # of the Dirichlet distribution of the weights; below 1 one voice dominates
PUSHES = (0.8, 1.4)  # range of a blend's push; at 1.6 most blends sound broken
TIMBRE_DIM = 128
GENDERS = {"f": "female", "m": "male"}

Weights = dict[str, float]


def gender_of(voice: str) -> str:
    """Read the gender from Kokoro's name of a voice: af_heart is American (a) and female (f)."""
    return GENDERS[voice[1]]


def timbre_vectors(voices: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: styles[REFERENCE_TOKENS, :TIMBRE_DIM].astype(np.float64) for name, styles in voices.items()}


def push_out(blend: Weights, pool: list[str], vectors: dict[str, np.ndarray], push: float) -> Weights:
    """Move a blend along the line from the pool's mean, to `push` times the pool's mean distance from it."""
    middle = np.mean([vectors[name] for name in pool], axis=0)
    usual = float(np.mean([np.linalg.norm(vectors[name] - middle) for name in pool]))
    own = float(np.linalg.norm(sum(weight * vectors[name] for name, weight in blend.items()) - middle))
    scale = push * usual / max(own, 1e-9)
    share = (1 - scale) / len(pool)  # of the mean itself, which is an equal weight of all
    return {name: scale * blend.get(name, 0.0) + share for name in pool}


def draw_blends(voices: dict[str, np.ndarray], count: int, seed: int) -> list[tuple[float, Weights]]:
    """Draw `count` blends with their pushes, women and men in turn. Blend k does not depend on `count`."""
    vectors = timbre_vectors(voices)
    pools = [[name for name in sorted(voices) if name[1] == letter] for letter in GENDERS]
    blends = []
    for number in range(count):
        rng, pool = random.Random(f"{seed}/timbre/{number}"), pools[number % 2]
        chosen = rng.sample(pool, rng.choice(BLENDED))
        shares = [rng.gammavariate(CONCENTRATION, 1.0) for _ in chosen]
        blend = {name: share / sum(shares) for name, share in zip(chosen, shares, strict=True)}
        push = round(rng.uniform(*PUSHES), 2)
        blends.append((push, push_out(blend, pool, vectors, push)))
    return blends


def select_spread(vectors: np.ndarray, genders: list[str], count: int, wanted: float) -> list[int]:
    """Select `count` timbres by their d-vectors (n, D), so that the mean cosine within a gender is near `wanted`.

    While it is higher, the timbre that is most like the others of its gender is dropped. Otherwise the last one is
    dropped.
    """
    cosines = vectors @ vectors.T
    same = np.array([[a == b for b in genders] for a in genders]) & ~np.eye(len(genders), dtype=bool)
    kept = list(range(len(genders)))
    while len(kept) > count:
        alike, pairs = (np.where(same, cosines, 0)[np.ix_(kept, kept)].sum(1), same[np.ix_(kept, kept)].sum(1))
        crowded = alike.sum() / max(1, pairs.sum()) > wanted
        kept.pop(int(np.argmax(alike / np.maximum(1, pairs))) if crowded else -1)
    return kept


def pairwise_cosines(vectors: np.ndarray, genders: list[str]) -> dict[str, np.ndarray]:
    """Compute cosines of unit vectors (n, D) by kind of pair: female, male (both of that gender), across."""
    cosines = vectors @ vectors.T
    found: dict[str, list[float]] = {"female": [], "male": [], "across": []}
    for i in range(len(vectors)):
        for j in range(i):
            found[genders[i] if genders[i] == genders[j] else "across"].append(float(cosines[i, j]))
    return {kind: np.array(values) for kind, values in found.items()}


def summarise(cosines: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Summarise count, mean and quantiles of each kind of pair, and of both kinds within a gender together."""
    within = np.concatenate([cosines["female"], cosines["male"]])
    summary = {}
    for kind, values in {**cosines, "within": within}.items():
        if len(values):
            quantiles = {
                f"q{share:02d}": round(float(np.quantile(values, share / 100)), 3) for share in (5, 25, 50, 75, 95)
            }
            summary[kind] = {"pairs": len(values), "mean": round(float(values.mean()), 3), **quantiles}
    return summary
