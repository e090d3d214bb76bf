"""The job `zeroshot`: the best labels of each image."""

import dataclasses
import json
import subprocess

from pyspark.sql.types import ArrayType, FloatType, StringType, StructField, StructType

from . import encoding, tables
from .worker import executable, local_path, vectors_of_texts

PREDICTION = StructType([
    StructField("label", StringType(), False), StructField("probability", FloatType(), False),
    StructField("sigmoid", FloatType()), StructField("logit", FloatType(), False),
    StructField("cosine", FloatType(), False)])


@dataclasses.dataclass
class Classifier:
    """Labels with their vectors, and what makes probabilities of cosines."""

    labels: list
    # Normalised vectors, float64 [labels, dimension].
    vectors: object
    logit_scale: float
    # None for models that have none, which is most CLIP models.
    logit_bias: "float | None" = None

    def predictions(self, rows, top):
        """Returns the places of the best labels, and their four scores, each [rows, top].

        Labels with equal cosines are in the order given. The scores are the probability, the
        sigmoid (None without a bias), the logit and the cosine.
        """
        import numpy as np

        rows = rows.astype(np.float64)
        norms = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
        cosines = (rows / np.where(norms == 0, 1, norms)) @ self.vectors.T
        cosines = np.clip(cosines, -1, 1).astype(np.float32)
        logits = np.float32(self.logit_scale) * cosines
        if self.logit_bias is not None:
            logits += np.float32(self.logit_bias)
        powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
        probabilities = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
        order = np.argsort(-cosines, axis=1, kind="stable")[:, :top]
        chosen = [np.take_along_axis(scores, order, axis=1)
                  for scores in (probabilities, logits, cosines)]
        sigmoid = None
        if self.logit_bias is not None:
            sigmoid = (1 / (1 + np.exp(-chosen[1].astype(np.float64)))).astype(np.float32)
        return order, chosen[0], sigmoid, chosen[1], chosen[2]


def label_vectors(options, labels, templates=("{}",)):
    """Returns the normalised mean vectors of the labels' prompts, float64 [labels, dimension].

    Encodes the prompts with one worker on this machine.
    """
    import numpy as np

    if len(labels) < 2:
        raise ValueError(f"expected at least 2 labels, found {len(labels)}")
    for template in templates:
        if "{}" not in template:
            raise ValueError(f"expected {{}} in the template, found {template!r}")
    prompts = [template.replace("{}", label) for label in labels for template in templates]
    vectors, _ = vectors_of_texts(options, prompts)
    rows = np.frombuffer(vectors, "<f4").reshape(len(labels), len(templates), -1)
    means = rows.astype(np.float64).mean(axis=1)
    return means / np.sqrt((means * means).sum(axis=1, keepdims=True))


def classifier(options, labels, templates=("{}",)):
    """Returns a classifier with the labels, whose logit scale `clip info` states."""
    command = [executable(options.clip), "info", local_path(options.weights), "--json"]
    info = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return Classifier(
        list(labels), label_vectors(options, labels, templates), info["logit_scale"],
        info["logit_bias"])


def zeroshot(frame, classifier, top=1):
    """Returns a DataFrame with the column `predictions` in the place of `embedding`.

    `predictions` is an array of (label, probability, sigmoid, logit, cosine), best first, as
    `clip zeroshot` prints them; null without an embedding. `sigmoid` is null for models without a
    logit bias.
    """
    top = min(top, len(classifier.labels))
    fields = [field for field in frame.schema.fields if field.name != "embedding"]
    schema = StructType(fields + [StructField("predictions", ArrayType(PREDICTION, False))])
    return frame.mapInArrow(lambda batches: with_predictions(batches, classifier, top), schema)


def with_predictions(batches, classifier, top):
    """Yields record batches with `predictions` in the place of `embedding`."""
    import numpy as np
    import pyarrow as pa

    from .vectors import matrix

    labels = pa.array(classifier.labels, pa.string())
    for batch in batches:
        places, rows = matrix(batch.column("embedding"), classifier.vectors.shape[1])
        order, probability, sigmoid, logit, cosine = classifier.predictions(rows, top)
        scores = [
            pa.nulls(order.size, pa.float32()) if score is None else pa.array(score.ravel())
            for score in (probability, sigmoid, logit, cosine)]
        entries = pa.StructArray.from_arrays(
            [labels.take(pa.array(order.ravel())), *scores],
            fields=[pa.field("label", pa.string(), False),
                    pa.field("probability", pa.float32(), False),
                    pa.field("sigmoid", pa.float32()), pa.field("logit", pa.float32(), False),
                    pa.field("cosine", pa.float32(), False)])
        counts = np.zeros(batch.num_rows, np.int32)
        counts[places] = top
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        missing = np.append(counts == 0, False)
        column = pa.ListArray.from_arrays(
            pa.array(offsets, mask=missing), entries,
            type=pa.list_(pa.field("element", entries.type, False)))
        rest = batch.drop_columns(["embedding"])
        yield pa.RecordBatch.from_arrays(
            rest.columns + [column], names=rest.schema.names + ["predictions"])


def add_arguments(parser):
    encoding.add_arguments(parser)
    parser.add_argument("--labels", required=True, metavar="FILE",
                        help="read labels from FILE, one per line")
    parser.add_argument("--template", action="append", default=[], metavar="PROMPT",
                        help="replace {} in PROMPT with each label; repeat to average [{}]")
    parser.add_argument("--top", type=int, default=1, metavar="K",
                        help="keep the K best labels of each image [1]")


def run(spark, arguments, options):
    with open(local_path(arguments.labels), encoding="utf-8") as file:
        labels = [line.strip() for line in file if line.strip()]
    options = encoding.checked(options)
    chosen = classifier(options, labels, arguments.template or ["{}"])
    columns = []
    if arguments.origin == "parquet":
        frame = spark.read.parquet(*arguments.inputs)
        columns = frame.columns
    if "embedding" not in columns:
        frame = encoding.inputs_frame(spark, arguments, options)
    frame = zeroshot(frame, chosen, arguments.top)
    if arguments.files:
        frame = tables.redistributed(frame, arguments.files)
    tables.write(frame, arguments.output, arguments.overwrite)
