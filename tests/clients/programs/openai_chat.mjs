// OpenAI's SDK for Node: Chat Completions.
import assert from "node:assert";
import OpenAI from "openai";
import { MODEL, run } from "./turns.mjs";

const client = new OpenAI();
const messages = [];

await run(async function* (question) {
  messages.push({ role: "user", content: question });
  const stream = client.chat.completions.stream({
    model: MODEL, messages, stream_options: { include_usage: true },
  });
  for await (const chunk of stream) {
    const text = chunk.choices[0]?.delta.content;
    if (text) yield text;
  }
  const completion = await stream.finalChatCompletion();
  assert(completion.usage.completion_tokens);
  messages.push(completion.choices[0].message);
});
