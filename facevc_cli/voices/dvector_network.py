"""Resemblyzer's network (Apache-2.0). Its weights are an asset of this package, so nothing else must be installed."""

from torch import Tensor, nn
from torch.nn.functional import normalize, relu

from facevc_cli.core.tuning import skip_weight_init
from facevc_cli.files.packaged import find_packaged_file

# `model_state` of Resemblyzer 0.1.4's pretrained.pt, float32, unchanged
WEIGHTS = "assets/voice_encoder/model.safetensors"
WEIGHTS_SHA256 = "7dee9568049e4297fd6b228c9808bb4c38ed3d9bad3106bc50d8b93ae9a23c9b"
BANDS, WIDTH, LAYERS = 40, 256, 3


class VoiceEncoder(nn.Module):
    """(windows, frames, 40) mel power -> (windows, 256), not negative, of unit length.

    A recurrent network's last state (Wan et al. 2018).
    """

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(BANDS, WIDTH, LAYERS, batch_first=True)
        self.linear = nn.Linear(WIDTH, WIDTH)

    def forward(self, mels: Tensor) -> Tensor:
        _, (state, _) = self.lstm(mels)
        return normalize(relu(self.linear(state[-1])), dim=1)


def load_voice_encoder(device: str = "cpu") -> VoiceEncoder:
    """Loads the network for inference. FaceVCError if the weights are missing or damaged."""
    from safetensors.torch import load_file

    path = find_packaged_file("facevc_cli", WEIGHTS, WEIGHTS_SHA256, "the weights for d-vectors", "facevc")
    with skip_weight_init():
        encoder = VoiceEncoder()
    encoder.load_state_dict(load_file(path))
    return encoder.to(device).eval().requires_grad_(False)
