"""The contract between `convert` and `evaluate`: names of files, columns and genders, and the separator in cells."""

MANIFEST = "manifest.csv"
ADDRESSES = "addresses.safetensors"
# what the face is read as: its register from 0 (masculine) to 1 (feminine), its age in years, .5 to 1
READING_COLUMNS = ("register", "age", "certainty")
COLUMNS = (
    "converted",
    "status",
    "system",
    "baseline",
    "degradation",
    "source",
    "source_id",
    "target",
    "face",
    "voice",
    "face_id",
    "driver",
    "gender",
    "references",
    "seconds",
    "model",
    "vocoder",
    *READING_COLUMNS,
    "key",
    "reason",
)
DONE, FAILED = "done", "failed"  # in the column `status`
SEPARATOR = "|"  # between the files of a cell, such as `references`
FEMALE, MALE = "female", "male"
GENDERS = (FEMALE, MALE)
GENDER_WORDS = {"male": MALE, "m": MALE, "man": MALE, "female": FEMALE, "f": FEMALE, "woman": FEMALE}


def parse_gender(text: str) -> str:
    """Convert 'M', 'Female', 'woman' and so on to 'male' or 'female'. Anything else gives ''."""
    return GENDER_WORDS.get(text.strip().lower(), "")


def split_files(cell: str) -> list[str]:
    """Split a cell into its file names, without empty ones."""
    return [name for name in cell.split(SEPARATOR) if name.strip()]
