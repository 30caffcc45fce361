"""Features by key, for viewers and items that rows only name."""

import polars as pl

from easq.features.columns import UNKNOWN


class FeatureRows:
    """Feature rows by int64 key. An unknown key has the ids UNKNOWN, numbers NaN and empty lists.

    Of several rows with the same key, the first counts.
    """

    def __init__(self, keys: pl.Series, features: pl.DataFrame) -> None:
        first = keys.is_not_null() & keys.is_first_distinct()
        self._keys = pl.DataFrame({"key": keys.filter(first)}).with_row_index("place")
        unknown = features.clear(1).with_columns(
            pl.col(pl.Int64).fill_null(UNKNOWN),
            pl.col(pl.Float32).fill_null(float("nan")),
            pl.col(pl.List(pl.Int64)).fill_null([]),
        )
        self._features = pl.concat([features.filter(first), unknown])

    def places(self, keys: pl.Series) -> pl.Series:
        """Return the place of each key's feature row, for `take`."""
        wanted = pl.DataFrame({"key": keys})
        joined = wanted.join(self._keys, on="key", how="left", maintain_order="left")
        return joined["place"].fill_null(self._features.height - 1)

    def take(self, places: pl.Series) -> pl.DataFrame:
        """Return the feature rows at `places`."""
        return self._features[places]
