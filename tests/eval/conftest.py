"""The service and the collection of the sentinels' tests."""

from tests.sentinels.conftest import collection, service, stub

__all__ = ["collection", "service", "stub"]
