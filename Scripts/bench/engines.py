"""Runs the engines that `clip` is compared with, on the same seeded weights, one process each.

    VENV/bin/python Scripts/bench/engines.py ENGINE PRECISION FOLDER TOWER BATCH TOKENS

runs the tower once for every line of standard input and prints the milliseconds.

    VENV/bin/python Scripts/bench/engines.py ENGINE PRECISION FOLDER TOWER INPUT.npy OUTPUT.npy

writes the outputs of the tower for pixels or token ids.

    VENV/bin/python Scripts/bench/engines.py weights FOLDER

writes the weights of the model that the folder is named after, seeded, every bias and norm
randomised.

    VENV/bin/python Scripts/bench/engines.py tokenizer FOLDER [VOCABULARY.json.gz]

writes the tokenizer of SigLIP 2, rebuilt from the list of Gemma's pieces, or without the list
trained from generated text.
"""

import json
import os
import pathlib
import subprocess
import sys
import time
import warnings
from types import SimpleNamespace

ROOT = pathlib.Path(__file__).resolve().parents[2]
THREADS = len(os.sched_getaffinity(0))
CLIP_LENGTHS = [12, 77]


class Engine:
    """A process that runs a tower on request."""

    def __init__(self, command, variables={}):
        environment = {name: value for name, value in os.environ.items()
                       if name not in ["OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"]}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True,
            env=environment | variables)
        self.times = []

    def run(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def alternate(engines, rounds, pause=0.0):
    """Runs each engine once in every round, with a pause in seconds after each, and stops all."""
    for engine in engines.values():
        engine.run()
    for _ in range(rounds):
        for engine in engines.values():
            engine.times.append(engine.run())
            time.sleep(pause)
    for engine in engines.values():
        engine.close()


def tower_module(model, tower):
    """A tower as a module of one input.

    Texts of CLIP may have any length and are pooled at the largest id.
    """
    import torch

    class Image(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, pixels):
            return self.model.encode_image(pixels)

    class Text(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, ids):
            if hasattr(self.model, "text"):  # SigLIP and others
                return self.model.encode_text(ids)
            length = ids.shape[1]
            x = self.model.token_embedding(ids) + self.model.positional_embedding[:length]
            x = self.model.transformer(x, attn_mask=self.model.attn_mask[:length, :length])
            x = self.model.ln_final(x)[torch.arange(ids.shape[0]), ids.argmax(-1)]
            return x @ self.model.text_projection

    return Image() if tower == "image" else Text()


def read_configuration(folder):
    """Returns the size of images, and the number of positions and of ids of a text."""
    configuration = json.loads((folder / "open_clip_config.json").read_text())["model_cfg"]
    text = configuration["text_cfg"]
    return SimpleNamespace(size=configuration["vision_cfg"]["image_size"],
                           context=text["context_length"], vocabulary=text["vocab_size"])


def example(configuration, tower, batch, tokens, seed=1):
    """Returns random pixels or ids.

    Texts of CLIP end at their last id; those of other vocabularies have different lengths, and are
    padded.
    """
    import torch

    torch.manual_seed(seed)
    if tower == "image":
        return torch.rand(batch, 3, configuration.size, configuration.size) * 4 - 2
    if configuration.vocabulary == 49408:
        ids = torch.randint(1, 49000, (batch, tokens))
        ids[:, 0], ids[:, -1] = 49406, 49407
        return ids
    ids = torch.randint(2, configuration.vocabulary, (batch, tokens))
    for row in ids:
        end = int(torch.randint(2, tokens, ()))
        row[end], row[end + 1 :] = 1, 0
    return ids


def load(folder):
    import open_clip

    return open_clip.create_model(f"local-dir:{folder}").eval()


def make_weights(folder):
    """Returns the model that the folder is named after; writes its weights if there are none."""
    import torch

    sys.path.insert(0, str(ROOT / "Scripts/parity"))
    import full_size
    import full_size_families

    torch.manual_seed(2026)
    folder.mkdir(parents=True, exist_ok=True)
    made = full_size_families if full_size_families.is_family(folder.name) else full_size
    return made.make_open_clip(folder.name, folder)[0]


def make_tokenizer(folder, gemma=None):
    """Writes the tokenizer of a SigLIP 2 model to its folder if there is none."""
    path = folder / "tokenizer.model"
    if "SigLIP2" not in folder.name or path.exists():
        return
    sys.path.insert(0, str(ROOT / "Scripts/parity"))
    from full_size_families import Vocabularies

    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(Vocabularies(folder.parent / "tokenizers", gemma).gemma())


def stems(configuration):
    """Yields the name of each exported tower, the tower, and the ids of a text."""
    yield "image", "image", 0
    lengths = CLIP_LENGTHS if configuration.context == 77 else [configuration.context]
    for length in lengths:
        yield f"text{length}", "text", length


def prepare(folder, quantised):
    """Writes the weights, and the towers as ONNX, ONNX in int8 and OpenVINO in int8."""
    import torch

    model = make_weights(folder)
    configuration = read_configuration(folder)
    torch.backends.mha.set_fastpath_enabled(False)  # it cannot be exported to ONNX
    for stem, tower, tokens in stems(configuration):
        path = folder / f"{stem}.onnx"
        if not path.exists():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                torch.onnx.export(
                    tower_module(model, tower), (example(configuration, tower, 2, tokens),), path,
                    dynamo=False,
                    input_names=["x"], output_names=["y"], dynamic_axes={"x": {0: "batch"}},
                    opset_version=17)
        if not quantised:
            continue
        if not (folder / f"{stem}.int8.onnx").exists():
            from onnxruntime.quantization import QuantType, quantize_dynamic

            quantize_dynamic(path, folder / f"{stem}.int8.onnx", weight_type=QuantType.QInt8,
                             op_types_to_quantize=["MatMul", "Gemm"])
        if not (folder / f"{stem}.int8.xml").exists():
            import nncf
            import openvino

            data = [example(configuration, tower, 1, tokens, seed).numpy()
                    for seed in range(1, 17)]
            network = nncf.quantize(
                openvino.Core().read_model(path), nncf.Dataset([{"x": x} for x in data]),
                model_type=nncf.ModelType.TRANSFORMER, subset_size=len(data))
            openvino.save_model(network, folder / f"{stem}.int8.xml")


def pytorch(precision, folder, tower, x):
    import torch

    torch.set_num_threads(THREADS)
    module = tower_module(load(folder), tower)
    if precision == "bf16":
        module = module.bfloat16()
        x = x.bfloat16() if tower == "image" else x
    return lambda: module(x)


def transformers(precision, folder, tower, x):
    """Hugging Face's text tower; texts are padded to the longest. CLIP's has random weights."""
    import torch
    from transformers import (
        CLIPTextConfig, CLIPTextModelWithProjection, SiglipTextConfig, SiglipTextModel)

    torch.set_num_threads(THREADS)
    if "SigLIP2" in folder.name:
        model = SiglipTextModel(SiglipTextConfig(vocab_size=256_000)).eval()
        model.load_state_dict(siglip_text_weights(load(folder).text.state_dict()))
    else:
        model = CLIPTextModelWithProjection(CLIPTextConfig(eos_token_id=49407)).eval()
    if precision == "bf16":
        model = model.bfloat16()
    output = "pooler_output" if "SigLIP2" in folder.name else "text_embeds"
    return lambda: model(input_ids=x)[output]


def siglip_text_weights(tensors):
    """Returns the tensors of open_clip's text tower under the names of transformers' SigLIP."""
    names = [("token_embedding.", "embeddings.token_embedding."),
             ("positional_embedding", "embeddings.position_embedding.weight"),
             ("transformer.resblocks.", "encoder.layers."), (".ln_", ".layer_norm"),
             (".attn.", ".self_attn."), (".c_fc.", ".fc1."), (".c_proj.", ".fc2."),
             ("ln_final.", "final_layer_norm."), ("text_projection.", "head.")]
    result = {}
    for name, tensor in tensors.items():
        for old, new in names:
            name = name.replace(old, new)
        if ".in_proj_" not in name:
            result[name] = tensor
            continue
        for part, third in zip("qkv", tensor.chunk(3)):
            result[name.replace(".in_proj_", f".{part}_proj.")] = third
    return result


def onnxruntime(precision, folder, tower, x):
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.add_session_config_entry("session.force_spinning_stop", "1")
    stem = tower if tower == "image" else f"text{x.shape[1]}"
    ending = "int8.onnx" if precision == "int8" else "onnx"
    session = ort.InferenceSession(str(folder / f"{stem}.{ending}"), options)
    values = {"x": x.numpy()}
    return lambda: session.run(None, values)


def openvino(precision, folder, tower, x):
    import openvino as ov

    stem = tower if tower == "image" else f"text{x.shape[1]}"
    network = ov.Core().read_model(folder / f"{stem}.{'int8.xml' if precision == 'int8' else 'onnx'}")
    # Layers that are not int8 are bfloat16 if the CPU supports it, as OpenVINO chooses by default.
    hint = {"fp32": "f32", "bf16": "bf16", "int8": "bf16"}[precision]
    if "BF16" not in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        hint = "f32"
    request = ov.compile_model(network, "CPU", {
        "INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": THREADS,
        "PERFORMANCE_HINT": "LATENCY"}).create_infer_request()
    values = {0: x.numpy()}
    return lambda: request.infer(values)


def write_outputs(engine, precision, folder, tower, path, output):
    import numpy
    import torch

    with torch.no_grad():
        rows = globals()[engine](precision, folder, tower, torch.from_numpy(numpy.load(path)))()
    if engine in ["onnxruntime", "openvino"]:
        rows = torch.from_numpy(numpy.array(rows[0]))
    numpy.save(output, rows.float().numpy())


def main():
    makers = {"weights": make_weights, "tokenizer": make_tokenizer}
    if sys.argv[1] in makers:
        makers[sys.argv[1]](*map(pathlib.Path, sys.argv[2:]))
        return
    engine, precision, folder, tower, batch, tokens = sys.argv[1:]
    folder = pathlib.Path(folder)
    import torch

    if batch.endswith(".npy"):
        write_outputs(engine, precision, folder, tower, batch, tokens)
        return
    x = example(read_configuration(folder), tower, int(batch), int(tokens))
    with torch.no_grad():
        run = globals()[engine](precision, folder, tower, x)
        run(), run()
        for _ in sys.stdin:
            start = time.perf_counter()
            run()
            print(1000 * (time.perf_counter() - start), flush=True)


if __name__ == "__main__":
    main()
