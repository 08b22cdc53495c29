"""Spanish spelling to phonemes."""

import pytest

from facevc_cli.synthesis.kokoro import spanish


@pytest.mark.parametrize(
    ("text", "phonemes"),
    [
        ("¿Dónde está el queso?", "dˈonde estˈa el kˈeso?"),
        ("Jorge guarda cerezas.", "xˈoɾxe ɡwˈaɾða θeɾˈeθas."),
        ("la guitarra y el pingüino", "la ɡitˈara i el piŋɡwˈino"),
        ("mañana llueve, rey", "maɲˈana ʎwˈeβe, rˈej"),
        ("país, río, ciudad", "paˈis, rˈio, θiwðˈað"),
        ("examen", "eksˈamen"),
    ],
)
def test_spanish_is_read_by_rule(text: str, phonemes: str) -> None:
    assert spanish.phonemise(text) == phonemes
