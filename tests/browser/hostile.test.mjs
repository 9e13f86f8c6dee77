// What a hostile model, another tab or a browser without storage does to the page.
import assert from "node:assert";
import { test } from "node:test";
import { KEY, URL, useBrowser, withPage } from "./page_harness.mjs";

useBrowser();

const BUDGET_MS = 10_000; // of text that would take minutes if its time grew with the square
const PATTERNS = ["[", "[a](https://", "*", "**a", "`", "``a`", "> ", "- ", "  - a\n", "# ", "```x", "~", "~~~ `", "1. ",
  "\u2028", " ", "a", "- - ", "_ ", "***", "[](", "\n", "\n\n", "```\n"];

test("playground renders hostile Markdown in time that grows with its length", withPage(async (page) => {
  const slow = await page.page.evaluate(async ([patterns, budget]) => {
    const { MarkdownView } = await import("/playground/markdown.js");
    return patterns.filter((pattern) => {
      const text = pattern.repeat(100_000 / pattern.length);
      const view = new MarkdownView(document.createElement("div"));
      const begun = performance.now();
      for (let piece = 1; piece <= 4; piece += 1) view.update(text.slice(0, (text.length * piece) / 4));
      return performance.now() - begun > budget;
    });
  }, [PATTERNS, BUDGET_MS]);
  assert.deepEqual(slow, []);
}));

test("playground shows the same however an answer is cut into pieces", withPage(async (page) => {
  const differing = await page.page.evaluate(async (patterns) => {
    const { MarkdownView } = await import("/playground/markdown.js");
    const shown = (pieces) => {
      const root = document.createElement("div");
      const view = new MarkdownView(root);
      for (const text of pieces) view.update(text);
      return root.outerHTML.replaceAll(/<div class="code-head">.*?<\/div>/g, "");
    };
    let seed = 1;
    const random = (below) => { seed = (seed * 48271) % 2147483647; return seed % below; };
    const found = [];
    for (let round = 0; round < 300; round += 1) {
      const text = Array.from({ length: 20 }, () => `${patterns[random(patterns.length)]}${random(3) ? "" : "x\n"}`).join("");
      const prefixes = Array.from({ length: text.length }, (_, end) => text.slice(0, end + 1));
      if (shown(prefixes) !== shown([text])) found.push(text);
    }
    return found;
  }, PATTERNS);
  assert.deepEqual(differing, []);
}));

test("playground never makes an element of what a model or a server says", withPage(async (page) => {
  const hostile = "<img src=x onerror=alert(1)>\"'><script>alert(1)</script>";
  await page.page.route("**/v1/models", (route) => route.fulfill({ json: { object: "list", data: [{ id: hostile }] } }));
  await page.page.reload();
  await page.models();
  await page.ask(hostile); // the model does not exist, and the server says so with its name
  assert.match(await page.textOf(".answer .error"), /model_not_found.*<img src=x/s);
  assert.equal(await page.page.title(), `${hostile.slice(0, 60)} - Axon`);
  assert.equal(await page.page.locator("img[src=x], .main script").count(), 0);
}));

test("playground cannot be made to run text, by its policy", withPage(async (page) => {
  page.page.removeAllListeners("console"); // the browser says what it has refused
  const refused = await page.page.evaluate(() => [
    () => { document.body.innerHTML = "<b>x</b>"; },
    () => document.body.insertAdjacentHTML("beforeend", "<b>x</b>"),
    () => { document.createElement("script").text = "1"; },
  ].map((attempt) => {
    try {
      attempt();
      return "done";
    } catch (error) {
      return error.name;
    }
  }));
  assert.deepEqual(refused, ["TypeError", "TypeError", "TypeError"]);
  const elsewhere = await page.page.evaluate(() => fetch("http://localhost:9/").catch((error) => error.name));
  assert.equal(elsewhere, "TypeError");
}));

test("playground follows what another tab does to its conversation", withPage(async (page) => {
  await page.ask("one");
  const other = await page.page.context().newPage();
  await other.goto(URL);
  await other.locator("#conversations").getByText("one").click();
  await other.locator(".prose", { hasText: "one" }).waitFor();
  await other.fill("#prompt", "two");
  await other.press("#prompt", "Enter");
  await page.shows("two", 1);
  await other.getByRole("button", { name: "Delete one" }).click();
  await other.locator("#delete-dialog [type=submit]").click();
  await page.page.locator("#welcome:not([hidden])").waitFor();
}));

test("playground works where the browser denies storage", withPage(async (page) => {
  await page.page.addInitScript(() => {
    for (const name of ["localStorage", "sessionStorage"]) {
      Object.defineProperty(window, name, { get() { throw new DOMException("denied", "SecurityError"); } });
    }
  });
  await page.page.reload();
  await page.page.fill("#key", KEY);
  await page.page.keyboard.press("Enter");
  assert.equal((await page.ask("hello")).text, "hello");
  await page.page.locator("#conversations").getByText("hello").waitFor();
}, { key: null }));

test("playground says when the browser's storage is full, and shows the answer all the same", withPage(async (page) => {
  await page.models();
  await page.choose("chat");
  await page.page.evaluate(() => {
    Storage.prototype.setItem = () => { throw new DOMException("full", "QuotaExceededError"); };
  });
  await page.send("count to 20");
  await page.page.locator("#toast", { hasText: "cannot keep this conversation" }).waitFor();
  assert.equal((await page.ended()).status, "completed");
}));
