"""AWS's offer from which settings choose: instance types, sizes of Fargate tasks."""

_SIZES = r"(micro|small|medium|large|\d*xlarge)"

CACHE_NODE = rf"^cache\.(t3|t4g|[mr]\dg?|c7gn)\.{_SIZES}$"
DATABASE_INSTANCE = rf"^db\.(t3|t4g|[mrx]\d[a-z]*)\.{_SIZES}$"
SEARCH_INSTANCE = rf"^([cmrt]|or|om|i)\d[a-z]*\.{_SIZES}\.search$"

_GIB = 1024
FARGATE_MEMORY_MB = {
    256: (512, _GIB, 2 * _GIB),
    512: tuple(range(_GIB, 4 * _GIB + 1, _GIB)),
    1024: tuple(range(2 * _GIB, 8 * _GIB + 1, _GIB)),
    2048: tuple(range(4 * _GIB, 16 * _GIB + 1, _GIB)),
    4096: tuple(range(8 * _GIB, 30 * _GIB + 1, _GIB)),
    8192: tuple(range(16 * _GIB, 60 * _GIB + 1, 4 * _GIB)),
    16384: tuple(range(32 * _GIB, 120 * _GIB + 1, 8 * _GIB)),
}
"""Memory in MiB that a Fargate task may have, by its CPU units (AWS Fargate documentation)."""

_ONE_GPU = dict.fromkeys(("xlarge", "2xlarge", "4xlarge", "8xlarge", "16xlarge"), 1)
_G = _ONE_GPU | {"12xlarge": 4, "24xlarge": 4, "48xlarge": 8}
GPUS = {
    "g4dn": _ONE_GPU | {"12xlarge": 4, "metal": 8},
    "g5": _G,
    "g6": _G,
    "g6e": _G,
    "p4d": {"24xlarge": 8},
    "p4de": {"24xlarge": 8},
    "p5": {"4xlarge": 1, "48xlarge": 8},
    "p5e": {"48xlarge": 8},
    "p5en": {"48xlarge": 8},
    "p6-b200": {"48xlarge": 8},
}
"""Number of GPUs by family and size, of NVIDIA instances with x86 CPUs: the images need both."""


def check_fargate(*, cpu: int, memory_mb: int) -> None:
    """Check that Fargate has tasks of this size.

    Raises
    ------
    ValueError
        It has not.
    """
    allowed = FARGATE_MEMORY_MB[cpu]
    if memory_mb not in allowed:
        raise ValueError(
            f"Fargate gives no {memory_mb} MiB to cpu = {cpu}: memory_mb can be {allowed[0]} to "
            f"{allowed[-1]} in steps of {allowed[-1] - allowed[-2]}"
        )


def gpus(instance_type: str) -> int:
    """Return the number of GPUs of an instance type.

    Raises
    ------
    ValueError
        Axon cannot run on the instance type.
    """
    family, _, size = instance_type.partition(".")
    if size not in GPUS.get(family, ()):
        raise ValueError(f"{instance_type} is not known: use an instance type of {', '.join(GPUS)}")
    return GPUS[family][size]
