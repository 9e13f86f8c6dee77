// OpenAI's SDK for Node: Responses over HTTP; the second turn continues the first by its id.
import OpenAI from "openai";
import { MODEL, run } from "./turns.mjs";

const client = new OpenAI();
let lastId = null;

await run(async function* (question) {
  const stream = await client.responses.create({
    model: MODEL, input: question, previous_response_id: lastId, stream: true,
  });
  for await (const event of stream) {
    if (event.type === "response.output_text.delta") yield event.delta;
    if (event.type === "response.completed") lastId = event.response.id;
  }
});
