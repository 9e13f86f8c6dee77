// The reference at /docs with axe-core, light on a desktop and dark on a phone.
import assert from "node:assert";
import { after, before, test } from "node:test";
import axe from "axe-core";
import { launch } from "./browser.mjs";

const DOCS = new URL("docs", process.env.AXON_URL).href;
let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

for (const [colorScheme, viewport] of [["light", { width: 1280, height: 800 }], ["dark", { width: 360, height: 740 }]]) {
  test(`reference has no violation of axe in ${colorScheme} at ${viewport.width} pixels`, async () => {
    const context = await browser.newContext({ colorScheme, viewport });
    const page = await context.newPage();
    const faults = [];
    page.on("console", (message) => faults.push(message.text()));
    page.on("request", (request) => { if (request.url() !== DOCS) faults.push(request.url()); });
    await page.goto(DOCS);
    await page.evaluate(axe.source);
    const { violations } = await page.evaluate(() => globalThis.axe.run(document));
    const found = violations.map(({ id, nodes }) => `${id} ${nodes.map(({ html }) => html).join(" ")}`);
    assert.deepEqual(found, []);
    assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= viewport.width);
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");
    assert.deepEqual(faults, []);
    await context.close();
  });
}
