"""What the documents show of Python runs as printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"```(python|text)\n(.*?)```", re.DOTALL)


def blocks(document: Path, heading: str) -> list[tuple[str, str]]:
    """Return the blocks of code and of output from ``heading`` on, up to the next one like it."""
    text = document.read_text(encoding="utf-8")
    start = text.index(heading)
    end = text.find("\n" + heading.split()[0] + " ", start + 1)
    return BLOCK.findall(text[start : end if end > 0 else None])


@pytest.mark.parametrize(
    ("document", "heading"),
    [("docs/python.md", "# Python"), ("README.md", "## In your own program")],
)
def test_the_code_prints_what_the_document_says(document, heading, capsys) -> None:
    scope: dict[str, object] = {}
    compared = 0
    for kind, text in blocks(ROOT / document, heading):
        if kind == "python":
            exec(compile(text, document, "exec"), scope)
        else:
            assert capsys.readouterr().out == text
            compared += 1
    assert compared > 0
