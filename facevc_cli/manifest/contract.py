"""What `convert` and `evaluate` agree on: names of files, of columns, of genders, and how a cell holds several files."""

MANIFEST = "manifest.csv"
ADDRESSES = "addresses.safetensors"
COLUMNS = (
    "converted", "status", "system", "baseline", "degradation", "source", "source_id", "target", "face", "voice", "face_id", "driver",
    "gender", "references", "seconds", "model", "vocoder", "key", "reason",
)  # fmt: skip
DONE, FAILED = "done", "failed"  # in the column `status`
SEPARATOR = "|"  # between the files of a cell, such as `references`
FEMALE, MALE = "female", "male"
GENDERS = (FEMALE, MALE)
GENDER_WORDS = {"male": MALE, "m": MALE, "man": MALE, "female": FEMALE, "f": FEMALE, "woman": FEMALE}


def gender_of(text: str) -> str:
    """'M', 'Female', 'woman' ... -> 'male', 'female', or '' for anything else."""
    return GENDER_WORDS.get(text.strip().lower(), "")


def split_files(cell: str) -> list[str]:
    """The files that a cell names, without empty ones."""
    return [name for name in cell.split(SEPARATOR) if name.strip()]
