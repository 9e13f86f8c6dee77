// The playground in a browser: what the tests do with it, and what they see.
import assert from "node:assert";
import { after, before } from "node:test";
import { launch } from "./browser.mjs";

export const URL = process.env.AXON_URL;
export const KEY = "sk-axon-local";
export const TIMEOUT_MS = 20_000;
const DESKTOP = { width: 1280, height: 800 };

export const countTo = (last) => Array.from({ length: last }, (_, index) => index + 1).join(" ");

let browser;

/** Start one browser for the tests of a file. */
export function useBrowser() {
  before(async () => { browser = await launch(); });
  after(() => browser.close());
}

/** Run a test on a new page, with a key unless `key` is null; faults of the page fail the test. */
export const withPage = (test, { key = KEY, viewport = DESKTOP, ...options } = {}) => async () => {
  const context = await browser.newContext({ viewport, reducedMotion: "reduce", ...options });
  try {
    const page = new Playground(await context.newPage());
    if (key !== null) await context.addInitScript((secret) => sessionStorage.setItem("axon.key", secret), key);
    await page.open();
    await test(page);
    assert.deepEqual(page.faults, []);
  } finally {
    await context.close();
  }
};

export class Playground {
  constructor(page) {
    this.page = page;
    this.faults = [];
    this.requests = [];
    page.setDefaultTimeout(TIMEOUT_MS);
    page.on("pageerror", (error) => this.faults.push(error.stack));
    page.on("console", (message) => {
      // Chromium notes each refused request; the page shows those.
      if (!/^Failed to load resource/.test(message.text())) this.faults.push(message.text());
    });
    page.on("request", (request) => this.requests.push(request));
  }

  async open() {
    await this.page.goto(URL);
  }

  models() {
    return this.page.waitForSelector("#model:not([disabled])");
  }

  async send(text) {
    await this.models();
    await this.page.fill("#prompt", text);
    await this.page.press("#prompt", "Enter");
  }

  async ask(text) {
    const turn = await this.page.locator(".answer").count();
    await this.send(text);
    return this.ended(turn);
  }

  choose(api) {
    return this.page.check(`[name=api][value=${api}]`);
  }

  /** Wait until an answer has ended; return how, its text and its figures. */
  async ended(turn = 0, status = null) {
    await this.page.waitForFunction(([number, wanted]) => {
      const shown = document.querySelectorAll(".answer")[number]?.dataset.status;
      return shown && (wanted ? shown === wanted : !["waiting", "running"].includes(shown));
    }, [turn, status]);
    const answer = this.page.locator(".answer").nth(turn);
    return {
      status: await answer.getAttribute("data-status"),
      text: await answer.locator(".prose").textContent(),
      figures: await answer.locator(".figures").textContent(),
      error: await answer.locator(".error").textContent(),
    };
  }

  /** Wait until an answer that still runs shows a text. */
  shows(text, turn = 0) {
    return this.page.waitForFunction(([wanted, number]) =>
      document.querySelectorAll(".answer .prose")[number]?.textContent.includes(wanted), [text, turn]);
  }

  textOf(selector) {
    return this.page.locator(selector).textContent();
  }

  sent(pattern) {
    return this.requests.filter((request) => pattern.test(`${request.method()} ${request.url()}`));
  }
}
