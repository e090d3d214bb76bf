"""Writes Sources/CModelRegistry/models.json: the supported pretrained weights and their addresses.

    python -m venv VENV && VENV/bin/pip install -r Scripts/parity/requirements.txt
    VENV/bin/python Scripts/registry/make_registry.py

The list, architectures, activations and preprocessing come from the package open_clip_torch. Only
weights of a ViT or a ModifiedResNet with CLIP's plain text tower and vocabulary are listed. An
entry describes *weights*: if open_clip lists the same weights under two architecture names, with
and without QuickGELU, they are one entry, with the activation of their training.
"""

import csv
import json
import pathlib

import torch
from open_clip import get_model_config
from open_clip.model import CLIP
from open_clip.pretrained import _PRETRAINED

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "Sources" / "CModelRegistry" / "models.json"
VISION = {"image_size", "layers", "width", "head_width", "patch_size", "mlp_ratio"}
TEXT = {"context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio"}

# OpenAI's own files: their names and sizes; the SHA-256 is part of open_clip's addresses.
OFFICIAL = {
    "RN50": ("RN50", 244), "RN101": ("RN101", 278), "RN50x4": ("RN50x4", 402),
    "RN50x16": ("RN50x16", 631),
    "RN50x64": ("RN50x64", 1291), "ViT-B-32": ("ViT-B/32", 338), "ViT-B-16": ("ViT-B/16", 335),
    "ViT-L-14": ("ViT-L/14", 890), "ViT-L-14-336": ("ViT-L/14@336px", 891),
}
# The same weights in transformers' layout.
TRANSFORMERS = {
    "ViT-B-32": "openai/clip-vit-base-patch32", "ViT-B-16": "openai/clip-vit-base-patch16",
    "ViT-L-14": "openai/clip-vit-large-patch14",
    "ViT-L-14-336": "openai/clip-vit-large-patch14-336",
}


def plain(config):
    """Returns the configuration without ineffective settings; None if it is not a plain CLIP."""
    if set(config) - {"embed_dim", "vision_cfg", "text_cfg", "quick_gelu"}:
        return None
    towers = {}
    for tower, known in (("vision_cfg", VISION), ("text_cfg", TEXT)):
        towers[tower] = {key: value for key, value in config[tower].items()
                         if value not in (None, False)}
        towers[tower].pop("patch_dropout", None)
        if set(towers[tower]) - known:
            return None
    text = towers["text_cfg"]
    if (text.get("context_length", 77), text.get("vocab_size", 49408)) != (77, 49408):
        return None
    return {"embed_dim": config["embed_dim"], **towers}


def licence(repository, tag):
    if tag == "openai":
        return "MIT, see OpenAI's model card"
    if repository.startswith("apple/"):
        return "Apple ML Research"
    return "CC BY-NC 4.0" if "metaclip" in tag else "MIT"


def main():
    with open(pathlib.Path(__file__).with_name("published.tsv")) as file:
        rows = csv.reader((line for line in file if not line.startswith("#")), delimiter="\t")
        accuracy = {name: float(value) for name, value in rows}
    entries = {}
    for architecture, tags in _PRETRAINED.items():
        config = plain(get_model_config(architecture))
        if config is None:
            continue
        with torch.device("meta"):
            parameters = sum(p.numel() for p in CLIP(**config).parameters())
        for tag, about in tags.items():
            name = f"{architecture}:{tag}"
            source = (about["hf_hub"], about.get("url"))
            if source in entries:
                entries[source]["aliases"].append(name)
                continue
            repository = about["hf_hub"].strip("/")
            entry = entries[source] = {
                "name": name, "aliases": [], "repository": repository, "parameters": parameters,
                "license": licence(repository, tag), "imagenet": accuracy.pop(name, None),
            }
            if tag == "openai":
                official, megabytes = OFFICIAL[architecture]
                digest, file = about["url"].split("/")[-2:]
                entry["aliases"].append(official)
                entry["official"] = {
                    "name": official, "file": file, "sha256": digest, "megabytes": megabytes}
                if architecture in TRANSFORMERS:
                    entry["transformers"] = TRANSFORMERS[architecture]
            entry["configuration"] = {
                "model_cfg": {**config, "quick_gelu": bool(about.get("quick_gelu"))},
                "preprocess_cfg": {
                    "size": config["vision_cfg"]["image_size"], "mean": about["mean"],
                    "std": about["std"],
                    "interpolation": about["interpolation"], "resize_mode": about["resize_mode"],
                },
            }
    assert not accuracy, accuracy
    lines = ",\n".join(json.dumps(entry) for entry in entries.values())
    OUT.write_text(f"[\n{lines}\n]\n")
    print(f"{len(entries)} weights")


if __name__ == "__main__":
    main()
