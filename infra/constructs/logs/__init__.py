"""Searchable logs: the OpenSearch domain, what forwards log groups to it, and its alarms."""
