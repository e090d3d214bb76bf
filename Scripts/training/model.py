"""The model: open_clip's CLIP in OpenAI's architecture, with rows for the tokens that it learns."""

import functools
import hashlib
import json

import numpy as np
import torch
import torch.nn.functional as F
from open_clip.model import CLIP
from open_clip.tokenizer import SimpleTokenizer
from PIL import Image
from safetensors.torch import load_file, save

RESOLUTION = 64
CONTEXT, VOCABULARY = 77, 49408
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
EMBEDDING = 256
VISION = {"layers": [2, 2, 2, 2], "width": 24, "image_size": RESOLUTION}
TEXT = {"context_length": CONTEXT, "width": 128, "heads": 2, "layers": 6}

tokenizer = SimpleTokenizer()


@functools.cache
def tokens_of(word):
    """The tokens of a word: what lies between spaces is never joined."""
    return tuple(tokenizer.encode(word))


class Tokens:
    """Ids of the tokens that the training sees, from 1; 0 is for all others, whose vector is zero."""

    def __init__(self, texts):
        seen = {token for text in texts for word in text.split() for token in tokens_of(word)}
        self.known = [tokenizer.sot_token_id, tokenizer.eot_token_id, *sorted(seen)]
        self.rows = {token: row for row, token in enumerate(self.known, 1)}

    def __call__(self, texts):
        """[texts, longest] of rows, and where each text ends."""
        lists = []
        for text in texts:
            tokens = [self.rows.get(token, 0) for word in text.split() for token in tokens_of(word)]
            lists.append([1, *tokens[: CONTEXT - 2], 2])
        rows = torch.zeros(len(lists), max(map(len, lists)), dtype=torch.long)
        for row, tokens in zip(rows, lists):
            row[: len(tokens)] = torch.tensor(tokens)
        return rows, torch.tensor([len(tokens) - 1 for tokens in lists])


def all_tokens(texts):
    """The same for the exported model, which has a row for each of CLIP's tokens."""
    rows = tokenizer(texts)
    ends = rows.argmax(1)
    return rows[:, : ends.max() + 1], ends


def build(vocabulary):
    model = CLIP(EMBEDDING, VISION, {**TEXT, "vocab_size": vocabulary}, quick_gelu=True)
    return model.float()


def trainable(tokens):
    """A fresh model that knows so many tokens."""
    model = build(len(tokens.known) + 1)
    weight = model.token_embedding.weight.detach()
    weight[0] = 0
    model.token_embedding = torch.nn.Embedding.from_pretrained(weight, freeze=False, padding_idx=0)
    # As large as the features beside them: what stands where is not learned from open_clip's 0.04.
    torch.nn.init.normal_(model.visual.attnpool.positional_embedding, std=0.5)
    model.visual = model.visual.to(memory_format=torch.channels_last)
    return model


def encode_images(model, pictures):
    """Pictures [batch, 3, side, side] from 0 to 1 to embeddings of length 1."""
    mean, std = (torch.tensor(values)[:, None, None].to(pictures.device) for values in (MEAN, STD))
    pixels = ((pictures - mean) / std).contiguous(memory_format=torch.channels_last)
    return F.normalize(model.visual(pixels).float(), dim=-1)


def encode_texts(model, rows, ends):
    """Rows of tokens to embeddings of length 1, short ones and long ones apart; the ends are on the CPU.

    The tower is causal, so what follows the end is left out.
    """
    order = ends.argsort()
    embeddings = []
    for part in order.chunk(4):
        length = int(ends[part[-1]]) + 1
        x = model.token_embedding(rows[part.to(rows.device), :length]) + model.positional_embedding[:length]
        x = model.transformer(x, attn_mask=model.attn_mask[:length, :length])
        x = model.ln_final(x)[torch.arange(len(part)), ends[part]] @ model.text_projection
        embeddings.append(F.normalize(x.float(), dim=-1))
    return torch.cat(embeddings)[order.argsort()]


def preprocess(picture):
    """OpenAI's: a picture of any size to [3, side, side] from 0 to 1."""
    width, height = picture.size
    scale = RESOLUTION / min(width, height)
    size = [RESOLUTION if side == min(width, height) else int(side * scale) for side in (width, height)]
    picture = picture.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    left, top = (round((side - RESOLUTION) / 2) for side in size)
    pixels = np.array(picture)[top : top + RESOLUTION, left : left + RESOLUTION]
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255


def export(model, tokens, folder, name, about):
    """Writes the weights in float16, OpenAI's layout, all 49,408 tokens, their configuration and SHA-256."""
    state = {key: value.detach() for key, value in model.state_dict().items()
             if key != "attn_mask" and not key.endswith("num_batches_tracked")}
    table = torch.zeros(VOCABULARY, TEXT["width"])
    table[tokens.known] = state["token_embedding.weight"][1:].float()
    state["token_embedding.weight"] = table
    state = {key: value.half().contiguous() for key, value in state.items()}
    weights = folder / f"{name}.safetensors"
    weights.write_bytes(bytes(save(state)))
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    weights.with_suffix(".sha256").write_text(f"{digest}  {weights.name}\n")
    (folder / f"{name}.json").write_text(json.dumps({
        "model_cfg": {
            "embed_dim": EMBEDDING, "quick_gelu": True, "vision_cfg": VISION,
            "text_cfg": {**TEXT, "vocab_size": VOCABULARY}},
        "preprocess_cfg": {
            "size": RESOLUTION, "mode": "RGB", "mean": MEAN, "std": STD, "interpolation": "bicubic",
            "resize_mode": "shortest"},
        **about,
    }, indent=2) + "\n")


def load(path):
    """The exported model, as anybody would load it."""
    model = build(VOCABULARY)
    missing, unexpected = model.load_state_dict(
        {key: value.float() for key, value in load_file(path).items()}, strict=False)
    assert not unexpected and all(key.endswith("num_batches_tracked") for key in missing), missing
    return model.eval()
