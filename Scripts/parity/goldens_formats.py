"""Writes Tests/Fixtures/formats/: a small model in every format, and PyTorch's embeddings.

expected.json holds inputs and embeddings, computed in float32 from the numbers in the files.
legacy.pt is in the format from before PyTorch 1.6, gadget.pt is a pickle that would call os.system.
"""

import pickle
import zipfile
from pathlib import Path

import torch
from open_clip.model import CLIP

import goldens_models
import layouts

CONFIG = {
    "embed_dim": 8,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 16, "patch_size": 8, "width": 8, "head_width": 4, "layers": 1},
    "text_cfg": {"context_length": 12, "vocab_size": 64, "width": 8, "heads": 2, "layers": 1},
}


class Gadget:
    def __reduce__(self):
        import os

        return os.system, ("echo this must never run",)


def make(target: Path, seed: int) -> None:
    model = CLIP(**CONFIG)
    goldens_models.randomise(model, seed, 3.0)
    layouts.halved(model)
    layouts.write(model, CONFIG, target)
    torch.save(layouts.state_of(model), target / "legacy.pt", _use_new_zipfile_serialization=False)
    with zipfile.ZipFile(target / "gadget.pt", "w") as archive:
        archive.writestr(zipfile.ZipInfo("gadget/data.pkl"),
                         pickle.dumps({"a": Gadget()}, protocol=2))

    whole = CLIP(**CONFIG).eval()
    whole.load_state_dict({name: tensor.float()
                           for name, tensor in layouts.state_of(model).items()}, strict=False)
    given = goldens_models.inputs(16, 12, seed)
    with torch.no_grad():
        images, texts = whole.encode_image(given["pixels"]), whole.encode_text(given["tokens"])
    goldens_models.write_json(target / "expected.json", {
        "pixels": given["pixels"].flatten().tolist(), "tokens": given["tokens"].tolist(),
        "image_embeddings": images.tolist(), "text_embeddings": texts.tolist(),
        "logit_scale": whole.logit_scale.exp().item(),
    })  # fmt: skip
