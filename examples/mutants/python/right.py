"""What all mutants here are but for one mistake: ../../python/careful.py, made importable."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "python"))

import effects  # noqa: E402
import settings  # noqa: E402
from careful import BACKOFF_FIRST, Careful, log, main, where  # noqa: E402

__all__ = ["BACKOFF_FIRST", "Careful", "effects", "log", "main", "settings", "where"]
