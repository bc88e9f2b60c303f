"""Where the connection to the API server looks for a proxy."""

import pytest
from kubernetes.aio.client import Configuration

from tinker_operator.engine.transport import Transport

pytestmark = pytest.mark.pure


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        pytest.param({}, False, id="nothing is read for each request when there is no proxy"),
        pytest.param({"NO_PROXY": "*"}, False, id="an exception alone is no proxy"),
        pytest.param({"HTTPS_PROXY": "http://proxy.example:3128"}, True, id="a proxy is heeded"),
    ],
)
async def test_the_environment_is_looked_at_only_where_it_names_a_proxy(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: bool
) -> None:
    """Aiohttp would otherwise read ~/.netrc in a thread, request by request."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        for spelt in (name, name.lower()):
            monkeypatch.delenv(spelt, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    configuration = Configuration(host="https://api.example")
    transport = Transport(configuration)
    await transport.close()

    assert configuration.client_session_kwargs is not None
    assert configuration.client_session_kwargs["trust_env"] is expected
