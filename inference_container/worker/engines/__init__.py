"""Engines: one protocol, one file or package an engine."""

from worker.engines.echo import EchoPace
from worker.engines.factory import create_engine

__all__ = ["EchoPace", "create_engine"]
