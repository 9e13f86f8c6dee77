// One answer: asks for it, reads its events, goes on after a drop, stops it, and times it.

import { ApiError, errorInStream } from "./api.js";
import { ended, newState, takeResponse } from "./dialects.js";

const RETRIES = 8; // in a row without an event; with the pauses below, half a minute
const LONGEST_PAUSE_MS = 5000;
const SNAPSHOT_MS = 500;
const IDENTIFYING_MS = 30_000; // from a repeated request to its first event
const MOST_EVENTS = 5000; // kept for the drawer

/**
 * Reads one answer.
 *
 * `progress` is all that is needed to go on after the page was left: `{body, requestKey, state,
 * number, startedAt, firstAt, lastAt}`. Its text holds exactly the events up to its number, so a
 * reader that asks for those after it loses and repeats nothing.
 */
export class Run {
  constructor({ api, dialect, body = null, progress = null, changed, save }) {
    this.api = api;
    this.dialect = dialect;
    this.progress = progress ?? {
      body, requestKey: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`,
      state: newState(), number: -1, startedAt: Date.now(), firstAt: 0, lastAt: 0,
    };
    this.log = { request: null, requestId: "", entries: [], dropped: 0 };
    this.error = null;
    this.reconnecting = false;
    this.stopping = false;
    this.#changed = changed;
    this.#save = save;
  }

  #changed;
  #save;
  #savedAt = 0;
  #abort = null;
  #left = false;
  #restarted = false;
  #wake = () => {};

  get state() {
    return this.progress.state;
  }

  /** Read until the answer has ended, or cannot be read on; never raises. */
  async read() {
    for (let failures = 0; !ended(this.state);) {
      const before = this.progress.number;
      try {
        await this.#readStream();
      } catch (error) {
        if (this.#left) return;
        failures = this.progress.number > before ? 1 : failures + 1;
        if (!(await this.#mayGoOn(error, failures))) {
          this.#fail(error);
          break;
        }
        await this.#pause(error, failures);
        if (this.#left) return;
      }
    }
    this.reconnecting = false;
    this.#save(null);
    this.#changed();
  }

  /** Stop the answer on the server. Raises ApiError where that fails. */
  async stop() {
    this.stopping = true;
    if (!this.dialect.resumable) {
      this.#abort?.abort(); // these APIs cancel an answer whose client leaves
      return;
    }
    this.#changed();
    if (this.state.id) await this.#cancel(); // else as soon as its id is known
  }

  /** Save how far this is; nothing that happens later counts, because the page is left. */
  leave() {
    this.#left = true;
    if (!ended(this.state)) this.#save(this.progress);
    this.#abort?.abort();
    this.#wake();
  }

  /**
   * Make the response's id known, by the same request with the same key: the server may have accepted
   * the first one. Raises ApiError where that is still not known.
   */
  async identify() {
    const abort = new AbortController();
    const late = setTimeout(() => abort.abort(), IDENTIFYING_MS);
    try {
      const { answer, events } = await this.#open(abort.signal);
      for await (const { data } of events) {
        const event = JSON.parse(data);
        const details = this.dialect.error(event);
        if (details) throw errorInStream(details, answer);
        this.dialect.read(this.state, event);
        if (this.state.id) return;
      }
      throw new Error("no event came");
    } catch (error) {
      // A request that is refused for what it says was not accepted before, either.
      if (error.status !== 400 && error.status !== 404) throw notIdentified(error);
    } finally {
      clearTimeout(late);
      abort.abort();
    }
  }

  async #cancel() {
    try {
      await this.api.json("POST", `/v1/responses/${this.state.id}/cancel`);
    } catch (error) {
      if (error.code === "response_cancel_not_active") return; // it has just ended
      this.stopping = false;
      this.#changed();
      throw error;
    }
  }

  async #readStream() {
    this.#abort = new AbortController();
    const { answer, events } = await this.#open(this.#abort.signal);
    this.log.requestId = answer.headers.get("x-request-id") ?? "";
    this.reconnecting = false;
    for await (const { event, data } of events) {
      if (this.#left) return;
      this.#take(event, data, answer);
      if (ended(this.state)) return;
    }
    throw new ApiError({
      code: "connection_error",
      message: "The connection ended before the answer did.",
    });
  }

  #open(signal) {
    const { state, number, body, requestKey } = this.progress;
    if (state.id && this.dialect.resumable) {
      // Without a number the API begins with the first event.
      const after = number >= 0 ? `&starting_after=${number}` : "";
      return this.#request("GET", `/v1/responses/${state.id}?stream=true${after}`, { signal });
    }
    const headers = { ...this.dialect.headers };
    // A request that is sent again with the same key gets the same response, and makes no other.
    if (this.dialect.resumable) headers["Idempotency-Key"] = requestKey;
    return this.#request("POST", this.dialect.path, { body, headers, signal });
  }

  #request(method, path, options) {
    this.log.request = { method, path, body: options.body };
    return this.api.stream(method, path, options);
  }

  #take(name, data, answer) {
    const event = data === "[DONE]" ? data : JSON.parse(data);
    this.#note(name || event.type || event.object || "", data);
    const details = this.dialect.error(event);
    if (details) throw errorInStream(details, answer);
    this.#count(event);
    const { state } = this.progress;
    const seen = state.text.length + state.reasoning.length;
    this.dialect.read(state, event);
    if (state.text.length + state.reasoning.length > seen) {
      this.progress.lastAt = Date.now();
      this.progress.firstAt ||= this.progress.lastAt;
    }
    if (this.stopping && event.type === "response.created") this.#cancel().catch(() => {});
    this.#saveSometimes();
    this.#changed();
  }

  #count(event) {
    if (event.sequence_number === undefined) return;
    if (event.sequence_number !== this.progress.number + 1) {
      throw new ApiError({
        code: "events_missing",
        message: `Event ${event.sequence_number} came after event ${this.progress.number}.`,
      });
    }
    this.progress.number = event.sequence_number;
  }

  #note(name, data) {
    const at = Date.now() - this.progress.startedAt;
    this.log.entries.push({ at, name, data });
    if (this.log.entries.length > MOST_EVENTS) {
      this.log.entries.shift();
      this.log.dropped += 1;
    }
  }

  #saveSometimes() {
    // The first one at once: from then on a reload finds the response by its id.
    if (this.progress.number > 0 && Date.now() - this.#savedAt < SNAPSHOT_MS) return;
    this.#savedAt = Date.now();
    this.#save(this.progress);
  }

  async #mayGoOn(error, failures) {
    if (!this.dialect.resumable || !this.state.id || failures > RETRIES) return false;
    if (error.code === "response_lost") return this.#beginAgain();
    return !(error instanceof ApiError) || error.passing;
  }

  /** Events that this page asked for are lost. Take the answer as it is stored, or all events. */
  async #beginAgain() {
    if (this.#restarted) return false;
    this.#restarted = true;
    const { id } = this.state;
    Object.assign(this.progress, { state: { ...newState(), id }, number: -1 });
    try {
      takeResponse(this.state, await this.api.json("GET", `/v1/responses/${id}`));
    } catch {
      return false;
    }
    return true;
  }

  async #pause(error, failures) {
    this.reconnecting = true;
    this.#changed();
    const backoff = Math.min(LONGEST_PAUSE_MS, 250 * 2 ** (failures - 1));
    const pause = Math.max(backoff * (0.5 + Math.random() / 2), (error.retryAfter ?? 0) * 1000);
    await new Promise((resolve) => {
      this.#wake = resolve;
      setTimeout(resolve, pause);
      addEventListener("online", resolve, { once: true });
    });
  }

  #fail(error) {
    if (this.stopping && error.name === "AbortError") {
      this.state.status = "cancelled";
      return;
    }
    this.error = error instanceof ApiError ? error : new ApiError({
      code: "connection_error",
      message: `The connection ended before the answer did (${error.message}).`,
    });
    this.state.error = { code: this.error.code, message: this.error.message };
    // The server may have taken a request that nothing answered: it is only sent again as it was.
    const known = this.state.id || this.error.status === 0;
    const broken = this.dialect.resumable && known && this.error.passing;
    this.state.status = broken ? "broken" : "failed";
  }
}

function notIdentified(error) {
  return error instanceof ApiError ? error : new ApiError({
    code: "connection_error",
    message: `The server did not say which response answers the question (${error.message}). Try again.`,
  });
}

/** Return the figures of an answer: tokens, ms to the first token, tokens/s after it. */
export function figuresOf({ state, startedAt, firstAt, lastAt }) {
  const { usage } = state;
  const figures = usage ? { ...usage } : {};
  if (startedAt && firstAt) figures.first = firstAt - startedAt;
  if (usage?.output > 1 && lastAt > firstAt && firstAt) {
    figures.rate = ((usage.output - 1) * 1000) / (lastAt - firstAt);
  }
  return figures;
}
