"""Log lines of a process: JSON on standard error, one object a line, no personal data beyond ids."""

import logging
import sys

import structlog


def lines_to_stderr(level: int = logging.INFO) -> None:
    """Write the log lines of this process to standard error."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # Look up standard error for each line: it may be replaced after the start.
        logger_factory=lambda *_: structlog.WriteLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
