"""Engine for small language models on the CPU, by OpenVINO GenAI.

`engine` runs in the worker; `server` and `pipeline` run in a process of their own, which `process`
starts.
"""
