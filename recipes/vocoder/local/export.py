"""export.py RUN OUT: write a run's last checkpoint as the folder to bundle, with weights in float16."""

import argparse
import sys
from pathlib import Path

import torch

from facevc_cli.core.errors import FaceVCError
from facevc_cli.files.atomic import atomic_folder
from facevc_cli.vocoders.light import load_light, read_header, save_light


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--origin", default="recipes/vocoder: taught by HiFi-GAN V1 universal")
    given = parser.parse_args()
    last = given.run / "checkpoints" / "last"
    generator, step = load_light(last, "hifigan").generator, read_header(last)["step"]
    with atomic_folder(given.out) as temporary:
        save_light(temporary, generator, generator.sizes, "hifigan", step, torch.float16, given.origin)
    load_light(given.out, "hifigan")
    print(f"{given.out}: step {step}")


if __name__ == "__main__":
    try:
        main()
    except FaceVCError as error:
        sys.exit(str(error))
