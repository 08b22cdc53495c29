"""Averages a model's weights over its training. The average usually works better than the last step's weights.

Source: Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992; here with weights that fall
exponentially with the age of a step.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

FIRST_STEPS = 10  # the decay rises from 1 / 11, so that a short run forgets its initial weights


class WeightAverage:
    """The moving average of a module's parameters. Its buffers are not averaged."""

    def __init__(self, module: nn.Module, decay: float):
        """decay: the share of the average that a step keeps, from 0 to below 1."""
        self.module, self.decay = module, decay
        self.tensors: dict[str, Tensor] = {name: p.detach().clone() for name, p in module.named_parameters()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Adds the module's weights after step `step`, counted from 0."""
        kept = min(self.decay, (1 + step) / (FIRST_STEPS + 1 + step))
        for name, parameter in self.module.named_parameters():
            self.tensors[name].lerp_(parameter, 1 - kept)

    def copy_own_weights(self) -> dict[str, Tensor]:
        """Copies the module's weights of the last step by name, for a checkpoint."""
        return {name: p.detach().clone() for name, p in self.module.named_parameters()}

    @contextmanager
    def apply(self) -> Iterator[None]:
        """Gives the module the averaged weights inside the block."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for name, parameter in self.module.named_parameters():
            own = parameter.detach().clone()
            parameter.copy_(self.tensors[name])
            self.tensors[name].copy_(own)

    @torch.no_grad()
    def load(self, own: dict[str, Tensor]) -> None:
        """Takes the module's present weights as the average, and gives the module its `own` of a checkpoint.

        KeyError if one is missing.
        """
        for name, parameter in self.module.named_parameters():
            self.tensors[name].copy_(parameter)
            parameter.copy_(own[name])
