"""Models that EASQ is compared with, one file each."""
