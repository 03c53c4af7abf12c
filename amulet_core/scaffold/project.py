"""The files of a new plugin, as texts: templates filled in, and nothing written."""

import re
from string import Template
from textwrap import indent
from typing import Final, NamedTuple

from amulet_core.scaffold.examples import (
    SCENES,
    NewKind,
    example_of,
    has_template,
    metric_fields,
    readme_texts,
    template_text,
)

_REQUIREMENTS: Final = {
    "numpy": "numpy>=1.26",
    "pydantic": "pydantic>=2.7",
    "sklearn": "scikit-learn>=1.7",
    "torch": "torch>=2.6",
}


class Draft(NamedTuple):
    """What is to be written: a plugin ``name`` with one component of that name; no ``risk`` where none applies."""

    kind: NewKind
    name: str
    risk: str

    @property
    def module(self) -> str:
        """Return the name of the package to import."""
        return f"amulet_plugin_{self.name.replace('-', '_')}"


def project_files(draft: Draft) -> dict[str, str]:
    """Return the text of every file of the project, by its path in it."""
    example, fields = example_of(draft.kind, draft.risk), _fields(draft)

    def filled(name: str) -> str:
        return Template(template_text(f"{name}.tmpl")).substitute(fields)

    files = {
        ".github/workflows/test.yml": filled("workflow"),
        ".gitignore": filled("gitignore"),
        "LICENSE": template_text("license.tmpl"),
        "README.md": filled("readme"),
        f"{draft.module}/__init__.py": filled(f"{example}.descriptor"),
        f"{draft.module}/{draft.kind}.py": filled(f"{example}.code"),
        f"{draft.module}/py.typed": "",
        "example.yaml": filled("config"),
        "pyproject.toml": filled("pyproject"),
        "tests/test_conformance.py": filled("conformance"),
    }
    if has_template(f"{example}.checks.tmpl"):
        files[f"{draft.module}/checks.py"] = filled(f"{example}.checks")
    return dict(sorted(files.items()))


def _fields(draft: Draft) -> dict[str, str]:
    example, texts = example_of(draft.kind, draft.risk), readme_texts()
    row = f"| `{draft.module}/checks.py` | known answers, which `amulet check` and the tests ask for |\n"
    sources = "".join(_source(example, part) for part in ("descriptor", "code", "checks"))
    fields = {
        "dependencies": "".join(f'    "{one}",\n' for one in _dependencies(sources)),
        "name": draft.name,
        "module": draft.module,
        "kind": draft.kind,
        "article": "An" if draft.kind == "attack" else "A",
        "risk": draft.risk,
        "about": texts["about"][example],
        "rules": texts["rules"][draft.kind].strip(),
        "randomness": texts["randomness"].get(draft.kind, texts["randomness"]["any"]).strip(),
        "checks_row": row if has_template(f"{example}.checks.tmpl") else "",
    }
    return fields | _matrix(draft) | (_metric(draft.risk) if draft.kind == "metric" else {})


def _source(example: str, part: str) -> str:
    return template_text(f"{example}.{part}.tmpl") if has_template(f"{example}.{part}.tmpl") else ""


def _dependencies(sources: str) -> list[str]:
    """Return the requirements of what the sources import, by name: the core's own are not promised to plugins."""
    imported = set(re.findall(r"^(?:import|from) (\w+)", sources, re.MULTILINE))
    return [requirement for module, requirement in _REQUIREMENTS.items() if module in imported]


def _matrix(draft: Draft) -> dict[str, str]:
    """Return the fields of the configuration: the scene of the risk, with the new component in its place."""
    own, scene = f"{draft.name}/{draft.name}", SCENES[draft.risk or "evasion"]
    columns = {draft.risk or "evasion": _column(draft, own)}
    if draft.kind == "dataset":
        columns["discriminatory-behavior"] = ""
    if draft.kind == "defense" and draft.risk != "membership-inference":
        columns["membership-inference"] = "    attacks: [loss-threshold]\n"
    return {
        "dataset": own if draft.kind == "dataset" else scene.dataset,
        "model": own if draft.kind == "model" else "mlp",
        "data": "{train: 300, val: 50, test: 500, aux: 50}" if draft.kind == "dataset" else scene.data,
        "defenses": f"[{own if draft.kind == 'defense' else scene.defense}]",
        "risks": "\n".join(f"  {risk}:{' {}' * (not text)}\n{text}".rstrip() for risk, text in columns.items()),
    }


def _column(draft: Draft, own: str) -> str:
    scene = SCENES[draft.risk or "evasion"]
    attacks = f"[{', '.join([own, *_controls(draft)])}]" if draft.kind == "attack" else scene.attacks
    lines = [f"threat: {scene.threat}"]
    lines += [f"attacks: {attacks}"] if attacks else []
    lines += [f"metrics: [{own}]"] if draft.kind == "metric" else []
    return indent("\n".join(lines) + "\n", "    ")


def _controls(draft: Draft) -> list[str]:
    """Return the controls that come with the example: where results stand beside a control's, one that learns alike."""
    return [f"{draft.name}/{draft.name}-control"] if draft.risk == "attribute-inference" else []


def _metric(risk: str) -> dict[str, str]:
    fields = metric_fields(risk)
    texts = {name: value for name, value in fields.items() if isinstance(value, str)}
    more = "        uses_sensitive=True,\n" if fields["sensitive"] else ""
    code, planted = (indent(fields[name].strip("\n"), "    ") for name in ("code", "planted"))
    return texts | {"code": code, "planted": planted, "more": more}
