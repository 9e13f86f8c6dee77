"""Each wrong setting of an environment is reported in one clear line, before anything is built."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.settings import environment
from infra.settings.environment import EnvironmentSettings, EnvironmentSettingsError, load

Load = Callable[[str], EnvironmentSettings]

WEB_ACL = "arn:aws:wafv2:eu-west-1:123456789012:regional/webacl/a/1"
NEEDS_CERTIFICATE = (
    "the balancer needs a certificate, since API keys may not travel in plain text: set "
    "front.domain_name and front.hosted_zone_id (Route 53), or front.certificate_arn (ACM, the "
    "same region)"
)
CERTIFICATE = "arn:aws:acm:eu-central-1:123456789012:certificate/1"
BALANCED = '[front]\nhome = "balancer"\n'
ZONED = f'{BALANCED}domain_name = "a.example"\nhosted_zone_id = "Z1"\n'
VLLM = '[inference]\nengine = "vllm"\nmodel_uri = "models://m"\n'
GPU = '[inference.capacity]\nkind = "gpu"\n'
FOUR_GPUS = 'instance_types = ["g6.12xlarge", "g5.24xlarge"]\ngpus_per_instance = 4\n'
SAFE = "[valkey]\nnodes = 2\n[postgres]\nmulti_az = true\n[network]\nnat_gateways = 2\n"


@pytest.fixture
def load_text(tmp_path: Path) -> Load:
    def load_text(text: str) -> EnvironmentSettings:
        file = tmp_path / "mine.toml"
        file.write_text(text if text.startswith("name") else f'name = "mine"\n{text}')
        return load(str(file))

    return load_text


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_environments_of_the_repository_are_valid(name: str) -> None:
    assert load(name).name == name


def test_environment_dev_is_small_and_prod_is_protected() -> None:
    dev, prod = load("dev"), load("prod")
    assert (dev.protect, dev.valkey.nodes, dev.inference.min_tasks) == (False, 1, 0)
    assert prod.protect
    assert prod.valkey.nodes >= 2
    assert prod.postgres.multi_az


def test_environment_needs_nothing_but_a_name(load_text: Load) -> None:
    assert load_text("").inference.engine == "smollm2"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        # The environment.
        ('name = "Bad Name"', "name: String should match"),
        ('name = "a-"', "name: String should match"),
        ('name = "a--b"', "name: String should match"),
        ('name = "a234567890123456x"', "name: String should have at most 16 characters"),
        ("protekt = true", "protekt: Extra inputs are not permitted"),
        ('account = "123"', "account: String should match"),
        ('region = "Frankfurt"', "region: String should match"),
        ('[tags]\n"aws:x" = "1"', "tags must not begin with aws: or axon: aws:x"),
        ('[tags]\n"axon:environment" = "1"', "tags must not begin with aws: or axon:"),
        ('[tags]\nowner = "Ä"', "tags.owner: String should match"),
        ("protect = true", "protect = true allows nothing single: valkey.nodes, postgres.multi_az"),
        (
            f'protect = true\n{SAFE}[observability]\nopensearch_instance_type = "t3.small.search"',
            "protect = true allows nothing single: observability.opensearch_nodes",
        ),
        # The network.
        ('[network]\ncidr = "10.0.0.1/16"', "network: 10.0.0.1/16 has host bits set"),
        ('[network]\ncidr = "8.8.0.0/16"', "network: cidr 8.8.0.0/16 must be private"),
        ('[network]\ncidr = "10.0.0.0/8"', "network: cidr 10.0.0.0/8 must be private and of"),
        ('[network]\ncidr = "10.0.0.0/24"', "network: cidr 10.0.0.0/24 must be private and of"),
        ('[network]\ncidr = "fd00::/16"', "network: cidr fd00::/16 must be private"),
        ("[network]\nzones = 1", "network.zones: Input should be greater than or equal to 2"),
        ("[network]\nnat_gateways = 3", "network: nat_gateways must be at most zones"),
        # What keeps data.
        ('[valkey]\nnode_type = "cache.t4g"', "valkey.node_type: String should match"),
        ('[valkey]\nnode_type = "db.t4g.micro"', "valkey.node_type: String should match"),
        ('[valkey]\nnode_type = "cache.t9z.micro"', "valkey.node_type: String should match"),
        ("[valkey]\nnodes = 7", "valkey.nodes: Input should be less than or equal to 6"),
        ('[postgres]\ninstance_type = "t4g.micro"', "postgres.instance_type: String should match"),
        ('[postgres]\ninstance_type = "db.t4g.tiny"', "postgres.instance_type: String should"),
        ("[postgres]\nstorage_gb = 10", "postgres.storage_gb: Input should be greater than"),
        ("[postgres]\nstorage_gb = 100", "postgres: max_storage_gb must be at least 10 % above"),
        ("[postgres]\nbackup_days = 0", "postgres.backup_days: Input should be greater than"),
        # The ways in.
        ('[functions]\npython = "3.9"', "functions.python: Input should be '3.11'"),
        ('[gateway]\ndomain_name = "a.example"', "gateway: set both domain_name and certificate"),
        (f'[gateway]\ncertificate_arn = "{CERTIFICATE}"', "gateway: set both domain_name and"),
        (
            f'{BALANCED}certificate_arn = "arn:aws:s3:::x"',
            "front.balancer.certificate_arn: String should",
        ),
        (
            f'region = "us-east-1"\n{BALANCED}certificate_arn = "{CERTIFICATE}"',
            "front.certificate_arn must be in us-east-1",
        ),
        (
            f'region = "us-east-1"\n{ZONED}web_acl_arn = "{WEB_ACL}"',
            "front.web_acl_arn must be in us-east-1",
        ),
        (
            f'{ZONED}web_acl_arn = "arn:aws:wafv2:us-east-1:123456789012:global/webacl/a/1"',
            "front.balancer.web_acl_arn: String should match",
        ),
        (
            BALANCED,
            f"front.balancer: {NEEDS_CERTIFICATE}",
        ),
        (f'{BALANCED}domain_name = "a.example"', "the balancer needs a certificate"),
        (f'{BALANCED}hosted_zone_id = "Z1"', "hosted_zone_id needs domain_name, a name in that"),
        (f"{ZONED}tasks = 5", "front.balancer: max_tasks must be at least tasks"),
        (f"{ZONED}tasks = 1", "front.balancer.tasks: Input should be greater than or equal to 2"),
        (f"{ZONED}memory_mb = 8192", "front.balancer: Fargate gives no 8192 MiB to cpu = 512"),
        ('[front]\nhome = "nowhere"', "front: Input tag 'nowhere' found using 'home' does not"),
        (
            '[front]\nhome = "function"\ndomain_name = "a.example"',
            "front.function.domain_name: Extra inputs are not permitted",
        ),
        (
            '[front]\nhome = "function"\ncors_origins = ["a.example"]',
            "cors_origins.0: String should",
        ),
        ("[relay]\ntasks = 1", "relay.tasks: Input should be greater than or equal to 2"),
        ("[relay]\ntasks = 5", "relay: max_tasks must be at least tasks"),
        ("[relay]\ncpu = 300", "relay.cpu: Input should be 256, 512"),
        (
            "[relay]\nmemory_mb = 4096",
            "relay: Fargate gives no 4096 MiB to cpu = 256: memory_mb can be 512 to 2048",
        ),
        (
            "[relay]\ncpu = 1024\nmemory_mb = 2500",
            "cpu = 1024: memory_mb can be 2048 to 8192 in steps of 1024",
        ),
        # What clients may name.
        (
            "[inference.model_aliases.default]\nnew = -1",
            "inference.model_aliases.default.new: Input should be greater than or equal to 0",
        ),
        (
            "[inference.model_aliases.default]\nnew = 0",
            "inference.model_aliases: 'default' stands for nothing: give a model a weight above 0",
        ),
        (
            "[inference.model_aliases]\nx = { y = 1 }\ny = { new = 1 }",
            "inference.model_aliases: 'x' names 'y', which is an alias: name a model",
        ),
        (
            '[inference]\nmodel_name = "own"\n[inference.model_aliases.own]\nnew = 1',
            "inference.model_aliases: 'own' is the name of a model: choose another alias",
        ),
        (
            f"[inference.model_aliases.default]\n{'x' * 256} = 1\n"
            + "".join(f"{'y' * 200}{number} = 1\n" for number in range(9)),
            "bytes as JSON, and a function's environment has room for 2048 of them: use fewer",
        ),
        # The workers.
        (
            '[inference.capacity]\nkind = "fargate"\ncpu = 8192\nmemory_mb = 18432',
            "cpu = 8192: memory_mb can be 16384 to 61440 in steps of 4096",
        ),
        (
            '[inference.capacity]\nkind = "fargate"\narchitecture = "arm64"',
            "inference.capacity.fargate.architecture: Input should be 'x86_64'",
        ),
        ('[inference.capacity]\nkind = "tpu"', "inference.capacity: Input tag 'tpu'"),
        (
            f'{GPU}instance_types = ["g5g.xlarge"]',
            "inference.capacity.gpu: g5g.xlarge is not known: use an instance type of g4dn, g5, g6",
        ),
        (f'{GPU}instance_types = ["m7i.large"]', "m7i.large is not known"),
        (f'{GPU}instance_types = ["g6.3xlarge"]', "g6.3xlarge is not known"),
        (
            f'{GPU}instance_types = ["g6.xlarge", "g6.12xlarge"]',
            "inference.capacity.gpu: g6.12xlarge has 4 GPUs, gpus_per_instance is 1",
        ),
        (f"{GPU}instance_types = []", "instance_types: Tuple should have at least 1 item"),
        ("[inference]\nmin_tasks = 3", "inference: max_tasks must be at least min_tasks and 1"),
        (VLLM, 'inference: engine "vllm" needs capacity.kind = "gpu"'),
        (
            f'[inference]\nengine = "vllm"\n{GPU}',
            'inference: engine "vllm" needs model_uri, for example "models://my-model"',
        ),
        (
            f"{VLLM}tensor_parallel_size = 2\n{GPU}",
            "inference: tensor_parallel_size 2 needs more than the 1 GPUs",
        ),
        (
            '[inference]\nmodel_uri = "models://m"',
            "model_uri, model_folders, max_model_len, tensor_parallel_size and vllm are for engine",
        ),
        (
            '[inference]\nmodel_folders = ["models://"]',
            'tensor_parallel_size and vllm are for engine "vllm" only',
        ),
        (
            "[inference]\ntensor_parallel_size = 2",
            'tensor_parallel_size and vllm are for engine "vllm" only',
        ),
        ("[inference.vllm]\nspeed = 5", "inference.vllm: no setting 'speed': data_parallel_size, "),
        ('[inference.vllm]\ndtype = "int3"', "inference.vllm.dtype: "),
        ('[inference]\nmodel_uri = "https://m"', "inference.model_uri: String should match"),
        ('[inference]\nmodel_folders = ["s3://"]', "model_folders.0: String should match"),
        (
            "[inference]\nstop_timeout_s = 111",
            "inference: on Fargate stop_timeout_s is at most 110",
        ),
        # What watches.
        ('[observability]\nalarm_email = "me"', "observability.alarm_email: String should match"),
        (
            "[observability]\nlog_retention_days = 8",
            "observability.log_retention_days: Input should",
        ),
        (
            '[observability]\nopensearch_instance_type = "m7g.large"',
            "observability.opensearch_instance_type: String should match",
        ),
        (
            "[observability]\nopensearch_nodes = 3",
            "opensearch_nodes 3 must be a multiple of the 2 zones",
        ),
    ],
)
def test_environment_reports_a_wrong_setting_in_one_line(
    load_text: Load, text: str, line: str
) -> None:
    with pytest.raises(EnvironmentSettingsError, match=re.escape(line)) as raised:
        load_text(text)
    assert str(raised.value).startswith("mine.toml: ")
    assert "\n" not in str(raised.value)


def test_environment_reports_all_wrong_settings_at_once(load_text: Load) -> None:
    with pytest.raises(EnvironmentSettingsError) as raised:
        load_text('account = "1"\n[valkey]\nnodes = 0\n[relay]\ntasks = 0')
    assert all(
        where in str(raised.value) for where in ("account:", "valkey.nodes:", "relay.tasks:")
    )


@pytest.mark.parametrize(
    "text",
    [
        f"{VLLM}tensor_parallel_size = 8\n{GPU}{FOUR_GPUS}nodes_per_model = 2",
        f'{VLLM}{GPU}instance_types = ["p5.48xlarge", "p4d.24xlarge"]\ngpus_per_instance = 8',
        '[inference.capacity]\nkind = "fargate"\ncpu = 16384\nmemory_mb = 122880',
        '[valkey]\nnode_type = "cache.r7g.12xlarge"\nnodes = 6',
        '[postgres]\ninstance_type = "db.r6gd.4xlarge"',
        f'region = "eu-central-1"\n{BALANCED}certificate_arn = "{CERTIFICATE}"',
        f'{ZONED}certificate_arn = "{CERTIFICATE}"',
        '[front]\nhome = "function"\nreserved_concurrency = 20\ncors_origins = ["*"]',
        "[network]\nzones = 3\n[observability]\nopensearch_nodes = 6",
        f"protect = true\n{SAFE}",
    ],
)
def test_environment_accepts_unusual_settings_that_aws_has(load_text: Load, text: str) -> None:
    assert load_text(text).name == "mine"


def test_environment_that_does_not_exist_is_answered_with_those_that_do() -> None:
    with pytest.raises(EnvironmentSettingsError, match="there is no environment qa: use dev, prod"):
        load("qa")


def test_environment_file_that_is_no_toml_is_named(load_text: Load) -> None:
    with pytest.raises(EnvironmentSettingsError, match=r"mine\.toml: .*line 2"):
        load_text("protect = maybe")


def test_environment_copied_must_have_a_name_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "staging.toml").write_text((environment.ENVIRONMENTS / "prod.toml").read_text())
    monkeypatch.setattr(environment, "ENVIRONMENTS", tmp_path)
    with pytest.raises(EnvironmentSettingsError, match='name: is "prod", must be "staging"'):
        load("staging")
