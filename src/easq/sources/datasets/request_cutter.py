"""Group views into requests: what one viewer saw in one go."""

import polars as pl

GAP_MS = 30 * 60 * 1000
"""A pause this long ends a request."""

MOST_ITEMS = 20
"""The most items of a request, if the data does not give its bounds."""


def into_requests(views: pl.DataFrame, is_bounded: bool = False) -> pl.DataFrame:
    """Return the views in the order of their requests, with `request_ts` and `start`, the request's number.

    A viewer's consecutive views are one request until a pause of GAP_MS, MOST_ITEMS items, a change of
    the column `request` (if there is one) or an item that the request holds already, because candidates
    are distinct. With `is_bounded`, only the column `request` and repeated items end a request.
    """
    by_request = ["request"] if "request" in views.columns else []
    views = views.sort("user", *(by_request if is_bounded else []), "ts", "item")
    ends = pl.col("user").ne_missing(pl.col("user").shift())
    for column in by_request:
        ends |= pl.col(column).ne_missing(pl.col(column).shift())
    if not is_bounded:
        ends |= pl.col("ts").diff().fill_null(0) >= GAP_MS
    before = views.with_row_index("place").select(
        ends.fill_null(True).alias("ends"),
        pl.col("place").cast(pl.Int64).shift().over("user", "item").fill_null(-1).alias("same"),
    )
    start = _starts(
        before["ends"].to_list(), before["same"].to_list(), views.height if is_bounded else MOST_ITEMS
    )
    return (
        views.with_columns(pl.Series("start", start, pl.Int64))
        .with_columns(pl.col("ts").first().over("start").alias("request_ts"))
        .sort("request_ts", "start", maintain_order=True)
    )


def _starts(ends: list[bool], same: list[int], most: int) -> list[int]:
    starts, start = [], 0
    for row, (is_end, same_item) in enumerate(zip(ends, same, strict=True)):
        if is_end or same_item >= start or row - start >= most:
            start = row
        starts.append(start)
    return starts
