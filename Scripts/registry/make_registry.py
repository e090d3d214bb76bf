"""Writes Sources/CModelRegistry/models.json: the supported pretrained weights and their addresses.

    python -m venv VENV && VENV/bin/pip install -r Scripts/parity/requirements.txt
    VENV/bin/python Scripts/registry/make_registry.py

The list, architectures, activations and preprocessing come from the package open_clip_torch.
Listed are weights of a ViT or a ModifiedResNet with CLIP's plain text tower and vocabulary, and
those of the families in `TOWERS` and with XLM-V's vocabulary. An entry describes *weights*: if
open_clip lists the same weights under two architecture names, with and without QuickGELU, they are
one entry, with the activation of their training. The same weights for another image size are an
entry of their own, because their embeddings differ.

Weights that open_clip does not list have the name of their repository and, as their configuration,
the `config.json` of transformers with the `preprocessor_config.json` as a member.
"""

import csv
import fnmatch
import json
import pathlib

import torch
from open_clip import get_model_config
from open_clip.model import CLIP, CustomTextCLIP
from open_clip.pretrained import _PRETRAINED
from transformers import Siglip2Config, Siglip2Model

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
    "ViT-B-16-SigLIP": "google/siglip-base-patch16-224",
    "ViT-B-16-SigLIP-256": "google/siglip-base-patch16-256",
    "ViT-B-16-SigLIP-i18n-256": "google/siglip-base-patch16-256-multilingual",
    "ViT-B-16-SigLIP-384": "google/siglip-base-patch16-384",
    "ViT-B-16-SigLIP-512": "google/siglip-base-patch16-512",
    "ViT-L-16-SigLIP-256": "google/siglip-large-patch16-256",
    "ViT-L-16-SigLIP-384": "google/siglip-large-patch16-384",
    "ViT-SO400M-14-SigLIP": "google/siglip-so400m-patch14-224",
    "ViT-SO400M-14-SigLIP-384": "google/siglip-so400m-patch14-384",
    "ViT-B-32-SigLIP2-256": "google/siglip2-base-patch32-256",
    "ViT-B-16-SigLIP2": "google/siglip2-base-patch16-224",
    "ViT-B-16-SigLIP2-256": "google/siglip2-base-patch16-256",
    "ViT-B-16-SigLIP2-384": "google/siglip2-base-patch16-384",
    "ViT-B-16-SigLIP2-512": "google/siglip2-base-patch16-512",
    "ViT-L-16-SigLIP2-256": "google/siglip2-large-patch16-256",
    "ViT-L-16-SigLIP2-384": "google/siglip2-large-patch16-384",
    "ViT-L-16-SigLIP2-512": "google/siglip2-large-patch16-512",
    "ViT-SO400M-14-SigLIP2": "google/siglip2-so400m-patch14-224",
    "ViT-SO400M-14-SigLIP2-378": "google/siglip2-so400m-patch14-384",
    "ViT-SO400M-16-SigLIP2-256": "google/siglip2-so400m-patch16-256",
    "ViT-SO400M-16-SigLIP2-384": "google/siglip2-so400m-patch16-384",
    "ViT-SO400M-16-SigLIP2-512": "google/siglip2-so400m-patch16-512",
    "ViT-gopt-16-SigLIP2-256": "google/siglip2-giant-opt-patch16-256",
    "ViT-gopt-16-SigLIP2-384": "google/siglip2-giant-opt-patch16-384",
    "ViT-H-14-worldwide": "facebook/metaclip-2-worldwide-huge-quickgelu",
    "ViT-H-14-worldwide-378": "facebook/metaclip-2-worldwide-huge-378",
    "ViT-bigG-14-worldwide": "facebook/metaclip-2-worldwide-giant",
    "ViT-bigG-14-worldwide-378": "facebook/metaclip-2-worldwide-giant-378",
}
# The image towers of timm that are supported, if the text tower is open_clip's own.
TOWERS = [
    "vit_*_siglip_*", "vit_base_mci_224", "vit_large_patch14_clip_224", "vit_pe_core_*",
    "eva_giant_patch14_224",
]
XLM_V = "facebook/xlm-v-base"
# The files of the tokenizers in order of preference, by the number of token ids. The files of
# Gemma's and XLM-V's have the same vocabulary, and the SentencePiece model is smaller. SigLIP's
# SentencePiece model treats characters outside the vocabulary otherwise than tokenizer.json, which
# is open_clip's.
TOKENIZERS = {
    32_000: ["tokenizer.json"], 250_000: ["tokenizer.json"],
    256_000: ["tokenizer.model", "tokenizer.json"],
    901_629: ["sentencepiece.bpe.model", "tokenizer.json"],
}
# The widths, layers, heads and MLP widths of both towers of SigLIP 2 NaFlex.
NAFLEX = {
    "google/siglip2-base-patch16-naflex": (768, 12, 12, 3072),
    "google/siglip2-so400m-patch16-naflex": (1152, 27, 16, 4304),
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


def is_supported(config):
    """Returns True if a configuration that is not plain is of one of the other families."""
    text = config["text_cfg"]
    tower = config["vision_cfg"].get("timm_model_name", "")
    return "hf_model_name" not in text and (
        any(fnmatch.fnmatchcase(tower, pattern) for pattern in TOWERS)
        or text.get("hf_tokenizer_name") == XLM_V)


def count(model, **configuration):
    """Returns the number of parameters of a model, without allocating them."""
    with torch.device("meta"):
        return sum(p.numel() for p in model(**configuration).parameters())


def parameters(config):
    config = dict(config)
    return count(CustomTextCLIP if config.pop("custom_text", False) else CLIP, **config)


def licence(repository, tag):
    if tag == "openai":
        return "MIT, see OpenAI's model card"
    if repository.startswith("apple/") or "/MobileCLIP" in repository:
        return "Apple ML Research"
    if "SigLIP" in repository or "siglip" in repository or "/PE-Core" in repository:
        return "Apache 2.0"
    return "CC BY-NC 4.0" if "metaclip" in tag else "MIT"


def naflex(repository, size, accuracy):
    """Returns the entry of a SigLIP 2 NaFlex model, which only transformers describes."""
    width, layers, heads, mlp = size
    tower = {
        "hidden_size": width, "intermediate_size": mlp, "num_hidden_layers": layers,
        "num_attention_heads": heads,
    }
    config = Siglip2Config(
        text_config={**tower, "vocab_size": 256_000, "projection_size": width},
        vision_config=tower)
    stated = [*tower, "hidden_act", "layer_norm_eps", "model_type"]

    def members(part, names):
        return {name: getattr(part, name) for name in [*stated, *names]}

    half = [0.5, 0.5, 0.5]
    return {
        "name": repository, "aliases": [], "repository": repository,
        "parameters": count(Siglip2Model, config=config), "license": licence(repository, ""),
        "imagenet": accuracy, "transformers": repository,
        "tokenizer": {"repository": repository, "files": TOKENIZERS[256_000]},
        "configuration": {
            "model_type": config.model_type,
            "text_config": members(
                config.text_config, ["vocab_size", "max_position_embeddings", "projection_size"]),
            "vision_config": members(
                config.vision_config, ["num_channels", "patch_size", "num_patches"]),
            "preprocessor_config": {
                "do_resize": True, "resample": 2, "do_rescale": True, "rescale_factor": 1 / 255,
                "do_normalize": True, "image_mean": half, "image_std": half, "patch_size": 16,
                "max_num_patches": 256,
            },
        },
    }


def main():
    with open(pathlib.Path(__file__).with_name("published.tsv")) as file:
        rows = csv.reader((line for line in file if not line.startswith("#")), delimiter="\t")
        accuracy = {name: float(value) for name, value in rows}
    entries = {}
    for architecture, tags in _PRETRAINED.items():
        whole = get_model_config(architecture)
        config = plain(whole)
        if config is None and is_supported(whole):
            config = whole
        if config is None:
            continue
        size = parameters(config)
        for tag, about in tags.items():
            name = f"{architecture}:{tag}"
            source = (about["hf_hub"], about.get("url"), config["vision_cfg"]["image_size"])
            if source in entries:
                entries[source]["aliases"].append(name)
                continue
            repository = about["hf_hub"].strip("/")
            entry = entries[source] = {
                "name": name, "aliases": [], "repository": repository, "parameters": size,
                "license": licence(repository, tag), "imagenet": accuracy.pop(name, None),
            }
            if tag == "openai":
                official, megabytes = OFFICIAL[architecture]
                digest, file = about["url"].split("/")[-2:]
                entry["aliases"].append(official)
                entry["official"] = {
                    "name": official, "file": file, "sha256": digest, "megabytes": megabytes}
            if architecture in TRANSFORMERS and (
                    tag == "openai" or architecture not in OFFICIAL):
                entry["transformers"] = TRANSFORMERS[architecture]
            text = config["text_cfg"]
            if "hf_tokenizer_name" in text:
                entry["tokenizer"] = {
                    "repository": text["hf_tokenizer_name"],
                    "files": TOKENIZERS[text["vocab_size"]]}
            entry["configuration"] = {
                "model_cfg": {**config, "quick_gelu": bool(about.get("quick_gelu"))},
                "preprocess_cfg": {
                    "size": config["vision_cfg"]["image_size"], "mean": about["mean"],
                    "std": about["std"],
                    "interpolation": about["interpolation"], "resize_mode": about["resize_mode"],
                },
            }
    for repository, size in NAFLEX.items():
        entries[repository] = naflex(repository, size, accuracy.pop(repository, None))
    assert not accuracy, accuracy
    lines = ",\n".join(json.dumps(entry) for entry in entries.values())
    OUT.write_text(f"[\n{lines}\n]\n")
    print(f"{len(entries)} weights")


if __name__ == "__main__":
    main()
