"""Trains `tiny`, a small CLIP of pictograms and simple scenes, and writes Weights/.

    Scripts/training/train.sh            everything: packages, training, evaluation, card
    python train.py --work FOLDER        the last three, going on where the checkpoint in FOLDER ends
"""

import argparse
import copy
import dataclasses
import hashlib
import math
import os
import pathlib
import random
import time

import torch
import torch.nn.functional as F

import card
from evaluate import Evaluation
from model import Tokens, encode_images, encode_texts, export, trainable, RESOLUTION
from muon import Muon
from pictograms import is_held_out_scene
from pictograms import load as load_pictograms
from renderer import Renderer
from scenes import (
    COLOURS, HORIZONTAL, LANDSCAPES, NUMBERS, PLACES, PLAIN, TEMPLATES, TOGETHER, VERTICAL,
    Writer, background, counted, pair, placed, plain, plural, single, triple)

WEIGHTS = pathlib.Path(__file__).resolve().parents[2] / "Weights"
BATCH, STEPS = {"cpu": 256, "cuda": 1024}, {"cpu": 3000, "cuda": 3300}
RATE, MUON_RATE, WARM_UP, DECAY = 1.5e-3, 6e-3, 100, 0.03
TWINS, RUN = 0.5, 4  # the share of twins in a batch; how many neighbours come together
# How often twins differ in what.
KINDS = {"swapped": 30, "object": 30, "background": 25, "place": 10, "count": 5}
SIMPLY = 0.5  # how often what is where, and a colour, are told simply: else neither is learned
NAMES = 0.6  # how often a pictogram is called by its name
UNKNOWN = 0.03  # the share of tokens that are hidden, so that unknown words do little harm


def vocabulary(pictograms):
    """Every word that a caption of the training can have."""
    texts = [*COLOURS, *TEMPLATES, *HORIZONTAL, *VERTICAL, *TOGETHER, ", . !", "an orange in scene"]
    for forms in (*PLAIN.values(), *LANDSCAPES.values(), *PLACES.values(), *NUMBERS.values()):
        texts += forms
    for pictogram in pictograms:
        texts += [pictogram.name, plural(pictogram.name), *pictogram.phrases, *pictogram.keywords]
    return [text.replace("{}", "").replace("{0}", "").replace("{1}", "") for text in texts]


def scenes_of_step(rng, pictograms, count, progress):
    """The scenes of a batch, each with the seed of its caption.

    Single pictograms, plain ones first; later also twins, which share a seed. Half of the single ones are
    neighbours in Unicode, which often look alike: clocks, moons, faces.
    """
    scenes = []
    while len(scenes) < count * TWINS * ramp(progress, 0.1, 0.3):
        seed = rng.randrange(2**60)
        scenes += [(scene, seed) for scene in twins(rng, pictograms)]
    alone = count - len(scenes)
    runs = list(range(rng.randrange(RUN), len(pictograms) - RUN + 1, RUN))
    chosen = {first + i for first in rng.sample(runs, alone // 2 // RUN) for i in range(RUN)}
    others = [index for index in range(len(pictograms)) if index not in chosen]
    plainly = 1 - ramp(progress, 0.05, 0.25)
    for index in [*sorted(chosen), *rng.sample(others, alone - len(chosen))]:
        scene = (plain if rng.random() < plainly else single)(rng, index)
        scenes.append((scene, rng.randrange(2**60)))
    return scenes


def ramp(progress, start, end):
    return min(1, max(0, (progress - start) / (end - start)))


def twins(rng, pictograms):
    """Two or four scenes that only one thing tells apart: hard negatives of each other."""
    while True:
        a, b, c, other = rng.sample(range(len(pictograms)), 4)
        if not is_held_out_scene(pictograms, (a, b, c, other)):
            break
    kind = rng.choices(list(KINDS), KINDS.values())[0]
    simply = rng.random() < SIMPLY
    if kind == "count":
        return [counted(rng, a, 2), counted(rng, a, 3)]
    if kind == "place":
        first = placed(rng, a)
        while (second := placed(rng, a)).place == first.place:
            pass
        second.background, second.says_background = first.background, first.says_background
        return [first, second]
    if kind == "swapped":
        scenes = [pair(rng, objects, relation=relation)
                  for relation in ("horizontal", "vertical") for objects in ((a, b), (b, a))]
        for scene in scenes:
            scene.background, scene.says_background = scenes[0].background, scenes[0].says_background
            scene.simply = simply
        return scenes

    first = rng.choice((single(rng, a), pair(rng, (a, b)), triple(rng, (a, b, c))))
    if kind == "object":
        first = first if len(first.objects) > 1 else pair(rng, (a, b))
        second = copy.deepcopy(first)
        second.objects[rng.randrange(len(second.objects))] = other
        return [first, second]
    first.says_background = True
    if simply:
        first.simply, pattern = True, "plain" if rng.random() < 0.6 else rng.choice(list(PLAIN))
        *colours, second = rng.sample(list(COLOURS), 5)
        return [dataclasses.replace(first, background=(pattern, colour, second)) for colour in colours]
    second = copy.deepcopy(first)
    while visible(second) == visible(first):
        second.background = background(rng)
    return [first, second]


def visible(scene):
    """What a sentence can say of the background."""
    kind, *colours = scene.background
    return kind if kind in LANDSCAPES else colours[:1] if kind == "plain" else colours


def optimizers_of(model):
    """Muon for the matrices and convolutions within the towers, AdamW for all else."""
    inner, others = [], []
    for name, parameter in model.named_parameters():
        is_inner = parameter.ndim > 1 and "resblocks" in name or parameter.ndim > 2 and "layer" in name
        (inner if is_inner else others).append(parameter)
    return [
        Muon(inner, lr=MUON_RATE, weight_decay=DECAY),
        torch.optim.AdamW(others, lr=RATE, betas=(0.9, 0.98), eps=1e-6, weight_decay=0)]


def schedule(step, steps):
    """By how much the rates are multiplied: a warm-up, then half a cosine down to nothing."""
    return min(1, (step + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * step / steps))


def loss_of(images, texts, scale):
    """CLIP's: of each picture its text, and of each text its picture."""
    logits = scale * images @ texts.T
    truth = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, truth) + F.cross_entropy(logits.T, truth)) / 2


class Batches(torch.utils.data.Dataset):
    """The batch of each step: pictures in 8 bits, rows of tokens and their ends.

    It depends on nothing but seed and step, whoever draws it.
    """

    def __init__(self, pictograms, bitmaps, tokens, count, steps, seed):
        self.pictograms, self.tokens, self.count, self.steps, self.seed = pictograms, tokens, count, steps, seed
        self.renderer, self.writer = Renderer(bitmaps, RESOLUTION), Writer(pictograms)

    def __getitem__(self, step):
        rng = random.Random(f"{self.seed} {step}")
        scenes = scenes_of_step(rng, self.pictograms, self.count, step / self.steps)
        parts = [scenes[start : start + 256] for start in range(0, len(scenes), 256)]
        pictures = torch.cat([
            (self.renderer([scene for scene, _ in part], rng.randrange(2**60)) * 255).round().byte() for part in parts])
        rows, ends = self.tokens([self.writer.caption(scene, seed, NAMES) for scene, seed in scenes])
        hidden = torch.rand(rows.shape, generator=torch.Generator().manual_seed(rng.randrange(2**60))) < UNKNOWN
        return pictures, rows.masked_fill(hidden & (rows > 2), 0), ends


def fingerprint(*settings):
    """What must be the same for a training to go on where it ended."""
    parts = [path.read_bytes() for path in sorted(pathlib.Path(__file__).parent.glob("*.py"))]
    return hashlib.sha256(b"".join([*parts, repr(settings).encode()])).hexdigest()


def bfloat16_is_faster(model, pictures):
    """Whether this CPU trains the image tower faster in bfloat16 than in float32."""
    seconds = {False: math.inf, True: math.inf}
    for halved in (False, True) * 4:
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=halved):
            encode_images(model, pictures).sum().backward()
        seconds[halved] = min(seconds[halved], time.perf_counter() - start)
    return seconds[True] < seconds[False]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=pathlib.Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--out", type=pathlib.Path, default=WEIGHTS, help="folder of weights and card")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--steps", type=int, help=f"instead of {STEPS['cpu']} on a CPU and {STEPS['cuda']} on a GPU")
    parser.add_argument("--batch", type=int, help=f"instead of {BATCH['cpu']} on a CPU and {BATCH['cuda']} on a GPU")
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    device, seed = arguments.device, arguments.seed
    steps, batch = arguments.steps or STEPS[device], arguments.batch or BATCH[device]
    arguments.work.mkdir(parents=True, exist_ok=True)
    arguments.out.mkdir(parents=True, exist_ok=True)

    pictograms, bitmaps = load_pictograms()
    tokens = Tokens(vocabulary(pictograms))
    print(f"{len(pictograms)} pictograms, {len(tokens.known)} tokens", flush=True)
    batches = Batches(pictograms, bitmaps, tokens, batch, steps, seed)
    glance = Evaluation(pictograms, bitmaps, singles=0.5, scenes=200)

    torch.manual_seed(seed)
    model = trainable(tokens).to(device)
    optimizers = optimizers_of(model)
    rates = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
    made_by = fingerprint(seed, steps, batch, pictograms)
    checkpoint, start, spent, halved = arguments.work / "checkpoint.pt", 0, 0.0, device != "cpu"
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True, map_location=device)
        if saved["made_by"] != made_by:
            raise SystemExit(f"{checkpoint} is of another seed, number of steps, batch or program: remove it to begin anew")
        model.load_state_dict(saved["model"])
        for optimizer, state in zip(optimizers, saved["optimizers"]):
            optimizer.load_state_dict(state)
        start, spent, halved = saved["step"], saved["seconds"], saved["halved"]
        print(f"going on after step {start}", flush=True)
    elif device == "cpu":
        pictures = torch.rand(batch, 3, RESOLUTION, RESOLUTION)
        halved = bfloat16_is_faster(copy.deepcopy(model), pictures)
    print("bfloat16" if halved else "float32", flush=True)

    # Drawn by processes of one thread each: one beside a training on the CPU, else nearly a core each.
    coming = torch.utils.data.DataLoader(
        batches, batch_size=None, sampler=range(start, steps), pin_memory=device != "cpu", prefetch_factor=4,
        num_workers=1 if device == "cpu" else max(1, os.cpu_count() - 2))
    clock, average = time.time() - spent, None
    for step, (pictures, rows, ends) in enumerate(coming, start):
        pictures, rows = pictures.to(device, non_blocking=True) / 255, rows.to(device, non_blocking=True)
        for optimizer, rate in zip(optimizers, rates):
            optimizer.param_groups[0]["lr"] = rate * schedule(step, steps)
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=halved):
            images, texts = encode_images(model, pictures), encode_texts(model, rows, ends)
        loss = loss_of(images, texts, model.logit_scale.exp())
        model.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(100))

        average = loss.detach() if average is None else average.lerp(loss.detach(), 0.02)
        done = step + 1
        if done % 20 == 0:
            seconds = time.time() - clock
            left = seconds / done * (steps - done) / 60
            print(f"step {done}/{steps}  loss {average.item():.3f}  scale {model.logit_scale.exp():.1f}  "
                  f"{seconds / 60:.1f} min, {left:.0f} left", flush=True)
        if done % 250 == 0 or done == steps:
            partial = checkpoint.with_suffix(".partial")
            torch.save({
                "model": model.state_dict(), "optimizers": [optimizer.state_dict() for optimizer in optimizers], "step": done,
                "seconds": time.time() - clock, "made_by": made_by, "halved": halved}, partial)
            partial.replace(checkpoint)
        if done % max(1, steps // 6) == 0:
            measures = glance(model, tokens)
            print("   ", "  ".join(f"{key} {value:.3f}" for key, value in measures.items()), flush=True)

    about = {"name": "tiny", "license": "MIT", "seed": seed, "steps": steps}
    export(model.cpu(), tokens, arguments.out, "tiny", about)
    where = f"{torch.get_num_threads()} CPU cores" if device == "cpu" else f"an {torch.cuda.get_device_name()}"
    card.write(
        arguments.out, pictograms, bitmaps, tokens, about, batch, (time.time() - clock) / 60, where)
    checkpoint.rename(checkpoint.with_suffix(".finished"))


if __name__ == "__main__":
    main()
