"""Writes a seeded ViT-B/32 in Hugging Face's layout, for Scripts/bench/server.py.

    INFINITY-VENV/bin/python Scripts/bench/server_weights.py FOLDER --vocabulary FOLDER

The vocabulary is the folder with CLIP's vocab.json and merges.txt. Every bias and norm is
randomised, so that no term of the model is zero or one.
"""

import argparse
import pathlib


def write(folder, vocabulary):
    import torch
    import transformers

    torch.manual_seed(2026)
    model = transformers.CLIPModel(transformers.CLIPConfig()).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias") or "norm" in name or "layrnorm" in name:
                parameter += 0.05 * torch.randn_like(parameter)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer = transformers.CLIPTokenizerFast(
        str(vocabulary / "vocab.json"), str(vocabulary / "merges.txt"), model_max_length=77)
    transformers.CLIPProcessor(transformers.CLIPImageProcessor(), tokenizer).save_pretrained(folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--vocabulary", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    write(arguments.folder, arguments.vocabulary)


if __name__ == "__main__":
    main()
