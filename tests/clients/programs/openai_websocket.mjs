// OpenAI's SDK for Node: Responses over a WebSocket that both turns share.
import OpenAI from "openai";
import { ResponsesWS } from "openai/resources/responses/ws";
import { MODEL, run } from "./turns.mjs";

const socket = new ResponsesWS(new OpenAI());
let lastId = null;

await run(async function* (question) {
  const events = socket.stream();
  socket.send({ type: "response.create", model: MODEL, input: question, previous_response_id: lastId });
  for await (const { type, message: event } of events) {
    if (type === "error") throw new Error(JSON.stringify(event));
    if (event?.type === "response.output_text.delta") yield event.delta;
    if (event?.type === "response.completed") {
      lastId = event.response.id;
      return;
    }
  }
});
socket.close();
