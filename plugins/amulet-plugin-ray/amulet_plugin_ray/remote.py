"""What runs on the nodes of the cluster: text in, JSON out. Light, so that a node that lacks something can say what."""

import json
from importlib import import_module


def call(target: str, text: str) -> str:
    """Return what the function ``target`` (``module:function``) makes of a text, as JSON."""
    module, _, name = target.partition(":")
    return json.dumps(getattr(import_module(module), name)(text))
