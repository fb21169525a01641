"""The pipeline's own word for a period, by which its report can be called."""

from __future__ import annotations

from gapless.declare.pipeline import load_pipeline
from gapless.declare.settings import read_settings


def of_a_period() -> str:
    """What the pipeline that the environment names calls a period; raises `BadPipeline` where that cannot be read."""
    return load_pipeline(read_settings().pipeline).words.period
