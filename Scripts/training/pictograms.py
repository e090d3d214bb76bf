"""The pictograms of Noto Color Emoji: how they look, and what Unicode's CLDR calls them in English."""

import dataclasses
import hashlib
import pathlib
import xml.etree.ElementTree as ElementTree

import numpy as np
from PIL import Image, ImageDraw, ImageFont, features

from synonyms import NAMES, phrases

NOTO = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
SYMBOLA = "/usr/share/fonts/truetype/ancient-scripts/Symbola_hint.ttf"
CLDR = pathlib.Path("/usr/share/unicode/cldr/common")

SKIN_TONES = range(0x1F3FB, 0x1F400)
JOINER, EMOJI_STYLE = "\u200d", "\ufe0f"
SIDE = 136  # of Noto's bitmaps


@dataclasses.dataclass
class Pictogram:
    text: str  # the character, or the sequence of characters
    name: str  # CLDR's short name
    base: bool  # whether it is a single character
    phrases: list  # our own ways to say it
    keywords: list  # CLDR's, those that few pictograms share
    held_out: list  # keywords that no caption of the training has for it


def fold(text):
    """A name or keyword as captions have it: plain apostrophes, no colons, one case."""
    for old, new in (("’", "'"), ("‘", "'"), ("“", '"'), ("”", '"'), (":", ""), ("\u00a0", " ")):
        text = text.replace(old, new)
    return " ".join(text.lower().split())


def annotations():
    """CLDR's names and keywords: two dictionaries from characters."""
    names, keywords = {}, {}
    for folder in ("annotations", "annotationsDerived"):
        for entry in ElementTree.parse(CLDR / folder / "en.xml").getroot().iter("annotation"):
            text = entry.get("cp")
            if entry.get("type") == "tts":
                names.setdefault(text, fold(entry.text))
            else:
                keywords.setdefault(text, [fold(word) for word in entry.text.split("|")])
    return names, keywords


def wanted(text):
    """Single characters beyond ASCII, and joined sequences but families; no skin tones."""
    if any(ord(character) in SKIN_TONES for character in text):
        return False
    if len(text) == 1:
        return ord(text) > 0x7F
    return JOINER in text and not text.startswith(("👨‍👩‍", "👨‍👨‍", "👩‍👩‍", "👨‍👦", "👨‍👧", "👩‍👦", "👩‍👧"))


def draw(font, text):
    """A pictogram in colour on nothing, [SIDE, SIDE, 4]; None if the font does not have it."""
    for variant in (text, text + EMOJI_STYLE):
        if font.getlength(variant) > 1.2 * SIDE:
            continue  # a sequence that falls apart
        picture = Image.new("RGBA", (SIDE, SIDE))
        ImageDraw.Draw(picture).text((0, 4), variant, font=font, embedded_color=True)
        if picture.getextrema()[3][1] > 0:
            return np.asarray(picture)
    return None


def load():
    """All pictograms, and their bitmaps, [count, SIDE, SIDE, 4] in 8 bits."""
    if not features.check("raqm"):
        raise SystemExit("Pillow has no Raqm here: pictograms of several characters need it")
    font = ImageFont.truetype(NOTO, 109)
    names, keywords = annotations()

    found, bitmaps, seen = [], [], set()
    for text in sorted(names, key=lambda text: (len(text) > 1, text)):
        bitmap = draw(font, text) if wanted(text) else None
        if bitmap is None or bitmap.tobytes() in seen:
            continue
        seen.add(bitmap.tobytes())
        found.append(text)
        bitmaps.append(bitmap)
    owners = {}
    for text in found:
        for word in keywords.get(text, []):
            owners.setdefault(word, []).append(text)
    kept_back = {
        word for word, texts in owners.items() if is_held_out(word, 6) and not any(
            f" {word} " in f" {said} " for text in texts for said in (names[text], *phrases(names[text])))}

    pictograms = []
    for text in found:
        name = names[text]
        usable = [word for word in keywords.get(text, []) if len(owners[word]) <= 5 and word != name]
        pictograms.append(
            Pictogram(
                text, name, len(text) == 1, phrases(name),
                [word for word in usable if word not in kept_back],
                [word for word in usable if word in kept_back]))
    missing = set(NAMES) - {pictogram.name for pictogram in pictograms}
    if missing:
        raise SystemExit(f"synonyms of pictograms that are not there: {', '.join(missing)}")
    return pictograms, np.stack(bitmaps)


def is_held_out(key, one_in):
    """A choice that depends on nothing but the key: one in so many is kept from the training."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") % one_in == 0


def is_held_out_scene(pictograms, objects):
    """Whether two of the pictograms are a pair that the training never shows together."""
    texts = sorted({pictograms[index].text for index in objects})
    return any(is_held_out(f"{a} {b}", 10) for i, b in enumerate(texts) for a in texts[:i])


def load_symbola(pictograms):
    """The same pictograms drawn black on nothing by Symbola: indices, and bitmaps as above."""
    font = ImageFont.truetype(SYMBOLA, 100)
    missing = font.getmask("\U0010fffe").getbbox(), bytes(font.getmask("\U0010fffe"))
    indices, bitmaps = [], []
    for index, pictogram in enumerate(pictograms):
        mask = font.getmask(pictogram.text) if pictogram.base else None
        if mask is None or mask.getbbox() is None or (mask.getbbox(), bytes(mask)) == missing:
            continue
        ink = Image.frombytes("L", mask.size, bytes(mask)).crop(mask.getbbox())
        scale = (SIDE - 8) / max(ink.size)
        ink = ink.resize([max(1, round(side * scale)) for side in ink.size], Image.Resampling.BICUBIC)
        picture = Image.new("RGBA", (SIDE, SIDE))
        alpha = Image.new("L", (SIDE, SIDE))
        alpha.paste(ink, ((SIDE - ink.width) // 2, (SIDE - ink.height) // 2))
        picture.putalpha(alpha)
        indices.append(index)
        bitmaps.append(np.asarray(picture))
    return indices, np.stack(bitmaps)
