"""Resemblyzer's network with the weights that lie in its package, which need not be imported for them: that takes .2 s."""

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, relu

from facevc_cli.features.packaged import packaged_file
from facevc_cli.runtime import undrawn

WEIGHTS, WEIGHTS_SHA256 = "pretrained.pt", "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e"
BANDS, WIDTH, LAYERS = 40, 256, 3


class VoiceEncoder(nn.Module):
    """(windows, frames, 40) mel power -> (windows, 256), none negative, of length 1: a recurrent network's last state (Wan et al. 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(BANDS, WIDTH, LAYERS, batch_first=True)
        self.linear = nn.Linear(WIDTH, WIDTH)

    def forward(self, mels: Tensor) -> Tensor:
        _, (state, _) = self.lstm(mels)
        return normalize(relu(self.linear(state[-1])), dim=1)


def load_voice_encoder(device: str = "cpu") -> VoiceEncoder:
    """For inference. FaceVCError where the package is not installed, or its weights are others."""
    path = packaged_file("resemblyzer", WEIGHTS, WEIGHTS_SHA256, "the weights for d-vectors", "resemblyzer")
    state = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
    with undrawn():
        encoder = VoiceEncoder()
    encoder.load_state_dict({name: state[name] for name in encoder.state_dict()})
    return encoder.to(device).eval().requires_grad_(False)
