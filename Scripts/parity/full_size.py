"""Compares `clip` with PyTorch at full size, on seeded random weights.

For each architecture: open_clip (or transformers, for the layout of Hugging Face) makes a model
from a seed, writes it as safetensors with its configuration, and encodes the same images and texts
as `clip encode`. Prints the least cosine, the largest difference relative to the largest number of
PyTorch's result, and likewise the largest differences of both from PyTorch in float64.

The families after CLIP, SigLIP and others, are made by full_size_families.py, with a tokenizer file
beside the weights, and NaFlex models with three parts of the first image, of different shapes.

A name may end in @LAYERS for that number of blocks a tower, ^SIDE for images of another size than
that of the weights, with interpolated positional embeddings, or +squash for the preprocessing of
SigLIP and others (squashed, bilinear, 0.5).

    python -m venv VENV && VENV/bin/pip install -r Scripts/parity/requirements.txt
    swift build -c release
    VENV/bin/python Scripts/parity/full_size.py --weights FOLDER --images IMAGE...
        [--models NAME...] [--gemma VOCABULARY.json.gz]

The folder keeps the weights, up to 4 GB a model, for a quick second run; --remove deletes them.
--reference-only needs no `clip` and prints only how far PyTorch is from float64. --gemma has the
list of Gemma's pieces, for SigLIP 2; without it a trained vocabulary stands in.
"""

import argparse
import copy
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import full_size_families
import numpy
import open_clip
import open_clip.model
import torch
from open_clip.transform import image_transform
from PIL import Image
from safetensors.torch import load_file, save_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODELS = [
    "RN50-quickgelu", "RN101-quickgelu", "RN50x4-quickgelu", "RN50x16-quickgelu",
    "RN50x64-quickgelu",
    "ViT-B-32-quickgelu", "ViT-B-16-quickgelu", "ViT-L-14-quickgelu", "ViT-L-14-336-quickgelu",
    "ViT-B-32", "ViT-H-14", "ViT-g-14@4", "ViT-bigG-14@4", "ViT-B-32^288", "ViT-B-16^160",
    "ViT-B-32+squash",
    "hf:ViT-B-32", *full_size_families.MODELS,
]  # fmt: skip
TEXTS = [
    "a man riding bicycle",
    "a man climbing mountain",
    "",
    "a photo of a cat",
    "An astronaut, on a horse -- rendered in the style of Vermeer; 4k, 1665!",
    "naïve café 東京タワー " + "very " * 40 + "long",
]
MEAN, STD = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD


def randomise(model):
    """Randomises every bias and norm; with their initial 0 and 1 a mistake would not show."""
    with torch.no_grad():
        for name, tensor in list(model.named_parameters()) + list(model.named_buffers()):
            noise = torch.rand(tensor.shape) if tensor.is_floating_point() else None
            if name.endswith(("bias", "running_mean")):
                tensor.copy_(0.2 * noise - 0.1)
            elif name.endswith("running_var"):
                tensor.copy_(0.5 + noise)
            elif (
                "ln_" in name or "layer_norm" in name or "layrnorm" in name or "layernorm" in name
            ) and name.endswith("weight"):
                tensor.copy_(0.75 + 0.5 * noise)
            elif ("bn" in name or "downsample.1" in name) and name.endswith("weight"):
                tensor.copy_(0.4 + 0.4 * noise)


def make_open_clip(name, folder):
    """Returns a model, the side of its images and their preprocessing."""
    base, _, layers = name.replace("^", "@").replace("+", "@").partition("@")
    configuration = copy.deepcopy(open_clip.get_model_config(base))
    if "@" in name:
        configuration["vision_cfg"]["layers"] = configuration["text_cfg"]["layers"] = int(layers)
    preprocessing = {"mean": MEAN, "std": STD, "interpolation": "bicubic",
                     "resize_mode": "shortest"}
    if "+" in name:
        half = (0.5, 0.5, 0.5)
        preprocessing = {"mean": half, "std": half, "interpolation": "bilinear",
                         "resize_mode": "squash"}
    model = open_clip.model.CLIP(**configuration).eval()
    weights = folder / "open_clip_model.safetensors"
    if weights.exists():
        model.load_state_dict(load_file(weights))
    else:
        randomise(model)
        folder.mkdir(parents=True, exist_ok=True)
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, weights)
        (folder / "open_clip_config.json").write_text(
            json.dumps({"model_cfg": configuration, "preprocess_cfg": preprocessing}, indent=1))
    size = configuration["vision_cfg"]["image_size"]
    if "^" in name:
        size = configuration["vision_cfg"]["image_size"] = int(layers)
        state = model.state_dict()
        model = open_clip.model.CLIP(**configuration).eval()
        open_clip.model.resize_pos_embed(state, model)
        model.load_state_dict(state)
    return model, size, preprocessing


class HuggingFace(torch.nn.Module):
    """transformers' model with the interface of open_clip's."""

    def __init__(self, folder):
        super().__init__()
        from transformers import CLIPConfig, CLIPModel

        if (folder / "model.safetensors").exists():
            self.model = CLIPModel.from_pretrained(folder).eval()
        else:
            self.model = CLIPModel(CLIPConfig()).eval()  # the defaults are those of ViT-B/32
            randomise(self.model)
            self.model.save_pretrained(folder)

    def encode_text(self, tokens):
        # By default the configuration pools at the first id 49407; the tower is causal, so padding
        # has no effect.
        states = self.model.text_model(input_ids=tokens).last_hidden_state
        pooled = states[torch.arange(len(tokens)), tokens.argmax(dim=-1)]
        return self.model.text_projection(pooled)

    def encode_image(self, pixels):
        return self.model.visual_projection(self.model.vision_model(
            pixel_values=pixels).pooler_output)


def difference(found, expected):
    """Returns the largest 1 - cosine, and the largest difference relative to the largest number."""
    found, expected = found.astype("float64"), expected.astype("float64")
    cosines = (found * expected).sum(1) / (
        numpy.linalg.norm(found, axis=1) * numpy.linalg.norm(expected, axis=1))
    return 1 - cosines.min(), numpy.abs(found - expected).max() / numpy.abs(expected).max()


def reference(model, pixels, tokens):
    """Returns the embeddings of images one by one, and of texts."""
    with torch.no_grad():
        images = torch.cat([model.encode_image(part) for part in pixels])
        return images.numpy(), model.encode_text(tokens).numpy()


def doubled(pixels):
    """Returns the inputs of an image in float64."""
    if isinstance(pixels, dict):
        return {key: doubled(value) for key, value in pixels.items()}
    return pixels.double() if pixels.is_floating_point() else pixels


def clip_rows(clip, folder, images, options):
    """Returns the embeddings of images and texts by `clip encode`."""
    with tempfile.TemporaryDirectory() as temporary:
        output = pathlib.Path(temporary) / "rows.npy"
        texts = [part for text in TEXTS for part in ("--text", text)]
        subprocess.run(
            [clip, "encode", *images, *texts, "--model", folder, "--reference", "--no-normalize",
             *options,
             "-o", output], check=True)
        rows = numpy.load(output)
    return rows[: len(images)], rows[len(images) :]


def make(name, folder, images, vocabularies):
    """Returns a model, the inputs of images and texts, the images, and options of `clip`."""
    torch.manual_seed(2026)
    if full_size_families.is_family(name):
        vocabularies = vocabularies or full_size_families.Vocabularies(folder.parent / "tokenizers")
        made = full_size_families.case(name, folder, images, TEXTS, vocabularies)
        return made.model, made.pixels, made.tokens, made.images, ["--truncate"]
    tokens = open_clip.get_tokenizer("ViT-B-32")(TEXTS)
    if name.startswith("hf:"):
        model, size, preprocessing = HuggingFace(folder), 224, {"mean": MEAN, "std": STD}
    else:
        model, size, preprocessing = make_open_clip(name, folder)
    transform = image_transform(size, is_train=False, **preprocessing)
    pixels = [transform(Image.open(path))[None] for path in images]
    return model, pixels, tokens, images, ["--resolution", str(size)] if "^" in name else []


def measure(name, folder, images, clip, vocabularies=None):
    """Returns 1 - cosine, and the differences of both programs from each other and from float64.

    Without a program, the difference of PyTorch from float64 alone.
    """
    model, pixels, tokens, images, options = make(name, folder, images, vocabularies)
    single = reference(model, pixels, tokens)
    double = reference(full_size_families.to_double(model), [doubled(part) for part in pixels],
                       tokens)
    del model
    if clip is None:
        return [(difference(wanted, exact)[1],) for wanted, exact in zip(single, double)]
    found = clip_rows(clip, folder, images, options)
    return [
        (*difference(rows, wanted), difference(wanted, exact)[1], difference(rows, exact)[1])
        for rows, wanted, exact in zip(found, single, double)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=pathlib.Path, required=True)
    parser.add_argument("--images", nargs="+", required=True)
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--remove", action="store_true",
                        help="delete the weights of each model after its test")
    parser.add_argument("--clip", default=str(ROOT / ".build/release/clip"))
    parser.add_argument("--reference-only", action="store_true",
                        help="print only the differences of PyTorch from float64")
    parser.add_argument("--gemma", type=pathlib.Path, help="list of Gemma's pieces, for SigLIP 2")
    parser.add_argument("--threads", type=int, help="threads of PyTorch")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    vocabularies = full_size_families.Vocabularies(
        arguments.weights / "tokenizers", arguments.gemma)
    clip = None if arguments.reference_only else arguments.clip
    failed = False
    print(
        f"PyTorch {torch.__version__}, open_clip {open_clip.__version__}, float32, "
        f"{len(arguments.images)} images, {len(TEXTS)} texts")
    columns = ["from float64: PyTorch"]
    if clip:
        columns = ["1 - cosine", "max Δ / max", *columns, "clip"]
    print("| model | image: " + " | ".join(columns) + " | text: " + " | ".join(columns) + " |")
    print("|---" * (1 + 2 * len(columns)) + "|")
    for name in arguments.models:
        folder = arguments.weights / name.replace(":", "-")
        results = measure(name, folder, arguments.images, clip, vocabularies)
        print(f"| {name} | " + " | ".join(f"{number:.1e}" for row in results for number in row)
              + " |", flush=True)
        failed |= clip is not None and any(
            angle > 5e-7 or delta > 5e-6 or ours > 2 * theirs
            for angle, delta, theirs, ours in results)
        if arguments.remove:
            shutil.rmtree(folder)
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
