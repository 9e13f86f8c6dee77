// Writes docs/images/playground.png: a real answer, as a visitor sees it.
import { join } from "node:path";
import { launch } from "./browser.mjs";
import { KEY, Playground } from "./page_harness.mjs";

const IMAGE = join(import.meta.dirname, "..", "..", "docs", "images", "playground.png");

const browser = await launch();
const context = await browser.newContext({ viewport: { width: 1120, height: 640 }, reducedMotion: "reduce" });
await context.addInitScript((key) => sessionStorage.setItem("axon.key", key), KEY);
const page = new Playground(await context.newPage());
page.page.setDefaultTimeout(180_000); // the model may share its cores
await page.open();
await page.ask("What is the capital of France?");
await page.ask("Say good morning in French.");
await page.page.click("#open-events");
await page.page.evaluate(() => document.activeElement.blur());
await page.page.screenshot({ path: IMAGE });
await browser.close();
