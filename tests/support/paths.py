"""Where the repository's own files are."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "recipes"  # a link into the package
DOCS = ROOT / "docs"
BENCHMARKS = ROOT / "benchmarks"
