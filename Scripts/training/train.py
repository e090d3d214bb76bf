"""Trains `tiny`, a small CLIP of pictograms and simple scenes, and writes Weights/.

    Scripts/training/train.sh            everything: packages, training, evaluation, card
    python train.py --work FOLDER        the last three, going on where the checkpoint in FOLDER ends
"""

import argparse
import copy
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
from pictograms import is_held_out_scene
from pictograms import load as load_pictograms
from renderer import Renderer
from scenes import (
    COLOURS, HORIZONTAL, LANDSCAPES, NUMBERS, PLACES, PLAIN, TEMPLATES, TOGETHER, VERTICAL,
    Writer, background, counted, pair, placed, plain, plural, single, triple)

WEIGHTS = pathlib.Path(__file__).resolve().parents[2] / "Weights"
BATCH, RATE, WARM_UP, DECAY = 256, 1e-3, 150, 0.03
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

    Single pictograms, plain ones first; later also twins, which differ in one thing and share a seed.
    """
    count = len(pictograms)
    twins = int(BATCH / 2 * 0.48 * ramp(progress, 0.08, 0.3))
    plainly = 1 - ramp(progress, 0.05, 0.25)
    scenes = [
        ((plain if rng.random() < plainly else single)(rng, index), rng.randrange(2**60))
        for index in rng.sample(range(count), BATCH - 2 * twins)]
    for _ in range(twins):
        seed = rng.randrange(2**60)
        scenes += [(scene, seed) for scene in twin(rng, pictograms)]
    return scenes


def ramp(progress, start, end):
    return min(1, max(0, (progress - start) / (end - start)))


def twin(rng, pictograms):
    """Two scenes that only one thing tells apart: hard negatives of each other."""
    while True:
        a, b, c, other = rng.sample(range(len(pictograms)), 4)
        if not is_held_out_scene(pictograms, (a, b, c, other)):
            break
    kind = rng.choices(
        ("swapped", "object", "count", "place", "background"), (36, 24, 10, 14, 16))[0]
    if kind == "count":
        return [counted(rng, a, 2), counted(rng, a, 3)]
    if kind == "place":
        first = placed(rng, a)
        while (second := placed(rng, a)).place == first.place:
            pass
        second.background, second.says_background = first.background, first.says_background
        return [first, second]

    if kind == "swapped":
        first = pair(rng, (a, b), relation=rng.choice(("horizontal", "vertical")))
    elif kind == "object":
        first = rng.choice((pair(rng, (a, b)), triple(rng, (a, b, c))))
    else:
        first = rng.choice((single(rng, a), pair(rng, (a, b)), triple(rng, (a, b, c))))
    second = copy.deepcopy(first)
    if kind == "swapped":
        second.objects.reverse()
    elif kind == "object":
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


def optimizer_of(model):
    matrices = [p for name, p in model.named_parameters() if p.ndim > 1 and "embedding" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim < 2 or "embedding" in name]
    groups = [{"params": matrices, "weight_decay": DECAY}, {"params": others, "weight_decay": 0}]
    return torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.98), eps=1e-6)


def rate(step, steps):
    if step < WARM_UP:
        return RATE * (step + 1) / WARM_UP
    return RATE * 0.5 * (1 + math.cos(math.pi * (step - WARM_UP) / (steps - WARM_UP)))


def loss_of(images, texts, scale):
    """CLIP's: of each picture its text, and of each text its picture."""
    logits = scale * images @ texts.T
    truth = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, truth) + F.cross_entropy(logits.T, truth)) / 2


def fingerprint(seed, steps, pictograms):
    """What must be the same for a training to go on where it ended."""
    parts = [path.read_bytes() for path in sorted(pathlib.Path(__file__).parent.glob("*.py"))]
    return hashlib.sha256(b"".join([*parts, repr((seed, steps, pictograms)).encode()])).hexdigest()


def fast_bfloat16():
    """Whether this CPU multiplies bfloat16 faster than float32."""
    flags = pathlib.Path("/proc/cpuinfo")
    return flags.exists() and any(name in flags.read_text() for name in ("avx512_bf16", "amx_bf16"))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=pathlib.Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--out", type=pathlib.Path, default=WEIGHTS, help="folder of weights and card")
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    steps, seed, device = arguments.steps, arguments.seed, arguments.device
    arguments.work.mkdir(parents=True, exist_ok=True)
    arguments.out.mkdir(parents=True, exist_ok=True)

    pictograms, bitmaps = load_pictograms()
    tokens = Tokens(vocabulary(pictograms))
    print(f"{len(pictograms)} pictograms, {len(tokens.known)} tokens", flush=True)
    renderer, writer = Renderer(bitmaps, RESOLUTION), Writer(pictograms)
    glance = Evaluation(pictograms, bitmaps, singles=0.5, scenes=200)

    torch.manual_seed(seed)
    model = trainable(tokens).to(device)
    optimizer = optimizer_of(model)
    made_by = fingerprint(seed, steps, pictograms)
    checkpoint, start, spent = arguments.work / "checkpoint.pt", 0, 0.0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True, map_location=device)
        if saved["made_by"] != made_by:
            raise SystemExit(f"{checkpoint} is of another seed, number of steps or program: remove it to begin anew")
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        start, spent = saved["step"], saved["seconds"]
        print(f"going on after step {start}", flush=True)

    halved = device != "cpu" or fast_bfloat16()
    def batch_of(step):
        """Pictures, rows of tokens and their ends, which depend on nothing but seed and step."""
        rng = random.Random(f"{seed} {step}")
        scenes = scenes_of_step(rng, pictograms, step / steps)
        pictures = renderer([scene for scene, _ in scenes], rng.randrange(2**60))
        rows, ends = tokens([writer.caption(scene, seed) for scene, seed in scenes])
        hidden = torch.rand(rows.shape, generator=torch.Generator().manual_seed(rng.randrange(2**60))) < UNKNOWN
        return pictures, rows.masked_fill(hidden & (rows > 2), 0), ends

    clock, average = time.time() - spent, None
    beside = ThreadPoolExecutor(1)  # the next batch is drawn during a step
    coming = beside.submit(batch_of, start)
    for step in range(start, steps):
        pictures, rows, ends = (tensor.to(device) for tensor in coming.result())
        coming = beside.submit(batch_of, step + 1)
        for group in optimizer.param_groups:
            group["lr"] = rate(step, steps)
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=halved):
            images, texts = encode_images(model, pictures), encode_texts(model, rows, ends)
        loss = loss_of(images, texts, model.logit_scale.exp())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(100))

        average = loss.item() if average is None else 0.98 * average + 0.02 * loss.item()
        done = step + 1
        if done % 20 == 0:
            seconds = time.time() - clock
            left = seconds / done * (steps - done) / 60
            print(f"step {done}/{steps}  loss {average:.3f}  scale {model.logit_scale.exp():.1f}  "
                  f"{seconds / 60:.1f} min, {left:.0f} left", flush=True)
        if done % 250 == 0 or done == steps:
            partial = checkpoint.with_suffix(".partial")
            torch.save({
                "model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": done,
                "seconds": time.time() - clock, "made_by": made_by}, partial)
            partial.replace(checkpoint)
        if done % 500 == 0:
            measures = glance(model.cpu(), tokens)
            model.to(device)
            print("   ", "  ".join(f"{key} {value:.3f}" for key, value in measures.items()), flush=True)

    about = {"name": "tiny", "license": "MIT", "seed": seed, "steps": steps}
    export(model.cpu(), tokens, arguments.out, "tiny", about)
    where = f"{torch.get_num_threads()} CPU cores" if device == "cpu" else torch.cuda.get_device_name()
    card.write(
        arguments.out, pictograms, bitmaps, tokens, about, BATCH, (time.time() - clock) / 60, where)
    checkpoint.rename(checkpoint.with_suffix(".finished"))


if __name__ == "__main__":
    main()
