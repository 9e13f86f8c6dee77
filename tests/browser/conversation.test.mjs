// Conversations with each API: sending, stopping, going on, renaming, deleting.
import assert from "node:assert";
import { describe, test } from "node:test";
import { countTo, KEY, URL, useBrowser, withPage } from "./page_harness.mjs";

useBrowser();

for (const api of ["responses", "chat", "messages"]) {
  describe(`playground with ${api}`, () => {
    test("streams an answer and shows its figures", withPage(async (page) => {
      await page.choose(api);
      await page.send("count to 40");
      await page.shows("1 2");
      const { status, text, figures } = await page.ended();
      assert.equal(status, "completed");
      assert.equal(text, countTo(40));
      assert.match(figures, /40 tokens.*3 in.*first after [\d.]+ m?s.*[\d.]+ tokens\/s/);
    }));

    test("stops an answer on the server, and goes on", withPage(async (page) => {
      await page.choose(api);
      await page.send("count to 4000");
      await page.shows("1 2 3");
      await page.page.click("#stop");
      const { text, figures } = await page.ended(0, "cancelled");
      assert.ok(countTo(4000).startsWith(text));
      assert.match(figures, /Stopped/);
      assert.equal((await page.ask("next")).text, "next");
    }));

    test("keeps a conversation over a reload, and continues it", withPage(async (page) => {
      await page.choose(api);
      await page.ask("one two");
      await page.page.reload();
      await page.shows("one two");
      assert.equal(await page.textOf(".question .bubble"), "one two");
      await page.ask("three");
      await page.page.reload();
      await page.shows("three", 1);
      await page.shows("one two", 0);
      const [, second] = page.sent(/POST .*\/v1\/(responses|chat|messages)/);
      assert.match(second.postData(), api === "responses" ? /"previous_response_id":"resp_/ : /"one two"/);
    }));
  });
}

test("playground renames and deletes a conversation", withPage(async (page) => {
  await page.ask("hello");
  await page.page.getByRole("button", { name: "Rename hello" }).focus();
  await page.page.keyboard.press("Enter");
  await page.page.fill("#title", "Greeting");
  await page.page.keyboard.press("Enter");
  await page.page.getByRole("button", { name: "Greeting", exact: true }).waitFor();
  await page.page.reload();
  await page.shows("hello");
  await page.page.getByRole("button", { name: "Delete Greeting" }).focus();
  await page.page.keyboard.press("Enter");
  await page.page.locator("#delete-dialog [type=submit]").click();
  await page.page.locator("#no-conversations").waitFor();
  assert.equal(page.sent(/DELETE .*\/v1\/responses\/resp_/).length, 1);
  assert.equal(await page.page.locator(".answer").count(), 0);
  assert.deepEqual(await page.page.evaluate(() => Object.keys(localStorage).filter((name) => name.includes("conversation"))), []);
}));

for (const left of [false, true]) {
  test(`playground deletes the response of a question that waits, ${left ? "also after a reload" : "too"}`, withPage(async (page) => {
    await page.models();
    // The server accepts the first request, and its answer does not come.
    await page.page.evaluate(() => {
      const { fetch: sent } = window;
      window.fetch = async (...request) => {
        const answer = await sent(...request);
        if (request[1].method !== "POST") return answer;
        window.fetch = sent;
        return new Promise(() => {});
      };
    });
    const accepted = page.page.waitForResponse((answer) => answer.request().method() === "POST");
    await page.send("count to 4000");
    await accepted;
    if (left) { // on another conversation, so that nothing reads this one's answer
      await page.page.click("#new-chat");
      await page.page.reload();
    }
    await page.page.getByRole("button", { name: "Delete count to 4000" }).click();
    await page.page.locator("#delete-dialog [type=submit]").click();
    await page.page.locator("#no-conversations").waitFor();
    const keys = page.sent(/POST .*\/v1\/responses$/).map((request) => request.headers()["idempotency-key"]);
    assert.deepEqual(keys, [keys[0], keys[0]]);
    const [deleted] = page.sent(/DELETE .*\/v1\/responses\/resp_/);
    const { status } = await fetch(`${URL}v1/responses/${deleted.url().split("/").at(-1)}`, {
      headers: { Authorization: `Bearer ${KEY}` },
    });
    assert.equal(status, 404);
  }));
}

test("playground switches between conversations while one is answered", withPage(async (page) => {
  await page.send("count to 300");
  await page.shows("1 2");
  await page.page.click("#new-chat");
  assert.equal((await page.ask("other")).text, "other");
  await page.page.locator("#conversations").getByText("count to 300").click();
  assert.equal((await page.ended(0, "completed")).text, countTo(300));
}));

test("playground sends the parameters, and shows the request and its events", withPage(async (page) => {
  await page.page.click("#open-settings");
  await page.page.fill("#instructions", "Be brief.");
  await page.page.fill("#max-tokens", "3");
  await page.page.locator("#settings-dialog [type=submit]").click();
  const { status, figures } = await page.ask("one two three four five");
  assert.equal(status, "incomplete");
  assert.match(figures, /limit of output tokens.*3 tokens/);
  await page.page.click("#open-events");
  await page.page.locator(".event-name", { hasText: "response.incomplete" }).click();
  assert.match(await page.page.locator("#events-list pre").textContent(), /"max_output_tokens"/);
  await page.page.locator("#events-request summary").click();
  const body = JSON.parse(await page.page.locator("#events-request pre").textContent());
  assert.equal(body.instructions, "Be brief.");
  assert.equal(body.max_output_tokens, 3);
}));

test("playground shows Markdown as elements, and HTML as text", withPage(async (page) => {
  const text = "# Title\n\nSome **bold** and `code` <img src=x onerror=alert(1)>\n\n- one\n- two\n\n"
    + "```python\nprint('<b>')\n```\n\n[good](https://example.com/) [bad](javascript:alert(1))";
  await page.ask(`spell: ${text}`);
  const prose = page.page.locator(".prose");
  assert.equal(await prose.locator("h3").textContent(), "Title");
  assert.equal(await prose.locator("strong").textContent(), "bold");
  assert.deepEqual(await prose.locator("li").allTextContents(), ["one", "two"]);
  assert.equal(await prose.locator("pre code").textContent(), "print('<b>')");
  assert.equal(await prose.locator("img, script").count(), 0);
  assert.deepEqual(await prose.locator("a").evaluateAll((links) => links.map((link) => link.href)), ["https://example.com/"]);
  assert.match(await prose.textContent(), /<img src=x onerror=alert\(1\)>.*\[bad\]\(javascript:alert\(1\)\)/s);
}));
