#!/usr/bin/env python3
"""Writes the manual pages of clip, or checks that they are true:

    Scripts/manuals.py CLIP FOLDER       writes FOLDER/clip.1, FOLDER/clip-zeroshot.1, ...
    Scripts/manuals.py --check CLIP      checks help texts, facts and pages

The pages come from the help texts, which CLIP prints as JSON, and from manpages/facts.json, which
has environment variables, files and exit statuses. The pages have a date only if SOURCE_DATE_EPOCH
is set, so equal commands give equal pages.

The checks: every command has an example that can be pasted, no help text is cut, the variables in
facts.json are those that the sources read, every variable of a help text is on its page, and the
pages are well-formed. groff and mandoc check the pages, too, if they are installed. Each problem is
one line; the exit status is 1 if there are any.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True

from manpages.checks import check
from manpages.pages import Pages, load


def main():
    arguments = sys.argv[1:]
    if len(arguments) != 2 or arguments[0] in ("-h", "--help"):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    if arguments[0] == "--check":
        return check(arguments[1])
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    date = time.strftime("%Y-%m-%d", time.gmtime(int(epoch))) if epoch else ""
    try:
        root, version = load(arguments[0])
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        print(f"{arguments[0]} does not describe its commands: {error}", file=sys.stderr)
        return 1
    Pages(root, version, date).write(Path(arguments[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
