"""The service's log lines are for operators; of a test's they would only be noise."""

import logging

from easq.home.process_log import lines_to_stderr

lines_to_stderr(logging.CRITICAL)
