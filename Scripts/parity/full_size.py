"""Compares `clip` with PyTorch at full size, on seeded random weights.

For each architecture: open_clip (or transformers, for the layout of Hugging Face) makes a model from
a seed, writes it as safetensors with its configuration, and encodes the same pictures and texts as
`clip encode`. Printed are the least cosine and the greatest difference, relative to the greatest
number of PyTorch's result.

    python -m venv VENV && VENV/bin/pip install -r Scripts/parity/requirements.txt
    swift build -c release
    VENV/bin/python Scripts/parity/full_size.py --weights FOLDER --images PICTURE... [--models NAME...]

The folder keeps the weights, up to 2 GB a model, so that a second run is quick.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy
import open_clip
import torch
from open_clip.transform import image_transform
from PIL import Image
from safetensors.torch import load_file, save_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODELS = [
    "ViT-B-32-quickgelu",
    "ViT-B-32",
    "ViT-B-16-quickgelu",
    "ViT-L-14-quickgelu",
    "RN50-quickgelu",
    "RN101-quickgelu",
    "RN50x4-quickgelu",
    "hf:ViT-B-32",
]
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
    """Makes every bias and norm count; at their initial 0 and 1 a mistake would not show."""
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
    model = open_clip.create_model(name, precision="fp32").eval()
    weights = folder / "open_clip_model.safetensors"
    if weights.exists():
        model.load_state_dict(load_file(weights))
    else:
        randomise(model)
        folder.mkdir(parents=True, exist_ok=True)
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, weights)
        configuration = {
            "model_cfg": open_clip.get_model_config(name),
            "preprocess_cfg": {
                "mean": MEAN,
                "std": STD,
                "interpolation": "bicubic",
                "resize_mode": "shortest",
            },
        }
        (folder / "open_clip_config.json").write_text(json.dumps(configuration, indent=1))
    size = model.visual.image_size
    size = size[0] if isinstance(size, tuple) else size
    return model.encode_image, model.encode_text, size


def make_hugging_face(name, folder):
    from transformers import CLIPConfig, CLIPModel

    if (folder / "model.safetensors").exists():
        model = CLIPModel.from_pretrained(folder).eval()
    else:
        assert name == "ViT-B-32", "transformers' defaults are those of ViT-B/32"
        model = CLIPModel(CLIPConfig()).eval()
        randomise(model)
        model.save_pretrained(folder)

    def encode_text(tokens):
        # The configuration's defaults ask for the first id 49407; the padding behind it is causal.
        states = model.text_model(input_ids=tokens).last_hidden_state
        pooled = states[torch.arange(len(tokens)), tokens.argmax(dim=-1)]
        return model.text_projection(pooled)

    def encode_image(pixels):
        return model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)

    return encode_image, encode_text, 224


def difference(found, expected):
    found, expected = found.astype("float64"), expected.astype("float64")
    cosines = (found * expected).sum(1) / (
        numpy.linalg.norm(found, axis=1) * numpy.linalg.norm(expected, axis=1)
    )
    return cosines.min(), numpy.abs(found - expected).max() / numpy.abs(expected).max()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=pathlib.Path, required=True)
    parser.add_argument("--images", nargs="+", required=True)
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--clip", default=str(ROOT / ".build/release/clip"))
    arguments = parser.parse_args()
    tokens = open_clip.get_tokenizer("ViT-B-32")(TEXTS)
    failed = False

    print(
        f"PyTorch {torch.__version__}, open_clip {open_clip.__version__}, float32, "
        f"{len(arguments.images)} pictures, {len(TEXTS)} texts"
    )
    print(
        "| model | image: 1 - cosine | image: max Δ / max | text: 1 - cosine | text: max Δ / max |"
    )
    print("|---|---|---|---|---|")
    for name in arguments.models:
        torch.manual_seed(2026)
        folder = arguments.weights / name.replace(":", "-")
        make = make_hugging_face if name.startswith("hf:") else make_open_clip
        encode_image, encode_text, size = make(name.removeprefix("hf:"), folder)
        transform = image_transform(size, is_train=False, mean=MEAN, std=STD)
        with torch.no_grad():
            pixels = torch.stack([transform(Image.open(p)) for p in arguments.images])
            expected = [encode_image(pixels).numpy(), encode_text(tokens).numpy()]

        with tempfile.TemporaryDirectory() as temporary:
            output = pathlib.Path(temporary) / "rows.npy"
            texts = [part for text in TEXTS for part in ("--text", text)]
            subprocess.run(
                [
                    arguments.clip,
                    "encode",
                    *arguments.images,
                    *texts,
                    "--model",
                    folder,
                    "--reference",
                    "--no-normalize",
                    "-o",
                    output,
                ],
                check=True,
            )
            rows = numpy.load(output)
        count = len(arguments.images)
        results = [difference(rows[:count], expected[0]), difference(rows[count:], expected[1])]
        print(
            f"| {name} | "
            + " | ".join(f"{1 - cosine:.1e} | {delta:.1e}" for cosine, delta in results)
            + " |",
            flush=True,
        )
        failed |= any(1 - cosine > 1e-6 or delta > 1e-5 for cosine, delta in results)
    sys.exit(failed)


if __name__ == "__main__":
    main()
