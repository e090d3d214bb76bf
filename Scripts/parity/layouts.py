"""One model's weights in every layout and file format that `--model` reads, written by PyTorch."""

import collections
import json
from pathlib import Path

import torch
from open_clip.model import convert_weights_to_lp
from safetensors.torch import save_file

PREPROCESSING = {"mean": [0.48145466, 0.4578275, 0.40821073],
                 "std": [0.26862954, 0.26130258, 0.27577711]}

# The names of the tensors outside the blocks, in transformers.
HUGGING_FACE = {
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.ln_pre": "vision_model.pre_layrnorm",
    "visual.ln_post": "vision_model.post_layernorm",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "ln_final": "text_model.final_layer_norm",
    "logit_scale": "logit_scale",
}
HUGGING_FACE_LAYERS = {
    "ln_1": "layer_norm1", "ln_2": "layer_norm2", "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2",
}  # fmt: skip


def halved(model):
    """Converts matrices and convolutions to float16, as in OpenAI's files, the rest to float32."""
    convert_weights_to_lp(model, torch.float16)
    return model


def state_of(model) -> dict:
    return {
        name: tensor.detach().clone() for name, tensor in model.state_dict().items()
        if name != "attn_mask"
    }  # fmt: skip


def hugging_face(state: dict) -> dict:
    """Converts a ViT's state dict from OpenAI's layout to transformers'."""
    result = {}
    for name, tensor in state.items():
        stem, _, kind = name.rpartition(".")
        if name in ("visual.proj", "text_projection"):
            target = "visual_projection" if name == "visual.proj" else "text_projection"
            result[f"{target}.weight"] = tensor.T.contiguous()
        elif name in HUGGING_FACE:
            result[HUGGING_FACE[name]] = tensor
        elif stem in HUGGING_FACE:
            result[f"{HUGGING_FACE[stem]}.{kind}"] = tensor
        else:
            tower, _, rest = name.partition("transformer.resblocks.")
            number, _, rest = rest.partition(".")
            layer = f"{'vision' if tower else 'text'}_model.encoder.layers.{number}"
            if rest.startswith("attn.in_proj_"):
                kind = rest.removeprefix("attn.in_proj_")
                for part, piece in zip("qkv", tensor.chunk(3)):
                    result[f"{layer}.self_attn.{part}_proj.{kind}"] = piece.clone()
            else:
                own, _, kind = rest.rpartition(".")
                result[f"{layer}.{HUGGING_FACE_LAYERS[own]}.{kind}"] = tensor
    return result


def hugging_face_configuration(config: dict) -> dict:
    vision, text = config["vision_cfg"], config["text_cfg"]
    activation = "quick_gelu" if config.get("quick_gelu") else "gelu"
    return {
        "model_type": "clip", "projection_dim": config["embed_dim"],
        "vision_config": {
            "image_size": vision["image_size"], "patch_size": vision["patch_size"],
            "hidden_size": vision["width"], "num_hidden_layers": vision["layers"],
            "num_attention_heads": vision["width"] // vision.get("head_width", 64),
            "intermediate_size": int(vision["width"] * vision.get("mlp_ratio", 4)),
            "hidden_act": activation,
        },
        "text_config": {
            "max_position_embeddings": text["context_length"], "vocab_size": text["vocab_size"],
            "hidden_size": text["width"], "num_hidden_layers": text["layers"],
            "num_attention_heads": text["heads"], "intermediate_size": 4 * text["width"],
            "hidden_act": activation, "bos_token_id": text["vocab_size"] - 2,
            "eos_token_id": text["vocab_size"] - 1, "pad_token_id": 0,
        },
    }  # fmt: skip


def strided(state: dict) -> dict:
    """The same numbers in unusual memory layouts: transposed, channels last, two in one storage."""
    result = {}
    for name, tensor in state.items():
        if tensor.ndim == 4:
            result[name] = tensor.contiguous(memory_format=torch.channels_last)
        elif tensor.ndim == 2:
            result[name] = tensor.T.contiguous().T
        else:
            shared = torch.stack([torch.zeros_like(tensor), tensor])
            result[name] = shared[1]
    return result


def write(model, config: dict, folder: Path, prefix: str = "") -> list[Path]:
    """Writes all files and returns the paths, each of which `--model` takes.

    The first file, reference.safetensors, is in OpenAI's layout. Files in the folder itself find
    its open_clip_config.json.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = state_of(model)
    about = {"model_cfg": config, "preprocess_cfg": {"size": config["vision_cfg"]["image_size"],
                                                     **PREPROCESSING}}
    (folder / "open_clip_config.json").write_text(json.dumps(about, indent=1) + "\n")
    numbers = {name: tensor.contiguous() for name, tensor in state.items()}
    written = [folder / "reference.safetensors"]
    save_file({name: tensor for name, tensor in numbers.items() if "num_batches" not in name},
              written[0])

    def save(name: str, content, **options) -> None:
        written.append(folder / name)
        torch.save(content, written[-1], **options)

    save("state-dict.pt", collections.OrderedDict(state))
    save("module.pth", model.state_dict())  # with its _metadata
    trainable = [torch.nn.Parameter(torch.ones(2, 2))]
    optimizer = torch.optim.AdamW(trainable)
    trainable[0].sum().backward()
    optimizer.step()
    save("checkpoint.pt", {
        "epoch": 3, "name": "a training", "loss": 0.5, "optimizer": optimizer.state_dict(),
        "state_dict": {f"module.{name}": torch.nn.Parameter(tensor, requires_grad=False)
                       for name, tensor in state.items()},
    })  # fmt: skip
    outside = ("visual", "logit_scale")
    save("custom-text.bin", {
        name if name.startswith(outside) else f"text.{name}": tensor
        for name, tensor in state.items()
    })  # fmt: skip
    save("strided.pt", strided(state))
    written.append(folder / "script.pt")
    torch.jit.save(torch.jit.script(model), written[-1])

    if "patch_size" in config["vision_cfg"]:
        theirs = hugging_face(state)
        for name in ("bin", "sharded"):
            (folder / f"hf-{name}").mkdir(exist_ok=True)
            configuration = json.dumps(hugging_face_configuration(config), indent=1) + "\n"
            (folder / f"hf-{name}" / "config.json").write_text(configuration)
            written.append(folder / f"hf-{name}")
        torch.save(theirs, folder / "hf-bin" / "pytorch_model.bin")
        names, places = sorted(theirs), {}
        half = len(names) // 2
        for number, part in enumerate((names[:half], names[half:]), 1):
            file = f"model-{number:05}-of-00002.safetensors"
            save_file({name: theirs[name].contiguous() for name in part},
                      folder / "hf-sharded" / file)
            places |= dict.fromkeys(part, file)
        index = {"metadata": {"total_size": 0}, "weight_map": places}
        (folder / "hf-sharded" / "model.safetensors.index.json").write_text(
            json.dumps(index, indent=1) + "\n")
    return written
