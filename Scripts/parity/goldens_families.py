"""Writes the folders of Tests/Fixtures/models/ for the families after CLIP.

They are small models with random weights in the layouts of open_clip and transformers: SigLIP,
SigLIP 2, MobileCLIP, MetaCLIP 2, PE-Core, EVA01, and image towers that pool by the mean. Every
folder holds stages.safetensors as goldens_models.py writes it. Stages that they add, or that
differ:

    visual.embeddings   the tokens before `visual.ln_pre`, or where there is none, before block 0
    visual.ln_post      the last norm: of all tokens if an attention pool follows, else of the
                        pooled token
    visual.attn_pool    the result of the attention pool
    ln_final            the last norm at the pooled position
    logits_per_image    scale · cosine + bias, where there is a bias

Images of any shape (`siglip2-naflex*`): `pixels` (images, patches, values), `spatial_shapes`
(rows and columns) and `pixel_attention_mask` are those of transformers, and image.N (height,
width, 3) the image before, from which transformers' settings, not open_clip's, make them. The
stages are those of the real patches alone, one image after the other.

`siglip-tokenizer` has no stages, but the tokenizer of Tests/Fixtures/tokenizers/unigram.model, and
expected.json: the token ids and scores of texts and images of Tests/Fixtures by open_clip.

timm has no models of this size: they are made by the functions of the named ones with other sizes,
so that everything but the sizes is as in the named one. The configuration states the number of
heads, which cannot be read from shapes: `heads` and `pool_heads` in vision_cfg. `layer_norm_eps`
and `activation` there take precedence over those of the named model.
"""

import copy
import tempfile
from functools import partial
from pathlib import Path
from unittest import mock

import goldens_models
import numpy
import open_clip.timm_model
import sentence_pieces
import timm
import torch
from goldens_models import Recorder, write_json
from open_clip.model import CLIP, CustomTextCLIP
from open_clip.transform import PreprocessCfg, image_transform_v2
from open_clip.transformer import QuickGELU
from PIL import Image
from safetensors.torch import load_file, save_file
from sentencepiece import SentencePieceProcessor
from timm.models.vision_transformer_hybrid import ConvStem, _create_vision_transformer_hybrid
from transformers import (
    MetaClip2Config,
    MetaClip2Model,
    Siglip2Config,
    Siglip2ImageProcessorPil,
    Siglip2Model,
    SiglipConfig,
    SiglipModel,
)

VOCABULARY = 64
HALF = {"mean": [0.5] * 3, "std": [0.5] * 3}
OPENAI = {"mean": goldens_models.MEAN, "std": goldens_models.STD}
SIGLIP_PREPROCESSING = HALF | {"interpolation": "bicubic", "resize_mode": "squash"}
MOBILE_PREPROCESSING = {"mean": [0.0] * 3, "std": [1.0] * 3, "interpolation": "bilinear",
                        "resize_mode": "shortest"}
PE_PREPROCESSING = HALF | {"interpolation": "bilinear", "resize_mode": "squash"}
OPENAI_PREPROCESSING = OPENAI | {"interpolation": "bicubic", "resize_mode": "shortest"}

# Sizes of towers; the arguments are those of timm.
TRUNK = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 4,
         "mlp_ratio": 1.5}  # fmt: skip


def vision(name: str, pool: str, proj: str | None, heads: int = 4, **more) -> dict:
    return {
        "image_size": 32, "timm_model_name": name, "timm_model_pretrained": False,
        "timm_pool": pool, "timm_proj": proj, "heads": heads,
    } | more  # fmt: skip


def text(**more) -> dict:
    return {
        "context_length": 10, "vocab_size": VOCABULARY, "width": 24, "heads": 2, "layers": 2,
        "mlp_ratio": 2.0,
    } | more  # fmt: skip


def siglip_text(tokenizer: str, **more) -> dict:
    return text(
        hf_tokenizer_name=tokenizer, tokenizer_kwargs={"clean": "canonicalize"},
        no_causal_mask=True, pool_type="last", norm_kwargs={"eps": 1e-6}, **more)  # fmt: skip


SIGLIP2_TEXT = siglip_text(
    "timm/ViT-B-16-SigLIP2-256", proj_bias=True, act_kwargs={"approximate": "tanh"})
# Name, configuration, arguments of the timm model, preprocessing.
OPEN_CLIP = [
    ("siglip", {
        "embed_dim": 32, "init_logit_bias": -10, "custom_text": True,
        "vision_cfg": vision("vit_base_patch16_siglip_224", "map", "none"),
        "text_cfg": siglip_text("timm/ViT-B-16-SigLIP", proj_bias=True),
    }, {}, SIGLIP_PREPROCESSING),
    ("siglip2", {
        "embed_dim": 32, "init_logit_bias": -10, "custom_text": True,
        "vision_cfg": vision("vit_base_patch16_siglip_256", "map", "none"),
        "text_cfg": SIGLIP2_TEXT,
    }, {}, SIGLIP_PREPROCESSING),
    ("siglip-i18n-so400m", {
        "embed_dim": 28, "init_logit_bias": -10, "custom_text": True,
        "vision_cfg": vision("vit_so400m_patch16_siglip_256", "map", "none", heads=2),
        "text_cfg": siglip_text("timm/ViT-B-16-SigLIP-i18n-256", proj_type="none")
        | {"width": 28},
    }, {"embed_dim": 28, "num_heads": 2, "mlp_ratio": 1.87}, SIGLIP_PREPROCESSING),
    ("mobileclip-b", {
        "embed_dim": 20, "custom_text": True,
        "vision_cfg": vision("vit_base_mci_224", "token", None, image_size=48,
                             timm_drop=0.0, timm_drop_path=0.0),
        "text_cfg": text(no_causal_mask=False),
    }, {"img_size": 48}, MOBILE_PREPROCESSING),
    ("mobileclip2-l", {
        "embed_dim": 20, "custom_text": True,
        "vision_cfg": vision("vit_large_patch14_clip_224", "token", None, timm_drop=0.0,
                             timm_drop_path=0.1),
        "text_cfg": text(no_causal_mask=True),
    }, {}, MOBILE_PREPROCESSING),
    ("pe", {
        "embed_dim": 20, "custom_text": True,
        "vision_cfg": vision("vit_pe_core_base_patch16_224", "map", None, pool_heads=2),
        "text_cfg": text(),
    }, {"attn_pool_num_heads": 2, "attn_pool_mlp_ratio": 1.5, "ref_feat_shape": (4, 4)},
     PE_PREPROCESSING),
    ("pe-noclass", {
        "embed_dim": 20, "custom_text": True,
        "vision_cfg": vision("vit_pe_core_gigantic_patch14_448", "map", None, heads=2,
                             pool_heads=8),
        "text_cfg": text(),
    }, {"num_heads": 2, "attn_pool_num_heads": 8, "attn_pool_mlp_ratio": 1.5,
        "ref_feat_shape": (4, 4)}, PE_PREPROCESSING),
    ("eva01", {
        "embed_dim": 20, "custom_text": True,
        "vision_cfg": vision("eva_giant_patch14_224", "token", None),
        "text_cfg": text(),
    }, {}, OPENAI_PREPROCESSING),
    # The mean is that of the patches: the class token does not count.
    ("vit-avg", {
        "embed_dim": 20, "custom_text": True,
        "vision_cfg": vision("vit_base_patch16_224", "avg", None, layer_norm_eps=1e-3,
                             activation="quickgelu"),
        "text_cfg": text(),
    }, {"act_layer": QuickGELU, "norm_layer": partial(torch.nn.LayerNorm, eps=1e-3)},
     OPENAI_PREPROCESSING),
]  # fmt: skip
METACLIP2 = {
    "embed_dim": 20,
    "quick_gelu": True,
    "vision_cfg": {
        "image_size": 32, "layers": 2, "width": 32, "head_width": 8, "patch_size": 8,
        "mlp_ratio": 1.5,
    },
    "text_cfg": text(hf_tokenizer_name="facebook/xlm-v-base", pool_type="eos", eos_id=2,
                     tokenizer_kwargs={"clean": "whitespace"}),
}  # fmt: skip
HF_VISION = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
             "num_attention_heads": 4, "patch_size": 8}  # fmt: skip
HF_TEXT = {"hidden_size": 24, "intermediate_size": 48, "num_hidden_layers": 2,
           "num_attention_heads": 2, "max_position_embeddings": 10,
           "vocab_size": VOCABULARY}  # fmt: skip
SIGLIP_HF_TEXT = HF_TEXT | {"projection_size": 32}
HF = [
    ("siglip-hf", SiglipModel, partial(
        SiglipConfig, text_config=SIGLIP_HF_TEXT, vision_config=HF_VISION | {"image_size": 32})),
    ("siglip2-naflex-hf", Siglip2Model, partial(
        Siglip2Config, text_config=SIGLIP_HF_TEXT,
        vision_config=HF_VISION | {"num_patches": 25})),
    ("metaclip2-hf", MetaClip2Model, partial(
        MetaClip2Config, projection_dim=20,
        text_config=HF_TEXT | {"projection_dim": 20, "bos_token_id": 0, "eos_token_id": 2},
        vision_config=HF_VISION | {"projection_dim": 20, "image_size": 32})),
]  # fmt: skip
RESCALED = {"do_normalize": True, "do_rescale": True, "do_resize": True,
            "rescale_factor": 1 / 255}  # fmt: skip
HALF_HF = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
PROCESSORS = {
    "siglip-hf": RESCALED | HALF_HF | {
        "image_processor_type": "SiglipImageProcessor", "resample": 3,
        "size": {"height": 32, "width": 32},
    },
    "siglip2-naflex-hf": RESCALED | HALF_HF | {
        "image_processor_type": "Siglip2ImageProcessor", "max_num_patches": 25, "patch_size": 8,
        "resample": 2,
    },
    "metaclip2-hf": RESCALED | {
        "image_processor_type": "CLIPImageProcessor", "do_center_crop": True, "resample": 3,
        "do_convert_rgb": True, "crop_size": {"height": 32, "width": 32},
        "size": {"shortest_edge": 32}, "image_mean": goldens_models.MEAN,
        "image_std": goldens_models.STD,
    },
}  # fmt: skip
NAFLEX = {
    "embed_dim": 32, "init_logit_bias": -10, "custom_text": True,
    "vision_cfg": vision("naflexvit_base_patch16_siglip", "map", "none", image_size=40),
    "text_cfg": SIGLIP2_TEXT,
}  # fmt: skip
# Heights and widths: a wide image, a tall one, and one whose grid is that of the positions.
SHAPES = [(21, 67), (58, 24), (37, 38)]


# MARK: weights and inputs

def randomise(model: torch.nn.Module, seed: int, scale: float, bias: float = -3.5) -> None:
    """As goldens_models.randomise, and also what only these families have."""
    goldens_models.randomise(model, seed, scale)
    generator = torch.Generator().manual_seed(seed + 1000)
    with torch.no_grad():
        for name, tensor in sorted(model.state_dict().items()):
            last = name.split(".")[-1]
            if last in ("pos_embed", "cls_token", "latent", "probe"):
                tensor.copy_(0.6 * torch.randn(tensor.shape, generator=generator))
            elif last == "text_projection":  # a matrix with a row for each input
                noise = torch.randn(tensor.shape, generator=generator)
                tensor.copy_(noise * tensor.shape[0] ** -0.5)
            elif last == "logit_bias":
                tensor.fill_(bias)
            elif last == "logit_scale":
                tensor.fill_(scale)
            elif tensor.is_floating_point():
                assert tensor.std() > 0.02 if tensor.numel() > 1 else tensor.abs() > 0, name


def tokens(kind: str, context: int, seed: int) -> torch.Tensor:
    """Texts with no words, some, with a larger id than that of the end, and as many as there fit.

    `kind` is clip (start 62, end 63), siglip (end 1, padded with 1), siglip2 (end 1, padded with
    0) or metaclip2 (start 0, end 2, padded with 1).
    """
    start, end, padding = {"clip": (62, 63, 0), "siglip": (None, 1, 1), "siglip2": (None, 1, 0),
                           "metaclip2": (0, 2, 1)}[kind]
    generator = torch.Generator().manual_seed(seed)
    rows = torch.full((5, context), padding, dtype=torch.int64)
    for row, length in zip(rows, (2, 4, 7, context, context - 1)):
        row[:length] = torch.randint(4, 61, (length,), generator=generator)
        if start is not None:
            row[0] = start
        elif length == 2:
            row[0], row[1] = end, padding
            continue
        row[length - 1] = end
    if kind == "metaclip2":
        rows[2, 2], rows[2, 3] = 63, 2  # the largest id, and an end before the end
    elif kind != "clip":
        rows[2, 1], rows[2, 2] = 63, 1
    return rows


# MARK: stages

def finish(recorder: Recorder, given: dict, image, written, model, pooled) -> dict:
    """Returns inputs, outputs and stages; `pooled` are the positions pooled in each text."""
    stages = dict(recorder.stages)
    stages["ln_final"] = stages["ln_final"][torch.arange(len(pooled)), pooled]
    post = stages["visual.ln_post"]
    if post.ndim == 3 and "visual.attn_pool" not in stages:
        stages["visual.ln_post"] = post[:, 0]
    stages |= given | {"image_embedding": image, "text_embedding": written}
    normalize = torch.nn.functional.normalize
    stages["logits_per_image"] = model.logit_scale.exp() * (normalize(image) @ normalize(written).T)
    if getattr(model, "logit_bias", None) is not None:
        stages["logits_per_image"] = stages["logits_per_image"] + model.logit_bias
    for value in stages.values():
        assert not value.is_floating_point() or value.isfinite().all()
    return {name: value.detach().clone().contiguous() for name, value in sorted(stages.items())}


def observe_trunk(recorder: Recorder, trunk: torch.nn.Module) -> None:
    if isinstance(trunk.norm_pre, torch.nn.Identity):
        recorder.before(trunk.blocks[0], "visual.embeddings")
    else:
        recorder.before(trunk.norm_pre, "visual.embeddings")
        recorder.after(trunk.norm_pre, "visual.ln_pre")
    recorder.blocks(trunk.blocks, "visual.transformer.resblocks", "norm2")
    norm = trunk.fc_norm if isinstance(trunk.norm, torch.nn.Identity) else trunk.norm
    assert not isinstance(norm, torch.nn.Identity)
    recorder.after(norm, "visual.ln_post")
    if trunk.attn_pool is not None:
        recorder.after(trunk.attn_pool, "visual.attn_pool")


def observe_text(recorder: Recorder, tower: torch.nn.Module) -> None:
    recorder.before(tower.transformer.resblocks[0], "embeddings")
    recorder.blocks(tower.transformer.resblocks, "transformer.resblocks", "ln_2")
    recorder.after(tower.ln_final, "ln_final")


def pooled_positions(rows: torch.Tensor, config: dict) -> torch.Tensor:
    pool = config.get("pool_type", "argmax")
    if pool == "last":
        return torch.full((len(rows),), rows.shape[1] - 1)
    return rows.argmax(dim=1) if pool == "argmax" else (rows == 2).int().argmax(dim=1)


def open_clip_stages(model: CustomTextCLIP, config: dict, given: dict) -> dict:
    recorder = Recorder()
    observe_trunk(recorder, model.visual.trunk)
    observe_text(recorder, model.text)
    with torch.no_grad():
        image, written = model.encode_image(given["pixels"]), model.encode_text(given["tokens"])
        pooled = pooled_positions(given["tokens"], config["text_cfg"])
        stages = finish(recorder, given, image, written, model, pooled)
        logits, _ = model.get_logits(given["pixels"], given["tokens"])
    assert torch.allclose(logits, stages["logits_per_image"], atol=1e-4)
    return stages


# MARK: open_clip

OWN_KEYS = ("heads", "pool_heads", "layer_norm_eps", "activation")


def timm_model(sizes: dict, create=timm.create_model):
    """Returns a stand-in for timm.create_model that makes the named model with other sizes."""
    def make(name, *, pretrained, **arguments):
        arguments |= sizes
        if name == "vit_base_mci_224":
            # The stem of this model has a fixed width.
            width = arguments.pop("embed_dim")
            stem = ConvStem(channels=(width // 4, width // 4, width), stride=(4, 2, 2), padding=0,
                            kernel_size=(4, 2, 2), act_layer=torch.nn.GELU)
            arguments = {key: arguments[key] for key in arguments if key != "patch_size"}
            return _create_vision_transformer_hybrid(
                name, backbone=stem, embed_args={"proj": False}, embed_dim=width,
                no_embed_class=True, **arguments)
        return create(name, pretrained=pretrained, **arguments)
    return mock.patch.object(open_clip.timm_model.timm, "create_model", make)


def open_clip_model(config: dict, sizes: dict) -> CustomTextCLIP:
    """Returns the model of a configuration, with an image tower of other sizes than the named."""
    config = copy.deepcopy(config)
    config.pop("custom_text")
    config["vision_cfg"] = {key: value for key, value in config["vision_cfg"].items()
                            if key not in OWN_KEYS}
    with timm_model(sizes):
        return CustomTextCLIP(**config).eval()


def write_open_clip(folder: Path, weights: dict, config: dict, preprocessing: dict) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    contiguous = {name: tensor.contiguous() for name, tensor in weights.items()}
    save_file(contiguous, folder / "open_clip_model.safetensors", metadata={"format": "pt"})
    write_json(folder / "open_clip_config.json",
               {"model_cfg": config, "preprocess_cfg": preprocessing})


def given(kind: str, config: dict, seed: int) -> dict[str, torch.Tensor]:
    """Two images and five texts."""
    side = config["vision_cfg"]["image_size"]
    pixels = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(seed))
    return {"pixels": pixels, "tokens": tokens(kind, config["text_cfg"]["context_length"], seed)}


def make_open_clip(target: Path, name: str, config: dict, sizes: dict, preprocessing: dict,
                   seed: int) -> None:
    kind = name.split("-")[0] if "siglip" in name else "clip"
    model = open_clip_model(config, TRUNK | sizes)
    randomise(model, seed, 2.1)
    write_open_clip(target / name, model.state_dict(), config, preprocessing)
    stages = open_clip_stages(model, config, given(kind, config, seed + 1))
    save_file(stages, target / name / "stages.safetensors")


def make_metaclip2(target: Path, seed: int) -> None:
    """The model of OpenAI's shape whose texts are pooled at the first end token."""
    model = CLIP(**METACLIP2).eval()
    randomise(model, seed, 2.1)
    write_open_clip(target / "metaclip2", model.state_dict(), METACLIP2, OPENAI_PREPROCESSING)
    inputs = given("metaclip2", METACLIP2, seed + 1)
    recorder = Recorder()
    visual = model.visual
    recorder.before(visual.ln_pre, "visual.embeddings")
    recorder.after(visual.ln_pre, "visual.ln_pre")
    recorder.blocks(visual.transformer.resblocks, "visual.transformer.resblocks", "ln_2")
    recorder.after(visual.ln_post, "visual.ln_post")
    observe_text(recorder, model)
    with torch.no_grad():
        image, written = model.encode_image(inputs["pixels"]), model.encode_text(inputs["tokens"])
        pooled = pooled_positions(inputs["tokens"], METACLIP2["text_cfg"])
        stages = finish(recorder, inputs, image, written, model, pooled)
    save_file(stages, target / "metaclip2/stages.safetensors")


# MARK: transformers

def images_of_any_shape(seed: int) -> dict[str, torch.Tensor]:
    """Images, and what transformers' processor makes of them, under the names of a fixture."""
    generator = numpy.random.default_rng(seed)
    processor = Siglip2ImageProcessorPil(patch_size=8, max_num_patches=25)
    images = []
    for height, width in SHAPES:
        small = generator.integers(0, 256, (height // 6, width // 6, 3), dtype=numpy.uint8)
        smooth = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
        images.append(smooth)
    processed = processor(images, return_tensors="pt")
    found = {"pixels": processed["pixel_values"].float(),
             "spatial_shapes": processed["spatial_shapes"].long(),
             "pixel_attention_mask": processed["pixel_attention_mask"].long()}
    assert sorted(found["spatial_shapes"].prod(1).tolist())[-1] == 25, found["spatial_shapes"]
    for index, image in enumerate(images):
        found[f"image.{index}"] = torch.from_numpy(numpy.array(image))
    return found


def hf_inputs(name: str, seed: int) -> dict[str, torch.Tensor]:
    kind = "metaclip2" if "metaclip2" in name else "siglip2" if "siglip2" in name else "siglip"
    if "naflex" in name:
        pixels = images_of_any_shape(seed)
    else:
        pixels = {"pixels": torch.randn(
            2, 3, 32, 32, generator=torch.Generator().manual_seed(seed))}
    return pixels | {"tokens": tokens(kind, 10, seed)}


def observe_hf(recorder: Recorder, model: torch.nn.Module) -> None:
    tower, written = model.vision_model, model.text_model
    layers = tower.encoder.layers
    if hasattr(tower, "pre_layrnorm"):
        recorder.before(tower.pre_layrnorm, "visual.embeddings")
        recorder.after(tower.pre_layrnorm, "visual.ln_pre")
    else:
        recorder.after(tower.embeddings, "visual.embeddings")
        recorder.after(tower.head, "visual.attn_pool")
    recorder.blocks(layers, "visual.transformer.resblocks", "layer_norm2")
    recorder.after(tower.post_layernorm, "visual.ln_post")
    recorder.after(written.embeddings, "embeddings")
    recorder.blocks(written.encoder.layers, "transformer.resblocks", "layer_norm2")
    recorder.after(written.final_layer_norm, "ln_final")


def real_rows(stages: dict[str, torch.Tensor]) -> None:
    """Keeps the rows of real patches in the stages of images of any shape."""
    mask = stages["pixel_attention_mask"].bool()
    for name, value in stages.items():
        if name.startswith("visual.") and value.shape[:2] == mask.shape:
            stages[name] = value[mask].contiguous()


def hf_stages(name: str, model: torch.nn.Module, inputs: dict) -> dict[str, torch.Tensor]:
    recorder = Recorder()
    observe_hf(recorder, model)
    given = {"pixel_values": inputs["pixels"]}
    given |= {key: inputs[key] for key in ("spatial_shapes", "pixel_attention_mask")
              if key in inputs}
    rows = inputs["tokens"]
    with torch.no_grad():
        image = model.get_image_features(**given).pooler_output
        written = model.get_text_features(input_ids=rows).pooler_output
        pool = "eos" if "metaclip2" in name else "last"
        pooled = pooled_positions(rows, {"pool_type": pool})
        stages = finish(recorder, inputs, image, written, model, pooled)
        whole = model(input_ids=rows, **given)
    assert torch.allclose(whole.logits_per_image, stages["logits_per_image"], atol=1e-4)
    if "pixel_attention_mask" in stages:
        real_rows(stages)
    return stages


def naflex_open_clip(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Returns the tensors of transformers' Siglip2Model under the names of open_clip."""
    heads = ("q", "k", "v")
    found = {}

    def take(old: str, new: str) -> None:
        for kind in ("weight", "bias"):
            found[f"{new}.{kind}"] = state[f"{old}.{kind}"]

    def join(old: list[str], new: str, mark: str) -> None:
        for kind in ("weight", "bias"):
            found[f"{new}{mark}{kind}"] = torch.cat([state[f"{name}.{kind}"] for name in old])

    for name in ("logit_scale", "logit_bias"):
        found[name] = state[name].reshape(())
    trunk, tower = "visual.trunk", "vision_model"
    take(f"{tower}.embeddings.patch_embedding", f"{trunk}.embeds.proj")
    positions = state[f"{tower}.embeddings.position_embedding.weight"]
    side = round(len(positions) ** 0.5)
    found[f"{trunk}.embeds.pos_embed"] = positions.reshape(1, side, side, -1)
    layers = 1 + max(int(name.split(".")[3]) for name in state
                     if name.startswith(f"{tower}.encoder.layers."))
    for layer in range(layers):
        old, new = f"{tower}.encoder.layers.{layer}", f"{trunk}.blocks.{layer}"
        take(f"{old}.layer_norm1", f"{new}.norm1")
        join([f"{old}.self_attn.{head}_proj" for head in heads], f"{new}.attn.qkv", ".")
        take(f"{old}.self_attn.out_proj", f"{new}.attn.proj")
        take(f"{old}.layer_norm2", f"{new}.norm2")
        take(f"{old}.mlp.fc1", f"{new}.mlp.fc1")
        take(f"{old}.mlp.fc2", f"{new}.mlp.fc2")
    take(f"{tower}.post_layernorm", f"{trunk}.norm")
    old, new = f"{tower}.head", f"{trunk}.attn_pool"
    found[f"{new}.latent"] = state[f"{old}.probe"]
    for kind in ("weight", "bias"):
        both = state[f"{old}.attention.in_proj_{kind}"]
        width = len(both) // 3
        found[f"{new}.q.{kind}"], found[f"{new}.kv.{kind}"] = both[:width], both[width:]
    take(f"{old}.attention.out_proj", f"{new}.proj")
    take(f"{old}.layernorm", f"{new}.norm")
    take(f"{old}.mlp.fc1", f"{new}.mlp.fc1")
    take(f"{old}.mlp.fc2", f"{new}.mlp.fc2")

    embeddings = "text_model.embeddings"
    found["text.token_embedding.weight"] = state[f"{embeddings}.token_embedding.weight"]
    found["text.positional_embedding"] = state[f"{embeddings}.position_embedding.weight"]
    layers = 1 + max(int(name.split(".")[3]) for name in state
                     if name.startswith("text_model.encoder.layers."))
    for layer in range(layers):
        old, new = f"text_model.encoder.layers.{layer}", f"text.transformer.resblocks.{layer}"
        take(f"{old}.layer_norm1", f"{new}.ln_1")
        join([f"{old}.self_attn.{head}_proj" for head in heads], f"{new}.attn", ".in_proj_")
        take(f"{old}.self_attn.out_proj", f"{new}.attn.out_proj")
        take(f"{old}.layer_norm2", f"{new}.ln_2")
        take(f"{old}.mlp.fc1", f"{new}.mlp.c_fc")
        take(f"{old}.mlp.fc2", f"{new}.mlp.c_proj")
    take("text_model.final_layer_norm", "text.ln_final")
    take("text_model.head", "text.text_projection")
    return found


def make_naflex(folder: Path, weights: dict, expected: dict) -> None:
    """The tensors of transformers in the layout of open_clip, whose model says the same."""
    renamed = naflex_open_clip(weights)
    sizes = {key: TRUNK[key] for key in ("embed_dim", "depth", "num_heads", "mlp_ratio")}
    model = open_clip_model(NAFLEX, sizes | {"patch_size": 8, "pos_embed_grid_size": (5, 5)})
    model.load_state_dict(renamed)
    rows, columns = expected["spatial_shapes"].T
    mask, place = expected["pixel_attention_mask"], torch.arange(25)
    coordinates = torch.stack([place // columns[:, None], place % columns[:, None]], dim=2)
    with torch.no_grad():
        image = model.visual.trunk(
            expected["pixels"], patch_coord=coordinates * mask[..., None], patch_valid=mask.bool())
        written = model.encode_text(expected["tokens"])
    assert torch.allclose(image, expected["image_embedding"], atol=1e-5)
    assert torch.allclose(written, expected["text_embedding"], atol=1e-5)
    write_open_clip(
        folder, renamed, NAFLEX, SIGLIP_PREPROCESSING | {"interpolation": "bilinear"})
    save_file(expected, folder / "stages.safetensors")


def make_hf(target: Path, name: str, kind: type, config: partial, seed: int) -> None:
    model = kind(config()).eval()
    randomise(model, seed, 2.1)
    folder = target / name
    model.save_pretrained(folder)
    write_json(folder / "preprocessor_config.json", PROCESSORS[name])
    stages = hf_stages(name, model, hf_inputs(name, seed + 1))
    save_file(stages, folder / "stages.safetensors")
    if "naflex" in name:
        weights = load_file(folder / "model.safetensors")
        make_naflex(target / name.removesuffix("-hf"), weights, stages)


# MARK: a model with a tokenizer

IMAGES = ["rgb.jpg", "rgb.png"]
LABELS = ["a man riding bicycle", "A Man, climbing a mountain!", "cat", "the quick brown fox"]


def make_with_tokenizer(fixtures: Path, seed: int) -> None:
    """A SigLIP that takes texts and images of any size, and its scores of some."""
    tokenizer = (fixtures / "tokenizers/unigram.model").read_bytes()
    processor = SentencePieceProcessor(model_proto=tokenizer)
    config = {
        "embed_dim": 16, "init_logit_bias": -10, "custom_text": True,
        "vision_cfg": vision("vit_base_patch16_siglip_224", "map", "none", heads=2),
        "text_cfg": siglip_text("timm/ViT-B-16-SigLIP", proj_bias=True)
        | {"context_length": 24, "width": 16, "layers": 1,
           "vocab_size": processor.get_piece_size()},
    }  # fmt: skip
    model = open_clip_model(config, TRUNK | {"embed_dim": 16, "depth": 1, "num_heads": 2})
    randomise(model, seed, 2.1, bias=-1.5)
    folder = fixtures / "models/siglip-tokenizer"
    write_open_clip(folder, model.state_dict(), config, SIGLIP_PREPROCESSING)
    (folder / "spiece.model").write_bytes(tokenizer)

    # open_clip's tokenizer, which is transformers' T5 after its own cleaning.
    with tempfile.TemporaryDirectory() as temporary:
        t5 = sentence_pieces.hugging_face(tokenizer, "t5", Path(temporary))
    ids = sentence_pieces.tokenizers_ids(t5)(sentence_pieces._cleaned(("canonicalize", LABELS)))
    rows = torch.full((len(LABELS), config["text_cfg"]["context_length"]), 1)
    for row, found in zip(rows, ids):
        assert len(found) < len(row), found
        row[: len(found)] = torch.tensor(found)
    transform = image_transform_v2(
        PreprocessCfg(size=32, mode="RGB", **SIGLIP_PREPROCESSING), is_train=False)
    pixels = torch.stack([transform(Image.open(fixtures / "images" / name)) for name in IMAGES])
    with torch.no_grad():
        image, written = model.encode_image(pixels), model.encode_text(rows)
        normalize = torch.nn.functional.normalize
        cosines = normalize(image) @ normalize(written).T
        logits, _ = model.get_logits(pixels, rows)
    goldens_models.write_json(folder / "expected.json", {
        "images": IMAGES, "labels": LABELS, "tokens": [[*row, 1] for row in ids],
        "logit_scale": model.logit_scale.exp().item(), "logit_bias": model.logit_bias.item(),
        "cosines": cosines.tolist(), "logits": logits.tolist(),
        "sigmoids": logits.sigmoid().tolist(), "probabilities": logits.softmax(dim=1).tolist(),
    })  # fmt: skip


def make(target: Path, seed: int) -> None:
    """Writes all models but the one with a tokenizer, which needs other fixtures."""
    for index, (name, config, sizes, preprocessing) in enumerate(OPEN_CLIP):
        make_open_clip(target, name, config, sizes, preprocessing, seed + 100 + 10 * index)
    make_metaclip2(target, seed + 300)
    for index, (name, kind, config) in enumerate(HF):
        make_hf(target, name, kind, config, seed + 400 + 10 * index)
