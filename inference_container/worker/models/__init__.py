"""Models of a worker: loaded, swapped and unloaded as the desired state says."""
