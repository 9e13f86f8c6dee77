// The page with axe-core in both themes, on a phone, and with the keyboard alone.
import assert from "node:assert";
import { test } from "node:test";
import axe from "axe-core";
import { KEY, useBrowser, withPage } from "./page_harness.mjs";

useBrowser();

const PHONE = { width: 360, height: 740 };
const ANSWER = "spell: ## Title\n\nText with `code` and [a link](https://example.com/)\n\n> quote\n\n```js\nlet a;\n```";

async function check(page, where) {
  await page.page.evaluate(axe.source);
  const { violations } = await page.page.evaluate(() => globalThis.axe.run(document));
  const found = violations.map(({ id, nodes }) => `${where}: ${id} ${nodes.map(({ html }) => html).join(" ")}`);
  assert.deepEqual(found, []);
}

for (const colorScheme of ["light", "dark"]) {
  for (const [size, viewport] of [["a desktop", undefined], ["a phone", PHONE]]) {
    test(`playground has no violation of axe in ${colorScheme} on ${size}`, withPage(async (page) => {
      await check(page, "key");
      await page.page.fill("#key", "sk-wrong");
      await page.page.keyboard.press("Enter");
      await page.page.locator("#key-error:not([hidden])").waitFor();
      await check(page, "wrong key");
      await page.page.click("#use-local-key");
      await page.page.locator("#key-dialog [type=submit]").click();
      await page.models();
      await check(page, "welcome");
      await page.ask(ANSWER);
      await check(page, "answer");
      await page.page.route("**/v1/responses", (route) => route.abort());
      await page.ask("fails");
      await check(page, "error");
      await page.page.click("#open-events");
      await check(page, "events");
      await page.page.click("#close-events");
      for (const dialog of ["settings", "code"]) {
        await page.page.click(`#open-${dialog}`);
        await check(page, dialog);
        await page.page.keyboard.press("Escape");
      }
      if (viewport) {
        await page.page.click("#open-sidebar");
        await check(page, "sidebar");
      }
    }, { key: null, colorScheme, ...(viewport && { viewport }) }));
  }
}

test("playground fits a phone's width", withPage(async (page) => {
  await page.ask(`spell: ${"long".repeat(60)}\n\n\`\`\`\n${"code".repeat(60)}\n\`\`\``);
  const width = () => page.page.evaluate(() => document.documentElement.scrollWidth);
  assert.equal(await width(), PHONE.width);
  await page.page.click("#open-sidebar");
  await page.page.locator("#conversations .open").first().click();
  await page.page.locator("#composer:not([inert])").waitFor();
  await page.page.click("#open-events");
  assert.ok(await page.page.locator("#composer").evaluate((composer) => composer.inert));
  assert.equal(await width(), PHONE.width);
  await page.page.keyboard.press("Escape");
  assert.ok(!(await page.page.locator("#composer").evaluate((composer) => composer.inert)));
  for (const button of ["#send", "#open-code", "#open-events", "#open-sidebar"]) {
    const box = await page.page.locator(button).boundingBox();
    assert.ok(box.x >= 0 && box.x + box.width <= PHONE.width, button);
    assert.ok(Math.min(box.width, box.height) >= 36, button);
  }
}, { viewport: PHONE }));

test("playground is used with the keyboard alone", withPage(async (page) => {
  const { keyboard } = page.page;
  const focused = () => page.page.evaluate(() => document.activeElement.id || document.activeElement.value);
  const tabTo = async (id, keys = "Tab") => {
    for (let steps = 0; (await focused()) !== id; steps += 1) {
      assert.ok(steps < 60, `no way to ${id}`);
      await keyboard.press(keys);
    }
  };
  await page.page.locator("#key-dialog[open]").waitFor();
  await keyboard.type(KEY);
  await keyboard.press("Enter");
  await page.models();
  await page.page.waitForFunction(() => document.activeElement.id === "prompt");
  await tabTo("responses", "Shift+Tab");
  await keyboard.press("ArrowRight"); // Chat
  await keyboard.press("ArrowLeft");
  await tabTo("prompt");
  await keyboard.type("count to");
  await keyboard.press("Shift+Enter");
  await keyboard.type("4000");
  await keyboard.press("Enter");
  await page.page.locator("#stop:not([hidden])").waitFor();
  await page.page.waitForFunction(() => document.querySelector(".answer .prose")?.textContent);
  await keyboard.press("Escape");
  await page.page.waitForFunction(() => !["waiting", "running"].includes(document.querySelector(".answer").dataset.status));
  assert.equal(await focused(), "prompt");
  await keyboard.type("two");
  await keyboard.press("Enter");
  assert.equal((await page.ended(1, "completed")).text, "two");
  await page.page.waitForFunction(() => document.getElementById("status").textContent === "Answer: two");
  await tabTo("open-events", "Shift+Tab");
  await keyboard.press("Enter");
  assert.equal(await focused(), "close-events");
  await keyboard.press("Escape");
  assert.equal(await focused(), "open-events");
  await tabTo("open-code", "Shift+Tab");
  await keyboard.press("Enter");
  await page.page.locator("#code-dialog[open]").waitFor();
  await keyboard.press("Escape");
  assert.equal(await focused(), "open-code");
}, { key: null }));
