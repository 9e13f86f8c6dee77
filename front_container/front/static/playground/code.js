// The next request as a program: Python, Node or curl. Pure functions of text.

const KEY = "AXON_API_KEY";

/** Return the code. `base` is the server's address without /v1. */
export function codeOf(language, { api, path, body, base }) {
  const clean = JSON.parse(JSON.stringify(body)); // without what is undefined
  return { python, node, curl }[language]({ api, path, body: clean, base });
}

const CALLS = { responses: "responses.create", chat: "chat.completions.create", messages: "messages.create" };

const PYTHON_LOOPS = {
  responses: `for event in stream:
    if event.type == "response.output_text.delta":
        print(event.delta, end="", flush=True)`,
  chat: `for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)`,
  messages: `for event in stream:
    if event.type == "content_block_delta" and event.delta.type == "text_delta":
        print(event.delta.text, end="", flush=True)`,
};

function python({ api, body, base }) {
  const [name, module, url] = api === "messages"
    ? ["Anthropic", "anthropic", base] : ["OpenAI", "openai", `${base}/v1`];
  const fields = Object.entries(argumentsOf(api, body)).map(([field, value]) =>
    `    ${field}=${pythonValue(value, 1)},`);
  return `# pip install ${module}
import os

from ${module} import ${name}

client = ${name}(api_key=os.environ["${KEY}"], base_url=${JSON.stringify(url)})
stream = client.${CALLS[api]}(
${fields.join("\n")}
)
${PYTHON_LOOPS[api]}
print()
`;
}

/** Anthropic's SDK from 2.x on has no argument for the temperature; the API still takes it. */
function argumentsOf(api, { temperature, ...others }) {
  if (temperature === undefined) return others;
  return api === "messages" ? { ...others, extra_body: { temperature } } : { ...others, temperature };
}

function pythonValue(value, depth) {
  const inner = "    ".repeat(depth + 1);
  const outer = "    ".repeat(depth);
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  // JSON's strings and numbers are Python's, too.
  if (typeof value !== "object") return JSON.stringify(value);
  if (Array.isArray(value)) {
    return `[\n${value.map((item) => `${inner}${pythonValue(item, depth + 1)},\n`).join("")}${outer}]`;
  }
  const items = Object.entries(value).map(([name, item]) => `${JSON.stringify(name)}: ${pythonValue(item, depth)}`);
  return `{${items.join(", ")}}`;
}

const NODE_LOOPS = {
  responses: `for await (const event of stream) {
  if (event.type === "response.output_text.delta") process.stdout.write(event.delta);
}`,
  chat: `for await (const chunk of stream) {
  process.stdout.write(chunk.choices[0]?.delta.content ?? "");
}`,
  messages: `for await (const event of stream) {
  if (event.type === "content_block_delta" && event.delta.type === "text_delta") {
    process.stdout.write(event.delta.text);
  }
}`,
};

function node({ api, body, base }) {
  const [name, module, url] = api === "messages"
    ? ["Anthropic", "@anthropic-ai/sdk", base] : ["OpenAI", "openai", `${base}/v1`];
  return `// npm install ${module}
import ${name} from "${module}";

const client = new ${name}({ apiKey: process.env.${KEY}, baseURL: ${JSON.stringify(url)} });
const stream = await client.${CALLS[api]}(${JSON.stringify(body, null, 2)});
${NODE_LOOPS[api]}
console.log();
`;
}

function curl({ api, path, body, base }) {
  const headers = ['"Content-Type: application/json"'];
  if (api === "messages") headers.unshift(`"x-api-key: $${KEY}"`, '"anthropic-version: 2023-06-01"');
  else headers.unshift(`"Authorization: Bearer $${KEY}"`);
  return [
    `curl -N ${quoted(base + path)}`,
    ...headers.map((header) => `  -H ${header}`),
    `  -d ${quoted(JSON.stringify(body, null, 2))}`,
  ].join(" \\\n") + "\n";
}

/** Quote for a POSIX shell. */
function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
