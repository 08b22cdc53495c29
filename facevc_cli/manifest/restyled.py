"""`restyled.csv`, the table beside restyled photos."""

from facevc_cli.manifest.picture_table import PictureTable

RESTYLED = "restyled.csv"
COLUMNS = (
    "picture",
    "status",
    "photo",
    "photo_id",
    "aim",  # the face or the voice, if there is one
    "register_asked",
    "age_asked",
    "strength",
    "register",  # as the face is read before
    "age",
    "register_made",  # and after
    "age_made",
    "distance",  # of the two by dlib; below .6 people are usually the same
    "key",
    "reason",
)
NEEDED = ("picture", "status", "key")


class RestyledTable(PictureTable):
    """The rows of `restyled.csv`."""

    file_name, columns, needed = RESTYLED, COLUMNS, NEEDED
