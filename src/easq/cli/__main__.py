"""`python -m easq.cli` is `easq`."""

from easq.cli import main

main()
