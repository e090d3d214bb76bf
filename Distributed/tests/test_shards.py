"""Tests of the samples of WebDataset shards."""

import io
import pathlib
import sys
import tarfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from clip_spark.shards import samples, split  # noqa: E402


def archive(members, **options):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", **options) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return file.getvalue()


def read(data, **options):
    return list(samples(io.BytesIO(data), b"s.tar", **options))


PLAIN = [("a/1.jpg", b"A"), ("a/1.txt", b"one\n"), ("a/2.jpg", b"B"), ("a/2.txt", b"two"),
         ("a/3.jpg", b"C" * 600), ("a/3.txt", b"three")]


class ShardTests(unittest.TestCase):
    def test_adjacent_files_with_one_key_are_a_sample(self):
        found = read(archive(PLAIN))
        self.assertEqual([sample.name for sample in found],
                         [b"s.tar/a/1.jpg", b"s.tar/a/2.jpg", b"s.tar/a/3.jpg"])
        self.assertEqual([sample.key for sample in found], [b"a/1", b"a/2", b"a/3"])
        self.assertEqual(found[0].fields, {"txt": b"one\n"})
        self.assertEqual(found[2].content, b"C" * 600)

    def test_key_ends_at_the_first_dot_of_the_last_component(self):
        self.assertEqual(split(b"v1.0/a.mask.PNG"), (b"v1.0/a", "png"))
        self.assertEqual(split(b"v1.0/.hidden"), (b"v1.0/.hidden", ""))
        self.assertEqual(split(b"name"), (b"name", ""))

    def test_second_file_of_a_suffix_begins_a_sample(self):
        found = read(archive([("a.jpg", b"1"), ("a.jpg", b"2"), ("a.cls", b"7")]))
        self.assertEqual([sample.fields for sample in found], [{}, {"cls": b"7"}])

    def test_all_images_of_a_sample_are_rows_with_its_fields(self):
        found = read(archive([("a.left.jpg", b"1"), ("a.right.png", b"2"), ("a.txt", b"t")]))
        self.assertEqual([(sample.key, sample.content, sample.fields) for sample in found],
                         [(b"a", b"1", {"txt": b"t"}), (b"a", b"2", {"txt": b"t"})])

    def test_hidden_files_folders_and_other_suffixes_are_left_out(self):
        self.assertEqual(read(archive([("._a.jpg", b"x"), ("a.mp3", b"x"), ("b.txt", b"x")])), [])

    def test_names_that_are_not_utf8_and_long_names_are_kept(self):
        name = "x" * 150 + "/\udcff.jpg"
        for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
            found = read(archive([(name, b"1")], format=form))
            self.assertEqual(found[0].name, b"s.tar/" + b"x" * 150 + b"/\xff.jpg")

    def test_large_image_is_a_sample_with_an_error(self):
        found = read(archive(PLAIN), largest=500)
        self.assertEqual([sample.error for sample in found],
                         [None, None, "it is too large (600 bytes, limit 500)"])

    def test_truncated_archive_gives_complete_samples_and_an_error(self):
        data = archive(PLAIN)
        # Within a/3.jpg, between a/3.jpg and a/3.txt, and after a/3.txt without an end marker.
        for length, names, message in [
                (9 * 512 + 100, 2, "after 2 complete samples; the sample of a/3.jpg is lost"),
                (11 * 512, 2, "after 2 complete samples; the sample of a/3.jpg is lost"),
                (13 * 512, 3, "after 3 complete samples")]:
            found = read(data[:length])
            self.assertEqual(len(found), names + 1, length)
            self.assertEqual(found[-1].name, b"s.tar")
            self.assertTrue(found[-1].error.endswith(message), found[-1].error)

    def test_file_that_is_no_archive_is_one_error(self):
        for data in (b"", b"\xff\xd8" * 1000, b"\0" * 100):
            found = read(data)
            self.assertEqual(len(found), 1)
            self.assertIn("after 0 complete samples", found[0].error)


if __name__ == "__main__":
    unittest.main()
