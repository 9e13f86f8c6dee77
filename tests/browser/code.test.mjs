// "Copy as code": the programs run, and the model gets exactly the text that was typed.
import assert from "node:assert";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { codeOf } from "../../front_container/front/static/playground/code.js";
import { DIALECTS } from "../../front_container/front/static/playground/dialects.js";
import { KEY, URL, useBrowser, withPage } from "./page_harness.mjs";

useBrowser();

const run = promisify(execFile);
const HOSTILE = "it's  two\n \"$HOME\" `id` \\n %s {x} \\ é \u2028 \u{1f600} EOF";
const RUN = {
  python: (code) => [process.env.AXON_PYTHON, ["-c", code]],
  node: (code) => [process.execPath, ["--input-type=module", "-e", code]],
  curl: (code) => ["sh", ["-c", code]],
};

for (const [api, dialect] of Object.entries(DIALECTS)) {
  for (const language of ["python", "node", "curl"]) {
    test(`playground copies ${api} as ${language} that runs`, async (context) => {
      if (language === "curl" && await run("curl", ["--version"]).catch(() => "none") === "none") {
        return context.skip("this machine has no curl");
      }
      const turns = api === "responses" ? [] : [{ input: "be\nfore", text: "answer", status: "completed" }];
      const settings = { instructions: "It's\nshort.", temperature: "0.5", maxTokens: "100" };
      const body = dialect.body({ model: "echo", turns, input: `spell: ${HOSTILE}`, settings });
      const code = codeOf(language, { api, path: dialect.path, body, base: URL.replace(/\/$/, "") });
      const environ = { ...process.env, AXON_API_KEY: KEY, PYTHONIOENCODING: "utf-8" };
      const { stdout } = await run(...RUN[language](code), { cwd: import.meta.dirname, env: environ });
      assert.equal(language === "curl" ? textOfStream(dialect, stdout) : stdout, `${HOSTILE}\n`);
      return undefined;
    });
  }
}

/** Read what curl has printed as the page would. */
function textOfStream(dialect, stream) {
  const state = { text: "", reasoning: "" };
  for (const line of stream.split("\n").filter((text) => text.startsWith("data: "))) {
    const data = line.slice("data: ".length);
    dialect.read(state, data === "[DONE]" ? data : JSON.parse(data));
  }
  return `${state.text}\n`;
}

test("playground shows and copies the code of the next message, without the key", withPage(async (page) => {
  await page.page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.models();
  await page.page.fill("#prompt", "my question");
  await page.page.click("#open-code");
  await page.page.check("[name=language][value=curl]");
  await page.page.click("#copy-code");
  await page.page.locator("#toast", { hasText: "Code copied." }).waitFor();
  const copied = await page.page.evaluate(() => navigator.clipboard.readText());
  assert.match(copied, /^curl -N 'http:\/\/127\.0\.0\.1:\d+\/v1\/responses'/);
  assert.match(copied, /"input": "my question"/);
  assert.ok(!copied.includes(KEY));
}));
