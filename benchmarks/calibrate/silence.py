"""What the dial `silence` does, and where real figures stand on it.

    python benchmarks/calibrate/silence.py --figure docs/images/silence.svg

In a simulated laboratory like EEG-SVRec's it prints, by silence, how well a view's own behavior tells whether
it satisfies. A mark is the silence at which a figure equals the real one. The default of the scenario
`silent` is where the AUC's distance from one half is half of EEG-SVRec's. No ranking method runs here.
"""

import argparse
from pathlib import Path

import numpy as np

from easq.arrays import F64
from easq.prove.bench.svg import Point, lines
from easq.sources.world.calibration import CALIBRATION
from easq.sources.world.lab import draw_guests, run_session
from easq.sources.world.real_figures import LAB_AUC
from easq.sources.world.realism import behavior_auc

LIKED_AND_SATISFIED = 0.474
"""EEG-SVRec: correlation of a like with "satisfied" over the 2,985 views of its published files."""
_DIAL = np.arange(11) / 10


def main() -> None:
    """Print the dial and its marks, and draw it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--people", type=int, default=3000)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    found = np.array([figures(silence, options.people, options.seed) for silence in _DIAL.tolist()])
    print("| silence | AUC of satisfied from behavior | correlation of like and satisfied | liked |")
    print("|---|---|---|---|")
    for silence, (auc, correlation, liked) in zip(_DIAL, found, strict=True):
        print(f"| {silence:g} | {auc:.3f} | {correlation:.3f} | {liked:.3f} |")
    half = 0.5 + (LAB_AUC - 0.5) / 2
    print(f"AUC {LAB_AUC} (EEG-SVRec): silence {mark(found[:, 0], LAB_AUC):.2f}")
    print(f"AUC {half:.2f} (half as far from 0.5): silence {mark(found[:, 0], half):.2f}")
    print(
        f"correlation {LIKED_AND_SATISFIED} (EEG-SVRec): silence {mark(found[:, 1], LIKED_AND_SATISFIED):.2f}"
    )
    if options.figure:
        series = {
            "AUC of satisfied from behavior": points(found[:, 0]),
            "EEG-SVRec's AUC": [Point(0.0, LAB_AUC), Point(1.0, LAB_AUC)],
            "correlation of like and satisfied": points(found[:, 1]),
            "EEG-SVRec's correlation": [Point(0.0, LIKED_AND_SATISFIED), Point(1.0, LIKED_AND_SATISFIED)],
        }
        title = "What behavior tells of satisfaction in the laboratory"
        options.figure.write_text(lines(title, "silence", "AUC, correlation", series))


def figures(silence: float, people: int, seed: int) -> tuple[float, float, float]:
    """Return AUC, correlation and the share of liked views at one silence."""
    scenario = f"silent={silence}" if silence else "main"
    session = run_session(draw_guests(people, seed, CALIBRATION.sharpness, scenario), seed)
    liked, satisfied = session.reactions.did["like"].ravel(), session.level_RC.ravel() >= 3
    return behavior_auc(session), float(np.corrcoef(liked, satisfied)[0, 1]), float(liked.mean())


def mark(falling: F64, real: float) -> float:
    """Return where a falling figure equals the real one; 0 if it is below it everywhere."""
    return float(np.interp(-real, -falling, _DIAL))


def points(values: F64) -> list[Point]:
    """Return the values along the dial."""
    return [Point(x, y) for x, y in zip(_DIAL.tolist(), values.tolist(), strict=True)]


if __name__ == "__main__":
    main()
