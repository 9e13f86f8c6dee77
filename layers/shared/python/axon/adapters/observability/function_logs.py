"""The log of a Lambda function: JSON, without text of clients in tracebacks."""

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

from axon.tracebacks import QuietTracebacks


class _Formatter(QuietTracebacks, LambdaPowertoolsFormatter):
    pass


def function_logger(service: str) -> Logger:
    """Return a function's logger.

    Powertools' own traceback, which it adds as a field, has the exception's message: it is off.
    """
    return Logger(service=service, logger_formatter=_Formatter(serialize_stacktrace=False))
