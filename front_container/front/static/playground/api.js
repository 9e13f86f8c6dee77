// Requests to the API of this server. The key comes from the store with each request.

import { serverSentEvents } from "./sse.js";

export const BASE = new URL(".", document.baseURI).href.replace(/\/$/, "");

const LONGEST_MS = 30_000; // of a request that is answered at once
const HEADERS_MS = 60_000; // of the wait for a stream, whose headers the server holds for 10 s at most

/** An error as the API gives it; `status` is 0 where no answer came. */
export class ApiError extends Error {
  constructor({ status = 0, code = "", message, param = null, requestId = "", retryAfter = 0 }) {
    super(message);
    Object.assign(this, { status, code, param, requestId, retryAfter });
  }

  /** True where the same request may succeed a moment later. */
  get passing() {
    return this.status === 0 || this.status === 429 || this.status === 503 || this.status === 529;
  }
}

export class Api {
  constructor(store) {
    this.store = store;
  }

  /** Send a request; return its JSON. Raises ApiError. */
  async json(method, path, { key = this.store.key } = {}) {
    const answer = await this.#send(method, path, { key, signal: AbortSignal.timeout(LONGEST_MS) });
    return answer.json();
  }

  /** Send a request; return `{answer, events}`: its events, read as they come. Raises ApiError. */
  async stream(method, path, { body, headers, signal }) {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(new DOMException("no answer", "TimeoutError")), HEADERS_MS);
    try {
      const answer = await this.#send(method, path, {
        key: this.store.key, body, headers, signal: AbortSignal.any([signal, late.signal]),
      });
      return { answer, events: serverSentEvents(answer.body) };
    } finally {
      clearTimeout(timer);
    }
  }

  async #send(method, path, { key, body, headers = {}, signal }) {
    const sent = { ...headers };
    if (key) sent.Authorization = `Bearer ${key}`;
    if (body) sent["Content-Type"] = "application/json";
    let answer;
    try {
      answer = await fetch(BASE + path, {
        method, signal, headers: sent, body: body && JSON.stringify(body),
        credentials: "omit", cache: "no-store", referrerPolicy: "no-referrer",
      });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ApiError({
        code: "connection_error",
        message: `No answer from ${BASE}. Check that the server runs and that you are online.`,
      });
    }
    if (!answer.ok) throw await errorOf(answer);
    return answer;
  }
}

async function errorOf(answer) {
  const text = await answer.text().catch(() => "");
  let details = {};
  try {
    details = JSON.parse(text).error ?? {};
  } catch { /* a proxy on the way answers with a page of its own */ }
  return new ApiError({
    ...detailsOf(details),
    status: answer.status,
    message: details.message || text.slice(0, 300) || `HTTP status ${answer.status}`,
    requestId: answer.headers.get("x-request-id") ?? "",
    retryAfter: Number(answer.headers.get("retry-after")) || 0,
  });
}

/** Return an ApiError for an error inside a stream that began well. */
export function errorInStream(details, answer) {
  return new ApiError({
    ...detailsOf(details),
    status: details.status ?? 200,
    message: details.message || "The answer failed, and the server did not say why.",
    requestId: answer?.headers.get("x-request-id") ?? "",
  });
}

function detailsOf(details) {
  return { code: details.code || details.type || "", param: details.param ?? null };
}
