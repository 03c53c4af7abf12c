"""What keeps models of distribution inference from being trained: too few rows of a kind, or for a defense. Light."""

from dataclasses import replace

from amulet_core.configuration.chains import run_problems
from amulet_core.configuration.request import Request
from amulet_core.games.threats import DistributionThreat
from amulet_core.planned import Planned
from amulet_core.planning.facts import DataFacts
from amulet_core.planning.ratios import hypotheses, ratio_problems


def population_problems(request: Request, facts: DataFacts, planned: Planned, threat: DistributionThreat) -> list[str]:
    """List why such populations cannot be drawn, or why a model or a defense cannot be trained on so few rows."""
    problems = ratio_problems(threat, facts, request.data)
    if problems:
        return problems
    rows = hypotheses(threat, facts, request.data).rows
    fewer, used = replace(planned, train=rows), [request.model, *(use for row in request.rows for use in row.chain)]
    against = [text for use in used if not run_problems(use, planned, "") for text in run_problems(use, fewer, "")]
    return [f"populations train on {rows} rows each{text}" for text in dict.fromkeys(against)]
