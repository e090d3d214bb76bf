"""Measures the exported model and writes its card."""

import subprocess
import zlib

import open_clip
import torch

from evaluate import Evaluation
from model import EMBEDDING, RESOLUTION, TEXT, VISION, all_tokens, load

ROWS = [
    ("one pictogram: which of 2 names", "two_way"),
    ("one pictogram: which of 10 names", "ten_way"),
    ("one pictogram: which of all {base} names, first", "top_1"),
    ("one pictogram: which of all {base} names, among the first five", "top_5"),
    ("scene of two or three: its caption beats one with a wrong object", "wrong_object"),
    ("scene of two or three: its caption beats one with a wrong background colour", "wrong_colour"),
    ("scene of two: its caption beats one with the places swapped", "wrong_place"),
    ("which of 500 scenes a caption describes, first", "retrieval_recall_at_1"),
    ("*transfer:* drawn by Symbola, black on white: which of 2 names", "symbola_two_way"),
    ("*transfer:* drawn by Symbola: which of 10 names", "symbola_ten_way"),
    ("*transfer:* drawn by Symbola: which of all names, first", "symbola_top_1"),
    ("*transfer:* drawn by Symbola: among the first five", "symbola_top_5"),
    ("*transfer:* {keyword_count} held-out keywords: which of 10 images", "keyword_ten_way"),
    ("*transfer:* {keyword_count} held-out keywords: which of all images, among the first five",
     "keyword_top_5"),
    ("*transfer:* the {keyword_of_known_words_count} of them whose words other captions have: which of 10",
     "keyword_of_known_words_ten_way"),
    ("*transfer:* the same: which of all images, among the first five", "keyword_of_known_words_top_5"),
]

TEXT_OF_CARD = """# tiny: a small CLIP of pictograms

`tiny.safetensors` is a CLIP model that this project trained from scratch. It lets the command show what it
does without a download, and gives the tests meaningful weights. It is part of the `clip` binary:
`clip zeroshot --model tiny IMAGE LABEL LABEL`.

**It is a demonstration and a test model.** It knows pictograms (emoji) and simple scenes of them in plain
English, and nothing of photographs beyond what carries over by chance. It is no replacement for ViT-B/32.

| | |
|---|---|
| architecture | OpenAI's CLIP; ModifiedResNet of width {width}, layers {layers}, {resolution} pixels a side; text width {text_width}, {text_layers} layers, {text_heads} heads, 77 positions, 49,408 tokens; embedding {embedding}; QuickGELU |
| file | float16 safetensors in OpenAI's layout, {size:.1f} MB ({packed:.1f} MB as git packs it), {parameters:.1f} million numbers, of which the rows of {unseen} tokens that did not occur in training are zero |
| SHA-256 | `{sha256}` (`sha256sum -c tiny.sha256`) |
| pixels | shorter side to {resolution} (bicubic), centre, OpenAI's mean and standard deviation: `tiny.json` |
| licence | MIT |

## What it knows

The {base} pictograms of Noto Color Emoji that are a single character, and {sequences} that are several
joined by zero-width joiners (a man biking, a woman pilot); no flags of countries, no families of several
characters, no skin tones. It knows them by their names in Unicode's CLDR, by the keywords that few of them
share, and by some phrases of this project (a man riding a bicycle, a school bus, a glass of red wine; the
sentences of the demo are among them). Its scenes also have counts (two or three of a kind), places (left of,
right of, above, below), and a dozen colours and ten landscapes of the background. The table shows how much of
that it learned; with two choices, 50 % is chance. Tokens that did not occur in training have no effect.

## How good it is

On {singles:,} renders of single pictograms and {scenes} scenes each, on backgrounds (checks, dots, rings, a
skyline, a forest), with light and with pairs of pictograms that did not occur in training, drawn at 160 pixels
and preprocessed like any image:

| | share right |
|---|---|
{figures}

## How it was made

`Scripts/training/train.sh`, with PyTorch {torch} and open_clip {open_clip}: {steps:,} steps of
{batch:,} images, CLIP's symmetric contrastive loss, Muon and AdamW, seed {seed}, {minutes:.0f} minutes on {device}. The
images are drawn during training: no two are the same. The first are single pictograms on plain
grounds; later half of each batch are scenes in twos and fours whose captions differ in one thing, an object,
a place, a number or a background, and half of the single pictograms are neighbours in Unicode, which often
look alike and are hard negatives of each other.

The pictograms are drawn by Noto Color Emoji (Debian's fonts-noto-color-emoji {noto}; SIL Open Font License
1.1), their names and keywords are from Unicode's CLDR (Debian's unicode-cldr-core {cldr}; Unicode License).
Neither is part of this project; see NOTICE.

The held-out keywords are CLDR keywords that the captions of their pictograms never contained. A pictogram
counts as right if the keyword is one of its own.

## Other models

The weights of OpenAI and open_clip are hundreds of megabytes and have their own licences. `clip` downloads
them with `clip pull NAME` and reads them with `--model`.
"""


def debian_version(package):
    return subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True).stdout or "?"


def write(folder, pictograms, bitmaps, tokens, about, batch, minutes, device):
    weights = folder / "tiny.safetensors"
    model = load(weights)
    evaluation = Evaluation(pictograms, bitmaps)
    measures = evaluation(model, all_tokens, tokens)
    for key, value in measures.items():
        print(f"{key:40} {value:.4f}", flush=True)

    digest = weights.with_suffix(".sha256").read_text().split()[0]
    base = sum(pictogram.base for pictogram in pictograms)
    values = {**measures, "base": f"{base:,}"}
    figures = "\n".join(f"| {label.format(**values)} | {100 * measures[key]:.1f} % |" for label, key in ROWS)
    (folder / "README.md").write_text(TEXT_OF_CARD.format(
        width=VISION["width"], layers=tuple(VISION["layers"]), resolution=RESOLUTION, text_width=TEXT["width"],
        text_layers=TEXT["layers"], text_heads=TEXT["heads"], embedding=EMBEDDING, size=weights.stat().st_size / 1e6, packed=len(zlib.compress(weights.read_bytes())) / 1e6,
        parameters=sum(p.numel() for p in model.parameters()) / 1e6, sha256=digest,
        unseen=f"{49408 - len(tokens.known):,}", base=f"{base:,}", sequences=len(pictograms) - base,
        singles=len(evaluation.single_objects), scenes=len(evaluation.sets["place"][1]), figures=figures,
        torch=torch.__version__.split("+")[0], open_clip=open_clip.__version__, steps=about["steps"],
        seed=about["seed"], batch=batch, minutes=minutes, device=device,
        noto=debian_version("fonts-noto-color-emoji"), cldr=debian_version("unicode-cldr-core")))
