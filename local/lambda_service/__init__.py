"""Lambda on this machine: functions run under AWS's own runtime client, as on AWS."""
