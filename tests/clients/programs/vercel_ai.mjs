// Vercel's AI SDK; AXON_API is `responses`, `unstored`, `chat`, `compatible` or `anthropic`.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { streamText } from "ai";
import { API_KEY, BASE_URL, MODEL, run } from "./turns.mjs";

const settings = { baseURL: BASE_URL, apiKey: API_KEY };
const models = {
  responses: () => createOpenAI(settings)(MODEL),
  unstored: () => createOpenAI(settings)(MODEL),
  chat: () => createOpenAI(settings).chat(MODEL),
  compatible: () => createOpenAICompatible({ name: "axon", ...settings })(MODEL),
  anthropic: () => createAnthropic(settings)(MODEL),
};
const model = models[process.env.AXON_API]();
// Items of stored responses, as responses are unless told otherwise, are sent back by their ids alone.
const providerOptions = process.env.AXON_API === "unstored" ? { openai: { store: false } } : {};
const messages = [];

await run(async function* (question) {
  messages.push({ role: "user", content: question });
  const result = streamText({ model, messages, providerOptions });
  yield* result.textStream;
  messages.push(...(await result.response).messages);
});
