"""The environment variables of a function's process."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from local.lambda_service.config import FunctionConfig


def function_variables(
    *,
    name: str,
    config: FunctionConfig,
    region: str,
    layers: Sequence[Path],
    runtime_api: str,
    warmed_ahead: bool,
) -> dict[str, str]:
    """Return the variables that Lambda sets and those of the function; none is inherited.

    Lambda's reserved names cannot be overridden by the function's configuration.
    """
    reserved = {
        "_HANDLER": config.handler,
        "AWS_DEFAULT_REGION": region,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python{sys.version_info[0]}.{sys.version_info[1]}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(config.memory_mb),
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": (
            "provisioned-concurrency" if warmed_ahead else "on-demand"
        ),
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": "local",
        "AWS_LAMBDA_RUNTIME_API": runtime_api,
        "AWS_REGION": region,
        "LAMBDA_TASK_ROOT": str(config.folder.resolve()),
    }
    defaults = {
        "LANG": "C.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": os.pathsep.join(str(layer.resolve()) for layer in layers),
        "TZ": ":UTC",
    }
    return {**defaults, **config.environment, **reserved}
