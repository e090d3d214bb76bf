"""Runs the engines that `clip` is compared with, on the same seeded weights, one process each.

    VENV/bin/python Scripts/bench/engines.py ENGINE PRECISION FOLDER TOWER BATCH TOKENS

runs the tower once for every line of standard input and prints the milliseconds.

    VENV/bin/python Scripts/bench/engines.py weights FOLDER

writes the weights of the model that the folder is named after, seeded, every bias and norm
randomised.
"""

import json
import os
import pathlib
import subprocess
import sys
import time
import warnings

ROOT = pathlib.Path(__file__).resolve().parents[2]
THREADS = len(os.sched_getaffinity(0))
LENGTHS = [12, 77]


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
    """A tower as a module of one input; texts of any length are pooled at the largest id."""
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
            length = ids.shape[1]
            x = self.model.token_embedding(ids) + self.model.positional_embedding[:length]
            x = self.model.transformer(x, attn_mask=self.model.attn_mask[:length, :length])
            x = self.model.ln_final(x)[torch.arange(ids.shape[0]), ids.argmax(-1)]
            return x @ self.model.text_projection

    return Image() if tower == "image" else Text()


def example(tower, batch, tokens, size):
    import torch

    torch.manual_seed(1)
    if tower == "image":
        return torch.rand(batch, 3, size, size) * 4 - 2
    ids = torch.randint(1, 49000, (batch, tokens))
    ids[:, 0], ids[:, -1] = 49406, 49407
    return ids


def load(folder):
    import open_clip

    return open_clip.create_model(f"local-dir:{folder}").eval()


def make_weights(folder):
    """Returns the model that the folder is named after, and the side of its images."""
    import torch

    sys.path.insert(0, str(ROOT / "Scripts/parity"))
    from full_size import make_open_clip

    torch.manual_seed(2026)
    return make_open_clip(folder.name, folder)[:2]


def prepare(folder, quantised):
    """Writes the weights, and the towers as ONNX, ONNX in int8 and OpenVINO in int8."""
    import torch

    model, size = make_weights(folder)
    torch.backends.mha.set_fastpath_enabled(False)  # it cannot be exported to ONNX
    for stem, tower, tokens in [("image", "image", 0)] + [(f"text{n}", "text", n) for n in LENGTHS]:
        path = folder / f"{stem}.onnx"
        if not path.exists():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                torch.onnx.export(
                    tower_module(model, tower), (example(tower, 2, tokens, size),), path,
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

            data = [example(tower, 1, tokens, size).numpy() for _ in range(16)]
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
    """Hugging Face's text tower with random weights; texts are padded to the longest."""
    import torch
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    torch.set_num_threads(THREADS)
    model = CLIPTextModelWithProjection(CLIPTextConfig(eos_token_id=49407)).eval()
    if precision == "bf16":
        model = model.bfloat16()
    return lambda: model(input_ids=x).text_embeds


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


def main():
    if sys.argv[1] == "weights":
        make_weights(pathlib.Path(sys.argv[2]))
        return
    engine, precision, folder, tower, batch, tokens = sys.argv[1:]
    folder = pathlib.Path(folder)
    import torch

    configuration = json.loads((folder / "open_clip_config.json").read_text())["model_cfg"]
    size = configuration["vision_cfg"]["image_size"]
    x = example(tower, int(batch), int(tokens), size)
    with torch.no_grad():
        run = globals()[engine](precision, folder, tower, x)
        run(), run()
        for _ in sys.stdin:
            start = time.perf_counter()
            run()
            print(1000 * (time.perf_counter() - start), flush=True)


if __name__ == "__main__":
    main()
