"""ministack's modules. It is not installed where types are checked, so they are untyped."""

import importlib
from typing import Any


def _module(name: str) -> Any:
    return importlib.import_module(f"ministack.{name}")


actions = _module("core.iam_actions")
apigateway = _module("services.apigateway")
app = _module("app")
evaluator = _module("core.iam_evaluator")
runtime = _module("core.lambda_runtime")
responses = _module("core.responses")
sigv4 = _module("core.sigv4")
provisioners = _module("services.cloudformation.provisioners")
stacks = _module("services.cloudformation.stacks")
elasticache = _module("services.elasticache")
lambdas = _module("services.lambda_svc")
rds = _module("services.rds")
s3 = _module("services.s3")
secrets = _module("services.secretsmanager")
sts = _module("services.sts")
