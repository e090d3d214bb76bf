"""Writes full-size models in every layout and format, and compares `clip` on each with PyTorch.

    VENV/bin/python Scripts/parity/formats.py --weights FOLDER --image IMAGE

For ViT-B/32, RN50 and a ViT with exact GELU and heads of 80, as the larger of LAION's have: seeded
weights in float16 and float32, as OpenAI's files mix them. Prints for each file the distances to
PyTorch's embeddings in float32, and whether they equal the first file's to the bit. OpenAI's own
class, of the package clip-anytorch, makes the traced archives. The folder takes some gigabytes.
"""

import argparse
import importlib.util
import pathlib
import subprocess
import sys

import numpy
import open_clip
import torch
from open_clip.transform import image_transform
from PIL import Image

import layouts
from full_size import MEAN, ROOT, STD, TEXTS, difference, randomise

GELU = {
    "embed_dim": 512,
    "vision_cfg": {"image_size": 224, "layers": 4, "width": 1280, "head_width": 80,
                   "patch_size": 14},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 1024, "heads": 16,
                 "layers": 4},
}


def config_of(name):
    config = open_clip.get_model_config(name)
    config["vision_cfg"] = {k: v for k, v in config["vision_cfg"].items() if v is not None}
    return {**config, "quick_gelu": True}


MODELS = {"ViT-B-32": lambda: config_of("ViT-B-32"), "RN50": lambda: config_of("RN50"),
          "gelu-80": lambda: GELU}


def traced(state, path):
    """Writes an archive like OpenAI's: their model, in half precision, traced."""
    folder = pathlib.Path(importlib.util.find_spec("clip").origin).parent
    spec = importlib.util.spec_from_file_location("clip_model", folder / "model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.build_model(dict(state)).eval()
    size = model.visual.input_resolution
    inputs = torch.rand(1, 3, size, size).half(), torch.randint(0, 49406, (1, 77))
    torch.jit.save(torch.jit.trace(model, inputs, check_trace=False), path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=pathlib.Path, required=True)
    parser.add_argument("--image", required=True)
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--clip", default=str(ROOT / ".build/release/clip"))
    arguments = parser.parse_args()
    tokens = open_clip.get_tokenizer("ViT-B-32")(TEXTS)
    pixels = image_transform(224, is_train=False, mean=MEAN,
                             std=STD)(Image.open(arguments.image))[None]
    failed = False
    for name in arguments.models:
        torch.manual_seed(2026)
        config = MODELS[name]()
        model = open_clip.model.CLIP(**config).eval()
        randomise(model)
        layouts.halved(model)
        folder = arguments.weights / name
        written = layouts.write(model, config, folder)
        if config.get("quick_gelu"):
            written.append(folder / "traced.pt")
            traced(layouts.state_of(model), written[-1])
        whole = open_clip.model.CLIP(**config).eval()
        whole.load_state_dict({k: v.float() for k, v in layouts.state_of(model).items()},
                              strict=False)
        with torch.no_grad():
            expected = whole.encode_image(pixels).numpy(), whole.encode_text(tokens).numpy()
        first = None
        for path in written:
            output = folder / "rows.npy"
            texts = [part for text in TEXTS for part in ("--text", text)]
            subprocess.run(
                [arguments.clip, "encode", arguments.image, *texts, "--model", path, "--reference",
                 "--no-normalize", "-o", output], check=True)  # fmt: skip
            rows = numpy.load(output)
            first = rows if first is None else first
            results = [difference(rows[:1], expected[0]), difference(rows[1:], expected[1])]
            same = "the same bits" if (rows == first).all() else "OTHER BITS"
            print(f"{name:10} {path.relative_to(folder)!s:24}",
                  *(f"1 - cosine {1 - cosine:.1e}, max {delta:.1e} "
                    for cosine, delta in results), same,
                  flush=True)  # fmt: skip
            failed |= same != "the same bits" or any(1 - cosine > 1e-6 for cosine, _ in results)
    sys.exit(failed)


if __name__ == "__main__":
    main()
