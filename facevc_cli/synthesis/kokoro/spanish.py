"""Convert Spanish spelling to Kokoro's phonemes by rule: Castilian, with the stress mark before the stressed vowel.

Kokoro learned phonemes as eSpeak writes them. Spanish spelling determines the sounds with few exceptions, so no
dictionary and no GPL program is needed. English words and foreign names are read as Spanish.
"""

import re
import unicodedata

ACCENTED = {"á": "a", "é": "e", "í": "i", "ó": "o", "ú": "u"}
WORD = re.compile(r"[a-zñáéíóúü]+")
# Longest first. An accented vowel keeps its mark until the stress is placed.
SPELLINGS = [
    (r"x", "ks"),
    (r"ch", "ʧ"),
    (r"ll", "ʎ"),
    (r"rr", "R"),
    (r"qu(?=[eiéí])", "k"),
    (r"gu(?=[eiéí])", "ɡ"),
    (r"gü", "ɡw"),
    (r"c(?=[eiéí])", "θ"),
    (r"[gj](?=[eiéí])|j", "x"),
    (r"g", "ɡ"),
    (r"z", "θ"),
    (r"c", "k"),
    (r"ñ", "ɲ"),
    (r"v", "b"),
    (r"h", ""),
    (r"^r", "R"),
    (r"(?<=[nls])r", "R"),
    (r"y$", "i"),
    (r"y", "ʝ"),
    (r"ü", "u"),
]
ENDS_WEAK = re.compile(r"[aeiouns]$")  # such words are stressed on the syllable before the last
UNSTRESSED = re.compile(
    r"el|la|los|las|un|una|y|o|de|del|a|al|en|con|por|para|que"
    r"|se|me|te|le|lo|les|nos|su|sus|mi|mis|tu|tus|e|u|si|pero"
)
GLIDES = {"i": "j", "u": "w"}


def phonemise_word(word: str) -> str:
    sounds = word
    for spelling, sound in SPELLINGS:
        sounds = re.sub(spelling, sound, sounds)
    accents = [i for i, sound in enumerate(sounds) if sound in ACCENTED]
    plain = "".join(ACCENTED.get(sound, sound) for sound in sounds)
    nuclei = find_nuclei(sounds)
    if accents:
        stressed = accents[0]
    elif UNSTRESSED.fullmatch(word) or not nuclei:
        stressed = -1
    else:
        stressed = nuclei[-2] if len(nuclei) > 1 and ENDS_WEAK.search(word) else nuclei[-1]
    spoken = ""
    for i, sound in enumerate(plain):
        if sound in GLIDES and i not in nuclei and i != stressed and sounds[i] not in ACCENTED:
            sound = GLIDES[sound]
        spoken += ("ˈ" if i == stressed else "") + sound
    return soften(spoken)


def find_nuclei(sounds: str) -> list[int]:
    """Find the positions of the syllables' vowels.

    Unaccented i and u beside another vowel form no syllable of their own.
    """
    nuclei = []
    for i, sound in enumerate(sounds):
        if sound in "aeoáéíóú":
            nuclei.append(i)
        elif sound in "iu":
            before, after = sounds[i - 1 : i], sounds[i + 1 : i + 2]
            beside_strong = before in tuple("aeoáéó") or after in tuple("aeoáéíóú")
            if not beside_strong and not (before in ("i", "u") and i - 1 in nuclei):
                nuclei.append(i)
    return nuclei


def soften(spoken: str) -> str:
    """Soften b, d and g between sounds. r becomes a tap, unless spelling or position makes it a trill."""
    spoken = re.sub(r"(?<=[aeiourRjwlsθ])(ˈ?)b", r"\1β", spoken)
    spoken = re.sub(r"(?<=[aeiourRjwsθ])(ˈ?)d", r"\1ð", spoken)
    spoken = re.sub(r"(?<=[aeiourRjwlsθ])(ˈ?)ɡ", r"\1ɣ", spoken)
    spoken = spoken.replace("r", "ɾ").replace("R", "r")
    return re.sub(r"n(?=[kɡxɣ])", "ŋ", spoken)


def phonemise(text: str) -> str:
    """Convert a Spanish text without digits to Kokoro's symbols. Punctuation stays."""
    text = unicodedata.normalize("NFC", text).lower()
    spoken = WORD.sub(lambda word: phonemise_word(word[0]), text)
    return re.sub(r"[^\w\sˈ.,!?;:]", "", spoken)
