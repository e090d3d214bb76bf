"""Trains `tiny`, a small CLIP of pictograms and simple scenes, and writes Weights/.

    Scripts/training/train.sh            everything: packages, training, evaluation, card
    python train.py --work FOLDER        the last three, going on where the checkpoint in FOLDER ends
"""

import argparse
import copy
import dataclasses
import hashlib
import math
import pathlib
import random
import time
from concurrent.futures import ThreadPoolExecutor

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
BATCH, RATE, MUON_RATE, WARM_UP, DECAY = 256, 1.5e-3, 6e-3, 100, 0.03
TWINS, RUN = 0.5, 4  # the share of twins in a batch; how many neighbours come together
# When most pictograms are told apart, and names and what is where are to be learned; when the background is
# to be learned more; and when its colours are, by themselves.
LATE, LAST, COLOURED = 1 / 3, 0.6, 2 / 3
HELD = 5 / 6  # when the rates fall no more, until the end
TAIL = 0.08  # what comes after the end, as a part of the whole
# How often twins differ in what: arrangement, an object, number, place, background.
KINDS = ("swapped", "object", "count", "place", "background")
SHARES = ((25, 32, 7, 15, 15), (40, 32, 7, 15, 15), (30, 30, 5, 10, 40))
UNKNOWN = 0.03  # the share of tokens that are hidden, so that unknown words do little harm


def vocabulary(pictograms):
    """Every word that a caption of the training can have."""
    texts = [*COLOURS, *TEMPLATES, *HORIZONTAL, *VERTICAL, *TOGETHER, ", . !", "an orange in scene"]
    for forms in (*PLAIN.values(), *LANDSCAPES.values(), *PLACES.values(), *NUMBERS.values()):
        texts += forms
    for pictogram in pictograms:
        texts += [pictogram.name, plural(pictogram.name), *pictogram.phrases, *pictogram.keywords]
    return [text.replace("{}", "").replace("{0}", "").replace("{1}", "") for text in texts]


def scenes_of_step(rng, pictograms, progress):
    """The scenes of a batch, each with the seed of its caption.

    Single pictograms, plain ones first; later also twins, which share a seed. Half of the single ones are
    neighbours in Unicode, which often look alike: clocks, moons, faces.
    """
    scenes = []
    while len(scenes) < BATCH * TWINS * ramp(progress, 0.1, 0.3):
        seed = rng.randrange(2**60)
        scenes += [(scene, seed) for scene in twins(rng, pictograms, progress)]
    alone = BATCH - len(scenes)
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


def twins(rng, pictograms, progress):
    """Two or four scenes that only one thing tells apart: hard negatives of each other.

    What is where is told simply at first, when there is something to learn it with.
    """
    while True:
        a, b, c, other = rng.sample(range(len(pictograms)), 4)
        if not is_held_out_scene(pictograms, (a, b, c, other)):
            break
    phase = (progress >= LATE) + (progress >= LAST)
    kind = rng.choices(KINDS, SHARES[phase])[0]
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
            scene.simply = phase == 1
        return scenes

    if kind == "background" and progress >= COLOURED:
        first = rng.choice((single(rng, a), pair(rng, (a, b))))
        pattern = "plain" if rng.random() < 0.6 else rng.choice(list(PLAIN))
        *colours, second = rng.sample(list(COLOURS), 5)
        first.says_background = first.simply = True
        return [dataclasses.replace(first, background=(pattern, colour, second)) for colour in colours]

    if kind == "object":
        first = rng.choice((pair(rng, (a, b)), triple(rng, (a, b, c))))
    else:
        first = rng.choice((single(rng, a), pair(rng, (a, b)), triple(rng, (a, b, c))))
    second = copy.deepcopy(first)
    if kind == "object":
        second.objects[rng.randrange(len(second.objects))] = other
    else:
        first.says_background = second.says_background = True
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
    """By how much the rates are multiplied: a warm-up, half a cosine, a tenth, down to nothing, and once
    more from a tenth. Without these, what is learned last, the colours, has too little of it.
    """
    progress = step / steps
    if progress >= 1:
        return 0.1 * (1 - (progress - 1) / TAIL)
    if progress >= HELD:
        return 0.1 * min(1, (1 - progress) / 0.05)
    return min(1, (step + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * progress))


def loss_of(images, texts, scale):
    """CLIP's: of each picture its text, and of each text its picture."""
    logits = scale * images @ texts.T
    truth = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, truth) + F.cross_entropy(logits.T, truth)) / 2


def fingerprint(seed, steps, pictograms):
    """What must be the same for a training to go on where it ended."""
    parts = [path.read_bytes() for path in sorted(pathlib.Path(__file__).parent.glob("*.py"))]
    return hashlib.sha256(b"".join([*parts, repr((seed, steps, pictograms)).encode()])).hexdigest()


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
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    steps, seed, device = arguments.steps, arguments.seed, arguments.device
    last = steps + round(TAIL * steps)
    arguments.work.mkdir(parents=True, exist_ok=True)
    arguments.out.mkdir(parents=True, exist_ok=True)

    pictograms, bitmaps = load_pictograms()
    tokens = Tokens(vocabulary(pictograms))
    print(f"{len(pictograms)} pictograms, {len(tokens.known)} tokens", flush=True)
    renderer, writer = Renderer(bitmaps, RESOLUTION), Writer(pictograms)
    glance = Evaluation(pictograms, bitmaps, singles=0.5, scenes=200)

    torch.manual_seed(seed)
    model = trainable(tokens).to(device)
    optimizers = optimizers_of(model)
    rates = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
    made_by = fingerprint(seed, steps, pictograms)
    checkpoint, start, spent, halved = arguments.work / "checkpoint.pt", 0, 0.0, device != "cpu"
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True, map_location=device)
        if saved["made_by"] != made_by:
            raise SystemExit(f"{checkpoint} is of another seed, number of steps or program: remove it to begin anew")
        model.load_state_dict(saved["model"])
        for optimizer, state in zip(optimizers, saved["optimizers"]):
            optimizer.load_state_dict(state)
        start, spent, halved = saved["step"], saved["seconds"], saved["halved"]
        print(f"going on after step {start}", flush=True)
    elif device == "cpu":
        pictures = torch.rand(BATCH, 3, RESOLUTION, RESOLUTION)
        halved = bfloat16_is_faster(copy.deepcopy(model), pictures)
    print("bfloat16" if halved else "float32", flush=True)

    def batch_of(step):
        """Pictures, rows of tokens and their ends, which depend on nothing but seed and step."""
        rng = random.Random(f"{seed} {step}")
        scenes = scenes_of_step(rng, pictograms, step / steps)
        pictures = renderer([scene for scene, _ in scenes], rng.randrange(2**60))
        names = 0.45 if step / steps < LATE else 0.7
        rows, ends = tokens([writer.caption(scene, seed, names) for scene, seed in scenes])
        hidden = torch.rand(rows.shape, generator=torch.Generator().manual_seed(rng.randrange(2**60))) < UNKNOWN
        return pictures, rows.masked_fill(hidden & (rows > 2), 0), ends

    clock, average = time.time() - spent, None
    # The next batch is drawn during a step, by one thread: more would wait for each other.
    beside = ThreadPoolExecutor(1, initializer=lambda: torch.set_num_threads(1))
    coming = beside.submit(batch_of, start)
    for step in range(start, last):
        pictures, rows, ends = (tensor.to(device) for tensor in coming.result())
        coming = beside.submit(batch_of, step + 1)
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

        average = loss.item() if average is None else 0.98 * average + 0.02 * loss.item()
        done = step + 1
        if done % 20 == 0:
            seconds = time.time() - clock
            left = seconds / done * (last - done) / 60
            print(f"step {done}/{last}  loss {average:.3f}  scale {model.logit_scale.exp():.1f}  "
                  f"{seconds / 60:.1f} min, {left:.0f} left", flush=True)
        if done % 250 == 0 or done == last:
            partial = checkpoint.with_suffix(".partial")
            torch.save({
                "model": model.state_dict(), "optimizers": [optimizer.state_dict() for optimizer in optimizers], "step": done,
                "seconds": time.time() - clock, "made_by": made_by, "halved": halved}, partial)
            partial.replace(checkpoint)
        if done % 500 == 0:
            measures = glance(model.cpu(), tokens)
            model.to(device)
            print("   ", "  ".join(f"{key} {value:.3f}" for key, value in measures.items()), flush=True)

    about = {"name": "tiny", "license": "MIT", "seed": seed, "steps": last}
    export(model.cpu(), tokens, arguments.out, "tiny", about)
    where = f"{torch.get_num_threads()} CPU cores" if device == "cpu" else torch.cuda.get_device_name()
    card.write(
        arguments.out, pictograms, bitmaps, tokens, about, BATCH, (time.time() - clock) / 60, where)
    checkpoint.rename(checkpoint.with_suffix(".finished"))


if __name__ == "__main__":
    main()
