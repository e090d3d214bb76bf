"""Embeds, classifies, compares and searches images with `clip` on Apache Spark.

Each task of `encode` starts one `clip worker` and streams its rows through it. See README.md.
"""

import importlib

# The module of each public name. Modules are imported when a name is first used, so that the
# client of the worker needs neither Spark nor pyarrow.
_MODULES = {
    "encoding": ["encode", "encode_shards"],
    "duplicates": ["groups", "near_duplicates"],
    "nearest": ["search"],
    "tables": ["file_frame", "redistributed", "shard_frame", "write"],
    "worker": ["PayloadError", "Worker", "WorkerError", "WorkerOptions"],
    "labels": ["classifier", "label_vectors", "zeroshot"],
}
__all__ = sorted(name for names in _MODULES.values() for name in names)


def __getattr__(name):
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(f".{module}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
