"""The command of clip_spark, for spark-submit.

    spark-submit [OPTION...] --files clip,weights clip_spark/__main__.py JOB [OPTION...]

JOB is encode, zeroshot, near-duplicates or search. See README.md for whole command lines.
"""

import argparse
import os
import sys
import tempfile
import time
import zipfile

if not __package__:  # started as a file, whose folder spark-submit has put on the path
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [os.path.dirname(here)] + [path for path in sys.path if path != here]

from clip_spark import duplicates, encoding, labels, nearest  # noqa: E402
from clip_spark.worker import WorkerError, WorkerOptions  # noqa: E402

# The name, the module, the help, and whether the job writes a table.
JOBS = [
    ("encode", encoding, "Encode images or texts as vectors in Parquet.", True),
    ("zeroshot", labels, "Classify images with labels of your choice.", True),
    ("near-duplicates", duplicates, "Find all pairs of similar vectors, and groups.", True),
    ("search", nearest, "Search a table of vectors by text or image.", False),
]


def parser():
    top = argparse.ArgumentParser(
        prog="clip_spark", description="Embed, classify and search images with clip on Spark.")
    jobs = top.add_subparsers(dest="job", required=True, metavar="JOB")
    for name, module, text, writes in JOBS:
        job = jobs.add_parser(name, help=text, description=text)
        module.add_arguments(job)
        if name != "near-duplicates":
            worker = job.add_argument_group("worker")
            worker.add_argument("--clip", default="clip", metavar="FILE",
                                help="run this command: a file of --files, or a path on every "
                                "node [clip]")
            worker.add_argument("--weights", default="ViT-B/32", metavar="FILE",
                                help="use this model: a file of --files, a path on every node, or "
                                "the name of a model [ViT-B/32]")
            worker.add_argument("--threads", type=int, metavar="N",
                                help="compute with N threads in each task [spark.task.cpus]")
            worker.add_argument("--worker-option", action="append", default=[], metavar="OPTION",
                                help="pass OPTION to clip worker, such as "
                                "--worker-option=--precision=bf16; repeat for more")
        if writes:
            job.add_argument("-o", "--output", required=True, metavar="FOLDER",
                             help="write Parquet into FOLDER")
            job.add_argument("--overwrite", action="store_true", help="replace FOLDER if it exists")
            job.add_argument("--files", type=int, metavar="N",
                             help="divide the rows by their paths into N files, sorted by path "
                             "[one file for each task]")
        job.set_defaults(run=module.run)
    return top


def ship(context, temporary):
    """Sends this package to the executors, unless --py-files has done so.

    The archive is in the folder `temporary`, which must stay until the session ends.
    """
    folder = os.path.dirname(os.path.abspath(encoding.__file__))
    if not os.path.isdir(folder):
        return  # imported from the archive of --py-files
    archive = os.path.join(temporary, "clip_spark.zip")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name in sorted(os.listdir(folder)):
            if name.endswith(".py"):
                file.write(os.path.join(folder, name), f"clip_spark/{name}")
    context.addPyFile(archive)


def main():
    from pyspark.sql import SparkSession

    top = parser()
    arguments = top.parse_args()
    options = None
    if hasattr(arguments, "clip"):
        options = WorkerOptions(
            clip=arguments.clip, weights=arguments.weights, threads=arguments.threads,
            arguments=tuple(arguments.worker_option))
    rows = "spark.sql.execution.arrow.maxRecordsPerBatch"
    with tempfile.TemporaryDirectory() as temporary:
        spark = SparkSession.builder.appName(f"clip_spark {arguments.job}").getOrCreate()
        try:
            ship(spark.sparkContext, temporary)
            if not spark.sparkContext.getConf().contains(rows):
                # Two batches of images are in the memory of a task; the default is 10,000 rows.
                spark.conf.set(rows, "256")
            start = time.monotonic()
            arguments.run(spark, arguments, options)
            seconds = time.monotonic() - start
            if hasattr(arguments, "output"):  # the output of search is data
                print(f"clip_spark: {arguments.job}: done in {seconds:.1f} s")
        except (OSError, ValueError, WorkerError) as error:
            sys.exit(f"clip_spark: {arguments.job}: {error}")
        finally:
            spark.stop()


if __name__ == "__main__":
    main()
