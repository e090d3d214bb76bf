"""Writes Tests/Fixtures/tokenizers/: small SentencePiece models and token ids of hard strings.

The models are trained by sentencepiece on generated text, with the settings of SigLIP's vocabulary
(unigram.model, but with a small map of characters) and of Gemma's (bpe.model). unigram.json and
bpe.json are what transformers' converters make of them. ids.json has the ids of strings by
sentencepiece, tokenizers, transformers and open_clip: for each file, kind of model and rules, a
list of the ids of all texts. Those of metaclip2 are for unigram.model with the first three pieces of
XLM-RoBERTa's vocabularies, which the conversion replaces.
"""

import io
import json
import tempfile
from pathlib import Path

import sentence_pieces
import sentencepiece
from text_corpus import EMOJI, LANGUAGES

SIZE = 400
# Sequences of characters and their normalised text: what the parts of nmt_nfkc do.
MAP = {
    "\u00a0": " ", "\u2003": " ", "\u3000": " ", "\u200c": " ", "\u2581": " ", "\t": " ",
    "\n": " ", "\r": " ", "\u0001": "", "\x7f": "", "\ufb01": "fi", "\uff21": "A", "\u2122": "TM",
    "\u2026": "...", "e\u0301": "\u00e9", "a\u0308\u0304": "\u01df", "\u212b": "\u00c5",
    "\u0132": "IJ",
}
TEXTS = [
    "", " ", "a", "A", "a photo of a cat", "A Photo of a CAT.", "hello_world!", "don't  stop",
    "the  quick", "a cat ", " a cat", "\n", "a\nb\n\nc", "\t\t\ta", "   ", "\u2581", "a\u2581b",
    "\u00c9cole", "\u039f\u0394\u039f\u03a3", "cats &amp; dogs", "&lt;3", "<eos>", "</s>", "a</s>",
    "a </s> b", "</s></s>", "<unk>", "x<unk>y", "<pad>", "<s> <mask>", "a  <mask>  b", "<h1>Title",
    "<H1>", "<0x41>", "<0x0A>", "\u5b57", "\u5b57\u5b57 \u5b57", "\U0001f60a", "a\U0001f60ab",
    "1234567890", "\x01", "\x01a\x7fb", "\u200ca \u200c\u200c b\u200c", "\u2122\u0301", "e\u0301",
    "\u0065\u0301\u0327", "a\u0308\u0304", "a\u0308", "\ufb01sh", "\uff21BC", "\u2026", "\r\n",
    "\u0132ssel", "\x85a\x85", "\u2028", "\x1ca\x1f", "\u201cx\u201d", "AT&T", "a,b;c", "\0", "a\0b",
    "aaaaaaaaaaaaaaaa", "ababababababab", "................", "      a", "\u2003\u3000",
]


def trained(kind: str, folder: Path) -> bytes:
    rules = folder / "rules.tsv"
    rules.write_text("".join(
        " ".join(f"{ord(c):X}" for c in old) + "\t" + " ".join(f"{ord(c):X}" for c in new) + "\n"
        for old, new in sorted(MAP.items())))
    model = io.BytesIO()
    text = (text for text in sentence_pieces.sentences(20_000) if max(text) < "\u0100")
    common = dict(sentence_iterator=text, model_writer=model,
                  vocab_size=SIZE + 256, byte_fallback=True, character_coverage=0.98,
                  hard_vocab_limit=False, num_threads=1, minloglevel=2)
    if kind == "unigram":
        sentencepiece.SentencePieceTrainer.train(
            **common, model_type="unigram", pad_id=0, eos_id=1, unk_id=2, bos_id=-1,
            normalization_rule_tsv=str(rules))
    else:
        sentencepiece.SentencePieceTrainer.train(
            **common, model_type="bpe", pad_id=0, eos_id=1, bos_id=2, unk_id=3,
            pad_piece="<pad>", eos_piece="<eos>", bos_piece="<bos>", split_digits=True,
            normalization_rule_name="identity", add_dummy_prefix=False,
            remove_extra_whitespaces=False, allow_whitespace_only_pieces=True,
            user_defined_symbols=["<mask>", "<h1>", "\n\n", "▁▁", "▁▁▁", "\t\t\t"])
    proto = sentence_pieces.sentencepiece_model_pb2.ModelProto.FromString(model.getvalue())
    proto.normalizer_spec.normalization_rule_tsv = ""  # a path
    return proto.SerializeToString(deterministic=True)


def make(target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    texts = list(dict.fromkeys([*TEXTS, *LANGUAGES[::10], *EMOJI[::4]]))
    pieces = sentence_pieces
    results = []

    def add(file, kind, rules, ids):
        results.append({"file": file, "kind": kind, "rules": rules, "ids": [list(row) for row in ids]})

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        models = {kind: trained(kind, folder) for kind in ("unigram", "bpe")}
        for kind, model in models.items():
            (target / f"{kind}.model").write_bytes(model)
        unigram, bpe = models["unigram"], models["bpe"]
        canonical = pieces._cleaned(("canonicalize", texts))
        spaced = pieces._cleaned(("whitespace", texts))
        add("unigram.model", "siglip", "sentencepiece", pieces.sentencepiece_ids(unigram)(texts))
        add("unigram.model", "siglip", "big_vision", pieces.ascii_lower_ids(unigram)(texts))
        t5 = pieces.hugging_face(unigram, "t5", folder)
        t5.save(str(target / "unigram.json"), pretty=False)
        add("unigram.json", "siglip", "sentencepiece", pieces.tokenizers_ids(t5)(texts))
        add("unigram.model", "siglip", "open_clip", pieces.tokenizers_ids(t5)(canonical))
        xlm = pieces.hugging_face(unigram, "xlm-roberta", folder)
        add("unigram.model", "metaclip2", "open_clip", pieces.tokenizers_ids(xlm)(spaced))
        add("unigram.model", "metaclip2", "hf", pieces.tokenizers_ids(xlm)(texts))
        slow = pieces.siglip_ids(target / "unigram.model", folder)(texts)
        add("unigram.model", "siglip", "hf", slow)
        add("bpe.model", "siglip2", "sentencepiece", pieces.sentencepiece_ids(bpe)(texts))
        add("bpe.model", "siglip2", "big_vision", pieces.ascii_lower_ids(bpe)(texts))
        gemma = pieces.hugging_face(bpe, "gemma", folder)
        gemma.save(str(target / "bpe.json"), pretty=False)
        add("bpe.json", "siglip2", "sentencepiece", pieces.tokenizers_ids(gemma)(texts))
        add("bpe.model", "siglip2", "open_clip", pieces.tokenizers_ids(gemma)(canonical))
        add("bpe.model", "siglip2", "hf", pieces.tokenizers_ids(pieces.lowercase(gemma))(texts))
    decoded = {kind: sentencepiece.SentencePieceProcessor(model_proto=model)
               for kind, model in models.items()}
    decoded = {kind: [model.decode(model.encode(text)) for text in texts]
               for kind, model in decoded.items()}
    content = {"texts": texts, "canonicalized": canonical, "whitespace": spaced,
               "decoded": decoded, "results": results}
    (target / "ids.json").write_text(json.dumps(content, separators=(",", ":")), encoding="ascii")
