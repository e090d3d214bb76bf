"""Measures a model on renders that the training never made: other backgrounds, light and scenes."""

import copy
import random

import torch
from PIL import Image

from model import encode_images, encode_texts, preprocess
from pictograms import is_held_out_scene, load_symbola
from renderer import Renderer, to_bytes
from scenes import COLOURS, UNSEEN_PLAIN, Writer, pair, single, triple

SIDE = 160  # of the pictures, which are preprocessed as any others


def held_out_objects(rng, pictograms, number):
    """Pictograms of which two are never shown together in the training."""
    while True:
        objects = rng.sample(range(len(pictograms)), number)
        if is_held_out_scene(pictograms, objects):
            return objects


class Evaluation:
    def __init__(self, pictograms, bitmaps, singles=2, scenes=500, seed=1):
        self.pictograms = pictograms
        self.writer = Writer(pictograms, plainly=True)
        self.base = [index for index, pictogram in enumerate(pictograms) if pictogram.base]
        rng = random.Random(f"evaluation {seed}")
        count = len(pictograms)
        renderer = Renderer(bitmaps, SIDE, unseen=True)

        self.single_objects = self.base * singles if singles >= 1 else rng.sample(self.base, int(len(self.base) * singles))
        self.single_pictures = self.draw(renderer, [single(rng, index, True) for index in self.single_objects], 1)

        self.sets = {}
        for name in ("object", "colour", "place", "retrieval"):
            specs, wrong = [], []
            while len(specs) < scenes:
                number = 2 if name == "place" else rng.choice((2, 3))
                objects = held_out_objects(rng, pictograms, number)
                if name == "place":
                    scene = pair(rng, objects, True, rng.choice(("horizontal", "vertical")))
                else:
                    scene = (pair if number == 2 else triple)(rng, objects, True)
                scene.says_background = name in ("colour", "retrieval")
                other = copy.deepcopy(scene)
                if name == "colour":
                    scene.background = (rng.choice(list(UNSEEN_PLAIN)), *scene.background[1:])
                    unused = rng.choice([colour for colour in COLOURS if colour not in scene.background])
                    other.background = (scene.background[0], unused, scene.background[2])
                elif name == "place":
                    other.objects.reverse()
                else:
                    other.objects[rng.randrange(number)] = rng.choice([i for i in range(count) if i not in objects])
                specs.append(scene)
                wrong.append(other)
            seeds = [rng.randrange(2**32) for _ in specs]
            self.sets[name] = (
                self.draw(renderer, specs, len(self.sets) + 2),
                [self.writer.caption(scene, seed) for scene, seed in zip(specs, seeds)],
                [self.writer.caption(scene, seed) for scene, seed in zip(wrong, seeds)])

    @staticmethod
    def draw(renderer, scenes, seed):
        pictures = []
        for start in range(0, len(scenes), 100):
            pictures += [
                preprocess(Image.fromarray(to_bytes(picture)))
                for picture in renderer(scenes[start : start + 100], seed * 10_000 + start)]
        return torch.stack(pictures)

    @torch.no_grad()
    def __call__(self, model, tokens, trained_tokens=None):
        """A dictionary of measures, each a share from 0 to 1.

        With the tokens of the training, also how far it carries to another font and other words.
        """
        model.eval()
        device = model.logit_scale.device

        def images(pictures):
            return torch.cat([encode_images(model, part.to(device)).cpu() for part in pictures.split(200)])

        def texts(captions):
            parts = [tokens(captions[start : start + 200]) for start in range(0, len(captions), 200)]
            return torch.cat([encode_texts(model, rows.to(device), ends).cpu() for rows, ends in parts])

        names = [self.pictograms[index].name for index in self.base]
        labels = texts([f"a picture of {'an' if name[0] in 'aeiou' else 'a'} {name}" for name in names])
        row = {index: row for row, index in enumerate(self.base)}
        truth = torch.tensor([row[index] for index in self.single_objects])
        measures = ranking(images(self.single_pictures) @ labels.T, truth)

        for name, (pictures, captions, wrong) in self.sets.items():
            seen, right = images(pictures), texts(captions)
            if name == "retrieval":
                scores = right @ seen.T
                measures["retrieval_recall_at_1"] = hit(scores, torch.arange(len(scores)), 1)
            else:
                beats = (seen * right).sum(1) > (seen * texts(wrong)).sum(1)
                measures[f"wrong_{name}"] = beats.float().mean().item()

        if trained_tokens:
            indices, bitmaps = load_symbola(self.pictograms)
            renderer = Renderer(bitmaps, SIDE)
            rng = random.Random("symbola")
            specs = [single(rng, which, True) for which in range(len(indices))]
            for spec in specs:
                spec.background = ("plain", "white", "black")
            measured = ranking(
                images(self.draw(renderer, specs, 9)) @ labels.T, torch.tensor([row[index] for index in indices]))
            measures |= {f"symbola_{key}": value for key, value in measured.items()}

            owners = {}
            for index in self.base:
                for word in self.pictograms[index].held_out:
                    owners.setdefault(word, []).append(row[index])
            known = [word for word in owners if 0 not in trained_tokens([word])[0]]
            pictures = images(self.single_pictures[: len(self.base)])
            for group, words in (("keyword", list(owners)), ("keyword_of_known_words", known)):
                scores = texts([f"a picture of {word}" for word in words]) @ pictures.T
                best = scores.topk(5).indices.tolist()
                hits = [any(index in owners[word] for index in found) for word, found in zip(words, best)]
                measures[f"{group}_top_5"] = sum(hits) / len(hits)
                for line, word in zip(scores, words):  # the others of a keyword are no mistake
                    line[owners[word][1:]] = -1
                measures[f"{group}_ten_way"] = ranking(
                    scores, torch.tensor([owners[word][0] for word in words]))["ten_way"]
                measures[f"{group}_count"] = len(words)
        model.train()
        return measures


def ranking(scores, truth):
    """How often the truth is first among two, ten and all, and among the first five."""
    random = torch.Generator().manual_seed(0)
    count, classes = scores.shape
    right = scores[torch.arange(count), truth][:, None]
    others = torch.randint(0, classes - 1, (count, 9), generator=random)
    others += others >= truth[:, None]
    wrong = scores.gather(1, others)
    return {
        "two_way": (right > wrong[:, :1]).float().mean().item(),
        "ten_way": (right > wrong).all(1).float().mean().item(),
        "top_1": hit(scores, truth, 1), "top_5": hit(scores, truth, 5)}


def hit(scores, truth, k):
    return (scores.topk(k).indices == truth[:, None]).any(1).float().mean().item()
