// An answer goes on where it was: after a reload, after the server's death, in another tab.
import assert from "node:assert";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { countTo, useBrowser, withPage } from "./page_harness.mjs";

useBrowser();

const FOLLOWS = /GET .*\/v1\/responses\/resp_\w+\?stream=true&starting_after=\d+/;

test("playground resumes after a reload in mid-answer, without a character lost or repeated", withPage(async (page) => {
  await page.send("count to 600");
  await page.shows("1 2 3");
  await page.page.reload();
  await page.shows("1 2 3");
  await page.page.reload(); // also when it was just resumed
  const { status, text, figures } = await page.ended();
  assert.equal(status, "completed");
  assert.equal(text, countTo(600));
  assert.match(figures, /600 tokens.*first after/);
  assert.ok(page.sent(FOLLOWS).length >= 1);
  assert.equal(page.sent(/POST .*\/v1\/responses$/).length, 1);
}));

test("playground resumes when the front dies in mid-answer", withPage(async (page) => {
  await page.send("count to 600");
  await page.shows("1 2 3");
  process.kill(Number(readFileSync(join(process.env.AXON_DATA, "run", "front.pid"), "utf8")), "SIGKILL");
  const { status, text } = await page.ended();
  assert.equal(status, "completed");
  assert.equal(text, countTo(600));
  assert.ok(page.sent(FOLLOWS).length >= 1);
}));

test("playground shows an answer that runs in a second tab, too", withPage(async (page) => {
  await page.send("count to 600");
  await page.shows("1 2 3");
  const second = await page.page.context().newPage();
  await second.goto(page.page.url());
  await second.locator("#conversations").getByText("count to 600").click();
  await second.locator('.answer[data-status="completed"]').waitFor();
  assert.equal(await second.locator(".prose").textContent(), countTo(600));
  assert.equal((await page.ended()).text, countTo(600));
}));

test("playground sends a request again that was left before its response was known", withPage(async (page) => {
  await page.models();
  // The request reaches the server; the page is left before anything came back.
  await page.page.evaluate(() => {
    const { fetch: sent } = window;
    window.fetch = async (...request) => {
      const answer = await sent(...request);
      return request[1].method === "POST" ? new Promise(() => {}) : answer;
    };
  });
  const accepted = page.page.waitForResponse((answer) => answer.request().method() === "POST");
  await page.send("count to 50");
  await accepted;
  await page.page.reload();
  assert.equal((await page.ended()).text, countTo(50));
  const [first, again] = page.sent(/POST .*\/v1\/responses$/).map((request) => request.headers()["idempotency-key"]);
  assert.ok(first);
  assert.equal(again, first);
}));

test("playground reads on where a connection brings nothing any more", withPage(async (page) => {
  await page.models();
  await page.page.clock.install();
  await page.page.evaluate(() => {
    const { fetch: sent } = window;
    window.fetch = async (...request) => {
      const answer = await sent(...request);
      if (request[1].method !== "POST") return answer;
      const { value } = await answer.body.getReader().read();
      return new Response(new ReadableStream({ start: (stream) => stream.enqueue(value) }), answer);
    };
  });
  const accepted = page.page.waitForResponse((answer) => answer.request().method() === "POST");
  await page.send("count to 50");
  await accepted;
  await page.page.waitForFunction(() => sessionStorage.length > 2); // the first event is read
  await page.page.clock.fastForward("01:00");
  assert.equal((await page.ended()).text, countTo(50));
  assert.ok(page.sent(FOLLOWS).length >= 1);
}));

test("playground says that Chat and Messages cannot resume, and asks again", withPage(async (page) => {
  await page.choose("chat");
  await page.send("count to 600");
  await page.shows("1 2 3");
  await page.page.reload();
  const { status, error } = await page.ended();
  assert.equal(status, "failed");
  assert.match(error, /page_left.*cannot resume/);
  await page.page.getByRole("button", { name: "Try again" }).click();
  assert.equal((await page.ended(0, "completed")).text, countTo(600));
}));
