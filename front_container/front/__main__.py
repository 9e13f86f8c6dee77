"""``python -m front``: serve HTTP until SIGTERM or SIGINT, or as a Lambda function."""

import os
import sys

import uvloop

from axon.exceptions import SettingsError
from axon.process import (
    allow_open_files,
    configure_logging,
    settle_garbage_collection,
    stop_on_signals,
)
from axon.settings import FrontSettings
from front.app import serve
from front.function import serve_function


async def main(settings: FrontSettings) -> None:
    """Serve until SIGTERM or SIGINT; where Lambda has started this process, its invocations."""
    if runtime_api := os.environ.get("AWS_LAMBDA_RUNTIME_API"):
        await serve_function(settings, runtime_api=runtime_api)
    else:
        await serve(settings, stop=stop_on_signals(), started=settle_garbage_collection)


if __name__ == "__main__":
    try:
        configured = FrontSettings.from_environ(os.environ)
        configure_logging(configured)
        allow_open_files()
        uvloop.run(main(configured))
    except SettingsError as error:
        sys.exit(f"front: {error}")
