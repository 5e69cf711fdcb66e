"""For all tests."""

from __future__ import annotations

import signal

from hypothesis import HealthCheck, settings

# No test asserts a time, and examples are slower on a busy machine.
settings.register_profile("sealflow", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("sealflow")

# A shell that starts the tests in the background has SIGINT ignored, and children inherit that:
# the processes that tests interrupt would not notice. POSIX 2.11.
signal.signal(signal.SIGINT, signal.default_int_handler)
