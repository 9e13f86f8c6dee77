"""Small language models on the CPU by OpenVINO GenAI: the laptop's engine.

``engine`` and what it uses run in the worker; ``server`` and ``pipeline`` run in a process of
their own, which ``process`` starts.
"""
