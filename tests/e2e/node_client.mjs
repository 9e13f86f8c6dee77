// Streams one answer with the Node SDK's ResponsesWS: node node_client.mjs MODEL INPUT
import OpenAI from 'openai';
import { ResponsesWS } from 'openai/resources/responses/ws';

const [model, input] = process.argv.slice(2);
const socket = new ResponsesWS(new OpenAI());
socket.on('error', (error) => {
  console.error(error);
  process.exit(1);
});
socket.on('response.output_text.delta', (event) => process.stdout.write(event.delta));
socket.on('response.completed', () => {
  process.stdout.write('\n');
  socket.close();
});
socket.send({ type: 'response.create', model, input });
