"""Engines: one protocol (`protocol`), and one package for each engine."""

from worker.engines.echo.engine import EchoPace
from worker.engines.factory import create_engine

__all__ = ["EchoPace", "create_engine"]
