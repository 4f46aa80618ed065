import pytest

from tests.networks.golden import MadeUpBody, golden


@pytest.fixture(scope="session")
def body() -> MadeUpBody:
    return MadeUpBody(golden("graphcmr")["template"])
