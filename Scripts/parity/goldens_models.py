"""Writes Tests/Fixtures/models/: small CLIP models with random weights, and PyTorch's activations.

Every folder holds the weights, their config in the layout of its library, and stages.safetensors:
inputs (`pixels`, `tokens`), the activations after every stage under OpenAI's names, and the outputs
`image_embedding` and `text_embedding` (not normalised) and `logits_per_image`. For the models in
half precision only inputs and outputs are kept. `X.attn` is the residual stream in block X after
the attention, X the one after the whole block; the residual network's stages are channels-last.
"""

import copy
import json
import math
from pathlib import Path

import torch
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg, resize_pos_embed
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPModel

MEAN = [0.48145466, 0.4578275, 0.40821073]
STD = [0.26862954, 0.26130258, 0.27577711]

VIT = {
    "embed_dim": 24,
    "quick_gelu": True,
    "vision_cfg": {
        "image_size": 32, "patch_size": 8, "width": 48, "head_width": 16, "layers": 2,
    },
    "text_cfg": {"context_length": 16, "vocab_size": 64, "width": 32, "heads": 2, "layers": 2},
}  # fmt: skip
RESNET = {
    "embed_dim": 24,
    "quick_gelu": True,
    "vision_cfg": {
        "image_size": 64, "layers": [1, 2, 1, 1], "width": 4, "head_width": 16, "patch_size": None,
    },
    "text_cfg": {"context_length": 12, "vocab_size": 64, "width": 16, "heads": 2, "layers": 1},
}  # fmt: skip
# The real vocabulary, and otherwise the smallest sizes, to keep the file small.
SEEDED = {
    "embed_dim": 16,
    "quick_gelu": True,
    "vision_cfg": {
        "image_size": 32, "patch_size": 8, "width": 32, "head_width": 16, "layers": 2,
    },
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 4, "heads": 2, "layers": 2},
}  # fmt: skip
HF = {
    "projection_dim": 20,
    "vision_config": {
        "image_size": 28, "patch_size": 7, "hidden_size": 40, "num_attention_heads": 5,
        "num_hidden_layers": 2, "intermediate_size": 100, "hidden_act": "gelu",
    },
    "text_config": {
        "max_position_embeddings": 12, "vocab_size": 64, "hidden_size": 24,
        "num_attention_heads": 3, "num_hidden_layers": 2, "intermediate_size": 60,
        "hidden_act": "gelu", "bos_token_id": 62, "eos_token_id": 63, "pad_token_id": 0,
    },
}  # fmt: skip


def randomise(model: torch.nn.Module, seed: int, logit_scale: float) -> None:
    """Randomises weights so that activations stay around 1, with no bias at 0 and no gain at 1."""
    generator = torch.Generator().manual_seed(seed)
    norms = (torch.nn.LayerNorm, torch.nn.BatchNorm2d)
    gains = {f"{n}.weight" for n, module in model.named_modules() if isinstance(module, norms)}
    tensors = model.state_dict()
    with torch.no_grad():
        for name in sorted(tensors):
            tensor = tensors[name]
            if not tensor.is_floating_point():
                continue
            noise = torch.randn(tensor.shape, generator=generator)
            if name == "logit_scale":
                tensor.fill_(logit_scale)
            elif name in gains:
                tensor.copy_(1 + 0.3 * noise)
            elif name.endswith("running_var"):
                tensor.copy_(0.6 + 0.4 * noise.abs())
            elif name.endswith(("bias", "running_mean")):
                tensor.copy_(0.3 * noise)
            elif "embedding" in name and "patch" not in name:
                tensor.copy_(0.6 * noise)
            elif name.endswith("proj") or name == "text_projection":
                tensor.copy_(noise * tensor.shape[0] ** -0.5)  # stored transposed: inputs first
            else:
                tensor.copy_(noise * tensor[0].numel() ** -0.5)
    model.eval()


def inputs(resolution: int, context: int, seed: int) -> dict[str, torch.Tensor]:
    """Two images, and three texts of 5, 9 and `context` tokens: start 62, end 63, padding 0."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.zeros(3, context, dtype=torch.int64)
    for row, length in zip(tokens, (5, 9, context)):
        row[:length] = torch.randint(1, 62, (length,), generator=generator)
        row[0], row[length - 1] = 62, 63
    pixels = torch.randn(2, 3, resolution, resolution, generator=generator)
    return {"pixels": pixels, "tokens": tokens}


class Recorder:
    """Records the inputs or outputs of modules during a forward pass."""

    def __init__(self) -> None:
        self.stages: dict[str, torch.Tensor] = {}

    def before(self, module: torch.nn.Module, name: str) -> None:
        def hook(_module, arguments, keywords):
            self.stages[name] = arguments[0] if arguments else keywords["inputs_embeds"]

        module.register_forward_pre_hook(hook, with_kwargs=True)

    def after(self, module: torch.nn.Module, name: str) -> None:
        def hook(_module, _arguments, output):
            self.stages[name] = output[0] if isinstance(output, tuple) else output

        module.register_forward_hook(hook)

    def blocks(self, blocks, prefix: str, second_norm: str) -> None:
        for index, block in enumerate(blocks):
            self.before(getattr(block, second_norm), f"{prefix}.{index}.attn")
            self.after(block, f"{prefix}.{index}")


def finish(recorder, given, image, text, scale, end_token) -> dict[str, torch.Tensor]:
    """Returns inputs, outputs, and stages, with only the pooled rows of the last norms."""
    stages = dict(recorder.stages)
    rows = (given["tokens"] == end_token).int().argmax(dim=1)
    if "ln_final" in stages:
        stages["ln_final"] = stages["ln_final"][torch.arange(len(rows)), rows]
    if "visual.ln_post" in stages and stages["visual.ln_post"].ndim == 3:
        stages["visual.ln_post"] = stages["visual.ln_post"][:, 0]
    stages |= given | {"image_embedding": image, "text_embedding": text}
    cosines = torch.nn.functional.normalize(image) @ torch.nn.functional.normalize(text).T
    stages["logits_per_image"] = scale.exp() * cosines
    for value in stages.values():
        assert value.dtype == torch.int64 or value.isfinite().all()
    return {name: value.detach().clone().contiguous() for name, value in sorted(stages.items())}


def open_clip_model(config: dict) -> CLIP:
    vision = {key: value for key, value in config["vision_cfg"].items() if value is not None}
    return CLIP(
        embed_dim=config["embed_dim"],
        vision_cfg=CLIPVisionCfg(**vision),
        text_cfg=CLIPTextCfg(**config["text_cfg"]),
        quick_gelu=config["quick_gelu"],
    )


def open_clip_stages(model: CLIP, given: dict) -> dict[str, torch.Tensor]:
    recorder = Recorder()
    visual = model.visual
    if hasattr(visual, "ln_pre"):
        recorder.before(visual.ln_pre, "visual.embeddings")
        recorder.after(visual.ln_pre, "visual.ln_pre")
        recorder.blocks(visual.transformer.resblocks, "visual.transformer.resblocks", "ln_2")
        recorder.after(visual.ln_post, "visual.ln_post")
    else:
        recorder.after(visual.avgpool, "visual.stem")
        for number in (1, 2, 3, 4):
            for index, block in enumerate(getattr(visual, f"layer{number}")):
                recorder.after(block, f"visual.layer{number}.{index}")
    recorder.before(model.transformer.resblocks[0], "embeddings")
    recorder.blocks(model.transformer.resblocks, "transformer.resblocks", "ln_2")
    recorder.after(model.ln_final, "ln_final")
    with torch.no_grad():
        image, text = model.encode_image(given["pixels"]), model.encode_text(given["tokens"])
    for name, value in recorder.stages.items():
        if name == "visual.stem" or name.startswith("visual.layer"):
            recorder.stages[name] = value.permute(0, 2, 3, 1)
    return finish(recorder, given, image, text, model.logit_scale, model.vocab_size - 1)


def hf_stages(model: CLIPModel, given: dict) -> dict[str, torch.Tensor]:
    recorder = Recorder()
    vision, text = model.vision_model, model.text_model
    recorder.before(vision.pre_layrnorm, "visual.embeddings")
    recorder.after(vision.pre_layrnorm, "visual.ln_pre")
    blocks = "visual.transformer.resblocks"
    recorder.blocks(vision.encoder.layers, blocks, "layer_norm2")
    recorder.after(vision.post_layernorm, "visual.ln_post")
    recorder.after(text.embeddings, "embeddings")
    recorder.blocks(text.encoder.layers, "transformer.resblocks", "layer_norm2")
    recorder.after(text.final_layer_norm, "ln_final")
    with torch.no_grad():
        image = model.visual_projection(vision(given["pixels"]).pooler_output)
        written = model.text_projection(text(given["tokens"]).pooler_output)
        stages = finish(recorder, given, image, written, model.logit_scale, 63)
        whole = model(input_ids=given["tokens"], pixel_values=given["pixels"])
    assert torch.allclose(whole.logits_per_image, stages["logits_per_image"], atol=1e-5)
    return stages


def hf_hidden_states(model: CLIPModel, given: dict) -> dict[str, torch.Tensor]:
    """The hidden states for diffusion models: every position, with both kinds of padding."""
    text = model.text_model
    tokens = given["tokens"].clone()
    for row, padding in zip(tokens, (0, 63)):
        row[int(row.argmax()) + 1 :] = padding
    with torch.no_grad():
        states = text(input_ids=tokens, output_hidden_states=True).hidden_states
        found = {"tokens": tokens, "last": states[-1], "penultimate": states[-2]}
        found |= {f"{name}.ln_final": text.final_layer_norm(found[name])
                  for name in ("last", "penultimate")}
    return {name: tensor.contiguous() for name, tensor in found.items()}


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="ascii")


def write_open_clip(folder: Path, weights: dict[str, torch.Tensor], config: dict) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    contiguous = {name: tensor.contiguous() for name, tensor in weights.items()}
    save_file(contiguous, folder / "open_clip_model.safetensors", metadata={"format": "pt"})
    preprocess = {"mean": MEAN, "std": STD, "interpolation": "bicubic", "resize_mode": "shortest"}
    whole = {"model_cfg": config, "preprocess_cfg": preprocess}
    write_json(folder / "open_clip_config.json", whole)


def make_open_clip(target: Path, name: str, config: dict, seed: int, logit_scale: float) -> CLIP:
    model = open_clip_model(config)
    randomise(model, seed, logit_scale)
    given = inputs(
        config["vision_cfg"]["image_size"], config["text_cfg"]["context_length"], seed + 1
    )
    write_open_clip(target / name, model.state_dict(), config)
    save_file(open_clip_stages(model, given), target / name / "stages.safetensors")
    return model


def make_interpolated(target: Path, model: CLIP, seed: int) -> None:
    """The image tower at other sizes than its own, as open_clip interpolates its positions."""
    tensors = {}
    for size in (24, 48, 56):
        config = copy.deepcopy(VIT)
        config["vision_cfg"]["image_size"] = size
        other, state = open_clip_model(config), model.state_dict()
        resize_pos_embed(state, other)
        other.load_state_dict(state)
        pixels = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(seed + size))
        with torch.no_grad():
            tensors |= {f"pixels@{size}": pixels,
                        f"image_embedding@{size}": other.eval().encode_image(pixels)}
    save_file(tensors, target / "interpolated.safetensors")


def make_half(target: Path, name: str, weights: dict, dtype: torch.dtype, seed: int) -> None:
    halves = {key: tensor.to(dtype) for key, tensor in weights.items()}
    model = open_clip_model(VIT)
    model.load_state_dict({key: tensor.float() for key, tensor in halves.items()})
    model.eval()
    stages = open_clip_stages(model, inputs(32, 16, seed + 1))
    kept = ("pixels", "tokens", "image_embedding", "text_embedding", "logits_per_image")
    write_open_clip(target / name, halves, VIT)
    save_file({key: stages[key] for key in kept}, target / name / "stages.safetensors")


def make_hf(target: Path, seed: int) -> None:
    model = CLIPModel(CLIPConfig(**HF))
    randomise(model, seed, 1.9)
    folder = target / "vit-hf"
    model.save_pretrained(folder)
    settings = {
        "crop_size": 28, "do_center_crop": True, "do_normalize": True, "do_resize": True,
        "feature_extractor_type": "CLIPFeatureExtractor", "image_mean": MEAN, "image_std": STD,
        "resample": 3, "size": 28,
    }  # fmt: skip
    write_json(folder / "preprocessor_config.json", settings)
    given = inputs(28, 12, seed + 1)
    save_file(hf_stages(model, given), folder / "stages.safetensors")
    save_file(hf_hidden_states(model, given), folder / "hidden_states.safetensors")


def make_seeded(target: Path, seed: int) -> CLIP:
    """The model of the end-to-end test, whose file has token embeddings in half precision."""
    model = open_clip_model(SEEDED)
    randomise(model, seed, math.log(100))
    weights = model.state_dict()
    weights["token_embedding.weight"] = weights["token_embedding.weight"].half()
    write_open_clip(target / "seeded", weights, SEEDED)
    model.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    return model


def make(target: Path, seed: int) -> CLIP:
    """Writes all models and returns the one that the end-to-end fixture needs."""
    target.mkdir(parents=True, exist_ok=True)
    vit = make_open_clip(target, "vit", VIT, seed, 2.3)
    make_interpolated(target / "vit", vit, seed)
    make_half(target, "vit-bf16", vit.state_dict(), torch.bfloat16, seed)
    make_half(target, "vit-f16", vit.state_dict(), torch.float16, seed)
    make_open_clip(target, "resnet", RESNET, seed + 10, 2.7)
    make_hf(target, seed + 20)
    return make_seeded(target, seed + 41)  # one whose probabilities are neither 0 nor 1
