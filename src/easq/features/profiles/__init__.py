"""The state of viewers and items before a request: values from the platform, recent histories, rates.

The features of a request are read from here. Nothing after the request can leak in, because a profile
holds only what was observed before. Live ranking and the data set loaders share one implementation of
histories and of rates.
"""

from easq.features.profiles.histories import Histories
from easq.features.profiles.profiles import Profiles
from easq.features.profiles.rates import Rates

__all__ = ["Histories", "Profiles", "Rates"]
