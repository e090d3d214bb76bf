#!/usr/bin/env python3
"""Reads the directory of clip export --to clip-retrieval with embedding-reader and autofaiss.

Runs in an environment of its own (autofaiss.txt), whose NumPy is older than 2.
"""

import numpy

import common
from common import check


def main():
    options = common.arguments(__doc__.splitlines()[0], vectors=20_000)
    import faiss
    from autofaiss import build_index
    from embedding_reader import EmbeddingReader

    index = common.synthetic_vectors(options, options.vectors)
    vectors = numpy.load(index)
    names = [name.decode() for name in common.names_of(index)]
    folder = options.work / "clip-retrieval"
    if not folder.exists():
        common.clip(options, "export", index, "--to", "clip-retrieval", "-o", folder)
    half = vectors.astype(numpy.float16)

    reader = EmbeddingReader(
        str(folder / "img_emb"), file_format="parquet_npy", embedding_column="embedding",
        metadata_folder=str(folder / "metadata"), meta_columns=["image_path"])
    check((reader.count, reader.dimension) == vectors.shape,
          f"embedding-reader: {reader.count} x {reader.dimension}")
    rows, paths = zip(*((rows, list(meta["image_path"])) for rows, meta in reader(batch_size=4096)))
    check(numpy.array_equal(numpy.concatenate(rows).astype(numpy.float16), half),
          "embedding-reader: vectors equal to float16 of clip's, to the bit")
    check(sum(paths, []) == names, "embedding-reader: the names, in order")

    file = options.work / "autofaiss.index"
    built, _ = build_index(
        str(folder / "img_emb"), index_path=str(file), save_on_disk=True,
        index_infos_path=str(file) + ".json", index_key="Flat", metric_type="ip",
        max_index_memory_usage="2G", current_memory_available="4G", nb_cores=2, verbose=30)
    check(built.ntotal == len(vectors), f"autofaiss: an index of {built.ntotal} vectors")
    _, places = faiss.read_index(str(file)).search(vectors[:100], 1)
    check((places[:, 0] == numpy.arange(100)).all(), "autofaiss: each vector finds itself")
    common.finish()


if __name__ == "__main__":
    main()
