"""Timbres: Kokoro's voices, and blends of them pushed outwards from their gender's middle.

A timbre is a weight for each voice; weights sum to 1 and may be negative. `push` says how far a blend is from the
mean of its gender's voices, where 1 is how far those voices are from it on average.
"""

import random

import numpy as np

REFERENCE_TOKENS = 100  # styles depend a little on the number of tokens; distances are measured at this one
BLENDED = (2, 3, 4)  # voices in a blend
CONCENTRATION = 1.5  # of the Dirichlet distribution that shares the weight out; below 1 one voice dominates
MOST_ALIKE = 0.6  # cosine of two timbres' directions from the middle
MOST_REFUSED = 10000  # blends, before a little more likeness is allowed
JITTER = 0.15  # a blend's push is drawn within this share of the push that is asked for
TIMBRE_DIM = 128
GENDERS = {"f": "female", "m": "male"}

Weights = dict[str, float]


def gender_of(voice: str) -> str:
    """Kokoro names a voice by language, gender and name: af_heart is American and female."""
    return GENDERS[voice[1]]


def timbre_vectors(voices: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: styles[REFERENCE_TOKENS, :TIMBRE_DIM].astype(np.float64) for name, styles in voices.items()}


def push_out(blend: Weights, pool: list[str], vectors: dict[str, np.ndarray], push: float) -> Weights:
    """The blend moved along the line from the pool's mean, to `push` times the pool's mean distance from it."""
    middle = np.mean([vectors[name] for name in pool], axis=0)
    usual = float(np.mean([np.linalg.norm(vectors[name] - middle) for name in pool]))
    own = float(np.linalg.norm(sum(weight * vectors[name] for name, weight in blend.items()) - middle))
    scale = push * usual / max(own, 1e-9)
    share = (1 - scale) / len(pool)  # of the mean itself, which is an equal weight of all
    return {name: scale * blend.get(name, 0.0) + share for name in pool}


def draw_blends(voices: dict[str, np.ndarray], count: int, push: float, seed: int) -> list[Weights]:
    """`count` blends, women and men in turn. The same seed draws the same voices and shares for every push.

    A blend whose direction from the middle is much like a voice's or an earlier blend's is drawn again.
    """
    vectors = timbre_vectors(voices)
    women, men = (draw_different(vectors, letter, -(-count // 2), push, seed) for letter in GENDERS)
    return [blend for pair in zip(women, men, strict=True) for blend in pair][:count]


def draw_different(vectors: dict[str, np.ndarray], letter: str, count: int, push: float, seed: int) -> list[Weights]:
    """`count` pushed blends of the voices whose gender has this letter."""
    pool = [name for name in sorted(vectors) if name[1] == letter]
    middle = np.mean([vectors[name] for name in pool], axis=0)
    taken = [unit(vectors[name] - middle) for name in pool]
    blends: list[Weights] = []
    rng, alike, refused = random.Random(f"{seed}/timbres/{letter}"), MOST_ALIKE, 0
    while len(blends) < count:
        chosen = rng.sample(pool, min(len(pool), rng.choice(BLENDED)))
        shares = [rng.gammavariate(CONCENTRATION, 1.0) for _ in chosen]
        jitter = rng.uniform(1 - JITTER, 1 + JITTER)
        blend = {name: share / sum(shares) for name, share in zip(chosen, shares, strict=True)}
        direction = unit(sum(weight * vectors[name] for name, weight in blend.items()) - middle)
        if max(float(direction @ other) for other in taken) > alike:
            refused += 1
            if refused % MOST_REFUSED == 0:  # there is no more room
                alike += 0.05
            continue
        taken.append(direction)
        blends.append(push_out(blend, pool, vectors, push * jitter))
    return blends


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(1e-9, float(np.linalg.norm(vector)))


def describe(number: int, weights: Weights) -> dict[str, object]:
    """A row of timbres.json."""
    heaviest = max(weights, key=lambda name: weights[name])
    return {
        "timbre": f"t{number:03d}",
        "gender": gender_of(heaviest),
        "weights": {k: round(v, 5) for k, v in weights.items()},
    }


def pairwise_cosines(vectors: np.ndarray, genders: list[str]) -> dict[str, np.ndarray]:
    """Cosines of unit vectors (n, D) by kind of pair: female, male (both of that gender), across."""
    cosines = vectors @ vectors.T
    found: dict[str, list[float]] = {"female": [], "male": [], "across": []}
    for i in range(len(vectors)):
        for j in range(i):
            found[genders[i] if genders[i] == genders[j] else "across"].append(float(cosines[i, j]))
    return {kind: np.array(values) for kind, values in found.items()}


def summarise(cosines: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Count, mean and quantiles of each kind of pair, and of both kinds within a gender together."""
    within = np.concatenate([cosines["female"], cosines["male"]])
    summary = {}
    for kind, values in {**cosines, "within": within}.items():
        if len(values):
            quantiles = {
                f"q{share:02d}": round(float(np.quantile(values, share / 100)), 3) for share in (5, 25, 50, 75, 95)
            }
            summary[kind] = {"pairs": len(values), "mean": round(float(values.mean()), 3), **quantiles}
    return summary


def choose_push(pushes: list[float], means: list[float], wanted: float) -> float:
    """The push whose mean cosine is `wanted`, interpolated between those measured and never beyond them."""
    order = np.argsort(means)
    return round(float(np.interp(wanted, np.array(means)[order], np.array(pushes)[order])), 3)
