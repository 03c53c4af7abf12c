"""Logs AMULET's runs to an MLflow tracking server. Light: mlflow itself is imported when there is something to log."""

from typing import Final

from amulet_plugin_mlflow.observer import Observer

observer: Final = Observer()
