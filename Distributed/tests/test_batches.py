"""Tests of record batches with vectors, with a stand-in for the worker. They need pyarrow."""

import os
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import fake_worker  # noqa: E402
from test_shards import PLAIN, archive  # noqa: E402
from test_worker import options  # noqa: E402

try:
    import pyarrow as pa
    from clip_spark.batches import TEXT, samples_with_vectors, with_vectors
except ModuleNotFoundError as error:
    raise unittest.SkipTest(f"{error.name} is not installed") from error


def vectors(*payloads):
    return [None if each is None else list(memoryview(fake_worker.vector(each)).cast("f"))
            for each in payloads]


class BatchTests(unittest.TestCase):
    def test_content_is_replaced_by_vector_and_error(self):
        content = [b"%d" % i for i in range(300)]
        content[7], content[200] = None, b"broken"
        batch = pa.record_batch({"id": pa.array(range(300)), "content": pa.array(content)})
        batches = [batch.slice(0, 290), batch.slice(290, 0), batch.slice(290)]
        table = pa.Table.from_batches(with_vectors(batches, options(), "content"))
        self.assertEqual(table.schema.names, ["id", "embedding", "error"])
        self.assertEqual(table["id"].to_pylist(), list(range(300)))
        expected = vectors(*[None if each in (None, b"broken") else each for each in content])
        self.assertEqual(table["embedding"].to_pylist(), expected)
        self.assertEqual(table["error"][7].as_py(), "the column content is null")
        self.assertEqual(table["error"].null_count, 298)

    def test_results_do_not_depend_on_batches(self):
        batch = pa.record_batch({"content": pa.array([b"%d" % i for i in range(400)])})
        cuts = [[400], [1, 399], [128, 1, 200, 71]]
        tables = []
        for sizes in cuts:
            starts = [sum(sizes[:i]) for i in range(len(sizes))]
            slices = [batch.slice(start, size) for start, size in zip(starts, sizes)]
            tables.append(pa.Table.from_batches(with_vectors(slices, options(), "content")))
        self.assertTrue(all(table.equals(tables[0]) for table in tables))

    def test_files_are_read_by_path_also_if_not_utf8(self):
        with tempfile.TemporaryDirectory() as folder:
            raw = os.path.join(os.fsencode(folder), b"\xff.jpg")
            for path, data in [(os.fsencode(folder) + b"/a.jpg", b"A"), (raw, b"B")]:
                with open(path, "wb") as file:
                    file.write(data)
            batch = pa.record_batch({
                "path": pa.array([f"{folder}/a.jpg", "?", f"{folder}/none.jpg", None, folder]),
                "path_bytes": pa.array([None, raw, None, None, None], pa.binary())})
            table = pa.Table.from_batches(with_vectors([batch], options(), "path"))
        self.assertEqual(table["embedding"].to_pylist(), vectors(b"A", b"B", None, None, None))
        self.assertEqual(table["error"].to_pylist()[:4],
                         [None, None, "No such file or directory", "the path is null"])

    def test_texts_stay_in_the_result(self):
        batch = pa.record_batch({"caption": pa.array(["a dog", "é"])})
        table = pa.Table.from_batches(with_vectors([batch], options(), "caption", TEXT))
        self.assertEqual(table["caption"].to_pylist(), ["a dog", "é"])
        self.assertEqual(table["embedding"].to_pylist(), vectors(b"a dog", "é".encode()))

    def test_no_rows_give_no_batches(self):
        self.assertEqual(list(with_vectors(iter([]), options(), "content")), [])

    def test_samples_of_shards_are_rows(self):
        with tempfile.TemporaryDirectory() as folder:
            members = PLAIN + [("\udcff.jpg", b"broken")]
            for name, data in [("a.tar", archive(members)), ("b.tar", archive(PLAIN)[:11 * 512])]:
                pathlib.Path(folder, name).write_bytes(data)
            names = [f"{folder}/{name}" for name in ("a.tar", "b.tar", "c.tar")]
            batch = pa.record_batch({"path": pa.array(names)})
            table = pa.Table.from_batches(samples_with_vectors([batch], options(), ("txt",)))
        self.assertEqual(table.schema.names,
                         ["path", "path_bytes", "key", "txt", "embedding", "error"])
        self.assertEqual(table["txt"].to_pylist()[:3], ["one", "two", "three"])
        self.assertEqual(table["key"].to_pylist()[:3], ["a/1", "a/2", "a/3"])
        self.assertEqual(table["path"].to_pylist()[0], names[0] + "/a/1.jpg")
        raw = table["path_bytes"].to_pylist()
        self.assertEqual(raw[3], os.fsencode(names[0]) + b"/\xff.jpg")
        self.assertEqual([each for each in raw if each], raw[3:4])
        self.assertEqual([error is None for error in table["error"].to_pylist()],
                         [True] * 3 + [False] + [True] * 2 + [False, False])
        self.assertEqual(table["error"].to_pylist()[-1], "No such file or directory")


if __name__ == "__main__":
    unittest.main()
