"""What the property tests need, and how long they look: WHARF_PROPERTY_PROFILE=long for longer."""

import os

import pytest

try:
    import hypothesis
except ImportError:
    hypothesis = None

SECONDS_MAX = {"ci": 60, "dev": 60, "long": 3600}
PROFILE = os.environ.get("WHARF_PROPERTY_PROFILE", "ci" if os.environ.get("CI") else "dev")

if hypothesis:
    # The seed's settings; in CI each run looks at other examples, and says how to repeat a failure.
    common = dict(max_examples=100, deadline=30000, print_blob=True, report_multiple_bugs=False,
                  suppress_health_check=[hypothesis.HealthCheck.too_slow])
    hypothesis.settings.register_profile("dev", **common)
    hypothesis.settings.register_profile("ci", **common, database=None)
    hypothesis.settings.register_profile("long", **{**common, "max_examples": 5000}, database=None)
    hypothesis.settings.load_profile(PROFILE)


def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.timeout(SECONDS_MAX[PROFILE]))
