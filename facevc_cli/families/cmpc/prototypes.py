"""The memory bank of places, and its prototypes: the centres of k-means in several granularities.

The prototypes are state of the training. They stay as they are until the next clustering, and are saved with the run.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FIRST_ROUNDS, LATER_ROUNDS = 20, 5  # of k-means: from points, and from the prototypes of the clustering before
SMOOTHING = 10.0  # of a cluster's concentration, as in Li et al., "Prototypical contrastive learning", 2021
RANGE = (0.1, 0.9)  # concentrations beyond these quantiles are cut to them


class PrototypeBank(nn.Module):
    """Places (n, D) of all items of one modality, and per granularity the cluster of each item and the centres."""

    places: Tensor
    clustered: Tensor

    def __init__(self, places: Tensor, clusters: Sequence[int], temperature: float):
        """places: (n, D) of unit length, as the model places the items before training.

        clusters: number of clusters of each granularity; one with more clusters than items has as many as items.
        """
        super().__init__()
        self.temperature = temperature
        self.counts = [min(count, len(places)) for count in clusters]
        self.register_buffer("places", places.clone())
        self.register_buffer("clustered", torch.zeros((), dtype=torch.bool))
        for i, count in enumerate(self.counts):
            self.register_buffer(f"labels_{i}", torch.zeros(len(places), dtype=torch.long))
            self.register_buffer(f"centres_{i}", torch.zeros(count, places.shape[1]))
            self.register_buffer(f"temperatures_{i}", torch.full((count,), temperature))
            self.register_buffer(f"filled_{i}", torch.zeros(count, dtype=torch.bool))

    @property
    def is_clustered(self) -> bool:
        return bool(self.clustered)

    def read(self, i: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Returns labels (n,), centres (K, D), temperatures (K,) and whether a cluster has items (K,)."""
        labels, centres, temperatures, filled = (
            getattr(self, f"{name}_{i}") for name in ("labels", "centres", "temperatures", "filled")
        )
        return labels, centres, temperatures, filled

    @torch.no_grad()
    def update(self, items: Tensor, places: Tensor, momentum: float) -> None:
        """Moves the items (B,) towards their new places (B, D). If an item is there twice, its mean place counts."""
        rows, positions = torch.unique(items, return_inverse=True)
        sums = torch.zeros(len(rows), places.shape[1]).to(places).index_add_(0, positions, places)
        moved = momentum * self.places[rows] + (1 - momentum) * F.normalize(sums, dim=-1)
        self.places[rows] = F.normalize(moved, dim=-1)

    @torch.no_grad()
    def cluster(self, generator: torch.Generator) -> None:
        """Clusters the bank anew in every granularity. It starts from the prototypes if there are any."""
        points = self.places.cpu()
        for i, count in enumerate(self.counts):
            started = self.read(i)[1].cpu() if self.is_clustered else None
            labels, centres = find_clusters(points, count, generator, started)
            sizes = torch.bincount(labels, minlength=count)
            temperatures = compute_temperatures(points, labels, centres, self.temperature)
            for own, found in zip(self.read(i), (labels, centres, temperatures, sizes > 0), strict=True):
                own.copy_(found)
        self.clustered.fill_(True)


def find_clusters(
    points: Tensor, count: int, generator: torch.Generator, centres: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """K-means of unit vectors by cosine: (n, D) -> the cluster of each point (n,), and centres of unit length (K, D).

    centres: where to start; None: at points that the generator draws. An empty cluster keeps its centre.
    """
    rounds = LATER_ROUNDS
    if centres is None:
        centres, rounds = points[torch.randperm(len(points), generator=generator)[:count]].clone(), FIRST_ROUNDS
    for _ in range(rounds):
        labels = (points @ centres.T).argmax(1)
        sums = torch.zeros_like(centres).index_add_(0, labels, points)
        filled = torch.bincount(labels, minlength=count) > 0
        centres = torch.where(filled[:, None], F.normalize(sums, dim=-1), centres)
    return (points @ centres.T).argmax(1), centres


def compute_temperatures(points: Tensor, labels: Tensor, centres: Tensor, mean: float) -> Tensor:
    """Returns the temperature of each cluster (K,): low for a dense cluster, high for a wide one, `mean` on average.

    A cluster's concentration is the mean distance of its n points from the centre, divided by ln(n + 10). A cluster of
    one point has no width. It gets the highest concentration of the others.
    """
    sizes = torch.bincount(labels, minlength=len(centres))
    distances = (points - centres[labels]).norm(dim=-1)
    sums = torch.zeros(len(centres)).index_add_(0, labels, distances)
    wide = sizes > 1
    if not wide.any():
        return torch.full((len(centres),), mean)
    found = sums / sizes.clamp(min=1) / (sizes + SMOOTHING).log()
    found = torch.where(wide, found, found[wide].max())
    low, high = torch.quantile(found[wide], torch.tensor(RANGE)).tolist()
    found = found.clamp(low, high)
    if not math.isfinite(float(found.mean())) or float(found.mean()) <= 0:
        return torch.full((len(centres),), mean)
    return (mean * found / found.mean()).clamp(min=mean / 10)
