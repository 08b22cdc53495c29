"""A shrunken starter with a vocoder that is quick and hears no neighbouring frames."""

import numpy as np
import pytest
import torch
from helpers.checkpoints import checkpoint
from helpers.networks import make_converter

from facevc_cli.vocoders import Vocoder


class Hum(Vocoder):
    """Speaks each frame alone: the levels of its lower and its upper bands on waves of its own length."""

    def __init__(self) -> None:
        super().__init__("hum", "hifigan", 0)

    def synthesise(self, log_mel: torch.Tensor, start_frame: int) -> torch.Tensor:
        phase = torch.linspace(0, 2 * torch.pi, self.hop_samples)
        low, high = ((half.mean(1, keepdim=True) / 4).exp() for half in log_mel.chunk(2, 1))
        return (low * phase.sin() + high * (2 * phase).sin()).flatten()


def open_converter(folder, *overrides):
    made = make_converter(checkpoint(folder, "starter", overrides=("conversion.voice_guidance=0", *overrides)))
    made.vocoder = Hum()
    return made


@pytest.fixture(scope="session")
def converter(tmp_path_factory):
    return open_converter(tmp_path_factory.mktemp("stream") / "run")


@pytest.fixture(scope="session")
def faces():
    return [np.full((40, 40, 3), shade, np.uint8) for shade in (90, 200)]
