"""Reading YAML without surprises: of a key that stands twice, PyYAML would silently take the last."""

from typing import Any

import yaml

from amulet_core.errors import RequestError


def parse_yaml(text: str, *, whose: str) -> Any:
    """Return the value of a YAML text; ``whose`` begins each problem.

    Raises:
        RequestError: if the text is not YAML, or naming every key that stands twice in one mapping, with its lines.
    """
    problems: list[str] = []

    class UniqueKeys(yaml.SafeLoader):
        def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
            # Here, not where mappings are constructed: by then "<<" has copied keys into them that may be replaced.
            node: yaml.MappingNode = super().compose_mapping_node(anchor)
            problems.extend(_repeated(node, whose))
            return node

    try:
        value = yaml.load(text, Loader=UniqueKeys)  # noqa: S506 - a safe loader, though ruff cannot see that
    except yaml.YAMLError as error:
        raise RequestError(f"{whose} is not valid YAML: {' '.join(str(error).split())}") from error
    if problems:
        raise RequestError(*problems)
    return value


def _repeated(node: yaml.MappingNode, whose: str) -> list[str]:
    lines: dict[str, list[int]] = {}
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            lines.setdefault(key.value, []).append(key.start_mark.line + 1)
    return [
        f'{whose}: the key "{key}" stands there more than once, in lines {", ".join(map(str, found))}: keep one'
        for key, found in lines.items()
        if len(found) > 1
    ]
