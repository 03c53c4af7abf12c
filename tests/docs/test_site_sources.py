"""What the site adds to the files in docs/, and where links between files of the project lead in it."""

import mkdocs_hooks
import pytest
from fenced import ROOT

LINKS = [
    ("concepts/index.md", "(verdicts.md#a)", "(verdicts.md#a)"),
    ("concepts/verdicts.md", "(../../README.md#how-to-read-a-verdict)", "(../guide.md#how-to-read-a-verdict)"),
    ("architecture.md", "(../CONTRIBUTING.md)", "(contributing.md)"),
    ("scale.md", "(../plugins/amulet-plugin-ray/README.md)", "(plugins/packages/amulet-plugin-ray.md)"),
    ("guide.md", "(docs/scale.md)", "(scale.md)"),
    ("guide.md", "(examples)", "(examples.md)"),
    ("guide.md", "(LICENSE)", "(LICENSE.txt)"),
    ("guide.md", "(plugins/amulet-plugin-ray)", "(plugins/packages/amulet-plugin-ray.md)"),
    ("guide.md", "(#security)", "(#security)"),
    ("guide.md", "(https://x.org/docs/a.md)", "(https://x.org/docs/a.md)"),
    ("plugins/packages/amulet-plugin-ray.md", "(../..)", "(../../guide.md)"),
    ("plugins/packages/amulet-plugin-ray.md", "(../../docs/scale.md)", "(../../scale.md)"),
    ("how-to/first-run.md", "(../../examples/conflicts-mnist.yaml)", "(../examples/conflicts-mnist.yaml)"),
    ("how-to/first-run.md", "(../reference/attack/pgd.md)", "(../reference/attack/pgd.md)"),
    ("how-to/first-run.md", "(../../pyproject.toml)", "(../../pyproject.toml)"),
]


@pytest.mark.parametrize(("page", "written", "led"), LINKS, ids=[f"{page} {link}" for page, link, _ in LINKS])
def test_a_link_leads_to_where_the_file_is_in_the_site(page, written, led):
    assert mkdocs_hooks.relinked(f"A [text]{written}.", page) == f"A [text]{led}."


def test_every_document_that_the_site_copies_is_there():
    assert [source for source in mkdocs_hooks.copies() if not (ROOT / source).is_file()] == []


def test_pages_of_the_reference_stand_in_the_navigation_by_section_and_in_their_order():
    pages = mkdocs_hooks._pages()
    nested = mkdocs_hooks._nested(pages)
    assert nested[0] == {"Overview": "reference/index.md"}
    assert list(flat(nested)) == [page.path for page in pages]
    titles = [next(iter(item)) for item in nested]
    assert len(titles) == len(set(titles))


def flat(items):
    for item in items:
        for value in item.values():
            yield from flat(value) if isinstance(value, list) else [value]
