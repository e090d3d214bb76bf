"""Makes data sets of rendered pictograms from a seed, for evaluation.py.

    VENV/bin/python Scripts/parity/evaluation_sets.py FOLDER [--count 3000] [--seed 2026]

The images are lossless WebP of different sizes. WebDatasets are written by CLIP_benchmark's own
converter, in several shards. Needs the Debian packages of Scripts/training/train.sh.
"""

import argparse
import contextlib
import io
import json
import pathlib
import random
import shutil
import sys
import tarfile

import numpy
import torch
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "Scripts/training"))
import pictograms  # noqa: E402
import renderer  # noqa: E402
import scenes  # noqa: E402

CLASSES = 100
SHARDS = 4
TEMPLATES = ["a photo of a {c}.", "a picture of a {c}", "an emoji of a {c}"]
BACKGROUNDS = [*scenes.COLOURS, *scenes.UNSEEN_PLAIN, *scenes.UNSEEN_LANDSCAPES]
# A class that no image has; its average precision is 0.
ABSENT = "the far side of the moon"


class Render:
    """An image of one pictogram, as bytes of WebP, with its label, background and captions."""

    def __init__(self, label, scene):
        self.label, self.scene = label, scene
        kind, *colours = scene.background
        self.backgrounds = [kind] if kind in scenes.UNSEEN_LANDSCAPES else [kind, *colours]


def encoded(image):
    file = io.BytesIO()
    image.save(file, "WEBP", lossless=True, method=1, quality=20)
    return file.getvalue()


def render(count, seed, side=256):
    """Returns `count` renders in random order of classes, and the names of the classes."""
    found, bitmaps = pictograms.load()
    rng = random.Random(seed)
    single = [index for index, pictogram in enumerate(found) if pictogram.base]
    beyond_ascii = [index for index in single if not found[index].name.isascii()]
    chosen = beyond_ascii[:1] + rng.sample(sorted(set(single) - set(beyond_ascii)), CLASSES)
    chosen = chosen[:CLASSES]
    rng.shuffle(chosen)
    labels = [number % CLASSES for number in range(count)]
    rng.shuffle(labels)
    renders = [Render(label, scenes.single(rng, chosen[label], True)) for label in labels]
    draw = renderer.Renderer(bitmaps, side, unseen=True)
    for start in range(0, count, 100):
        part = renders[start : start + 100]
        for one, pixels in zip(part, draw([one.scene for one in part], seed + start)):
            image = Image.fromarray(renderer.to_bytes(pixels))
            # Other sides, odd numbers among them, so that images are resized and cropped.
            width, height = rng.choice([(side, side), (side, rng.randrange(200, side)),
                                        (rng.randrange(200, side), side)])  # fmt: skip
            left, top = (side - width) // 2, (side - height) // 2
            one.bytes = encoded(image.crop((left, top, left + width, top + height)))
    caption(renders, scenes.Writer(found), rng)
    return renders, [found[index].name for index in chosen]


def caption(renders, writer, rng):
    """Writes two or three captions for each image; no two captions are equal."""
    written = set()
    for one in renders:
        one.captions, wanted = [], rng.choice((2, 3))
        while len(one.captions) < wanted:
            one.scene.says_background = rng.random() < 0.7
            text = writer.caption(one.scene, rng.randrange(2**32))
            if text in written:
                text += f", number {len(written)}"
            written.add(text)
            one.captions.append(text)


class Samples(list):
    """Pairs of an image and its target, with what CLIP_benchmark's converter reads of a set."""

    classes = templates = None


def write(folder, samples, classes, kind="classification", templates=TEMPLATES):
    """Writes a WebDataset with CLIP_benchmark's converter."""
    from clip_benchmark import webdataset_builder

    samples = Samples(samples)
    options = {"max_count": -(-len(samples) // SHARDS)}
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        if kind == "retrieval":
            webdataset_builder.convert_retrieval_dataset(samples, "test", str(folder), **options)
        else:
            samples.classes, samples.templates = classes, templates
            webdataset_builder.convert_dataset(
                samples, "test", str(folder), multilabel=kind == "multilabel", **options)


def write_folder(folder, renders, names):
    """Writes one subfolder per class, with the images in it."""
    for number, one in enumerate(renders):
        path = folder / names[one.label] / f"{number:05}.webp"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(one.bytes)


def vectors(renders, names):
    """Returns the names and targets of many labels: pictogram, kind of background, colours.

    Every fiftieth image has no label, and no image has the class ABSENT.
    """
    every = [*names, *BACKGROUNDS, ABSENT]
    place = {name: index for index, name in enumerate(every)}
    targets = []
    for number, one in enumerate(renders):
        target = numpy.zeros(len(every), dtype="int64")
        if number % 50 != 49:
            target[[one.label, *(place[name] for name in one.backgrounds)]] = 1
        targets.append(torch.from_numpy(target))
    return every, targets


def with_ties(renders, names):
    """Repeats images and captions and leaves some images without captions; returns both sets."""
    some = renders[: len(renders) // 10]
    pairs = [(one.bytes, one.captions) for one in some]
    repeated = [(image, captions if number % 3 else captions[:1])
                for number, (image, captions) in enumerate(pairs[: len(pairs) // 2])]  # fmt: skip
    without = [(one.bytes, []) for one in renders[len(some) : len(some) + 20]]
    # Of each two classes, the second has the name of the first.
    twins = [names[index - index % 2] for index in range(len(names))]
    return pairs + repeated + without, [(one.bytes, one.label) for one in some], twins


def make(folder, count, seed):
    """Makes all sets in a folder, unless they are there already."""
    folder.mkdir(parents=True, exist_ok=True)
    recipe = {"count": count, "seed": seed, "version": 2}
    stamp = folder / "recipe.json"
    if stamp.exists() and json.loads(stamp.read_text()) == recipe:
        return
    stamp.unlink(missing_ok=True)
    for name in ("classes", "multilabel", "retrieval", "folder", "integers", "three", "missing",
                 "few", "ties", "twins", "odd"):  # fmt: skip
        shutil.rmtree(folder / name, ignore_errors=True)
    renders, names = render(count, seed)
    labelled = [(one.bytes, one.label) for one in renders]
    write(folder / "classes", labelled, names)
    every, targets = vectors(renders, names)
    write(folder / "multilabel", zip([one.bytes for one in renders], targets), every, "multilabel")
    write(folder / "retrieval", [(one.bytes, one.captions) for one in renders], None, "retrieval")
    write_folder(folder / "folder", renders, names)
    write_folder(folder / "integers", renders[: count // 3], [str(n) for n in range(CLASSES)])
    (folder / "integers.txt").write_text("\n".join(names) + "\n")
    write(folder / "three", [pair for pair in labelled if pair[1] < 3], names[:3])
    write(folder / "missing", [pair for pair in labelled if pair[1] % 3], names)
    write(folder / "few", [pair for pair in labelled if pair[1] < 7][:32], names[:7],
          templates=TEMPLATES[:1])
    pairs, same, twins = with_ties(renders, names)
    write(folder / "ties", pairs, None, "retrieval")
    write(folder / "twins", same, twins)
    write_odd(folder / "odd", renders[:60], names)
    stamp.write_text(json.dumps(recipe))


# MARK: Sets with something wrong


def archive(path, samples):
    """Writes a .tar of samples, each a dictionary from extension to bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for number, sample in enumerate(samples):
            for extension, data in sample.items():
                member = tarfile.TarInfo(f"s{number:07}.{extension}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    (path.parent / "nshards.txt").write_text("1\n")


def write_odd(folder, renders, names):
    """Writes sets that have one thing wrong each; NAME-good has the samples that are right."""

    def classes(name, samples, names=names):
        archive(folder / name / "test/0.tar", samples)
        (folder / name / "zeroshot_classification_templates.txt").write_text(TEMPLATES[0] + "\n")
        if names:
            (folder / name / "classnames.txt").write_text("\n".join(names) + "\n")

    def captions(name, samples):
        archive(folder / name / "test/0.tar", samples)
        (folder / name / "dataset_type.txt").write_text("retrieval\n")

    good = [{"webp": one.bytes, "cls": str(one.label).encode()} for one in renders]
    classes("truncated-good", good[:40])
    classes("truncated", good)
    path = folder / "truncated/test/0.tar"
    with tarfile.open(path) as tar:
        member = tar.getmember("s0000040.webp")
        cut = member.offset_data + member.size // 2
    path.write_bytes(path.read_bytes()[:cut])

    classes("outside-good", good[:10] + good[11:])
    classes("outside", [*good[:10], good[10] | {"cls": str(len(names)).encode()}, *good[11:]])
    classes("unreadable-good", good[:10] + good[11:20] + good[21:])
    half = renders[10].bytes[: len(renders[10].bytes) // 2]
    classes("unreadable", [*good[:10], good[10] | {"webp": half}, *good[11:20],
                           good[20] | {"webp": b"not an image"}, *good[21:]])  # fmt: skip
    classes("nameless", good, None)

    right = [{"webp": one.bytes, "txt": "\n".join(one.captions).encode()} for one in renders]
    captions("latin1-good", right[:10] + right[11:])
    captions("latin1", [*right[:10], right[10] | {"txt": "a café".encode("latin-1")},
                        *right[11:]])  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=2026)
    arguments = parser.parse_args()
    make(arguments.folder, arguments.count, arguments.seed)


if __name__ == "__main__":
    main()
