"""Settings of a worker with nothing set but its servers' addresses."""

from axon.settings import WorkerSettings
from worker.pipeline.flush import FlushPolicy

SETTINGS = WorkerSettings(
    valkey_url="redis://valkey",
    postgres_dsn="postgresql://postgres",
    jobs_queue_url="http://jobs",
    history_queue_url="http://history",
)
FLUSH_POLICY = FlushPolicy.of(SETTINGS)
