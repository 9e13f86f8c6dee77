"""The WebSocket API, what reads the queues, and the migrations between."""

import json
import shutil
from pathlib import Path

import pytest
from aws_cdk.assertions import Template

from axon import catalog
from infra.constructs.functions import layers
from infra.constructs.functions.wheels import ROOT
from infra.constructs.observability.access_log import FIELDS
from infra.settings.environment import load
from tests.infra.conftest import Templates, synthesise
from tests.infra.support.templates import Properties, listed, only, resources, text

BEHIND_THE_API = {"authorizer", "connect", "disconnect", "respond"}


@pytest.fixture
def gateway(dev: Templates) -> Template:
    return dev["gateway"]


def outputs(template: Template) -> dict[str, str]:
    return {name: text(output["Value"]) for name, output in template.find_outputs("*").items()}


def function_of(template: Template, route: Properties) -> str:
    integration = text(route["Target"]).removeprefix("integrations/{").removesuffix("}")
    uri = text(resources(template, "AWS::ApiGatewayV2::Integration")[integration]["IntegrationUri"])
    function = uri.partition("functions/{")[2].partition(".Arn}")[0]
    return str(resources(template, "AWS::Lambda::Function")[function]["FunctionName"])


def test_gateway_routes_are_those_of_the_local_gateway(gateway: Template) -> None:
    routes = resources(gateway, "AWS::ApiGatewayV2::Route").values()
    assert {route["RouteKey"]: function_of(gateway, route) for route in routes} == {
        "$connect": "axon-dev-connect",
        "$disconnect": "axon-dev-disconnect",
        "$default": "axon-dev-respond",
        "response.create": "axon-dev-respond",
    }
    api = only(gateway, "AWS::ApiGatewayV2::Api")
    assert api["RouteSelectionExpression"] == "$request.body.type"
    assert api["ProtocolType"] == "WEBSOCKET"


def test_gateway_message_routes_return_a_response(gateway: Template) -> None:
    routes = resources(gateway, "AWS::ApiGatewayV2::Route")
    answering = {
        route["RouteKey"]
        for route in routes.values()
        if route.get("RouteResponseSelectionExpression") == "$default"
    }
    responses = resources(gateway, "AWS::ApiGatewayV2::RouteResponse").values()
    assert answering == {"$default", "response.create"}
    assert {routes[each["RouteId"]["Ref"]]["RouteKey"] for each in responses} == answering


def test_gateway_authorizes_connect_only(gateway: Template) -> None:
    routes = resources(gateway, "AWS::ApiGatewayV2::Route").values()
    kinds = {route["RouteKey"]: route["AuthorizationType"] for route in routes}
    assert kinds.pop("$connect") == "CUSTOM"
    assert set(kinds.values()) == {"NONE"}
    assert [route["RouteKey"] for route in routes if "AuthorizerId" in route] == ["$connect"]


def test_gateway_authorizer_runs_whatever_the_case_of_the_header(gateway: Template) -> None:
    authorizer = only(gateway, "AWS::ApiGatewayV2::Authorizer")
    assert authorizer["AuthorizerType"] == "REQUEST"
    assert "IdentitySource" not in authorizer
    assert "{AuthorizerFunction" in text(authorizer["AuthorizerUri"])
    # A cached result would let a revoked key in.
    assert not authorizer.get("AuthorizerResultTtlInSeconds")


def test_gateway_and_schedules_alone_may_invoke_its_functions(gateway: Template) -> None:
    functions = resources(gateway, "AWS::Lambda::Function")
    source = {"apigateway.amazonaws.com": "{WebSocketApi", "events.amazonaws.com": "Schedule"}
    allowed: dict[str, set[str]] = {principal: set() for principal in source}
    for permission in resources(gateway, "AWS::Lambda::Permission").values():
        principal = permission["Principal"]
        assert source[principal] in text(permission["SourceArn"])
        function = functions[permission["FunctionName"]["Fn::GetAtt"][0]]["FunctionName"]
        allowed[principal].add(function)
    assert allowed == {
        "apigateway.amazonaws.com": {f"axon-dev-{name}" for name in BEHIND_THE_API},
        "events.amazonaws.com": {f"axon-dev-{each.function}" for each in catalog.SCHEDULES},
    }


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_gateway_stage_is_throttled_and_measured_and_logs_no_content(
    environment: str, dev: Templates, prod: Templates
) -> None:
    stage = only({"dev": dev, "prod": prod}[environment]["gateway"], "AWS::ApiGatewayV2::Stage")
    settings = load(environment).gateway
    assert stage["StageName"] == catalog.STAGE
    assert stage["AutoDeploy"] is True
    # No DataTraceEnabled, no LoggingLevel: those would log what is said.
    assert stage["DefaultRouteSettings"] == {
        "DetailedMetricsEnabled": True,
        "ThrottlingRateLimit": settings.requests_per_second,
        "ThrottlingBurstLimit": settings.burst,
    }
    assert json.loads(stage["AccessLogSettings"]["Format"]) == FIELDS


def test_gateway_account_lets_the_stage_log_and_is_retained(gateway: Template) -> None:
    (account,) = gateway.find_resources("AWS::ApiGateway::Account")
    (stage,) = gateway.find_resources("AWS::ApiGatewayV2::Stage").values()
    assert account in stage["DependsOn"]
    role = gateway.to_json()["Resources"][account]["Properties"]["CloudWatchRoleArn"]
    for kept in (account, role["Fn::GetAtt"][0]):
        assert gateway.to_json()["Resources"][kept]["DeletionPolicy"] == "Retain"


def test_gateway_stage_is_created_after_every_route(gateway: Template) -> None:
    (stage,) = gateway.find_resources("AWS::ApiGatewayV2::Stage").values()
    for kind in ("Route", "RouteResponse"):
        assert set(gateway.find_resources(f"AWS::ApiGatewayV2::{kind}")) <= set(stage["DependsOn"])


def test_gateway_outputs_are_what_sdks_and_the_relay_need(gateway: Template) -> None:
    (api,) = gateway.find_resources("AWS::ApiGatewayV2::Api")
    host = f"{{{api}}}.execute-api.{{AWS::Region}}.{{AWS::URLSuffix}}"
    told = outputs(gateway)
    # An SDK appends /responses to the first, and must then be at the stage.
    assert told["WebSocketUrl"] == f"wss://{host}"
    assert told["ConnectionsEndpoint"] == f"https://{host}/{catalog.STAGE}"
    functions = resources(gateway, "AWS::Lambda::Function")
    for name in ("keys", "models"):
        function = told[f"{name.title()}Function"].strip("{}")
        assert functions[function]["FunctionName"] == f"axon-dev-{name}"
    assert "DomainTarget" not in told


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """Return the gateway of an environment with a domain and an alias, without tracing."""
    folder = tmp_path_factory.mktemp("chosen")
    environment = folder / "chosen.toml"
    environment.write_text(
        'name = "chosen"\n[observability]\ntracing = false\n'
        '[gateway]\ndomain_name = "api.example.com"\n'
        'certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/1"\n'
        '[inference]\nhard_limit_minutes = 240\nignored_tools = ["web_search", "mcp"]\n'
        "[inference.model_aliases.default]\nsmollm2-135m-instruct = 90\nnew = 10\n"
    )
    return synthesise(str(environment), folder / "out").templates["gateway"]


def test_gateway_domain_maps_the_path_that_sdks_append(chosen: Template) -> None:
    (domain,) = chosen.find_resources("AWS::ApiGatewayV2::DomainName")
    mapping = only(chosen, "AWS::ApiGatewayV2::ApiMapping")
    assert mapping["ApiMappingKey"] == catalog.STAGE
    assert mapping["DomainName"] == {"Ref": domain}
    name = only(chosen, "AWS::ApiGatewayV2::DomainName")
    assert name["DomainName"] == "api.example.com"
    (endpoint,) = name["DomainNameConfigurations"]
    assert endpoint["SecurityPolicy"] == "TLS_1_2"
    assert outputs(chosen)["WebSocketUrl"] == f"wss://{{{domain}}}"
    assert outputs(chosen)["DomainTarget"] == f"{{{domain}.RegionalDomainName}}"
    # The relay posts to the API's own address, which therefore stays.
    assert "execute-api" in outputs(chosen)["ConnectionsEndpoint"]
    assert "DisableExecuteApiEndpoint" not in only(chosen, "AWS::ApiGatewayV2::Api")


def variables_of_functions(template: Template) -> dict[str, dict[str, str]]:
    return {
        each.get("FunctionName", ""): each.get("Environment", {}).get("Variables", {})
        for each in resources(template, "AWS::Lambda::Function").values()
    }


def test_gateway_gives_ignored_tools_to_the_function_that_accepts_requests(
    chosen: Template,
) -> None:
    given = {
        name: variables["AXON_IGNORED_TOOLS"]
        for name, variables in variables_of_functions(chosen).items()
        if "AXON_IGNORED_TOOLS" in variables
    }
    assert given == {"axon-chosen-respond": "web_search,mcp"}


def test_gateway_gives_model_aliases_to_the_function_that_resolves_them(chosen: Template) -> None:
    variables = variables_of_functions(chosen)
    told = {
        name: json.loads(given["AXON_MODEL_ALIASES"])
        for name, given in variables.items()
        if "AXON_MODEL_ALIASES" in given
    }
    assert told == {"axon-chosen-respond": {"default": {"smollm2-135m-instruct": 90, "new": 10}}}


def test_gateway_gives_the_hard_limit_to_the_function_that_accepts_requests(
    chosen: Template,
) -> None:
    functions = resources(chosen, "AWS::Lambda::Function").values()
    limits = {
        each["FunctionName"]: limit
        for each in functions
        if (limit := each.get("Environment", {}).get("Variables", {}).get("AXON_HARD_LIMIT_S"))
    }
    assert limits == {"axon-chosen-respond": "14400"}


def test_gateway_functions_are_not_traced_without_tracing(chosen: Template) -> None:
    functions = resources(chosen, "AWS::Lambda::Function").values()
    assert not [each for each in functions if each.get("TracingConfig")]
    assert "xray:" not in json.dumps(chosen.to_json())


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_gateway_event_sources_are_those_of_the_catalog(
    environment: str, dev: Templates, prod: Templates
) -> None:
    template = {"dev": dev, "prod": prod}[environment]["gateway"]
    functions = resources(template, "AWS::Lambda::Function")
    found = {
        functions[source["FunctionName"]["Ref"]]["FunctionName"]: source
        for source in resources(template, "AWS::Lambda::EventSourceMapping").values()
    }
    assert len(found) == len(catalog.EVENT_SOURCES)
    for expected in catalog.EVENT_SOURCES:
        source = found[f"axon-{environment}-{expected.function.replace('_', '-')}"]
        assert source["BatchSize"] == expected.batch_size
        assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    history = found[f"axon-{environment}-write-history"]
    assert history["ScalingConfig"] == {
        "MaximumConcurrency": load(environment).functions.write_history_concurrency
    }
    assert "History" in text(history["EventSourceArn"])
    assert "DeadLetters" in text(found[f"axon-{environment}-dead-letter"]["EventSourceArn"])


def test_gateway_functions_time_out_before_their_callers() -> None:
    visibility = {queue.name: queue.visibility_s for queue in catalog.QUEUES}
    visibility |= {queue.dead_letter: catalog.DEAD_LETTER_VISIBILITY_S for queue in catalog.QUEUES}
    for source in catalog.EVENT_SOURCES:
        assert catalog.FUNCTIONS[source.function].timeout_s < visibility[source.queue]
    for name in BEHIND_THE_API:
        assert catalog.FUNCTIONS[name].timeout_s <= catalog.INTEGRATION_LIMIT_S


def test_gateway_invokes_functions_by_the_schedules_of_the_catalog(gateway: Template) -> None:
    functions = gateway.find_resources("AWS::Lambda::Function")
    found = {}
    for rule in resources(gateway, "AWS::Events::Rule").values():
        (target,) = rule["Targets"]
        function = target["Arn"]["Fn::GetAtt"][0]
        name = functions[function]["Properties"]["FunctionName"].removeprefix("axon-dev-")
        found[name] = (rule["ScheduleExpression"], rule["State"], target["RetryPolicy"])
    environment = only_function(gateway, "axon-dev-expire")["Environment"]["Variables"]
    assert environment["AXON_RETENTION_DAYS"] == "30"
    assert found == {
        each.function: (
            "rate(1 hour)",
            "ENABLED",
            {"MaximumEventAgeInSeconds": 60 * each.minutes, "MaximumRetryAttempts": 0},
        )
        for each in catalog.SCHEDULES
    }


def only_function(template: Template, name: str) -> Properties:
    functions = resources(template, "AWS::Lambda::Function").values()
    (found,) = [each for each in functions if each.get("FunctionName") == name]
    return found


def trigger(template: Template) -> tuple[str, Properties]:
    ((name, resource),) = template.find_resources("Custom::Trigger").items()
    return name, dict(resource["Properties"])


def test_gateway_migrations_run_before_every_other_function(gateway: Template) -> None:
    name, properties = trigger(gateway)
    version = resources(gateway, "AWS::Lambda::Version")[properties["HandlerArn"]["Ref"]]
    migrate = version["FunctionName"]["Ref"]
    functions = gateway.find_resources("AWS::Lambda::Function")
    assert functions[migrate]["Properties"]["FunctionName"] == "axon-dev-migrate"
    # A failure must fail the deployment, so the answer is waited for, as long as it may take.
    assert properties["InvocationType"] == "RequestResponse"
    assert int(properties["Timeout"]) == 1000 * catalog.FUNCTIONS["migrate"].timeout_s

    provider = properties["ServiceToken"]["Fn::GetAtt"][0]
    waiting = {
        each for each, made in functions.items() if name in listed(made.get("DependsOn", []))
    }
    assert waiting == set(functions) - {migrate, provider}
    for source in gateway.find_resources("AWS::Lambda::EventSourceMapping").values():
        assert name in source["DependsOn"]


def test_gateway_runs_a_new_migration(
    gateway: Template, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = tmp_path / "repository"
    shutil.copytree(ROOT / "layers", changed / "layers")
    migrations = changed / "layers/shared/python/axon/adapters/postgres/sql/migrations"
    (migrations / "9999_more.sql").write_text("SELECT 1;\n")
    monkeypatch.setattr(layers, "ROOT", changed)

    after = synthesise("dev", tmp_path / "out").templates["gateway"]

    assert trigger(after)[1]["HandlerArn"] != trigger(gateway)[1]["HandlerArn"]
