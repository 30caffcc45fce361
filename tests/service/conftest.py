"""The service's log lines are for operators; of a test's they would only be noise."""

import logging

from easq.service.server import log_to_stderr

log_to_stderr(logging.CRITICAL)
