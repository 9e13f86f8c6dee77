"""The bill of a million requests whose input waits in S3, on top of their own."""

from infra.cost.assumptions import Assumptions
from infra.cost.bill import Bill
from infra.cost.prices import Prices

MILLION = 1e6
GB = 1e9
READS = 2
"""By the worker, and by the function that writes the history. Transfer to and from S3 is free in
the same region, by the VPC's endpoint."""


def per_million_payloads(prices: Prices, assumptions: Assumptions) -> Bill:
    """Return the bill: an object is put, read and kept; deleting it is free."""
    bill = Bill(prices)
    bill.add("S3: payloads that are put", "s3/put", 1)
    bill.add("S3: payloads that are read", "s3/get", READS)
    kept = MILLION * assumptions.payload_bytes / GB * assumptions.payload_days / 30
    bill.add("S3: payloads that are kept", "s3/gb", kept)
    return bill
