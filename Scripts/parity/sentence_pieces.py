"""Compares SentencePieceTokenizer with sentencepiece, tokenizers, transformers and open_clip.

    swift build -c release --package-path Scripts/parity/Tokenize --scratch-path .build/tokenize
    VENV/bin/python Scripts/parity/sentence_pieces.py --program .build/tokenize/release/Tokenize
        [--unigram FILE.model ...] [--bpe FILE.model ...] [--gemma VOCABULARY.json.gz]
        [--goldens NUMBERS.json] [--train PIECES] [--strings 120000] [--work FOLDER]

The program takes the path of a tokenizer file, the kind of model and the rules, reads texts that
each follow a line with their number of bytes, and writes the ids of each as a line of JSON.
Vocabularies are SentencePiece models, and for SigLIP 2 the list of Gemma's pieces, from which the
model is rebuilt. --train also trains a Unigram and a byte-fallback BPE model of that many pieces
from generated text, with the settings of SigLIP's and Gemma's.

The strings are code points alone and in words, text in many languages, emoji, control characters,
all kinds of spaces, seeded mixtures, repeated characters, and strings of 100 kB. Prints a table,
and the first differences.
"""

import argparse
import gzip
import importlib
import json
import random
import subprocess
import sys
import tempfile
import unicodedata
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import sentencepiece
import tokens
from sentencepiece import sentencepiece_model_pb2
from text_corpus import EMOJI, LANGUAGES, PLAIN

SEED = 21
SPACES = [chr(i) for i in range(0x110000) if chr(i).isspace()] + list(
    "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u2581\u00ad\u180e\u3164\uffa0\u115f")


# MARK: strings

def mixtures(count):
    """Seeded sequences of words, spaces, control characters, and characters of all scripts."""
    rng = random.Random(SEED)
    words = [word for text in [*LANGUAGES, *PLAIN] for word in text.split()]
    parts = [
        "</s>", "<s>", "<unk>", "<pad>", "<eos>", "<bos>", "<mask>", "<0x41>", "<0x0A>", "<h1>",
        "</H1>", "<start_of_turn>", "[toxicity=0]", "\u2581", "\u2581\u2581", "\n", "\n\n\n",
        "\r\n", "\t", "\t\t\t", "  ", "     ", "\u0301", "\u0327\u0301", "\u2122\u0301", "\ufb01",
        "\uff21", "\u2026", "\u0130", "\u03a3", "\U0001f468\u200d\U0001f469", "\u30ac", "\uff76\uff9e",
        "\u1100\u1161\u11a8", "\u0600\u0661", "\u00e9", "e\u0301", "\x7f", "\x01", "\x1f", "\x85",
        "don't", "\0", "a_b", "A", "1234567890", "...", "!!!", "\u4e00\u4e8c"]
    everything = [chr(i) for i in range(1, 0x110000)
                  if unicodedata.category(chr(i)) not in ("Cn", "Cs", "Co")]
    for _ in range(count):
        row = rng.choices(words, k=rng.randint(0, 6))
        row += rng.choices(parts, k=rng.choice((0, 1, 3, 8)))
        row += rng.choices(SPACES, k=rng.choice((0, 0, 2)))
        row += rng.choices(everything, k=rng.choice((0, 0, 1, 4)))
        rng.shuffle(row)
        yield rng.choice(("", " ", " ")).join(row)


def repeated():
    """Strings of one repeated character or a few, short and long."""
    rng = random.Random(SEED)
    for part in [*"a \n\t.▁-_1字é😊\u0301", "ab", "aab", "ha", "the ", "▁a", "  a", "<h1>", "\r\n",
                 "字字a", "e\u0301"]:
        for count in (1, 2, 3, 5, 8, 15, 16, 17, 31, 32, 33, 64, 100, 1000):
            yield part * count
        yield part * (100_000 // len(part.encode()))
    text = " ".join(rng.choices([*LANGUAGES, *PLAIN, *EMOJI], k=4000))
    yield text[:60_000]
    yield "".join(text.split())[:60_000]
    yield "".join(rng.choices("abcdefghijklmnopqrstuvwxyz ", k=100_000))
    for letters in ("ab", "aeiou", "01", " a", "the"):
        for length in (5, 20, 80):
            for _ in range(200):
                yield "".join(rng.choices(letters, k=length))


def spaces():
    for space in SPACES:
        for text in (space, f"a{space}", f"{space}a", f"a{space}b", f"a {space} b", f"{space}{space}",
                     f"a{space}{space}b", f" {space}a{space} ", f"the{space}\u2581quick{space}"):
            yield text


def corpus(count):
    points = list(dict.fromkeys(tokens.code_points()))
    rng = random.Random(SEED)
    rng.shuffle(points)
    groups = {
        "code points, alone and in words": points[:max(count // 2, 1)],
        "languages, emoji and hard cases": [*LANGUAGES, *EMOJI, *PLAIN],
        "spaces of all kinds": spaces(),
        "repeated characters, up to 100 kB": repeated(),
        "mixtures": mixtures(count // 2),
    }
    return {name: list(dict.fromkeys(texts)) for name, texts in groups.items()}


# MARK: models

def gemma_model(path):
    """Rebuilds Gemma's model from the list of its pieces."""
    with gzip.open(path) as file:
        pieces = json.load(file)
    model = sentencepiece_model_pb2.ModelProto()
    rank = 0
    for index, text in enumerate(pieces):
        piece = model.pieces.add()
        piece.piece, piece.score = text, 0
        if index < 3:
            piece.type = 3
        elif index == 3:
            piece.type = 2
        elif index <= 216 or index >= 255_968:
            piece.type = 4
        elif index <= 472:
            piece.type, piece.piece = 6, f"<0x{index - 217:02X}>"
        else:
            piece.type, piece.score = 1, -rank
            rank += 1
    spec = model.trainer_spec
    spec.model_type, spec.byte_fallback = 2, True
    spec.pad_id, spec.eos_id, spec.bos_id, spec.unk_id = 0, 1, 2, 3
    spec.pad_piece, spec.eos_piece, spec.bos_piece = "<pad>", "<eos>", "<bos>"
    model.normalizer_spec.name = "identity"
    model.normalizer_spec.add_dummy_prefix = False
    model.normalizer_spec.remove_extra_whitespaces = False
    return model.SerializeToString()


def sentences(count):
    """Generated text with words of Zipf's frequencies, in many scripts."""
    rng = random.Random(SEED)
    seeds = [word for text in [*LANGUAGES, *PLAIN] for word in text.split() if len(word) < 30]
    letters = [word for word in seeds if len(word) > 3]
    for _ in range(count):
        row = []
        for _ in range(rng.randint(3, 18)):
            if rng.random() < 0.4:
                row.append(seeds[min(int(rng.paretovariate(0.7)), len(seeds)) - 1])
            else:
                a, b, c = rng.choices(letters, k=3)
                word = a[:rng.randint(1, 4)] + b[-rng.randint(1, 4):] + c[:rng.randint(0, 3)]
                row.append(word)
        yield " ".join(row)


def trained(kind, size, folder):
    """Trains a model with the settings of SigLIP's (Unigram) or Gemma's (BPE) vocabulary."""
    prefix = folder / f"{kind}-{size}"
    if not prefix.with_suffix(".model").exists():
        common = dict(
            sentence_iterator=sentences(min(4 * size, 400_000)), model_prefix=str(prefix), vocab_size=size,
            byte_fallback=True, character_coverage=0.9995, hard_vocab_limit=False,
            max_sentence_length=100_000, num_threads=2, minloglevel=2)
        if kind == "unigram":
            sentencepiece.SentencePieceTrainer.train(
                **common, model_type="unigram", pad_id=0, eos_id=1, unk_id=2, bos_id=-1,
                normalization_rule_name="nmt_nfkc")
        else:
            runs = ["\n" * n for n in range(1, 9)] + ["▁" * n for n in range(2, 9)]
            sentencepiece.SentencePieceTrainer.train(
                **common, model_type="bpe", pad_id=0, eos_id=1, bos_id=2, unk_id=3,
                pad_piece="<pad>", eos_piece="<eos>", bos_piece="<bos>", split_digits=True,
                normalization_rule_name="identity", add_dummy_prefix=False,
                remove_extra_whitespaces=False, allow_whitespace_only_pieces=True,
                user_defined_symbols=["<mask>", "<h1>", "</h1>", *runs, "\t\t", "\t\t\t"])
    return prefix.with_suffix(".model").read_bytes()


def padded(model, size):
    """Appends pieces that occur in no text and are not used, up to a number of pieces.

    A message that is appended to another one adds to its repeated fields.
    """
    count = len(sentencepiece_model_pb2.ModelProto.FromString(model).pieces)
    assert count <= size, (count, size)
    parts = [model]
    for number in range(size - count):
        text = b"\xf4\x8f\xbf\xbd%07d" % number  # U+10FFFD, the last character for private use
        parts.append(b"\x0a\x14" b"\x0a\x0b%b" b"\x15\0\0\0\0" b"\x18\x05" % text)
    return b"".join(parts)


def like_xlm_roberta(model):
    """Gives a Unigram model the first three pieces of XLM-RoBERTa's vocabularies."""
    proto = sentencepiece_model_pb2.ModelProto.FromString(model)
    for index, (text, kind) in enumerate((("<unk>", 2), ("<s>", 3), ("</s>", 3))):
        proto.pieces[index].piece, proto.pieces[index].type = text, kind
    spec = proto.trainer_spec
    spec.unk_id, spec.bos_id, spec.eos_id, spec.pad_id = 0, 1, 2, -1
    return proto.SerializeToString()


# MARK: references

def hugging_face(model, conversion, folder):
    """Saves the tokenizer.json that transformers' converters make of a SentencePiece model."""
    from transformers.tokenization_utils_base import generate_merges

    # transformers may have a function of this name, too.
    convert_slow_tokenizer = importlib.import_module("transformers.convert_slow_tokenizer")

    class Extractor:
        def __init__(self, path):
            self.model = sentencepiece.SentencePieceProcessor(model_file=path)

        def extract(self, scores=None):
            ids = {self.model.id_to_piece(i): i for i in range(self.model.get_piece_size())}
            if "\t" not in ids:
                ids["\t"] = ids.get("<0x09>")
            return ids, generate_merges(ids, scores)

    class Original(SimpleNamespace):
        def convert_tokens_to_ids(self, token):
            return {"<s>": 0, "</s>": 2 if conversion == "xlm-roberta" else 1}[token]

    path = folder / f"{conversion}.model"
    path.write_bytes(model)
    original = Original(
        vocab_file=str(path), _extra_ids=0, legacy=False, add_prefix_space=True,
        pad_token="<pad>", eos_token="<eos>", bos_token="<bos>")
    converter = {"t5": convert_slow_tokenizer.T5Converter,
                 "gemma": convert_slow_tokenizer.GemmaConverter,
                 "xlm-roberta": convert_slow_tokenizer.XLMRobertaConverter}[conversion]
    converter.SpmExtractor = Extractor
    tokenizer = converter(original).converted()
    if conversion == "xlm-roberta":
        from tokenizers import AddedToken, normalizers, pre_tokenizers

        tokenizer.add_special_tokens(
            ["<s>", "<pad>", "</s>", "<unk>", AddedToken("<mask>", lstrip=True)])
        # As XLMRobertaTokenizer of transformers 5 has it.
        tokenizer.normalizer = normalizers.Precompiled(
            converter(original).proto.normalizer_spec.precompiled_charsmap)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.WhitespaceSplit(),
             pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")])
    elif conversion == "gemma":
        tokenizer.add_special_tokens(["<unk>"])
    else:
        tokenizer.add_special_tokens(["</s>", "<unk>", "<pad>"])
    return tokenizer


def lowercase(tokenizer):
    from tokenizers import normalizers

    tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), tokenizer.normalizer])
    return tokenizer


def sentencepiece_ids(model):
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    return lambda texts: processor.encode(texts)


def ascii_lower_ids(model):
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    table = {i: i + 32 for i in range(65, 91)}
    return lambda texts: processor.encode([text.translate(table) for text in texts])


def tokenizers_ids(tokenizer):
    return lambda texts: [
        row.ids for start in range(0, len(texts), 1000)
        for row in tokenizer.encode_batch(texts[start : start + 1000], add_special_tokens=False)]


def _cleaned(job):
    from open_clip.tokenizer import get_clean_fn

    name, texts = job
    return [get_clean_fn(name)(text) for text in texts]


def cleaned(texts, name):
    parts = [(name, texts[start : start + 2000]) for start in range(0, len(texts), 2000)]
    with ProcessPoolExecutor(2) as pool:
        return [text for part in pool.map(_cleaned, parts) for text in part]


def siglip_ids(path, folder):
    from transformers import SiglipTokenizer

    (folder / "siglip").mkdir(exist_ok=True)
    (folder / "siglip/spiece.model").write_bytes(Path(path).read_bytes())
    tokenizer = SiglipTokenizer.from_pretrained(str(folder / "siglip"))
    return lambda texts: tokenizer(texts)["input_ids"] if texts else []


# MARK: comparison

class Comparison:
    def __init__(self, program, groups, folder):
        self.program, self.groups, self.folder = program, groups, folder
        self.rows = []

    def ids(self, path, kind, rules, texts):
        command = [*self.program, str(path), kind, rules]
        given = b"".join(
            b"%d\n%b" % (len(text), text) for text in (text.encode() for text in texts))
        result = subprocess.run(command, input=given, stdout=subprocess.PIPE, check=True)
        return [json.loads(line) for line in result.stdout.splitlines()]

    def compare(self, name, path, kind, rules, function, clean=None, only=None):
        counts, differing = 0, 0
        for group, texts in self.groups.items():
            texts = texts[:only] if only else texts
            if clean == "canonicalize" and "100 kB" in group:
                # The repair of a long line is the subject of tokens.py.
                texts = [text for text in texts if len(text) < 10_000]
            if rules == "hf" and "100 kB" in group and kind == "siglip":
                texts = [text for text in texts if len(text) < 10_000]
            given = cleaned(texts, clean) if clean else texts
            expected, found = function(given), self.ids(path, kind, rules, texts)
            assert len(expected) == len(found) == len(texts), (len(expected), len(found))
            if rules == "hf" and kind == "siglip":  # which adds no second end token
                found = [ids if ids[-1:] == [1] else [*ids, 1] for ids in found]
            wrong = [(text, a, b) for text, a, b in zip(texts, expected, found) if list(a) != b]
            for text, a, b in wrong[:4]:
                print(f"  {name}: {text[:60]!r}: expected {a[:20]}, found {b[:20]}",
                      file=sys.stderr)
            counts, differing = counts + len(texts), differing + len(wrong)
        self.rows.append((name, counts, differing))
        print(self.rows[-1], file=sys.stderr, flush=True)

    def unigram(self, label, path, model):
        compare = self.compare
        compare(f"{label}: sentencepiece", path, "siglip", "sentencepiece", sentencepiece_ids(model))
        compare(f"{label}: big_vision", path, "siglip", "big_vision", ascii_lower_ids(model))
        proto = sentencepiece_model_pb2.ModelProto.FromString(model)
        if proto.pieces[1].piece != "</s>":
            return  # of another layout than T5's
        compare(f"{label}: SiglipTokenizer", path, "siglip", "hf", siglip_ids(path, self.folder),
                only=20_000)
        for conversion, kind, clean in (("t5", "siglip", "canonicalize"),
                                        ("xlm-roberta", "metaclip2", "whitespace")):
            if kind == "metaclip2":
                model = like_xlm_roberta(model)
                path = self.folder / "like-xlm-roberta.model"
                path.write_bytes(model)
            tokenizer = hugging_face(model, conversion, self.folder)
            saved = self.folder / f"{conversion}.json"
            tokenizer.save(str(saved))
            name = f"{label}: tokenizers, {conversion}"
            compare(f"{name}, tokenizer.json", saved, kind, "sentencepiece",
                    tokenizers_ids(tokenizer))
            compare(f"{name}, open_clip", path, kind, "open_clip", tokenizers_ids(tokenizer), clean)
            if kind == "metaclip2":
                compare(f"{name}, hf", path, kind, "hf", tokenizers_ids(tokenizer))

    def bpe(self, label, path, model):
        compare = self.compare
        compare(f"{label}: sentencepiece", path, "siglip2", "sentencepiece",
                sentencepiece_ids(model))
        proto = sentencepiece_model_pb2.ModelProto.FromString(model)
        if proto.pieces[3].piece != "<unk>":
            return  # of another layout than Gemma's
        compare(f"{label}: big_vision", path, "siglip2", "big_vision", ascii_lower_ids(model))
        tokenizer = hugging_face(model, "gemma", self.folder)
        saved = self.folder / "gemma.json"
        tokenizer.save(str(saved))
        compare(f"{label}: tokenizers, tokenizer.json", saved, "siglip2", "sentencepiece",
                tokenizers_ids(tokenizer))
        compare(f"{label}: tokenizers, open_clip", path, "siglip2", "open_clip",
                tokenizers_ids(tokenizer), "canonicalize")
        compare(f"{label}: tokenizers, hf", path, "siglip2", "hf",
                tokenizers_ids(lowercase(tokenizer)))

    def goldens(self, numbers, paths):
        """Compares published lists of ids."""
        lists = [
            ("siglip2_gemma", "siglip2_before_PR43101_no_lowercase_eos_then_pad0_to_64", "gemma",
             "siglip2", [], [1]),
            ("siglip2_gemma", "raw_no_bos_no_eos", "gemma", "siglip2", [], []),
            ("siglip2_gemma", "with_bos_2", "gemma", "siglip2", [2], []),
            ("t5_cc_all_32000", "with_eos_1", "t5", "siglip", [], [1]),
            ("llama2_bpe_byte_fallback", "with_bos_1", "llama", "siglip2", [1], []),
            ("sentencepiece_unigram1000", "no_specials", "unigram1000", "siglip", [], []),
        ]
        for key, name, vocabulary, kind, start, end in lists:
            if vocabulary not in paths:
                continue
            cases = [(text, ids) for text, ids in numbers[key][name] if "</s>" not in text]
            found = self.ids(paths[vocabulary], kind, "sentencepiece", [text for text, _ in cases])
            wrong = [(text, ids, got) for (text, ids), got in zip(cases, found)
                     if start + got + end != ids]
            for case in wrong[:4]:
                print("  ", case, file=sys.stderr)
            self.rows.append((f"published: {key}, {name}", len(cases), len(wrong)))
            print(self.rows[-1], file=sys.stderr, flush=True)
        if "gemma" in paths:
            rows = numbers["open_clip_cleaning_computed_here"]["rows"]
            found = self.ids(paths["gemma"], "siglip2", "open_clip", [row[0] for row in rows])
            wrong = [(row, got) for row, got in zip(rows, found) if got + [1] != row[2]]
            for case in wrong[:4]:
                print("  ", case, file=sys.stderr)
            self.rows.append(("published: open_clip's cleaning", len(rows), len(wrong)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", required=True, nargs="+")
    parser.add_argument("--unigram", nargs="*", type=Path, default=[])
    parser.add_argument("--bpe", nargs="*", type=Path, default=[])
    parser.add_argument("--gemma", type=Path)
    parser.add_argument("--goldens", type=Path, help="JSON with lists of [text, ids]")
    parser.add_argument("--train", nargs="*", type=int, default=[])
    parser.add_argument("--strings", type=int, default=120_000)
    parser.add_argument("--work", type=Path, help="keeps trained and rebuilt models here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.work or Path(temporary)
        folder.mkdir(exist_ok=True)
        comparison = Comparison(arguments.program, corpus(arguments.strings), folder)
        unigram = [(path.stem, path) for path in arguments.unigram]
        bpe = [(path.stem, path) for path in arguments.bpe]
        if arguments.gemma:
            path = folder / "gemma-256000.model"
            path.write_bytes(gemma_model(arguments.gemma))
            bpe.append(("gemma", path))
        for size in arguments.train:
            for kind, models in (("unigram", unigram), ("bpe", bpe)):
                trained(kind, size, folder)
                models.append((f"trained {kind}", folder / f"{kind}-{size}.model"))
        if arguments.goldens:
            numbers = json.loads(arguments.goldens.read_text())
            numbers = numbers.get("tokenizers", numbers)
            paths = {}
            for label, path in [*unigram, *bpe]:
                for name in ("t5", "llama", "gemma", "unigram1000"):
                    if name in label:
                        paths[name] = path
            comparison.goldens(numbers, paths)
        for label, path in unigram:
            comparison.unigram(label, path, path.read_bytes())
        for label, path in bpe:
            comparison.bpe(label, path, path.read_bytes())
    print("| reference | strings | different |\n|---|---|---|")
    for name, count, differing in comparison.rows:
        print(f"| {name} | {count:,} | {differing} |")
    sys.exit(any(differing for *_, differing in comparison.rows))


if __name__ == "__main__":
    main()
