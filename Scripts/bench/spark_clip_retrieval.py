"""Compares clip_spark with clip-retrieval's `clip inference` on Spark, on the same images.

    python3 -m venv VENV
    grep -v setuptools Scripts/bench/clip_retrieval.txt | VENV/bin/pip install -r /dev/stdin
    VENV/bin/pip install setuptools==69.5.1
    python3 -m venv VENV2 && VENV2/bin/pip install -r Scripts/distributed/requirements.txt
    python3 Scripts/bench/spark_clip_retrieval.py --retrieval VENV/bin/python
        --spark VENV2/bin/python --clip CLIP --weights FOLDER --images FOLDER --work FOLDER

--weights has a ViT-B/32 in the layout of Hugging Face (model.safetensors), such as one with random
weights; it is converted to a checkpoint of open_clip once. --images has at least --count JPEG and
PNG files, such as those of Scripts/distributed/make_images.py with --broken 0.

Both run in Spark's local mode with --cores tasks of one thread each, in fp32. clip-retrieval has
batches of 32 images and one process that reads images beside each task, which is faster on few
cores than its own settings; --own-settings leaves it those: batches of 256, four such processes,
and PyTorch's threads. Each runs once on half of the images and once on all: the images a second
after start-up are the added images by the added seconds. Also prints the smallest cosine between
the vectors of both. With --peer map-in-arrow, the peer is open_clip within mapInArrow instead of
clip-retrieval.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = "ViT-B-32-quickgelu"


def spark_session(cores):
    from pyspark.sql import SparkSession

    return (SparkSession.builder.master(f"local[{cores}]").config("spark.ui.enabled", "false")
            .config("spark.driver.host", "127.0.0.1").config("spark.driver.memory", "2g")
            .config("spark.driver.bindAddress", "127.0.0.1").getOrCreate())


# The jobs of the peers, each a process of its own with the Python of --retrieval.


def convert(weights, checkpoint):
    """Writes the weights of Hugging Face's layout as a state of open_clip's model."""
    import torch
    from safetensors.torch import load_file

    old, new = load_file(weights), {}
    for tower, theirs in [("visual.", "vision_model."), ("", "text_model.")]:
        layer = 0
        while f"{theirs}encoder.layers.{layer}.layer_norm1.weight" in old:
            a, b = f"{theirs}encoder.layers.{layer}.", f"{tower}transformer.resblocks.{layer}."
            for kind in ("weight", "bias"):
                for x, y in [("layer_norm1", "ln_1"), ("layer_norm2", "ln_2"),
                             ("mlp.fc1", "mlp.c_fc"), ("mlp.fc2", "mlp.c_proj"),
                             ("self_attn.out_proj", "attn.out_proj")]:
                    new[f"{b}{y}.{kind}"] = old[f"{a}{x}.{kind}"]
                new[f"{b}attn.in_proj_{kind}"] = torch.cat(
                    [old[f"{a}self_attn.{part}_proj.{kind}"] for part in "qkv"])
            layer += 1
    for x, y in [("vision_model.embeddings.class_embedding", "visual.class_embedding"),
                 ("vision_model.embeddings.patch_embedding.weight", "visual.conv1.weight"),
                 ("vision_model.embeddings.position_embedding.weight",
                  "visual.positional_embedding"),
                 ("text_model.embeddings.token_embedding.weight", "token_embedding.weight"),
                 ("text_model.embeddings.position_embedding.weight", "positional_embedding"),
                 ("logit_scale", "logit_scale")]:
        new[y] = old[x]
    for x, y in [("vision_model.pre_layrnorm", "visual.ln_pre"), ("text_model.final_layer_norm",
                 "ln_final"), ("vision_model.post_layernorm", "visual.ln_post")]:
        for kind in ("weight", "bias"):
            new[f"{y}.{kind}"] = old[f"{x}.{kind}"]
    new["visual.proj"] = old["visual_projection.weight"].T.contiguous()
    new["text_projection"] = old["text_projection.weight"].T.contiguous()
    torch.save(new, checkpoint)


def clip_retrieval(images, output, checkpoint, cores, settings):
    """Runs clip inference with the strategy pyspark, which uses the active session."""
    from clip_retrieval.clip_inference.main import main

    spark_session(int(cores))
    start = time.monotonic()
    tuned = {"num_prepro_workers": 1, "batch_size": 32} if settings == "tuned" else {}
    main(input_dataset=images, output_folder=output, enable_text=False,
         clip_model=f"open_clip:{MODEL}/{checkpoint}", distribution_strategy="pyspark",
         output_partition_count=int(cores), **tuned)
    print(f"done in {time.monotonic() - start:.2f} s")


def map_in_arrow(images, output, checkpoint, cores, settings):
    """Runs open_clip within mapInArrow, with batches of 32 images."""
    def encode(batches):
        import io

        import open_clip
        import pyarrow as pa
        import torch
        from PIL import Image

        torch.set_num_threads(1)
        model, _, preprocess = open_clip.create_model_and_transforms(MODEL, pretrained=checkpoint)
        model.eval()
        for batch in batches:
            rows = batch.to_pylist()
            for start in range(0, len(rows), 32):
                group = rows[start:start + 32]
                pixels = torch.stack(
                    [preprocess(Image.open(io.BytesIO(row["content"]))) for row in group])
                with torch.no_grad():
                    vectors = model.encode_image(pixels, normalize=True).tolist()
                schema = pa.schema([("path", pa.string()), ("embedding", pa.list_(pa.float32()))])
                yield pa.RecordBatch.from_pydict(
                    {"path": [row["path"] for row in group], "embedding": vectors}, schema=schema)

    spark = spark_session(int(cores))
    start = time.monotonic()
    frame = spark.read.format("binaryFile").load(images).select("path", "content")
    frame.repartition(int(cores)).mapInArrow(
        encode, "path string, embedding array<float>").write.parquet(output)
    print(f"done in {time.monotonic() - start:.2f} s")


def by_name_retrieval(output):
    import numpy
    import pyarrow.parquet

    found = {}
    for file in sorted((output / "img_emb").glob("*.npy")):
        number = file.stem.rpartition("_")[2]
        names = pyarrow.parquet.read_table(output / "metadata" / f"metadata_{number}.parquet")
        for name, row in zip(names["image_path"].to_pylist(), numpy.load(file)):
            found[os.path.basename(name)] = row.astype("f4")
    return found


def by_name_parquet(output):
    import numpy
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(output)
    return {os.path.basename(name): numpy.array(row, "f4")
            for name, row in zip(table["path"].to_pylist(), table["embedding"].to_pylist())
            if row is not None}


def compare(ours, theirs, peer):
    """Prints the number of common images, and their smallest cosine."""
    read = by_name_retrieval if peer == "clip_retrieval" else by_name_parquet
    a, b = by_name_parquet(pathlib.Path(ours)), read(pathlib.Path(theirs))
    # The float16 of clip-retrieval are normalised before they are rounded.
    cosines = [float(a[name] @ b[name]) / float((b[name] @ b[name]) ** 0.5)
               for name in a.keys() & b.keys()]
    print(f"{len(cosines)} images in common, smallest cosine {min(cosines):.6f}")


# The driver, which needs only the standard library.


def run(command, threads, python=None):
    """Runs a command, whose Python is the first word or `python`, and returns its output.

    The libraries have `threads` threads, or as many as they choose.
    """
    python = str(python or command[0])
    limits = {} if threads is None else {
        "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    environment = {**os.environ, **limits, "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1",
                   "WANDB_MODE": "disabled", "SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": python,
                   "PYSPARK_DRIVER_PYTHON": python}
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, env=environment)
    output = done.stdout.decode(errors="replace")
    if done.returncode != 0:
        sys.exit(f"{command}: exit status {done.returncode}\n{output[-3000:]}")
    return output


def seconds_of(output):
    return float(re.search(r"done in ([\d.]+) s", output)[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("retrieval", "spark", "clip", "weights", "images", "work"):
        # Not resolved: the python of an environment is a link.
        parser.add_argument(f"--{name}", type=pathlib.Path, required=True)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--peer", choices=["clip-retrieval", "map-in-arrow"],
                        default="clip-retrieval")
    parser.add_argument("--own-settings", action="store_true")
    options = parser.parse_args()
    settings = "own" if options.own_settings else "tuned"
    options.work.mkdir(parents=True, exist_ok=True)
    work = options.work.resolve()
    checkpoint = work / "open_clip.pt"
    script = pathlib.Path(__file__).resolve()
    if not checkpoint.exists():
        run([options.retrieval, script, "convert", options.weights / "model.safetensors",
             checkpoint], options.cores)

    images = sorted(path for path in options.images.resolve().rglob("*")
                    if path.suffix in (".jpg", ".png"))[:options.count]
    folders = []
    for count in (len(images) // 2, len(images)):
        folder = work / f"images-{count}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for path in images[:count]:
            os.link(path, folder / path.name)
        folders.append((count, folder))

    home = subprocess.run(
        [options.spark, "-c", "import pyspark; print(pyspark.__path__[0])"], check=True,
        stdout=subprocess.PIPE).stdout.decode().strip()
    peer = options.peer.replace("-", "_")
    times = {"clip_spark": [], peer: []}
    for count, folder in folders:
        ours, theirs = work / f"ours-{count}", work / f"theirs-{count}"
        shutil.rmtree(theirs, ignore_errors=True)
        times["clip_spark"].append(seconds_of(run(
            [home + "/bin/spark-submit", "--master", f"local[{options.cores}]", "--conf",
             "spark.ui.enabled=false", ROOT / "Distributed/clip_spark/__main__.py", "encode",
             folder, "-o", ours, "--overwrite", "--partitions", options.cores, "--clip",
             options.clip.resolve(), "--weights", options.weights.resolve()],
            1, options.spark)))
        times[peer].append(seconds_of(run(
            [options.retrieval, script, peer, folder, theirs, checkpoint, options.cores, settings],
            None if options.own_settings else 1)))
    print(f"seconds for {folders[0][0]} and {folders[1][0]} images, and images/s after start-up")
    rates = {}
    for name, (half, whole) in times.items():
        rates[name] = (folders[1][0] - folders[0][0]) / (whole - half)
        print(f"{name:15} {half:8.1f} {whole:8.1f} {rates[name]:8.1f}")
    print(f"ratio {rates['clip_spark'] / rates[peer]:.2f}")
    print(run([options.spark, script, "compare", ours, theirs, peer], 1), end="")


JOBS = {"convert": convert, "clip_retrieval": clip_retrieval, "map_in_arrow": map_in_arrow,
        "compare": compare}

if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] in JOBS:
        JOBS[sys.argv[1]](*sys.argv[2:])
    else:
        main()
