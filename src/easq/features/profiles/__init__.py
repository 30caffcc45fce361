"""What is known of viewers and items before a request: what was told, recent histories, rates.

The code that writes a request's features reads them here; nothing after the request can leak in,
because a profile holds only what was observed before. Live ranking and the loaders of data sets share
one implementation of histories and of rates.
"""

from easq.features.profiles.histories import Histories
from easq.features.profiles.profiles import Profiles
from easq.features.profiles.rates import Rates

__all__ = ["Histories", "Profiles", "Rates"]
