"""Valkey: the client, the event log, caches and directories, and their Lua scripts."""
