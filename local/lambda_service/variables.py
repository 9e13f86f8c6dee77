"""The environment variables of a function's process."""

from __future__ import annotations

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
    """Return what Lambda sets and what the function's configuration adds; nothing is inherited.

    Lambda's own names win, as its reserved variables do.
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
