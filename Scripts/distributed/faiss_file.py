#!/usr/bin/env python3
"""Reads the file of clip export --to faiss with faiss-cpu, and searches it."""

import numpy

import common
from common import TOP, check


def main():
    options = common.arguments(__doc__, vectors=100_000)
    import faiss

    index = common.synthetic_vectors(options, options.vectors)
    expected, _ = common.clip_search(options, index)
    names = common.names_of(index)
    file = options.work / "vectors.faiss"
    file.unlink(missing_ok=True)
    common.clip(options, "export", index, "--to", "faiss", "-o", file)
    read = faiss.read_index(str(file))
    check(isinstance(read, faiss.IndexFlatIP), f"faiss reads it as {type(read).__name__}")
    vectors = read.reconstruct_n(0, read.ntotal)
    check(common.same_vectors(vectors, numpy.load(index)), "its vectors are equal to the bit")
    _, places = read.search(common.query_vectors(options), TOP)
    found = [[names[place] for place in row] for row in places]
    common.check_matches(options, index, found, expected, "faiss")
    common.finish()


if __name__ == "__main__":
    main()
