import pytest

from axon.engine_settings import EngineSettings
from axon.exceptions import SettingsError
from axon.models.settings import engine_settings
from axon.upstream_hosts import UpstreamHosts, is_forbidden

FORBIDDEN = [
    "169.254.169.254", "169.254.170.2", "169.254.170.23", "[fd00:ec2::254]", "[fd00:ec2::23]",
    "[fe80::1]", "[::ffff:169.254.169.254]", "[64:ff9b::169.254.169.254]", "[::169.254.169.254]",
    "[2002:a9fe:a9fe::]", "0.0.0.0", "[::]", "224.0.0.1",
]  # fmt: skip
NUMBERS = [
    "2852039166", "0xa9fea9fe", "169.254.43518", "0251.0376.0251.0376", "169.254.169.254.",
    "\uff11\uff16\uff19.254.169.254", "169\u3002254\uff0e169\uff61254", "%31%36%39.254.169.254",
]  # fmt: skip
ALLOWED = ["127.0.0.1", "[::1]", "localhost", "10.1.2.3", "api.example.com", "8.8.8.8.example"]


@pytest.mark.parametrize("host", [*FORBIDDEN, *NUMBERS])
def test_upstream_url_has_no_address_of_a_metadata_service(host: str) -> None:
    hosts = UpstreamHosts(["*"])
    for url in (f"http://{host}/v1", f"http://{host}:80/v1"):
        with pytest.raises(SettingsError, match="upstream_url"):
            engine_settings("m", {"engine": "openai", "upstream_url": url}, hosts=hosts)
        with pytest.raises(SettingsError, match="AXON_UPSTREAM_URL"):
            EngineSettings.from_environ({"AXON_UPSTREAM_URL": url})


@pytest.mark.parametrize("host", ALLOWED)
def test_upstream_url_may_have_other_hosts_where_all_are_allowed(host: str) -> None:
    url = f"https://{host}/v1"
    settings = {"engine": "openai", "upstream_url": url}
    assert engine_settings("m", settings, hosts=UpstreamHosts(["*"])).upstream_url == url


@pytest.mark.parametrize("scheme", ["file", "ftp", "gopher", "unix", ""])
def test_upstream_url_is_http(scheme: str) -> None:
    url = f"{scheme}://127.0.0.1/v1"
    with pytest.raises(SettingsError, match="upstream_url"):
        engine_settings("m", {"engine": "openai", "upstream_url": url}, hosts=UpstreamHosts(["*"]))


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.0.0.1", "2600::1", "fd12::254"])
def test_addresses_that_are_no_metadata_services_are_not_forbidden(address: str) -> None:
    assert not is_forbidden(address)


@pytest.mark.parametrize(
    ("entry", "url", "allowed"),
    [
        ("api.example.com", "https://api.example.com/v1", True),
        ("API.example.com", "http://api.EXAMPLE.com.:8000/v1", True),
        ("api.example.com", "https://api.example.com.evil.net/v1", False),
        ("api.example.com", "https://api.example.com@evil.net/v1", False),
        ("api.example.com", "https://evil.net/api.example.com", False),
        ("api.example.com:8000", "http://api.example.com:8000/v1", True),
        ("api.example.com:8000", "http://api.example.com/v1", False),
        ("api.example.com:443", "https://api.example.com/v1", True),
        ("*.example.com", "https://a.b.example.com/v1", True),
        ("*.example.com", "https://example.com/v1", False),
        ("*.example.com", "https://badexample.com/v1", False),
        ("[::1]", "http://[::1]:9/v1", True),
        ("127.0.0.1", "http://127.0.0.1:9/v1", True),
    ],
)
def test_upstream_hosts_allow_what_they_name(entry: str, url: str, *, allowed: bool) -> None:
    assert UpstreamHosts.parsed([entry]).allow(url) is allowed
    assert not UpstreamHosts().allow(url)


def test_upstream_hosts_allow_the_deployments_own_upstream() -> None:
    hosts = UpstreamHosts(own_url="http://vllm.internal:8000/v1")
    assert hosts.allow("http://vllm.internal:8000/v2")
    assert not hosts.allow("http://vllm.internal:9000/v1")


@pytest.mark.parametrize("entry", ["http://a", "a/b", "", "a b", "**", "a.*"])
def test_upstream_hosts_are_hosts(entry: str) -> None:
    with pytest.raises(ValueError, match="is no host"):
        UpstreamHosts.parsed([entry])


def test_upstream_host_that_is_not_allowed_is_named_with_the_setting() -> None:
    settings = {"engine": "openai", "upstream_url": "http://other/v1"}
    with pytest.raises(SettingsError, match=r"http://other/v1 names a host .*AXON_UPSTREAM_HOSTS"):
        engine_settings("m", settings, hosts=UpstreamHosts(["api.example.com"]))


def test_settings_of_a_model_cannot_say_whom_to_trust() -> None:
    vllm = {"engine": "vllm", "model_uri": "s3://bucket/m"}
    allowances = ("allow_pickled_weights", "allow_unverified_weights")
    for name in ("trust_remote_code", *allowances, "upstream_hosts"):
        with pytest.raises(SettingsError, match=f"{name}: no such setting"):
            engine_settings("m", vllm | {name: True})
    for value in (True, False):
        with pytest.raises(SettingsError, match="AXON_TRUST_REMOTE_CODE"):
            engine_settings("m", vllm | {"vllm_arguments": {"trust_remote_code": value}})
