// Each client's program asks what its arguments say, and prints each answer's pieces as JSON.

export const { AXON_MODEL: MODEL, OPENAI_BASE_URL: BASE_URL, OPENAI_API_KEY: API_KEY } = process.env;

/** Ask one question after the other; `ask` is an async generator of pieces. */
export async function run(ask) {
  for (const question of process.argv.slice(2)) {
    const pieces = [];
    for await (const piece of ask(question)) pieces.push(piece);
    console.log(JSON.stringify(pieces));
  }
}
