"""Measure extraction: hours of audio per minute for extract-features, frames per second for extract-face."""

import tempfile
import time
from pathlib import Path

import common
import numpy as np


def main() -> None:
    parser = common.make_parser(__doc__)
    parser.add_argument("--wavs", type=Path, help="a folder of recordings; default: generated from the example")
    parser.add_argument("--minutes", type=float, default=20.0, help="total length of generated recordings")
    parser.add_argument("--mel", nargs="+", default=["fvmvc", "hifigan"])
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--images", type=Path, help="a folder of images or videos; default: generated from the example")
    parser.add_argument(
        "--frames", type=int, default=60, help="number of generated images, and of frames in the generated videos"
    )
    parser.add_argument("--every", type=int, default=1, help="use each n-th frame of a video")
    parser.add_argument("--only", choices=("audio", "faces"))
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if args.only != "faces":
            wavs = args.wavs or common.make_recordings(folder / "wavs", args.minutes)
            rows += [time_audio(wavs, folder / f"{mel}-{jobs}.h5", mel, jobs) for mel in args.mel for jobs in args.jobs]
        if args.only != "audio":
            kinds = {"given": args.images} if args.images else make_faces(folder / "faces", args.frames)
            for kind, path in kinds.items():
                rows += [time_faces(path, kind, folder / f"{kind}-{jobs}.h5", jobs, args.every) for jobs in args.jobs]
    common.show("extraction", rows, args.json)


def time_audio(wavs: Path, output: Path, mel: str, jobs: int) -> dict:
    """Time extract-features over a folder, including the start of its processes."""
    from facevc_cli.corpus.store import Store
    from facevc_cli.stages.extract_features import ExtractFeaturesConfig, run

    started = time.perf_counter()
    summary = run(ExtractFeaturesConfig(sources=(wavs,), output=output, jobs=jobs, mel=mel))
    wall = time.perf_counter() - started
    with Store(output) as store:
        hours = sum(store.read_column("seconds")) / 3600
    return {
        "stage": f"extract-features --mel {mel}",
        "jobs": jobs,
        "items": summary.done,
        "failed": len(summary.failures),
        "wall s": wall,
        "audio hours": hours,
        "audio hours a minute": hours / (wall / 60),
    }


def time_faces(images: Path, kind: str, output: Path, jobs: int, every: int) -> dict:
    """Time extract-face over images or videos. All frames count, also those without a face."""
    from facevc_cli.corpus.store import Store
    from facevc_cli.stages.extract_face import ExtractFaceConfig, run

    started = time.perf_counter()
    summary = run(ExtractFaceConfig(sources=(images,), output=output, jobs=jobs, every=every))
    wall = time.perf_counter() - started
    with Store(output) as store:
        frames, found = sum(store.read_column("frames_seen")), sum(store.read_column("frames_with_face"))
    return {
        "stage": f"extract-face, {kind}",
        "jobs": jobs,
        "items": summary.done,
        "failed": len(summary.failures),
        "wall s": wall,
        "frames": frames,
        "with a face": found,
        "frames a second": frames / wall,
    }


def make_faces(folder: Path, count: int) -> dict[str, Path]:
    """Make `count` images of 256 px from the example face, of varied brightness, and two videos with the
    same frames.
    """
    import av
    from PIL import Image

    from facevc_cli.files.image import load_image, save_image

    face = np.array(Image.fromarray(load_image(common.FACE)).resize((256, 256)))
    varied = [np.clip(face * (0.9 + 0.2 * i / count), 0, 255).astype(np.uint8) for i in range(count)]
    for i, image in enumerate(varied):
        save_image(folder / "images" / f"{i:04}.jpg", image)
    (folder / "videos").mkdir(parents=True)
    for half in range(2):
        with av.open(str(folder / "videos" / f"{half}.mp4"), "w") as container:
            stream = container.add_stream("mpeg4", rate=25)
            stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 256, 256, "yuv420p", 4_000_000
            for image in varied[half::2]:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(stream.encode())
    return {"images": folder / "images", "videos": folder / "videos"}


if __name__ == "__main__":
    main()
