"""Writes the two tables that the CVocabulary target embeds.

Run it from anywhere, with the packages of Scripts/parity/requirements.txt installed:

    python Scripts/vocabulary/make_vocabulary.py

It needs no network: the merges come from the vocabulary file inside open_clip_torch (the file of
OpenAI's CLIP, MIT licence), the entities from Python's own html.entities. All numbers in both
files are little-endian.

Sources/CVocabulary/merges.bin holds CLIP's 48,894 byte-pair merges. Token ids are OpenAI's:
0..<256 are the bytes in the order of bytes_to_unicode(), 256..<512 the same bytes ending a word
("</w>"), 512 + i is the result of merge i, and 49,406 and 49,407 are the start and the end.

    48,894 x (uint16 left id, uint16 right id)   the merges, in order of rank
    131,072 x uint16                             hash table of pairs: ids, or 0 for empty slots
    65,536 x uint16                              hash table of words that are one token: ids, or 0
    256 x uint8                                  the bytes of the ids 0..<256

The hash of a pair is left * 0x9E3779B1 ^ right * 0x85EBCA6B (32 bits), plus its upper half; the
hash of a word is FNV-1a of its bytes. The slot is given by the lower bits, with linear probing.

Sources/CVocabulary/entities.bin holds the 2,231 names of html.entities.html5, spelled as they are
there: without the "&", and with the ";" where the name has one ("amp" and "amp;" are two names).

    uint32 count
    count x (uint32 code point 1, uint32 code point 2 or 0, uint16 name offset, uint16 name length)
    the names one after another, ordered by their bytes; a name's offset counts from the first name

The records are ordered by name too, so both tables can be binary-searched in place.
"""

import gzip
import html.entities
import struct
from pathlib import Path

import open_clip.tokenizer as reference

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "Sources" / "CVocabulary"
MERGE_COUNT = 49152 - 256 - 2


def byte_symbols() -> list[str]:
    """The symbols of the ids 0..<512."""
    symbols = list(reference.bytes_to_unicode().values())
    return symbols + [symbol + "</w>" for symbol in symbols]


def make_merges() -> bytes:
    text = gzip.decompress(Path(reference.default_bpe()).read_bytes()).decode("utf-8")
    merges = [line.split() for line in text.split("\n")[1 : MERGE_COUNT + 1]]
    ids = {symbol: index for index, symbol in enumerate(byte_symbols())}
    pairs = []
    for left, right in merges:
        pairs.append((ids[left], ids[right]))
        ids[left + right] = len(ids)
    flat = [part for pair in pairs for part in pair]
    by_pair = hash_table(1 << 17, {512 + rank: pair_hash(*pair) for rank, pair in enumerate(pairs)})
    by_word = hash_table(1 << 16, {id: word_hash(word) for word, id in single_tokens().items()})
    return struct.pack(f"<{len(flat)}H", *flat) + by_pair + by_word + bytes(byte_order())


def byte_order() -> list[int]:
    """The bytes of the ids 0..<256."""
    return list(reference.bytes_to_unicode())


def single_tokens() -> dict[bytes, int]:
    """Returns the words that are one token, and their ids."""
    tokenizer = reference.SimpleTokenizer()
    byte_of = {symbol: byte for byte, symbol in reference.bytes_to_unicode().items()}
    words = {}
    for token, index in tokenizer.encoder.items():
        symbols = token.removesuffix("</w>")
        if 512 <= index < 49406 and token.endswith("</w>") and tokenizer.bpe(symbols) == token:
            words[bytes(byte_of[symbol] for symbol in symbols)] = index
    return words


def pair_hash(left: int, right: int) -> int:
    mixed = (left * 0x9E3779B1 ^ right * 0x85EBCA6B) & 0xFFFFFFFF
    return mixed + (mixed >> 16) & 0xFFFFFFFF


def word_hash(word: bytes) -> int:
    value = 0x811C9DC5
    for byte in word:
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


def hash_table(size: int, hashes: dict[int, int]) -> bytes:
    slots, steps = [0] * size, 0
    for index, value in hashes.items():
        slot = value % size
        while slots[slot]:
            slot, steps = (slot + 1) % size, steps + 1
        slots[slot] = index
    print(f"{len(hashes)} of {size} slots, {steps / len(hashes):.2f} probes on average")
    return struct.pack(f"<{size}H", *slots)


def check_merges(data: bytes) -> None:
    """Rebuilds every token from the file and compares it with the reference's encoder."""
    numbers = struct.unpack_from(f"<{2 * MERGE_COUNT}H", data)
    pairs = list(zip(numbers[0::2], numbers[1::2]))
    tokens = byte_symbols()
    for left, right in pairs:
        tokens.append(tokens[left] + tokens[right])
    tokens += ["<start_of_text>", "<end_of_text>"]
    encoder = reference.SimpleTokenizer().encoder
    assert len(encoder) == 49408 and encoder == {token: i for i, token in enumerate(tokens)}


def make_entities() -> bytes:
    records, names = b"", b""
    for name, text in sorted((k.encode("ascii"), v) for k, v in html.entities.html5.items()):
        first, second = ([ord(character) for character in text] + [0])[:2]
        assert first != 0 and len(text) <= 2
        records += struct.pack("<IIHH", first, second, len(names), len(name))
        names += name
    return struct.pack("<I", len(html.entities.html5)) + records + names


def check_entities(data: bytes) -> None:
    (count,) = struct.unpack_from("<I", data)
    base, found, previous = 4 + 12 * count, {}, b""
    for index in range(count):
        first, second, offset, length = struct.unpack_from("<IIHH", data, 4 + 12 * index)
        name = data[base + offset : base + offset + length]
        assert previous < name
        previous = name
        found[name.decode()] = chr(first) + (chr(second) if second else "")
    assert found == html.entities.html5


def main() -> None:
    merges, entities = make_merges(), make_entities()
    check_merges(merges)
    check_entities(entities)
    TARGET.mkdir(parents=True, exist_ok=True)
    (TARGET / "merges.bin").write_bytes(merges)
    (TARGET / "entities.bin").write_bytes(entities)
    print(f"merges.bin: {len(merges):,} bytes, entities.bin: {len(entities):,} bytes")


if __name__ == "__main__":
    main()
