// The three APIs: what a request looks like, and what its events say. Pure functions.
//
// `read(state, event)` changes the state of one answer:
//   {id, text, reasoning, status, reason, usage: {input, cached, output}, error}
// status: "waiting", "running", then "completed", "incomplete", "cancelled" or "failed"; "broken" is
// an answer whose reading ended before it did. `error(event)` returns the details of an event that
// says that the stream has failed.

export const newState = () => ({
  id: "", text: "", reasoning: "", status: "waiting", reason: "", usage: null, error: null,
});

export const ended = (state) => !["waiting", "running"].includes(state.status);

const number = (value) => (value === "" || value === null || value === undefined ? undefined : Number(value));

/** The exchanged messages of earlier turns, for the APIs whose server keeps no conversation. */
function messagesOf(turns, input) {
  const messages = turns.filter(({ text, status }) => text && status !== "failed").flatMap((turn) => [
    { role: "user", content: turn.input },
    { role: "assistant", content: turn.text },
  ]);
  return [...messages, { role: "user", content: input }];
}

const responses = {
  name: "Responses",
  path: "/v1/responses",
  hint: "The server keeps the conversation; this browser keeps its ids.",
  resumable: true,
  headers: {},

  body({ model, turns, input, settings }) {
    const previous = turns.findLast((turn) => turn.id && turn.status !== "failed");
    return {
      model, input, stream: true,
      instructions: settings.instructions || undefined,
      previous_response_id: previous?.id,
      temperature: number(settings.temperature),
      max_output_tokens: number(settings.maxTokens),
    };
  },

  read(state, event) {
    switch (event.type) {
      case "response.created":
        state.id = event.response.id;
        break;
      case "response.in_progress":
        state.status = "running";
        break;
      case "response.output_text.delta":
      case "response.refusal.delta":
        state.status = "running";
        state.text += event.delta;
        break;
      case "response.reasoning_text.delta":
      case "response.reasoning_summary_text.delta":
        state.reasoning += event.delta;
        break;
      case "response.completed":
      case "response.incomplete":
      case "response.failed":
        readResponse(state, event.response);
        break;
    }
  },

  error: (event) => (event.type === "error" ? { status: event.status, ...(event.error ?? event) } : null),
};

/** Take over what an ended response, as the API shows it, says of itself. */
export function readResponse(state, response) {
  state.id = response.id;
  state.status = response.status;
  state.reason = response.incomplete_details?.reason ?? "";
  state.error = response.error;
  // The API's word for a response that was cancelled while it ran is "incomplete" or "failed" in
  // some of its versions; the reason says it in each of them.
  if (state.reason === "cancelled") state.status = "cancelled";
  if (response.usage) {
    state.usage = {
      input: response.usage.input_tokens,
      cached: response.usage.input_tokens_details?.cached_tokens ?? 0,
      output: response.usage.output_tokens,
    };
  }
}

/** Take over a response as `GET /v1/responses/{id}` shows it; one that runs has no text yet. */
export function takeResponse(state, response) {
  if (response.status === "queued" || response.status === "in_progress") {
    Object.assign(state, { id: response.id, status: "running" });
    return;
  }
  readResponse(state, response);
  state.text = textOf(response.output, "message");
  state.reasoning = textOf(response.output, "reasoning");
}

/** Return the texts of the output or input items of a type. */
export function textOf(items, type) {
  return items.filter((item) => item.type === type)
    .flatMap((item) => (typeof item.content === "string" ? [item.content] : (item.content ?? [])))
    .map((part) => (typeof part === "string" ? part : part.text ?? part.refusal ?? ""))
    .join("");
}

const chat = {
  name: "Chat",
  path: "/v1/chat/completions",
  hint: "The conversation is kept in this browser, and sent with each message.",
  resumable: false,
  headers: {},

  body({ model, turns, input, settings }) {
    const system = settings.instructions ? [{ role: "system", content: settings.instructions }] : [];
    return {
      model, stream: true, stream_options: { include_usage: true },
      messages: [...system, ...messagesOf(turns, input)],
      temperature: number(settings.temperature),
      max_completion_tokens: number(settings.maxTokens),
    };
  },

  read(state, event) {
    if (event === "[DONE]") {
      state.status = state.reason && state.reason !== "stop" ? "incomplete" : "completed";
      return;
    }
    state.id ||= event.id ?? "";
    state.status = "running";
    const choice = event.choices?.[0];
    state.text += choice?.delta?.content ?? "";
    state.reasoning += choice?.delta?.reasoning_content ?? "";
    state.reason = choice?.finish_reason ?? state.reason;
    if (event.usage) {
      state.usage = {
        input: event.usage.prompt_tokens,
        cached: event.usage.prompt_tokens_details?.cached_tokens ?? 0,
        output: event.usage.completion_tokens,
      };
    }
  },

  error: (event) => event.error ?? null,
};

export const MESSAGES_MAX_TOKENS = 1024; // the API has no default

const messages = {
  name: "Messages",
  path: "/v1/messages",
  hint: "The conversation is kept in this browser, and sent with each message.",
  resumable: false,
  headers: { "anthropic-version": "2023-06-01" },

  body({ model, turns, input, settings }) {
    return {
      model, stream: true,
      system: settings.instructions || undefined,
      messages: messagesOf(turns, input),
      temperature: number(settings.temperature),
      max_tokens: number(settings.maxTokens) ?? MESSAGES_MAX_TOKENS,
    };
  },

  read(state, event) {
    switch (event.type) {
      case "message_start":
        Object.assign(state, { id: event.message.id, status: "running" });
        break;
      case "content_block_delta":
        state.text += event.delta.text ?? "";
        state.reasoning += event.delta.thinking ?? "";
        break;
      case "message_delta":
        state.reason = event.delta.stop_reason;
        state.usage = {
          input: event.usage.input_tokens + (event.usage.cache_read_input_tokens ?? 0),
          cached: event.usage.cache_read_input_tokens ?? 0,
          output: event.usage.output_tokens,
        };
        break;
      case "message_stop":
        state.status = state.reason === "end_turn" ? "completed" : "incomplete";
    }
  },

  error: (event) => (event.type === "error" ? event.error : null),
};

export const DIALECTS = { responses, chat, messages };
