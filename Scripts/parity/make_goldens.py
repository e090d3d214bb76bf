"""Writes Tests/Fixtures/: results of the reference implementations, for the tests.

    python -m venv venv && venv/bin/pip install -r Scripts/parity/requirements.txt
    venv/bin/python Scripts/parity/make_goldens.py

It needs no network and no downloaded model: weights and images are made from a fixed seed, except
those of the bundled model, with which models/tiny.json changes. Running it again gives the same
bytes (on another kind of CPU, PyTorch may differ in the last bits). With --check it writes to a
temporary folder and compares, byte for byte.

    models/     small models, and PyTorch's activations after every stage   (goldens_models.py),
                the same of SigLIP and other families, and a SigLIP with a tokenizer
                                                                      (goldens_families.py),
                and the embeddings of Examples/ by Weights/tiny.safetensors (goldens_tiny.py)
    formats/    one small model in every layout and file format             (goldens_formats.py)
    text/       hard strings and their token ids                            (goldens_text.py),
                and each step of cleaning them                              (goldens_repair.py)
    tokenizers/ small SentencePiece models and token ids            (goldens_tokenizers.py)
    analysis/   linear probes by scikit-learn and SciPy                     (goldens_probe.py)
    evaluation/ metrics, losses and gradients of small inputs           (goldens_evaluation.py)
    images/     small images, decoded, resized and cropped by Pillow      (goldens_images.py),
                drawings by Pillow                                      (goldens_drawings.py),
                and GIF, BMP and RAW files                          (goldens_gif_bmp_raw.py)
    colour/     images with ICC profiles, converted by Pillow         (goldens_colour.py)
    MANIFEST.json   every file with its size and SHA-256, and the versions that made them
"""

import argparse
import hashlib
import json
import platform
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import PIL.features
import torch
from PIL import Image
from torch.nn.functional import normalize

import goldens_colour
import goldens_drawings
import goldens_evaluation
import goldens_families
import goldens_formats
import goldens_gif_bmp_raw
import goldens_models
import goldens_images
import goldens_probe
import goldens_repair
import goldens_text
import goldens_tiny
import goldens_tokenizers

ROOT = Path(__file__).resolve().parents[2]
SEED = 20240607
LIMIT = 8_000_000
PACKAGES = (
    "torch", "torchvision", "open_clip_torch", "transformers", "pillow", "ftfy", "regex",
    "clip-anytorch", "safetensors", "numpy", "clip_benchmark", "scikit-learn", "scipy",
    "sentencepiece", "tokenizers", "timm",
)  # fmt: skip
CODECS = ("libjpeg_turbo", "zlib", "zlib_ng", "webp", "littlecms2")
IMAGES = ["rgb.jpg", "rgb.png"]
TEXTS = ["a man riding bicycle", "a man climbing mountain", "a photo of a cat"]


def manifest(target: Path) -> dict:
    files = {}
    for path in sorted(target.rglob("*")):
        # Files of earlier versions of clip cannot be written again: see previous_version.sh. The
        # lists of public declarations are written by PublicAPITests, and the files of codecs/ by
        # goldens_codecs.py, which needs more programs, as does parquet.py of parquet/.
        folder = path.relative_to(target).parts[0]
        if path.is_file() and folder not in ("versions", "api", "codecs", "parquet"):
            data = path.read_bytes()
            files[path.relative_to(target).as_posix()] = {
                "sha256": hashlib.sha256(data).hexdigest(),
                "size": len(data),
            }
    assert all(entry["size"] < 1_000_000 for entry in files.values())
    versions = {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}
    versions |= {f"pillow {name}": PIL.features.version(name) for name in CODECS}
    return {"seed": SEED, "versions": versions, "files": files}


def expected(model: torch.nn.Module, images: Path) -> dict:
    """Writes the end-to-end fixture: the model's results for two images and three texts."""
    transform = goldens_images.transform(32)
    pixels = torch.stack([transform(Image.open(images / name)) for name in IMAGES])
    encode = goldens_text.load_tokenizer().encode
    tokens = torch.zeros(len(TEXTS), 77, dtype=torch.int64)
    for row, text in zip(tokens, TEXTS):
        ids = [49406, *encode(text), 49407]
        row[: len(ids)] = torch.tensor(ids)
    with torch.no_grad():
        image, text = model.encode_image(pixels), model.encode_text(tokens)
        cosines = normalize(image) @ normalize(text).T
        logits = model.logit_scale.exp() * cosines
    return {
        "images": IMAGES,
        "texts": TEXTS,
        "image_embeddings": image.tolist(),
        "text_embeddings": text.tolist(),
        "cosines": cosines.tolist(),
        "logits": logits.tolist(),
        "probabilities": logits.softmax(dim=1).tolist(),
    }


def make(target: Path) -> None:
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    for name in ("evaluation", "formats", "models", "images", "text", "tokenizers"):
        shutil.rmtree(target / name, ignore_errors=True)
    seeded = goldens_models.make(target / "models", SEED)
    goldens_families.make(target / "models", SEED)
    goldens_formats.make(target / "formats", SEED)
    goldens_images.make(target / "images", SEED)
    goldens_drawings.make(target / "images")
    goldens_colour.make(target / "colour")
    goldens_gif_bmp_raw.make(target / "images" / "formats")
    goldens_text.make(target / "text", SEED)
    goldens_repair.make(target / "text")
    goldens_tokenizers.make(target / "tokenizers")
    goldens_evaluation.make(target / "evaluation")
    goldens_probe.make(target / "analysis")
    goldens_families.make_with_tokenizer(target, SEED + 500)
    outcome = expected(seeded, target / "images")
    goldens_models.write_json(target / "models" / "seeded" / "expected.json", outcome)
    goldens_models.write_json(target / "models" / "tiny.json", goldens_tiny.expected(ROOT))
    (target / "MANIFEST.json").unlink(missing_ok=True)
    contents = manifest(target)
    text = json.dumps(contents, indent=1) + "\n"
    (target / "MANIFEST.json").write_text(text, encoding="ascii")
    total = len(text) + sum(entry["size"] for entry in contents["files"].values())
    assert total < LIMIT, total
    print(f"{len(contents['files'])} files, {total:,} bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes or checks Tests/Fixtures.")
    parser.add_argument("--check", action="store_true", help="compare with the existing files")
    fixtures = ROOT / "Tests" / "Fixtures"
    if not parser.parse_args().check:
        return make(fixtures)
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder))
        new, old = manifest(Path(folder))["files"], manifest(fixtures)["files"]
    differing = sorted(name for name in new | old if new.get(name) != old.get(name))
    print("\n".join(differing) or "identical")
    sys.exit(bool(differing))


if __name__ == "__main__":
    main()
