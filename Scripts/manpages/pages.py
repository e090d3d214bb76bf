"""The manual pages of clip, from its help texts and from facts.json."""

import json
import re
import string
import subprocess
import textwrap
from pathlib import Path

FACTS = json.loads((Path(__file__).resolve().parent / "facts.json").read_text())


class Command:
    """A command of clip: its help texts as data."""

    def __init__(self, dump, above=()):
        self.words = [*above, dump["commandName"]]
        self.abstract = dump.get("abstract", "")
        self.arguments = [a for a in dump.get("arguments", []) if a["shouldDisplay"]]
        text, _, examples = dump.get("discussion", "").partition("Examples:\n")
        lines, _, rest = examples.partition("\n\n")
        self.examples = [line.strip() for line in lines.split("\n") if line.strip()]
        self.paragraphs = [p for p in (text + rest).strip().split("\n\n") if p]
        self.subcommands = [
            Command(child, self.words) for child in dump.get("subcommands", [])
            if child["commandName"] != "help"
        ]

    @property
    def name(self):
        return " ".join(self.words)

    @property
    def page(self):
        return "-".join(self.words)

    @property
    def key(self):
        """The name in facts.json: that of the subcommand, empty for clip."""
        return " ".join(self.words[1:])

    @property
    def all(self):
        return [self, *(c for child in self.subcommands for c in child.all)]

    @property
    def positionals(self):
        return [a for a in self.arguments if a["kind"] == "positional"]

    @property
    def options(self):
        return [a for a in self.arguments if a["kind"] != "positional"]

    def concerns(self, fact):
        """True if a fact of facts.json belongs on the command's page."""
        if not self.key:
            return True
        if self.key in fact.get("not", []):
            return False
        names = {name for option in self.options for name in spellings(option)}
        return any(
            use == self.key or use in names
            for entry in fact["for"] for use in FACTS.get(entry, [entry]))


def spellings(option):
    """The names of an option as they are typed, the short one first."""
    names = [
        ("--" if n["kind"] == "long" else "-") + n["name"] for n in option.get("names") or []
    ]
    return sorted(names, key=lambda name: name.startswith("--"))


def load(clip):
    dump = subprocess.run(
        [clip, "--experimental-dump-help"], check=True, capture_output=True, text=True).stdout
    report = subprocess.run(
        [clip, "--version", "--json"], check=True, capture_output=True, text=True).stdout
    return Command(json.loads(dump)["command"]), json.loads(report)["version"]


# MARK: roff

ESCAPES = {
    "\\": "\\(rs", "-": "\\-", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti",
    '"': "\\(dq",
}


def literal(text):
    """Returns a text in which every character can be copied from the page and pasted."""
    return "".join(
        ESCAPES.get(c, c) if c.isascii() else f"\\[u{ord(c):04X}]" for c in text)


def protected(line):
    """Returns a line of text that begins with no control character."""
    return "\\&" + line if line[:1] in (".", "'") else line


class Pages:
    """Writes the pages of clip and its subcommands."""

    def __init__(self, root, version, date):
        self.root = root
        self.version = version
        self.date = date
        self.known = {
            name for command in root.all for option in command.options
            for name in spellings(option)
        } | {name for option in FACTS["options"] for name in option["names"]}
        self.names = {word for command in root.all for word in command.words} | {
            value for command in root.all for option in command.options
            for value in option.get("allValues", [])
        }

    def styled(self, text, command):
        """Returns lines of prose, with options in bold and placeholders in italics."""
        placeholders = {
            word for a in command.arguments if a["kind"] != "flag"
            for word in re.split(r"\W+", a["valueName"].upper()) if word
        }

        def word(match):
            token = match[0]
            if token in self.known:
                return f"\\fB{literal(token)}\\fR"
            if token in placeholders:
                return f"\\fI{token}\\fR"
            # A hyphen within a word of prose is no minus sign.
            parts = token.split("-")
            if len(parts) > 1 and all(re.fullmatch("[A-Za-z]?[a-z]+", part) for part in parts):
                return "-".join(parts)
            return literal(token)

        words = []
        for plain in text.split():
            # \\% keeps groff from hyphenating a name.
            bare = plain.strip(string.punctuation.replace("-", ""))
            is_name = not re.fullmatch("[A-Za-z]?[a-z]*", bare) or bare in self.names
            words.append("\\%" * is_name + re.sub(r"[\w-]+|[^\w\s-]", word, plain))
        lines = textwrap.wrap(" ".join(words), 78, break_long_words=False, break_on_hyphens=False)
        return [protected(line) for line in lines]

    def tagged(self, tag, text, command):
        return [".TP", tag, *self.styled(text, command)]

    def synopsis(self, command):
        name = f"\\fB{literal(command.name)}\\fR"
        if command.subcommands:
            lines = [f"{name} \\fICOMMAND\\fR [\\fIARGUMENT\\fR ...]"]
            if command is self.root:
                lines += [".br", f"{name} \\fBhelp\\fR [\\fICOMMAND\\fR]"]
                lines += [".br", f"{name} \\fB\\-\\-version\\fR"]
            return lines
        parts = [name, "[\\fIOPTION\\fR ...]"]
        for option in command.options:
            if not option["isOptional"]:
                parts.append(self.option_tag(option, spellings(option)[-1:]))
        for argument in command.positionals:
            part = f"\\fI{literal(argument['valueName'].upper())}\\fR"
            part += " ..." if argument["isRepeating"] else ""
            parts.append(f"[{part}]" if argument["isOptional"] else part)
        return [" ".join(parts)]

    @staticmethod
    def option_tag(option, names):
        tag = ", ".join(f"\\fB{literal(name)}\\fR" for name in names)
        if option["kind"] == "option":
            tag += f" \\fI{literal(option['valueName'].upper())}\\fR"
        return tag

    @staticmethod
    def explanation(argument):
        """The help text of an argument, with its values and its default as sentences."""
        text, default = argument.get("abstract", ""), argument.get("defaultValue")
        stated = re.search(r"\s*\(default: (.*)\)$", text, re.DOTALL)
        if stated:
            text, default = text[: stated.start()], stated[1]
        # A default that ends in a blank or in a full stop shows it only in quotes.
        if default is not None and (default != default.strip() or default.endswith(".")):
            default = f'"{default}"'
        if argument.get("allValues"):
            text += f" Values: {', '.join(argument['allValues'])}."
        return text if default is None else f"{text} Default: {default}."

    @staticmethod
    def section(title, lines):
        return [f".SH {title}", *lines] if lines else []

    def description(self, command):
        lines = self.styled(command.abstract, command)
        for paragraph in command.paragraphs:
            prose, *block = re.split(r"\n(?= )", paragraph)
            lines += [".PP", *self.styled(prose, command)]
            if block:
                lines += [".PP", ".EX", *(protected(literal(line)) for line in block), ".EE"]
        return lines

    def commands(self, command):
        return [
            line for child in command.subcommands
            for line in self.tagged(
                f"\\fB{literal(child.words[-1])}\\fR", f"{child.abstract} See {child.page}(1).",
                child)
        ]

    def all_options(self, command):
        lines = []
        texts = {name: option.get("abstract") for option in command.options
                 for name in spellings(option)}
        for option in command.options:
            names = spellings(option)
            text = self.explanation(option)
            # ArgumentParser gives both flags of an inversion the same text.
            positive = names[-1].replace("--no-", "--", 1)
            if positive != names[-1] and texts.get(positive) == option.get("abstract"):
                text = f"The opposite of {positive}."
            lines += self.tagged(self.option_tag(option, names), text, command)
        for option in FACTS["options"] if command is self.root else []:
            tag = ", ".join(f"\\fB{literal(name)}\\fR" for name in option["names"])
            tag += f" \\fI{option['value']}\\fR" if "value" in option else ""
            lines += self.tagged(tag, option["text"], command)
        return lines

    def examples(self, command):
        groups = [("", command.examples)]
        if command is self.root:
            shown = set(command.examples)
            for child in command.all[1:]:
                if child.subcommands:
                    continue
                new = [e for e in child.examples if e.startswith(child.name) and e not in shown]
                groups.append((child.abstract, new[:1]))
        lines = []
        for abstract, examples in groups:
            if not examples:
                continue
            lines += [".PP", *self.styled(abstract, command)] if abstract else []
            lines += [".PP"] if lines else []
            lines += [".EX", *(protected(f"    {literal(e)}") for e in examples), ".EE"]
        return lines

    def facts(self, kind, label, command):
        lines = []
        for fact in FACTS[kind]:
            if command.concerns(fact):
                tag = f"\\fB{literal(fact[label])}\\fR"
                lines += self.tagged(tag, fact["text"], command)
        note = FACTS["notes"].get(kind)
        if note and command.key and command.concerns(note):
            lines += [".PP", *self.styled(note["text"], command)]
        return lines

    def statuses(self, command):
        meanings = {**FACTS["exit"][""], **FACTS["exit"].get(command.key, {})}
        return [
            line for status, text in meanings.items()
            for line in self.tagged(f"\\fB{status}\\fR", text, command)
        ]

    def related(self, command):
        if command is self.root:
            pages = [child.page for child in command.all[1:]]
        else:
            own = [child.page for child in command.subcommands]
            others = FACTS["see"].get(command.page.removeprefix("clip-"), [])
            pages = ["clip", *own, *(f"clip-{name}" for name in others)]
            pages = list(dict.fromkeys(pages))
        references = [f"\\fB{literal(page)}\\fR(1)," for page in pages]
        references[-1] = references[-1].removesuffix(",")
        return textwrap.wrap(" ".join(references), 78, break_on_hyphens=False)

    def text(self, command):
        title = literal(command.page.upper())
        summary = command.abstract.removesuffix(".")
        summary = summary[:1].lower() + summary[1:]
        return "\n".join([
            '.\\" Written by Scripts/manuals.py from the help texts of clip.',
            f'.TH {title} 1 "{self.date}" "clip {self.version}" "User Commands"',
            # Names are neither hyphenated nor spread over the line.
            ".nr HY 0", ".ad l",
            ".SH NAME",
            f"{literal(command.page)} \\-", *self.styled(summary, command),
            ".SH SYNOPSIS", *self.synopsis(command),
            ".SH DESCRIPTION", *self.description(command),
            *self.section("COMMANDS", self.commands(command)),
            *self.section("ARGUMENTS", [
                line for a in command.positionals
                for line in self.tagged(
                    f"\\fI{literal(a['valueName'].upper())}\\fR", self.explanation(a), command)
            ]),
            *self.section("OPTIONS", self.all_options(command)),
            *self.section("EXAMPLES", self.examples(command)),
            *self.section("ENVIRONMENT", self.facts("environment", "name", command)),
            *self.section("FILES", self.facts("files", "path", command)),
            ".SH EXIT STATUS", *self.statuses(command),
            ".SH SEE ALSO", *self.related(command),
        ]) + "\n"

    def write(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        for command in self.root.all:
            (folder / f"{command.page}.1").write_text(self.text(command))
        return [folder / f"{command.page}.1" for command in self.root.all]
