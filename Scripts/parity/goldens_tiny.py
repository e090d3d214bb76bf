"""Embeddings of Examples/ and some texts by the bundled model, with PyTorch and open_clip."""

import json
from pathlib import Path

import open_clip
import torch
from open_clip.model import CLIP
from open_clip.transform import image_transform
from PIL import Image
from safetensors.torch import load_file

TEXTS = [
    "a man riding bicycle", "a man climbing mountain", "a cat in a room",
    "an apple, a banana and grapes",
    "a bus and a car on a road", "cooking in the kitchen", "A photo of a dog.", "chiaroscuro",
]  # fmt: skip


def load(weights: Path):
    """Returns the model that its configuration describes, and the preprocessing of its images."""
    configuration = json.loads(weights.with_suffix(".json").read_text())
    model = CLIP(**configuration["model_cfg"]).eval()
    state = {name: tensor.float() for name, tensor in load_file(weights).items()}
    left_out = model.load_state_dict(state, strict=False)
    assert not left_out.unexpected_keys
    assert all(name.endswith("num_batches_tracked") for name in left_out.missing_keys)
    pixels = configuration["preprocess_cfg"]
    return model, image_transform(
        pixels["size"], is_train=False, mean=pixels["mean"], std=pixels["std"],
        interpolation=pixels["interpolation"], resize_mode=pixels["resize_mode"],
    )  # fmt: skip


@torch.no_grad()
def encode(model, transform, images, texts):
    """Returns the embeddings, not normalised."""
    pixels = torch.stack([transform(Image.open(path)) for path in images])
    tokens = open_clip.get_tokenizer("ViT-B-32")(texts)
    return model.encode_image(pixels), model.encode_text(tokens)


def expected(root: Path) -> dict:
    model, transform = load(root / "Weights" / "tiny.safetensors")
    images = sorted((root / "Examples").glob("*.jpg"))
    images, texts = encode(model, transform, images, TEXTS)
    return {
        "images": [path.name for path in images],
        "texts": TEXTS,
        "image_embeddings": images.tolist(),
        "text_embeddings": texts.tolist(),
        "logit_scale": model.logit_scale.exp().item(),
    }
