"""For all tests."""

from __future__ import annotations

from hypothesis import settings

# No test asserts a time, and examples are slower on a busy machine.
settings.register_profile("sealflow", deadline=None)
settings.load_profile("sealflow")
