"""Write what the examples print into the pages that show them: ``python tools/docs.py``.

In a page, a console block that begins with ``$ python FILE`` is given the output of that file.
`tests/test_articles.py` checks that pages and outputs agree.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"(```console\n\$ python (\S+)\n)(.*?)(```)", re.S)


def refreshed(match: re.Match[str]) -> str:
    """The block with what its file prints now."""
    run = subprocess.run(
        [sys.executable, match[2]], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return f"{match[1]}{run.stdout.rstrip()}\n{match[4]}"


def main() -> None:
    """Refresh every page."""
    for page in sorted((ROOT / "docs").glob("**/*.md")):
        text = page.read_text()
        page.write_text(BLOCK.sub(refreshed, text))


if __name__ == "__main__":
    main()
