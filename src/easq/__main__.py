"""`python -m easq` is `easq`."""

from easq.cli import main

main()
