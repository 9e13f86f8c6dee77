// Errors as the API gives them, each with what to do.
import assert from "node:assert";
import { test } from "node:test";
import { KEY, URL, useBrowser, withPage } from "./page_harness.mjs";

useBrowser();

test("playground asks for a key, and says why one is refused", withPage(async (page) => {
  await page.page.locator("#key-dialog[open]").waitFor();
  await page.page.fill("#key", "sk-wrong");
  await page.page.keyboard.press("Enter");
  await page.page.locator("#key-error", { hasText: "Incorrect API key provided" }).waitFor();
  await page.page.fill("#key", "no key at all");
  await page.page.keyboard.press("Enter");
  await page.page.locator("#key-error", { hasText: "without spaces" }).waitFor();
  await page.page.click("#use-local-key");
  await page.page.locator("#key-dialog [type=submit]").click();
  await page.models();
  const kept = await page.page.evaluate(() => [sessionStorage.getItem("axon.key"), localStorage.getItem("axon.key")]);
  assert.deepEqual(kept, [KEY, null]);
}, { key: null }));

test("playground keeps the key on the device only if asked, and forgets everything", withPage(async (page) => {
  await page.page.click("#use-local-key");
  await page.page.check("#remember");
  await page.page.locator("#key-dialog [type=submit]").click();
  await page.models();
  const later = await page.page.context().newPage(); // has a sessionStorage of its own
  await later.goto(URL);
  await later.waitForSelector("#model:not([disabled])");
  await later.click("#open-key");
  await later.click("#forget");
  await later.click("#forget");
  await later.waitForFunction(() => document.getElementById("key").value === "");
  assert.deepEqual(await later.evaluate(() => Object.keys(localStorage)), []);
}, { key: null }));

test("playground shows a key that is refused later, and takes another", withPage(async (page) => {
  await page.models();
  await page.page.evaluate(() => sessionStorage.setItem("axon.key", "sk-revoked"));
  const { status, error } = await page.ask("hello");
  assert.equal(status, "failed");
  assert.match(error, /401 invalid_api_key.*Incorrect API key provided.*Request: req_/s);
  await page.page.getByRole("button", { name: "Enter another key" }).click();
  await page.page.fill("#key", KEY);
  await page.page.keyboard.press("Enter");
  await page.page.locator("#key-dialog").waitFor({ state: "hidden" });
  await page.page.getByRole("button", { name: "Try again" }).click();
  assert.equal((await page.ended(0, "completed")).text, "hello");
}));

test("playground shows an error with its field", withPage(async (page) => {
  await page.ask("hello");
  const [id] = page.sent(/POST .*responses$/).length
    && await page.page.evaluate(() => Object.values(localStorage).join().match(/resp_\w+/));
  const headers = { Authorization: `Bearer ${KEY}` };
  assert.equal((await fetch(`${URL}v1/responses/${id}`, { method: "DELETE", headers })).status, 200);
  const { status, error } = await page.ask("again");
  assert.equal(status, "failed");
  assert.match(error, /previous_response_not_found.*Field: previous_response_id/s);
}));

for (const api of ["responses", "chat", "messages"]) {
  test(`playground with ${api} shows an overloaded server, and tries again`, withPage(async (page) => {
    await page.models();
    await page.choose(api);
    await page.page.route("**/v1/{responses,chat/completions,messages}", (route) => route.fulfill({
      status: 503,
      headers: { "retry-after": "2", "x-request-id": "req_busy" },
      json: { error: { code: "server_overloaded", message: "Please retry.", param: null } },
    }), { times: 1 });
    const { status, error } = await page.ask("hello");
    assert.equal(status, "failed");
    assert.match(error, /503 server_overloaded.*Please retry\..*wait 2 s.*req_busy/s);
    await page.page.getByRole("button", { name: "Try again" }).click();
    assert.equal((await page.ended(0, "completed")).text, "hello");
  }));
}

test("playground shows an error inside a stream, and keeps the text before it", withPage(async (page) => {
  await page.models();
  await page.choose("chat");
  await page.page.route("**/v1/chat/completions", (route) => route.fulfill({
    contentType: "text/event-stream",
    body: 'data: {"choices":[{"delta":{"content":"par"}}]}\r\n\r\n: a comment\n\n'
      + 'data: {"error":{"code":"internal_error",\ndata: "message":"The engine failed."}}\n\n',
  }), { times: 1 });
  const { status, text, error } = await page.ask("hello");
  assert.deepEqual([status, text], ["failed", "par"]);
  assert.match(error, /internal_error.*The engine failed\./s);
}));

test("playground says when there is no answer at all", withPage(async (page) => {
  await page.models();
  await page.page.route("**/v1/responses", (route) => route.abort());
  const { error } = await page.ask("hello");
  assert.match(error, /connection_error.*No answer from .*127\.0\.0\.1/s);
  await page.page.unroute("**/v1/responses");
  await page.page.getByRole("button", { name: "Try again" }).click();
  assert.equal((await page.ended(0, "completed")).text, "hello");
  // Had the server taken the first one, this one would get its answer.
  const keys = page.sent(/POST .*\/v1\/responses$/).map((request) => request.headers()["idempotency-key"]);
  assert.equal(keys.length, 2);
  assert.equal(keys[0], keys[1]);
}));
