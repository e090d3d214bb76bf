"""Writes the two tables of text repair that the CVocabulary target embeds.

    VENV/bin/pip install -r Scripts/parity/requirements.txt "unicodedata2==17.0.0"
    VENV/bin/python Scripts/vocabulary/make_text_repair.py

Sources/CVocabulary/mojibake.bin: the rules that detect mojibake, from the package ftfy (6.3), whose
patterns are split here into sets of characters and sequences of sets. All numbers are
little-endian.

    uint16 count of characters, uint16 count of rules
    uint64 x 2, uint64 the sets and rules of characters that are not in the list
    count x (uint16 code point, uint8 x 9 its bytes in ENCODINGS or 0, uint8 0, uint64 x 2 its sets,
             uint64 the rules, as bits, that it may begin), by code point
    count x (uint8 x 8)  a rule: a sequence of sets (bit numbers), then 0xFF; text is bad where one
                         matches; one of the first three sets has no ASCII. A rule that
                         begins with 0xFE holds only where the text begins.

Set 0 has all word characters and stays empty here; 1 to 5 are CLUES.

Sources/CVocabulary/composition.bin: Unicode's normal form C, from the package unicodedata2.

    uint32 count of ranges, uint32 count of pairs
    ranges x (uint32 first, uint32 last)   characters that the normal form may change or join
    pairs x (uint32 character, uint32 first part, uint32 second part or 0)
                     decompositions, by character
    pairs x uint32   the numbers of the pairs that compose again, ordered by their parts;
                     then 0xFFFFFFFF
"""

import struct
from pathlib import Path
from re import _constants as op
from re import _parser

import unicodedata2 as unicodedata
from ftfy.badness import BADNESS_RE
from ftfy.chardata import CHARMAP_ENCODINGS, UTF8_CLUES

TARGET = Path(__file__).resolve().parents[2] / "Sources" / "CVocabulary"
ENCODINGS = [name for name in CHARMAP_ENCODINGS if name != "latin-1"]
CLUES = ["utf8_first_of_2", "utf8_first_of_3", "utf8_first_of_4", "utf8_continuation",
         "utf8_continuation_strict"]
BEYOND = 0x10000  # stands for all characters that no set names
PLANE = range(BEYOND + 1)
BEGINNING, END, WORD = 0xFE, 0xFF, "word"


def members(item):
    """Returns the characters that an item of a parsed pattern matches, or WORD."""
    kind, value = item
    if kind is op.LITERAL:
        return frozenset([value])
    if kind is op.ANY:
        return frozenset(PLANE) - {ord("\n")}
    assert kind is op.IN, kind
    found, negated = set(), False
    for kind, value in value:
        if kind is op.NEGATE:
            negated = True
        elif kind is op.RANGE:
            found |= set(range(value[0], value[1] + 1))
        elif (kind, value) == (op.CATEGORY, op.CATEGORY_SPACE):
            found |= {point for point in PLANE if chr(point).isspace()}
        elif (kind, value) == (op.CATEGORY, op.CATEGORY_WORD):
            return WORD
        else:
            found |= members((kind, value))
    return frozenset(PLANE) - found if negated else frozenset(found)


def sequences(items):
    """Returns the fixed sequences of a parsed alternative."""
    found = [[]]
    for kind, value in items:
        if kind is op.AT:
            assert value is op.AT_BEGINNING and found == [[]]
            found = [[BEGINNING]]
        elif kind is op.MAX_REPEAT:
            low, high, inner = value
            assert (low, high) == (0, 1)
            found = [start + rest for start in found for rest in ([], [members(inner[0])])]
        else:
            found = [start + [members((kind, value))] for start in found]
    return found


def make_mojibake():
    pattern = _parser.parse(BADNESS_RE.pattern, BADNESS_RE.flags)
    ((kind, (_, alternatives)),) = pattern.data
    assert kind is op.BRANCH
    rules = [rule for alternative in alternatives for rule in sequences(alternative.data)]
    sets = [WORD]
    for name in CLUES:
        (item,) = _parser.parse(f"[{UTF8_CLUES[name]}]").data
        sets.append(members(item))
    sets += sorted({item for rule in rules for item in rule
                    if item not in (BEGINNING, WORD)} - set(sets), key=sorted)
    assert len(sets) <= 128 and len(rules) <= 64
    # Text is examined only at non-ASCII characters and two characters before.
    assert all(any(item not in (BEGINNING, WORD) and min(item) >= 0x80 for item in rule[:3])
               for rule in rules)
    number = {item: index for index, item in enumerate(sets)} | {BEGINNING: BEGINNING}

    def mask(point):
        return sum(1 << index for index, item in enumerate(sets) if item is not WORD
                   and point in item)

    def begins(point):
        firsts = [next(item for item in rule if item != BEGINNING) for rule in rules]
        return sum(1 << index for index, item in enumerate(firsts) if point in item)

    data, everywhere = [], mask(BEYOND)
    assert WORD not in {rule[0] for rule in rules} and begins(BEYOND) == 0
    for point in range(BEYOND):
        encoded = []
        for encoding in ENCODINGS:
            try:
                (byte,) = chr(point).encode(encoding)
            except UnicodeEncodeError:
                byte = 0
            encoded.append(byte if byte >= 0x80 or point == 0xFFFD else 0)
        if any(encoded) or mask(point) != everywhere:
            data.append(struct.pack("<H9Bx", point, *encoded) + mask(point).to_bytes(16, "little")
                        + struct.pack("<Q", begins(point)))
    coded = [bytes(number[item] for item in rule) for rule in rules]
    assert max(map(len, coded)) < 8
    data += [rule.ljust(8, bytes([END])) for rule in coded]
    return struct.pack("<HH", len(data) - len(rules), len(rules)) + everywhere.to_bytes(16,
            "little") + bytes(8) + b"".join(data)


def make_composition():
    parts, changing = {}, set()
    for point in range(0x110000):
        character = chr(point)
        if 0xAC00 <= point < 0xD7A4 or 0xD800 <= point < 0xE000:
            continue
        form = unicodedata.decomposition(character)
        if form and not form.startswith("<"):
            parts[point] = ([int(part, 16) for part in form.split()] + [0])[:2]
        if unicodedata.combining(character) or unicodedata.normalize("NFC", character) != character:
            changing.add(point)
    composable = {
        point: pair for point, pair in parts.items()
        if pair[1] and unicodedata.normalize("NFC", chr(point)) == chr(point)}
    changing |= {second for _, second in composable.values()}
    changing |= set(range(0x1161, 0x1176)) | set(
        range(0x11A8, 0x11C3))  # final consonants of Hangul syllables
    ranges = []
    for point in sorted(changing):
        if ranges and ranges[-1][1] == point - 1:
            ranges[-1][1] = point
        else:
            ranges.append([point, point])
    order = sorted(composable, key=lambda point: composable[point])
    points = sorted(parts)
    index = {point: index for index, point in enumerate(points)}
    data = struct.pack("<II", len(ranges), len(points))
    data += b"".join(struct.pack("<II", *pair) for pair in ranges)
    data += b"".join(struct.pack("<III", point, *parts[point]) for point in points)
    rest = [0xFFFFFFFF] * (len(points) - len(order))
    return data + struct.pack(f"<{len(points)}I", *(index[point] for point in order), *rest)


if __name__ == "__main__":
    for name, data in (("mojibake.bin", make_mojibake()), ("composition.bin", make_composition())):
        (TARGET / name).write_bytes(data)
        print(name, len(data), "bytes")
    print("Unicode", unicodedata.unidata_version)
