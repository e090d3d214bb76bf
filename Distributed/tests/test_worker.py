"""Tests of the client of the worker, with a stand-in for the worker."""

import array
import os
import pathlib
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from clip_spark.worker import (  # noqa: E402
    Chunk, PayloadError, Worker, WorkerError, WorkerOptions, executable, vectors_of_texts)
import fake_worker  # noqa: E402

FAKE = str(pathlib.Path(__file__).resolve().parent / "fake_worker.py")


def options(*arguments, **settings):
    return WorkerOptions(clip=FAKE, weights="w", threads=1, arguments=arguments, **settings)


def run(chunks, chosen):
    with Worker(chosen) as worker:
        return [(chunk, replies) for chunk, replies in worker.run(chunks)]


class WorkerTests(unittest.TestCase):
    def test_replies_are_in_order_and_broken_inputs_have_errors(self):
        payloads = [b"a", b"broken", b"", lambda: b"b" * 200_000, PayloadError("missing"), b"c"]
        found = run([Chunk(payloads[:4]), Chunk([]), Chunk(payloads[4:])], options())
        errors = [error for _, replies in found for error in replies.errors]
        self.assertEqual([error is None for error in errors],
                         [True, False, False, True, False, True])
        self.assertTrue(errors[1].startswith("the image is broken: é"))
        self.assertEqual(errors[4], "missing")
        vectors = b"".join(bytes(replies.vectors) for _, replies in found)
        expected = b"".join(fake_worker.vector(each) for each in [b"a", b"b" * 200_000, b"c"])
        self.assertEqual(vectors, expected)

    def test_thousands_of_requests_do_not_fill_the_pipes(self):
        chunks = [Chunk([b"%d %d" % (i, j) for j in range(500)], context=i) for i in range(20)]
        found = run(iter(chunks), options())
        self.assertEqual([chunk.context for chunk, _ in found], list(range(20)))
        self.assertEqual(sum(len(replies.vectors) for _, replies in found), 10_000 * 32)

    def test_at_most_two_chunks_are_in_flight(self):
        taken = []

        def chunks():
            for i in range(6):
                taken.append(i)
                yield Chunk([b"x"])

        with Worker(options()) as worker:
            for done, _ in enumerate(worker.run(chunks())):
                self.assertLessEqual(len(taken), done + 2)

    def test_death_of_the_worker_is_an_error_with_its_stderr(self):
        with self.assertRaisesRegex(WorkerError, "SIGKILL.*after 3 replies.*out of memory"):
            run([Chunk([b"%d" % i for i in range(1000)])], options("--die-after", "3"))

    def test_worker_that_does_not_start_is_an_error(self):
        with self.assertRaisesRegex(WorkerError, "cannot start"):
            run([], WorkerOptions(clip="/nowhere/clip"))
        with self.assertRaisesRegex(WorkerError, "expected the hello"):
            run([], options("--garbage"))
        with self.assertRaisesRegex(WorkerError, "exit status 1"):
            run([], WorkerOptions(clip="/bin/false"))

    def test_other_weights_are_an_error(self):
        with Worker(options()) as worker:
            fingerprint = worker.fingerprint
        run([], options(fingerprint=fingerprint))
        with self.assertRaisesRegex(WorkerError, "different weights"):
            run([], options(fingerprint="0" * 64))

    def test_failure_while_reading_an_input_is_raised(self):
        def fails():
            raise OSError(5, "Input/output error")

        with self.assertRaisesRegex(OSError, "Input/output"):
            run([Chunk([b"a", fails, b"b"])], options())

    def test_large_input_is_not_sent(self):
        _, replies = run([Chunk([b"12345", b"1234"])], options(limit=4))[0]
        self.assertIn("too large (5 bytes, limit 4)", replies.errors[0])
        self.assertIsNone(replies.errors[1])

    def test_leaving_early_ends_process_and_threads(self):
        before = threading.active_count()
        with Worker(options("--sleep", "0.01")) as worker:
            for _ in worker.run(Chunk([b"x" * 100_000] * 10) for _ in range(100)):
                break
        self.assertIsNotNone(worker.process.returncode)
        self.assertEqual(threading.active_count(), before)

    def test_command_without_its_mode_is_made_executable(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "clip")
            with open(path, "w") as file:
                file.write("#!/bin/sh\n")
            os.chmod(path, 0o644)
            self.assertEqual(executable(path), path)
            self.assertTrue(os.stat(path).st_mode & 0o100)

    def test_texts_have_vectors_or_raise(self):
        vectors, worker = vectors_of_texts(options(), ["a dog", "é"])
        self.assertEqual(worker.dimension, 8)
        self.assertEqual(len(array.array("f", bytes(vectors))), 16)
        with self.assertRaisesRegex(PayloadError, "'broken text': the image is broken"):
            vectors_of_texts(options(), ["a", "broken text"])


if __name__ == "__main__":
    unittest.main()
