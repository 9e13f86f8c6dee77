// Stream one answer with the Node SDK: node examples/stream.mjs "What is the capital of France?"
import OpenAI from "openai";
import { ResponsesWS } from "openai/resources/responses/ws";

const client = new OpenAI({
  baseURL: process.env.OPENAI_BASE_URL ?? "http://127.0.0.1:8000/v1",
  apiKey: process.env.OPENAI_API_KEY ?? "sk-axon-local",
});
const model = process.env.AXON_MODEL ?? "smollm2-135m-instruct";

if (Buffer.byteLength(JSON.stringify(process.argv.slice(2))) > 32_000) {
  console.error("Too long: API Gateway takes WebSocket frames of 32 KB, and the SDK sends one frame.");
  process.exit(1);
}
const socket = new ResponsesWS(client);
socket.on("error", (error) => {
  console.error(error);
  process.exit(1);
});
socket.on("response.output_text.delta", (event) => process.stdout.write(event.delta));
const end = () => {
  process.stdout.write("\n");
  socket.close();
};
socket.on("response.completed", end);
socket.on("response.incomplete", end);
socket.send({ type: "response.create", model, input: process.argv[2] });
