"""fetch.py PACKAGES: take MediaPipe's networks for landmarks and for people out of its wheel, into PACKAGES.

pip downloads the wheel, and the interpreter that convert_landmarks.py compares with. SHA256 are checked.
"""

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

SHA256 = {
    "face_landmark.tflite": "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
    "selfie_segmentation.tflite": "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c",
    "schema_py_generated.py": "49a26cf90cdf5271271e61f61d4bf3a293da4777824c73d08f5cb9e0e2cbc29a",
}
FOLDERS = (
    "mediapipe/modules/face_landmark",
    "mediapipe/modules/selfie_segmentation",
    "mediapipe/tasks/metadata",
)
PLATFORM = ("--only-binary=:all:", "--python-version", "311", "--platform", "manylinux_2_28_x86_64")


def main(packages: Path) -> None:
    packages.mkdir(parents=True, exist_ok=True)
    if not all((packages / name).is_file() for name in SHA256):
        fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(packages)]
        subprocess.run([*fetch, *PLATFORM, "mediapipe==0.10.21"], check=True)  # later ones have no face_landmark.tflite
        with zipfile.ZipFile(next(packages.glob("mediapipe-0.10.21-*.whl"))) as wheel:
            for folder, name in zip(FOLDERS, SHA256, strict=True):
                (packages / name).write_bytes(wheel.read(f"{folder}/{name}"))
    for name, expected in SHA256.items():
        found = hashlib.sha256((packages / name).read_bytes()).hexdigest()
        if found != expected:
            raise SystemExit(f"{packages / name}: expected sha256 {expected}, found {found}.")
    if not (packages / "litert").is_dir():
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(packages / "litert")]
        subprocess.run([*install, "ai-edge-litert", "flatbuffers"], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
