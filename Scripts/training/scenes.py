"""Scenes: which pictograms stand where, on what background, and the sentences that describe them."""

import dataclasses
import random

COLOURS = {
    "white": (250, 250, 250), "black": (18, 18, 20), "grey": (128, 128, 130), "red": (214, 40, 40),
    "green": (46, 150, 62), "blue": (38, 88, 205), "yellow": (250, 215, 50), "orange": (247, 140, 30),
    "purple": (128, 52, 160), "pink": (246, 150, 190), "brown": (120, 76, 42), "turquoise": (56, 196, 196),
}

# Backgrounds of one or two colours, and how a sentence says them.
PLAIN = {
    "plain": ["on a {0} background", "in front of a {0} wall", "against a {0} background", "on {0}",
              "with a {0} background"],
    "gradient": ["on a {0} and {1} background", "on a background that goes from {0} to {1}",
                 "on a {0} and {1} gradient"],
    "clouded": ["on a {0} and {1} background", "on a blurred {0} and {1} background"],
    "wavy": ["on a {0} and {1} background", "on {0} and {1} waves"],
    "gridded": ["on a {0} and {1} background", "on a {0} background with a {1} grid"],
    "spotted": ["on a {0} and {1} background", "on {0} with {1} spots"],
    "striped": ["on a {0} and {1} background", "on {0} and {1} stripes", "on a striped background"],
    "rayed": ["on a {0} and {1} background", "on {0} and {1} rays"],
    "zigzag": ["on a {0} and {1} background", "on {0} and {1} zigzags"],
    "patched": ["on a {0} and {1} background", "on {0} and {1} patches"],
}
# Drawn landscapes.
LANDSCAPES = {
    "meadow": ["in a meadow", "on the grass", "in a field", "in a green landscape", "in the countryside",
               "under a blue sky", "outdoors"],
    "road": ["on a road", "on the road", "on the street", "on a road in a landscape", "outdoors"],
    "sea": ["at sea", "in the water", "on the ocean", "on the blue sea"],
    "beach": ["on the beach", "at the seaside", "on the sand by the sea"],
    "mountains": ["in the mountains", "in front of mountains", "on a mountain", "outdoors"],
    "snow": ["in the snow", "in winter", "on a snowy hill"],
    "desert": ["in the desert", "on sand dunes", "in a dry landscape"],
    "night": ["at night", "under a starry sky", "in the dark"],
    "room": ["in a room", "indoors", "in a house", "on a wooden floor"],
    "sunset": ["at sunset", "in the evening", "under an orange sky"],
}
# Those that the training never shows.
UNSEEN_PLAIN = {
    "checked": ["on a {0} and {1} background"], "dotted": ["on a {0} and {1} background"],
    "ringed": ["on a {0} and {1} background"],
}
UNSEEN_LANDSCAPES = {"skyline": ["outdoors"], "forest": ["outdoors"]}

TEMPLATES = [
    "a photo of {}", "a picture of {}", "an image of {}", "a drawing of {}", "a good photo of {}",
    "a bad photo of {}", "a cropped photo of {}", "a close-up photo of {}", "a bright photo of {}",
    "a dark photo of {}", "a blurry photo of {}", "a low resolution photo of {}", "a rendering of {}",
    "an illustration of {}", "a cartoon of {}", "a painting of {}", "a sketch of {}", "art of {}",
    "a pixelated photo of {}", "a jpeg corrupted photo of {}", "itap of {}", "{} in a video game",
    "a photo of one {}", "a photo of my {}", "a photo of the {}", "the origami {}", "a sticker of {}",
    "there is {} in the scene", "this is {}", "here you see {}", "an icon of {}", "an emoji of {}",
    "a photo of a nice {}", "a photo of a small {}", "a photo of a large {}", "a pictogram of {}",
    "graffiti of {}", "a doodle of {}", "a plastic {}", "a toy {}", "a symbol for {}",
]
WITHOUT_ARTICLE = ("one ", "my ", "the ", "origami ", "nice ", "small ", "large ", "plastic ", "toy ", "of {}")

GRID = (0.24, 0.5, 0.76)
PLACES = {
    (0, 0): ["in the top left corner", "at the top left"], (1, 0): ["at the top"],
    (2, 0): ["in the top right corner", "at the top right"],
    (0, 1): ["on the left", "on the left side"], (1, 1): ["in the middle", "in the centre"],
    (2, 1): ["on the right", "on the right side"],
    (0, 2): ["in the bottom left corner", "at the bottom left"], (1, 2): ["at the bottom"],
    (2, 2): ["in the bottom right corner", "at the bottom right"],
}
HORIZONTAL = ["{0} to the left of {1}", "{1} to the right of {0}", "{0} on the left and {1} on the right",
              "{1} on the right and {0} on the left", "on the left {0}, on the right {1}"]
VERTICAL = ["{0} above {1}", "{1} below {0}", "{0} over {1}", "{1} under {0}",
            "{0} at the top and {1} at the bottom", "{1} at the bottom and {0} at the top"]
TOGETHER = ["{0} and {1}", "{0} with {1}", "{0} next to {1}", "{0}, {1}", "{0} beside {1}"]
NUMBERS = {2: ["two {}", "a pair of {}", "2 {}"], 3: ["three {}", "3 {}"]}


@dataclasses.dataclass
class Scene:
    objects: list  # indices of pictograms
    centres: list  # (x, y) of each, in parts of the picture
    sizes: list  # of each, in parts of the picture
    background: tuple  # kind, first colour, second colour
    relation: str | None = None  # what the sentence says: horizontal, vertical, place, count, name
    place: tuple | None = None  # the cell of GRID x GRID
    says_background: bool = False
    simply: bool = False  # whether the sentence is one of the simplest, with names


def single(rng, index, unseen=False):
    """One pictogram, large."""
    size = rng.uniform(0.5, 0.95) if unseen else rng.choice([rng.uniform(0.34, 1.0), rng.uniform(0.6, 1.0)])
    room = max(0.04, (1.05 - size) / 2)
    centre = (0.5 + rng.uniform(-room, room), 0.5 + rng.uniform(-room, room))
    return Scene([index], [centre], [size], background(rng, unseen), says_background=rng.random() < 0.25)


def plain(rng, index):
    """One pictogram that fills a plain picture, with its name: to begin with."""
    centre = jitter(rng, 0.5, 0.5, 0.06)
    return Scene([index], [centre], [rng.uniform(0.65, 1.0)], ("plain", *rng.sample(list(COLOURS), 2)), "name")


def placed(rng, index, unseen=False):
    """One pictogram, small, in one of nine places that the sentence names."""
    place = rng.choice(list(PLACES))
    return Scene(
        [index], [jitter(rng, GRID[place[0]], GRID[place[1]], 0.05)], [rng.uniform(0.3, 0.45)],
        background(rng, unseen), "place", place, rng.random() < 0.3)


def pair(rng, indices, unseen=False, relation=None):
    """Two pictograms, beside or above each other."""
    upright = rng.random() < 0.5 if relation is None else relation == "vertical"
    near, far = rng.uniform(0.24, 0.3), rng.uniform(0.7, 0.76)
    across = rng.uniform(0.36, 0.64), rng.uniform(0.36, 0.64)
    centres = [(across[0], near), (across[1], far)] if upright else [(near, across[0]), (far, across[1])]
    if relation is None and rng.random() < 0.6:
        relation = "vertical" if upright else "horizontal"
    return Scene(
        list(indices), centres, [rng.uniform(0.34, 0.5) for _ in range(2)], background(rng, unseen),
        relation, says_background=rng.random() < 0.3)


def triple(rng, indices, unseen=False):
    """Three pictograms, in a row, a column or a triangle."""
    a, b = rng.uniform(0.19, 0.23), rng.uniform(0.77, 0.81)
    layout = rng.choice([
        [(a, 0.5), (0.5, 0.5), (b, 0.5)], [(0.5, a), (0.5, 0.5), (0.5, b)],
        [(0.27, 0.3), (0.73, 0.3), (0.5, 0.74)], [(0.5, 0.27), (0.27, 0.72), (0.73, 0.72)]])
    return Scene(
        list(indices), [jitter(rng, x, y, 0.03) for x, y in layout],
        [rng.uniform(0.28, 0.36) for _ in range(3)], background(rng, unseen),
        says_background=rng.random() < 0.3)


def counted(rng, index, number, unseen=False):
    """The same pictogram, twice or three times."""
    scene = (pair if number == 2 else triple)(rng, [index] * number, unseen)
    scene.relation = "count"
    return scene


def jitter(rng, x, y, by):
    return x + rng.uniform(-by, by), y + rng.uniform(-by, by)


def background(rng, unseen=False):
    """A kind and two colours that differ."""
    plain, landscapes = (UNSEEN_PLAIN, UNSEEN_LANDSCAPES) if unseen else (PLAIN, LANDSCAPES)
    if rng.random() < 0.35:
        kind = rng.choice(list(landscapes))
    else:
        kind = "plain" if not unseen and rng.random() < 0.4 else rng.choice(list(plain))
    return kind, *rng.sample(list(COLOURS), 2)


def plural(phrase):
    """The plural of a name, as well as a few rules make it."""
    words = phrase.split()
    for one, many in (("man", "men"), ("woman", "women"), ("person", "people")):
        if words[0] == one:
            return " ".join([many, *words[1:]])
    last = words[-1]
    if last.endswith(("s", "x", "ch", "sh")):
        last += "" if last.endswith("s") and not last.endswith("ss") else "es"
    elif last.endswith("y") and last[-2:-1] not in "aeiou":
        last = last[:-1] + "ies"
    else:
        last += "s"
    return " ".join([*words[:-1], last])


class Writer:
    """Writes the sentences of scenes."""

    def __init__(self, pictograms, plainly=False):
        self.pictograms = pictograms
        self.plainly = plainly  # names alone, and all that the scene has

    def phrase(self, rng, index, names):
        """What a pictogram is called this time: by its name in so many cases."""
        pictogram = self.pictograms[index]
        draw = rng.random()
        if self.plainly or draw < names:
            return pictogram.name
        draw = 1 - 0.55 * (1 - draw) / (1 - names)  # of the others, the same shares
        if pictogram.phrases and draw < 0.8:
            return rng.choice(pictogram.phrases)
        words = pictogram.keywords
        if not words:
            return pictogram.name
        if draw < 0.9:
            return rng.choice(words)
        if draw < 0.95 or len(words) < 2:
            return f"{pictogram.name} {rng.choice(words)}"
        return " ".join(rng.sample(words, 2))

    def noun(self, rng, index, names, article=True):
        phrase = self.phrase(rng, index, names)
        many = phrase.split()[0].endswith("s") and " " not in phrase and not phrase.endswith("ss")
        if not article or many or phrase[0].isdigit() or rng.random() < (0 if self.plainly else 0.3):
            return phrase
        if phrase.split()[0] in ("men", "women", "people", "two"):
            return phrase
        return ("an " if phrase[0] in "aeiou" else "a ") + phrase

    def caption(self, scene, seed, names=0.45):
        """A sentence; the same seed makes the same choices for scenes that differ little."""
        rng = random.Random(seed)
        names = 1 if scene.simply else names

        def noun(index, article=True):
            return self.noun(random.Random(seed + 1 + index), index, names, article)

        objects = scene.objects
        if scene.relation == "count":
            text = rng.choice(NUMBERS[len(objects)]).format(plural(self.pictograms[objects[0]].name))
        elif len(objects) == 1:
            text = self.one(rng, noun, objects[0], scene)
        elif len(objects) == 2:
            forms = {"horizontal": HORIZONTAL, "vertical": VERTICAL}.get(scene.relation, TOGETHER)
            forms = forms[0:3:2] if scene.simply else forms
            a, b = (noun(index) for index in objects)
            if scene.relation is None and rng.random() < 0.5:
                a, b = b, a
            text = rng.choice(forms).format(a, b)
        else:
            a, b, c = (noun(index) for index in rng.sample(objects, 3))
            text = rng.choice(["{}, {} and {}", "{} and {} and {}", "{} with {} and {}"]).format(a, b, c)
        if scene.relation == "place":
            text += " " + rng.choice(PLACES[scene.place])
        if scene.says_background:
            said = self.said(rng, scene.background, scene.simply)
            text = f"{said}, {text}" if rng.random() < 0.1 else f"{text} {said}"
        if len(objects) > 1 and rng.random() < 0.3:
            text = rng.choice(["a photo of {}", "a picture of {}", "a drawing of {}", "{} in a scene"]).format(text)
        text = text.replace("a orange", "an orange")
        return text if self.plainly else punctuated(rng, text)

    def one(self, rng, noun, index, scene):
        if scene.relation == "name":
            return rng.choice(["{}", "a {}", "a photo of a {}"]).format(self.pictograms[index].name)
        if rng.random() < 0.3 or scene.relation == "place":
            return noun(index)
        template = rng.choice(TEMPLATES)
        bare = any(word + "{}" in template for word in WITHOUT_ARTICLE[:-1])
        return template.format(noun(index, article=not bare))

    @staticmethod
    def said(rng, background, simply=False):
        kind, *colours = background
        for forms in (PLAIN, LANDSCAPES, UNSEEN_PLAIN, UNSEEN_LANDSCAPES):
            if kind in forms:
                form = rng.choice(forms[kind])
                return (forms[kind][0] if simply else form).format(*colours)
        raise KeyError(kind)


def punctuated(rng, text):
    """Case and punctuation as people have them."""
    draw = rng.random()
    if draw < 0.1:
        text += "."
    elif draw < 0.13:
        text += "!"
    if rng.random() < 0.1:
        text = text.replace(" a ", " ").replace(" the ", " ")
    return text[:1].upper() + text[1:] if rng.random() < 0.2 else text
