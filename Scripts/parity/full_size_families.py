"""Full-size seeded models of the families after CLIP, for full_size.py.

SigLIP, SigLIP 2, MobileCLIP, MetaCLIP 2, PE-Core and EVA01 under the names of open_clip, and three
of transformers. All weights are random, with every bias, norm, position, class token, latent and
running statistic, and scaled so that activations stay around 1.

Beside the weights lies a tokenizer file. The real vocabularies are not at hand: for SigLIP and
MetaCLIP 2 a Unigram model stands in that sentencepiece trains from generated text, and for SigLIP 2
Gemma's, which is rebuilt from the list of its pieces, or without the list a trained BPE model.
Token tables have all rows of the real ones, and the models are padded with unused pieces to as many
ids. Token ids of the reference come from sentencepiece,
tokenizers and transformers.
"""

import copy
import math
from types import SimpleNamespace
from unittest import mock

import goldens_families
import open_clip
import open_clip.model
import sentence_pieces
import torch
from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model
from open_clip.transform import image_transform
from PIL import Image
from safetensors.torch import load_file, save_file
from timm.data.naflex_transforms import ResizeToSequence
from torchvision.transforms import functional
from transformers import (
    CLIPImageProcessorPil,
    MetaClip2Config,
    MetaClip2Model,
    Siglip2Config,
    Siglip2ImageProcessorPil,
    Siglip2Model,
    SiglipConfig,
    SiglipImageProcessorPil,
    SiglipModel,
    SiglipTokenizer,
)

NAFLEX = "ViT-B-16-SigLIP2-naflex"
MODELS = [
    "ViT-B-16-SigLIP", "ViT-B-32-SigLIP2-256", "ViT-B-16-SigLIP2-256", "ViT-SO400M-14-SigLIP@6",
    "ViT-SO400M-16-SigLIP-i18n-256@3", "ViT-gopt-16-SigLIP2-256@3", "MobileCLIP-B", "MobileCLIP2-B",
    "MobileCLIP2-L-14", "ViT-H-14-worldwide@4", "PE-Core-T-16-384", "PE-Core-S-16-384",
    "PE-Core-B-16", "PE-Core-L-14-336@6", "PE-Core-bigG-14-448@3", "EVA01-g-14@4",
    "hf:siglip", "hf:siglip2", "hf:metaclip2@4", "hf:siglip2-naflex", NAFLEX,
]  # fmt: skip
MEAN, STD = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
TRAINED = 32_000


# MARK: weights

def randomise(model, seed=2026):
    """Randomises all weights; layers keep the scale of what passes through them."""
    generator = torch.Generator().manual_seed(seed)
    norms = (torch.nn.LayerNorm, torch.nn.BatchNorm2d)
    gains = {f"{name}.weight" for name, module in model.named_modules()
             if isinstance(module, norms)}
    vectors = ("pos_embed", "positional_embedding", "class_embedding", "cls_token", "latent",
               "probe")
    with torch.no_grad():
        for name, tensor in sorted(model.state_dict().items()):
            last = name.split(".")[-1]
            if not tensor.is_floating_point():
                continue
            if last == "logit_scale":
                tensor.fill_(math.log(20))
            elif last == "logit_bias":
                tensor.fill_(-8)
            elif name in gains:
                tensor.uniform_(0.6, 1.4, generator=generator)
            elif last == "running_var":
                tensor.uniform_(0.5, 1.5, generator=generator)
            elif last.endswith(("bias", "running_mean")):
                tensor.uniform_(-0.2, 0.2, generator=generator)
            elif last in vectors or "position_embedding" in name:
                tensor.normal_(0, 0.3, generator=generator)
            elif "token_embedding" in name:
                tensor.normal_(0, 0.5, generator=generator)
            elif last == "weight":
                tensor.normal_(0, tensor[0].numel() ** -0.5, generator=generator)
            else:  # a matrix with a row for each input: `proj` and `text_projection`
                assert tensor.ndim == 2, name
                tensor.normal_(0, tensor.shape[0] ** -0.5, generator=generator)


def exact_rotations(trunk):
    """Computes the table of rotary positions in float64; timm computes it in float32."""
    rope = getattr(trunk, "rope", None)
    if rope is None:
        return
    rows, columns = rope.feat_shape
    assert list(rope.ref_feat_shape) == [rows, columns]
    steps = torch.arange(len(rope.bands), dtype=torch.float64) / len(rope.bands)
    angles = []
    for position in (torch.arange(columns).repeat(rows),
                     torch.arange(rows).repeat_interleave(columns)):
        of_axis = (position[:, None] + rope.grid_offset) * 10_000.0 ** -steps
        angles.append(of_axis.repeat_interleave(2, dim=1))
    angles = torch.cat(angles, dim=1)
    table = torch.cat([angles.sin(), angles.cos()], dim=1)
    assert torch.allclose(table.float(), rope.pos_embed.float(), atol=1e-5)
    rope.pos_embed = table


def exact_positions(positions, spatial_shapes, max_length):
    """Resizes positions in float64, as Siglip2VisionEmbeddings does in float32."""
    result = torch.zeros(len(spatial_shapes), max_length, positions.shape[2], dtype=positions.dtype)
    for row, (height, width) in zip(result, spatial_shapes.tolist()):
        resized = torch.nn.functional.interpolate(
            positions.permute(2, 0, 1)[None], (height, width), mode="bilinear", antialias=True,
            align_corners=False)
        row[: height * width] = resized[0].flatten(1).T
    return result


def to_double(model):
    """Converts a model to float64, but not its token table, which is only looked up."""
    tables = [module for module in model.modules() if isinstance(module, torch.nn.Embedding)
              and module.num_embeddings > 20_000]
    weights = [table.weight for table in tables]
    for table in tables:
        table.weight = torch.nn.Parameter(torch.zeros(1))
    model.double()
    for table, weight in zip(tables, weights):
        table.weight = weight
    if hasattr(getattr(model, "visual", None), "trunk"):
        exact_rotations(model.visual.trunk)
    inner = getattr(model, "model", None)
    if isinstance(inner, Siglip2Model):
        embeddings = inner.vision_model.embeddings
        embeddings.resize_positional_embeddings = exact_positions
    return model


# MARK: tokenizers

def framed(rows, context, start, end, padding):
    """Returns ids in rows of one length; of what is too long, the beginning."""
    start = [] if start is None else [start]
    result = torch.full((len(rows), context), padding, dtype=torch.int64)
    for line, ids in zip(result, rows):
        ids = [*start, *ids[: context - 1 - len(start)], end]
        line[: len(ids)] = torch.tensor(ids)
    return result


class Vocabularies:
    """The SentencePiece models that stand in for the real ones, trained once."""

    def __init__(self, folder, gemma=None):
        self.folder, self.gemma_list = folder, gemma
        folder.mkdir(parents=True, exist_ok=True)

    def unigram(self):
        return sentence_pieces.trained("unigram", TRAINED, self.folder)

    def gemma(self, rows=256_000):
        if self.gemma_list is None:
            model = sentence_pieces.trained("bpe", TRAINED, self.folder)
            return sentence_pieces.padded(model, rows)
        return sentence_pieces.gemma_model(self.gemma_list)

    def siglip(self, texts, context, rows, layout, folder):
        """Writes the tokenizer file of SigLIP to a folder, and returns the ids of texts.

        `rows` is the number of rows of the token table.
        """
        model = sentence_pieces.padded(self.unigram(), rows)
        if layout == "hf":
            (folder / "spiece.model").write_bytes(model)
            tokenizer = SiglipTokenizer(vocab_file=str(folder / "spiece.model"))
            return torch.tensor(tokenizer(
                texts, padding="max_length", max_length=context, truncation=True)["input_ids"])
        tokenizer = sentence_pieces.hugging_face(model, "t5", self.folder)
        tokenizer.save(str(folder / "tokenizer.json"))
        cleaned = sentence_pieces._cleaned(("canonicalize", texts))
        return framed(sentence_pieces.tokenizers_ids(tokenizer)(cleaned), context, None, 1, 1)

    def siglip2(self, texts, context, rows, layout, folder):
        model = self.gemma(rows)
        (folder / "tokenizer.model").write_bytes(model)
        cleaned = ([text.lower() for text in texts] if layout == "hf"
                   else sentence_pieces._cleaned(("canonicalize", texts)))
        return framed(sentence_pieces.sentencepiece_ids(model)(cleaned), context, None, 1, 0)

    def metaclip2(self, texts, context, rows, layout, folder):
        # The renumbered vocabulary has two more ids, `<pad>` and `<mask>`.
        model = sentence_pieces.like_xlm_roberta(self.unigram())
        model = sentence_pieces.padded(model, rows - 2)
        (folder / "sentencepiece.bpe.model").write_bytes(model)
        tokenizer = sentence_pieces.hugging_face(model, "xlm-roberta", self.folder)
        if layout != "hf":
            texts = sentence_pieces._cleaned(("whitespace", texts))
        return framed(sentence_pieces.tokenizers_ids(tokenizer)(texts), context, 0, 2, 1)

    def clip(self, texts, context, rows, layout, folder):
        return open_clip.SimpleTokenizer(context_length=context)(texts)


# MARK: open_clip

def make_open_clip(name, folder):
    """Returns the model of a name of open_clip, its configuration and its preprocessing."""
    base, _, layers = name.partition("@")
    configuration = copy.deepcopy(open_clip.get_model_config(base))
    pretrained = get_pretrained_cfg(base, list_pretrained_tags_by_model(base)[0])
    preprocessing = {key: pretrained[key]
                     for key in ("mean", "std", "interpolation", "resize_mode")}
    if pretrained.get("quick_gelu"):
        configuration["quick_gelu"] = True
    sizes = {}
    if layers:
        configuration["text_cfg"]["layers"] = sizes["depth"] = int(layers)
    if "timm_model_name" in configuration["vision_cfg"]:
        arguments = {key: value for key, value in configuration.items() if key != "custom_text"}
        with with_sizes(sizes):
            model = open_clip.model.CustomTextCLIP(**arguments).eval()
    else:
        if layers:
            configuration["vision_cfg"]["layers"] = int(layers)
        model = open_clip.model.CLIP(**configuration).eval()
    weights = folder / "open_clip_model.safetensors"
    if weights.exists():
        model.load_state_dict(load_file(weights))
    else:
        randomise(model)
        goldens_families.write_open_clip(folder, model.state_dict(), configuration, preprocessing)
    return model, configuration, preprocessing


def with_sizes(sizes):
    """Replaces arguments of the image tower that timm makes for open_clip."""
    create = open_clip.timm_model.timm.create_model
    return mock.patch.object(open_clip.timm_model.timm, "create_model",
                             lambda name, **arguments: create(name, **arguments | sizes))


def open_clip_case(name, folder, images, texts, vocabularies):
    model, configuration, preprocessing = make_open_clip(name, folder)
    text = configuration["text_cfg"]
    kind = {32_000: "siglip", 250_000: "siglip", 256_000: "siglip2", 901_629: "metaclip2",
            49_408: "clip"}[text["vocab_size"]]
    tokens = getattr(vocabularies, kind)(
        texts, text["context_length"], text["vocab_size"], "open_clip", folder)
    transform = image_transform(configuration["vision_cfg"]["image_size"], is_train=False,
                                **preprocessing)
    pixels = [transform(Image.open(path))[None] for path in images]
    return SimpleNamespace(model=model, tokens=tokens, pixels=pixels, images=images)


# MARK: transformers

HF_MODELS = {
    "hf:siglip": (SiglipModel, SiglipConfig, {}, {}),
    "hf:siglip2": (SiglipModel, SiglipConfig, {"image_size": 256}, {"vocab_size": 256_000}),
    "hf:siglip2-naflex": (Siglip2Model, Siglip2Config, {}, {"vocab_size": 256_000}),
    "hf:metaclip2": (
        MetaClip2Model, MetaClip2Config,
        {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32,
         "num_attention_heads": 16, "patch_size": 14, "projection_dim": 1024},
        {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
         "num_attention_heads": 16, "vocab_size": 901_629, "bos_token_id": 0, "eos_token_id": 2,
         "projection_dim": 1024}),
}  # fmt: skip
PROCESSORS = {
    "hf:siglip": (SiglipImageProcessorPil, {"size": {"height": 224, "width": 224}}),
    "hf:siglip2": (SiglipImageProcessorPil,
                   {"size": {"height": 256, "width": 256}, "resample": 2}),
    "hf:siglip2-naflex": (Siglip2ImageProcessorPil, {}),
    "hf:metaclip2": (CLIPImageProcessorPil, {}),
}  # fmt: skip


class HuggingFace(torch.nn.Module):
    """A model of transformers with the interface of open_clip's."""

    def __init__(self, name, folder):
        super().__init__()
        base, _, layers = name.partition("@")
        model, configuration, vision, text = HF_MODELS[base]
        if (folder / "model.safetensors").exists():
            self.model = model.from_pretrained(folder).eval()
            return
        if layers:
            vision = vision | {"num_hidden_layers": int(layers)}
            text = text | {"num_hidden_layers": int(layers)}
        joint = {"projection_dim": 1024} if base == "hf:metaclip2" else {}
        self.model = model(configuration(vision_config=vision, text_config=text, **joint)).eval()
        randomise(self.model)
        self.model.save_pretrained(folder, max_shard_size="50GB")

    def encode_text(self, tokens):
        return self.model.get_text_features(input_ids=tokens).pooler_output

    def encode_image(self, pixels):
        given = pixels if isinstance(pixels, dict) else {"pixel_values": pixels}
        return self.model.get_image_features(**given).pooler_output


def hf_case(name, folder, images, texts, vocabularies):
    model = HuggingFace(name, folder)
    base = name.partition("@")[0]
    kind, settings = PROCESSORS[base]
    processor = kind(**settings)
    processor.save_pretrained(folder)
    file = folder / "preprocessor_config.json"
    # The same settings under the name that a real file has.
    file.write_text(file.read_text().replace("ProcessorPil", "Processor"))
    if base == "hf:siglip2-naflex":
        images = of_any_shape(images, folder)
    pixels = [dict(processor(Image.open(path).convert("RGB"), return_tensors="pt"))
              for path in images]
    text = model.model.config.text_config
    tokens = getattr(vocabularies, base.removeprefix("hf:").partition("-")[0])(
        texts, text.max_position_embeddings, text.vocab_size, "hf", folder)
    return SimpleNamespace(model=model, tokens=tokens, pixels=pixels, images=images)


# MARK: images of any shape

def of_any_shape(images, folder):
    """Writes three parts of the first image: a wide one, a tall one, and the whole."""
    image = Image.open(images[0]).convert("RGB")
    width, height = image.size
    parts = {"wide": (0, 0, width, max(1, width // 3)),
             "tall": (0, 0, max(1, 2 * height // 5), height), "whole": (0, 0, width, height)}
    paths = []
    for name, (left, top, right, bottom) in parts.items():
        paths.append(folder / f"{name}.png")
        image.crop((left, top, min(right, width), min(bottom, height))).save(paths[-1])
    return paths


def patches_of_open_clip(path):
    """Returns the patches of an image by the evaluation transform of open_clip's NaFlex models."""
    image = ResizeToSequence(16, 256, interpolation="bicubic")(Image.open(path).convert("RGB"))
    pixels = functional.normalize(functional.to_tensor(image), [0.5] * 3, [0.5] * 3)
    rows, columns = (side // 16 for side in pixels.shape[1:])
    values = pixels.reshape(3, rows, 16, columns, 16).permute(1, 3, 2, 4, 0)
    return {"pixel_values": values.reshape(1, rows * columns, -1),
            "pixel_attention_mask": torch.ones(1, rows * columns, dtype=torch.int64),
            "spatial_shapes": torch.tensor([[rows, columns]])}


def naflex_case(name, folder, images, texts, vocabularies):
    """The model of transformers, whose tensors the file has under the names of open_clip."""
    folder.mkdir(parents=True, exist_ok=True)
    model = HuggingFace("hf:siglip2-naflex", folder / "hf")
    renamed = goldens_families.naflex_open_clip(load_file(folder / "hf/model.safetensors"))
    configuration = open_clip.get_model_config("ViT-B-16-SigLIP2-256")
    configuration["vision_cfg"]["timm_model_name"] = "naflexvit_base_patch16_siglip"
    goldens_families.write_open_clip(folder, renamed, configuration,
                                     goldens_families.SIGLIP_PREPROCESSING)
    images = of_any_shape(images, folder)
    tokens = vocabularies.siglip2(texts, 64, 256_000, "open_clip", folder)
    pixels = [patches_of_open_clip(path) for path in images]
    return SimpleNamespace(model=model, tokens=tokens, pixels=pixels, images=images)


def is_family(name):
    """Returns true for a model that is made here, and not by full_size.py."""
    base = name.partition("@")[0]
    configuration = open_clip.get_model_config(base)
    return base in HF_MODELS or base == NAFLEX or configuration is not None and (
        "timm_model_name" in configuration["vision_cfg"]
        or "hf_tokenizer_name" in configuration["text_cfg"])


def case(name, folder, images, texts, vocabularies):
    """Writes a model and its tokenizer to a folder.

    Returns the model in PyTorch, the ids of texts, the inputs of images, and the images' paths.
    """
    make = (naflex_case if name == NAFLEX else hf_case if name.startswith("hf:")
            else open_clip_case)
    folder.mkdir(parents=True, exist_ok=True)
    return make(name, folder, images, texts, vocabularies)
