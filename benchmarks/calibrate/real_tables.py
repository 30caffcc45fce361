"""Make `play.py` from real views: quantiles of play ratios and durations.

    python benchmarks/calibrate/real_tables.py --kuairand PARQUET --eeg FOLDER \
        > src/easq/sources/world/play.py

Only quantiles leave the data. KuaiRand's views are those of the main feed (tab 1). Their ranks are bent by
one power per duration, so that the mean ratio equals the published one of all 173,008 rows.
"""

import argparse
import json
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import polars as pl

from easq.arrays import F64
from easq.sources.world.real_figures import DURATION_EDGES_S, MEAN_RATIO

_HEAD = '''"""Quantiles of real play ratios and durations, from which the world draws watching.

Made by `python benchmarks/calibrate/real_tables.py`. Do not edit. Sources: KuaiRand-Pure, main feed
(Gao et al. 2022, CC BY-SA 4.0) and EEG-SVRec (Zhang et al. 2024), by rank `LEVELS`.
"""

'''
LEVELS = (0.0066, 0.02, *(n / 40 for n in range(1, 40)), 0.985, 0.99, 0.995, 0.999)


def bend(ratios: F64, mean: float) -> float:
    """Return the power p for which the quantiles at rank u ** p have this mean."""
    ordered = np.sort(ratios)
    rank = (np.arange(len(ordered)) + 0.5) / len(ordered)
    low, high = 0.5, 2.0
    for _ in range(50):
        middle = (low + high) / 2
        bent_mean = ordered[(rank**middle * len(ordered)).astype(np.int64)].mean()
        low, high = (middle, high) if bent_mean > mean else (low, middle)
    return low


def kuairand(path: Path) -> tuple[F64, list[F64]]:
    """Return seconds of duration, and play ratios by duration, of the main feed's views."""
    views = pl.read_parquet(path).filter((pl.col("tab") == 1) & (pl.col("duration_ms") > 0))
    views = views.unique(["user_id", "video_id", "time_ms"])
    seconds = views["duration_ms"].to_numpy() / 1000
    ratio = views["play_time_ms"].to_numpy() / views["duration_ms"].to_numpy()
    place = np.searchsorted(DURATION_EDGES_S, seconds)
    return seconds, [ratio[place == d] for d in range(len(MEAN_RATIO))]


def eeg(folder: Path) -> F64:
    """Return the play ratios of EEG-SVRec's views."""
    ratios = []
    for path in sorted(folder.glob("metadata/*_behavior_MAES.json")):
        views = json.loads(path.read_text()).values()
        ratios += [(v["end_time"] - v["start_time"]) / 1000 / v["video_duration"] for v in views]
    return np.array(ratios)


def _text(values: Iterable[float]) -> str:
    words = " ".join(f"{v:.4g}" for v in values)
    return '"""\n' + textwrap.indent(textwrap.fill(words, 100), "    ") + '\n"""'


def main() -> None:
    """Print the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kuairand", type=Path, required=True)
    parser.add_argument("--eeg", type=Path, required=True)
    options = parser.parse_args()
    seconds, ratios_D = kuairand(options.kuairand)
    levels = np.array(LEVELS)
    rows = [
        _text(np.quantile(ratios, levels ** bend(ratios, mean)).clip(1e-4))
        for ratios, mean in zip(ratios_D, MEAN_RATIO, strict=True)
    ]
    lab, duration = np.quantile(eeg(options.eeg), levels), np.quantile(seconds, levels)
    text = _HEAD + f"LEVELS = {_text(LEVELS)}\n"
    text += "FEED_RATIO_DQ = (\n" + "".join(f"{row},\n" for row in rows) + ")\n"
    text += f"LAB_RATIO_Q = {_text(lab)}\nDURATION_S_Q = {_text(duration)}\n"
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
