"""Any server that speaks OpenAI's API, as an engine: Ollama, TGI, another vLLM."""
