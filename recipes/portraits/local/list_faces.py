"""list_faces.py DATA OUT.txt: the paths of the adults of DATA/faces.csv that training may see, one a line."""

import sys
from pathlib import Path

from faces import read_adults


def main(data: Path, out: Path) -> None:
    out.write_text("".join(f"{face.path.resolve()}\n" for face in read_adults(data)), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
