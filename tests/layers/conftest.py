import pytest

from tests.algorithms.golden import MadeUpBody, golden


@pytest.fixture(scope="session")
def body() -> MadeUpBody:
    return MadeUpBody(golden("graphcmr")["template"])
