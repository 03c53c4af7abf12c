"""Picking cells out of results, and components that are told to fail."""

from typing import Any

from amulet_core.results import Cell, Results


def statuses(results: Results, **where: Any) -> set[str]:
    return {cell.status for cell in select(results, **where)}


def select(results: Results, **where: Any) -> list[Cell]:
    return [cell for cell in results.cells if all(getattr(cell, key) == value for key, value in where.items())]


def faulty(name: str, fault: str = "raises") -> dict[str, Any]:
    return {"name": name, "params": {"fault": fault}}
