"""The documents of the project, cut into their fenced blocks.

A comment directly above a block says how a test uses it: ``run``, ``file: NAME``, ``output``, ``output, other figures``,
``part``, ``matrix``, or ``not run: REASON``.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]*) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Block:
    """A fenced block of a document, and the comment directly above it (nothing, if there is none)."""

    language: str
    mark: str
    text: str

    @property
    def file(self) -> str:
        """The name of the file that the block is, or nothing."""
        return self.mark.removeprefix("file: ") if self.mark.startswith("file: ") else ""


@dataclass(frozen=True)
class Document:
    """A document: where it is and what it says."""

    path: Path

    @property
    def text(self) -> str:
        """All of it."""
        return self.path.read_text(encoding="utf-8")

    @property
    def name(self) -> str:
        """Where it is in the project."""
        return self.path.relative_to(ROOT).as_posix()

    @property
    def every_block(self) -> list[Block]:
        """All fenced blocks in their order."""
        return [Block(m["language"], m["mark"] or "", m["text"]) for m in FENCE.finditer(self.text)]

    def blocks(self, language: str) -> list[Block]:
        """Return the fenced blocks of a language."""
        return [block for block in self.every_block if block.language == language]

    def files(self, language: str) -> list[Block]:
        """Return the blocks of a language that are files."""
        return [block for block in self.blocks(language) if block.file]

    def commands(self) -> list[str]:
        """Return the shell commands, without their comments."""
        return [line for block in self.blocks("sh") for line in commands_of(block)]

    def table(self, heading: str) -> dict[str, str]:
        """Return the rows of the table under a heading row, its first column to its second."""
        return {first: second for first, second, *_ in self.rows(heading)}

    def rows(self, heading: str) -> list[tuple[str, ...]]:
        """Return the rows of the table under a heading row."""
        _, _, rest = self.text.partition(f"| {heading} |")
        lines = rest.splitlines()[2:]
        rows = lines[: next((i for i, line in enumerate(lines) if not line.startswith("|")), len(lines))]
        return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in rows]


def commands_of(block: Block) -> list[str]:
    """Return the commands of a shell block, without their comments."""
    lines = (line.partition("  #")[0].strip() for line in block.text.splitlines())
    return [line for line in lines if line]


def documents() -> Iterable[Document]:
    """Yield every document of the project."""
    yield from (Document(ROOT / name) for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"))
    yield from (Document(path) for path in sorted((ROOT / "docs").rglob("*.md")))
    yield from (Document(path) for path in sorted((ROOT / "plugins").glob("*/README.md")))
