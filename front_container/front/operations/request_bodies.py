"""The operation by which bodies are uploaded that a home of the front does not take."""

from axon.protocol.uploads import CreateRequestBody
from axon.uploads import HEADER, URL_S
from front.operations.answers.request_bodies import UploadedBody
from front.operations.operation import JSON, Answer, Operation, RequestBody

CREATE = Operation(
    id="createRequestBody",
    tag="Request bodies",
    summary="Upload the body of a request",
    description="For requests that are longer than what the server's address takes (a Lambda "
    "function URL takes 6 MB). The answer has a URL, which takes these bytes by PUT, with the "
    f"headers in the answer, for {URL_S // 60} minutes. Then any POST of this API may have the "
    f"header `{HEADER}` with the id, and no body of its own. A body may be named again, and is "
    "kept for a day.",
    body=RequestBody(model=CreateRequestBody, closed=True),
    answers={200: Answer("Where the body is uploaded to.", {JSON: UploadedBody})},
    refusals=(404, 503),
)
