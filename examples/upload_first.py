"""Ask about a file that is too long for a function URL: ``python upload_first.py FILE [TEXT]``."""

import os
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

from openai import DefaultHttpxClient, OpenAI

BASE_URL = os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1")
LONGEST = 3_000_000  # A function URL takes 6 MB; a quote or backslash of the body counts twice.


class UploadingClient(DefaultHttpxClient):
    """Puts a long body into the deployment's bucket, and sends the request without it."""

    def send(self, request: Any, **options: Any) -> Any:
        """Send one request of the SDK."""
        body = request.content if request.method == "POST" else b""
        if len(body) > LONGEST:
            asked = {"bytes": len(body), "sha256": sha256(body).hexdigest()}
            key = {"Authorization": request.headers["Authorization"]}
            made = self.post(f"{BASE_URL}/request_bodies", json=asked, headers=key)
            upload = made.raise_for_status().json()["upload"]
            self.put(upload["url"], content=body, headers=upload["headers"]).raise_for_status()
            headers = {**request.headers, "axon-request-body": made.json()["id"]}
            del headers["content-length"]
            kept = {"headers": headers, "extensions": request.extensions}  # with the time limits
            request = self.build_request("POST", request.url, **kept)
        return super().send(request, **options)


key = os.environ.get("OPENAI_API_KEY", "sk-axon-local")
client = OpenAI(base_url=BASE_URL, api_key=key, http_client=UploadingClient())
texts = [Path(sys.argv[1]).read_text(), " ".join(sys.argv[2:]) or "What is this about?"]
asked: Any = [{"role": "user", "content": text} for text in texts]
model = os.environ.get("AXON_MODEL", "smollm2-135m-instruct")
print(client.responses.create(model=model, input=asked).output_text)
