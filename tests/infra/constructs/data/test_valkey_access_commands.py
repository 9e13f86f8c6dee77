"""The access string has each command that Axon's sources send, and no other."""

import re
from pathlib import Path

from infra.constructs.data.valkey_access import ACCESS_STRING

ROOT = Path(__file__).parents[4]
USES = (
    ("layers/shared/python/axon/adapters/valkey/lua/*.lua", r"redis\.call\('([A-Z]+)'"),
    ("layers/shared/python/axon/adapters/valkey/*.py", r"\(\s*\"([A-Z]+)\""),
    ("layers/shared/python/axon/adapters/valkey/*.py", r"_send\(connection, \"([A-Z]+)\""),
    ("relay_container/**/*.py", r"\.call\(\s*\"([A-Z]+)\""),
    ("front_container/**/*.py", r"\.call\(\s*\"([A-Z]+)\""),
    ("inference_container/**/*.py", r"\.call\(\s*\"([A-Z]+)\""),
    ("functions/**/*.py", r"\.call\(\s*\"([A-Z]+)\""),
)
"""Files that send commands to Valkey, and how it looks when they do."""
# Sent by the client library: when it connects, and for a script.
OF_THE_CLIENT = {"client", "eval", "evalsha"}
# The access string is the same for processes of the version before, which run during a deployment.
OF_THE_VERSION_BEFORE = {"smembers"}
# What looks like a command, and is a part of one.
OPTIONS = {"count"}
# What a method of the client sends (`Replication`).
OF_METHODS = {"wait"}


def test_valkey_user_has_no_command_that_axon_does_not_use() -> None:
    allowed = {
        command.removeprefix("+").partition("|")[0]
        for command in ACCESS_STRING.split()
        if command.startswith("+")
    }
    used = {
        command.lower()
        for folder, pattern in USES
        for file in ROOT.glob(folder)
        for command in re.findall(pattern, file.read_text())
    }
    assert (
        allowed - OF_THE_CLIENT - OF_THE_VERSION_BEFORE
        == (used | OF_METHODS) - OF_THE_CLIENT - OPTIONS
    )
