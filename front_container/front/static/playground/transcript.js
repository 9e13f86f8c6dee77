// The turns of a conversation as the page shows them.

import { copy, el, icon } from "./dom.js";
import { MarkdownView } from "./markdown.js";

const NEAR_PX = 80; // a reader this close to the end is taken along

const STATUS = {
  incomplete: { max_output_tokens: "Ended at the limit of output tokens", length: "Ended at the limit of output tokens",
    max_tokens: "Ended at the limit of output tokens", content_filter: "Held back by the content filter" },
  cancelled: "Stopped",
};

/** Shows turns: `{input, state, figures, error, run, loading}`. */
export class Transcript {
  constructor({ root, scroller, actions }) {
    this.root = root;
    this.scroller = scroller;
    this.actions = actions;
    this.views = new Map();
    this.frame = 0;
    this.atEnd = true;
    scroller.onscroll = () => { this.atEnd = this.#isAtEnd(); };
    // The drawer or a keyboard on the screen makes the column narrower or lower.
    new ResizeObserver(() => this.#follow()).observe(scroller);
  }

  #isAtEnd() {
    const { scrollTop, clientHeight, scrollHeight } = this.scroller;
    return scrollHeight - scrollTop - clientHeight < NEAR_PX;
  }

  #follow() {
    if (this.atEnd) this.toEnd();
  }

  show(turns) {
    this.views.clear();
    this.root.replaceChildren();
    for (const turn of turns) this.add(turn);
    this.toEnd();
  }

  add(turn) {
    const view = new TurnView(turn, this.actions);
    this.views.set(turn, view);
    this.root.append(view.question, view.answer);
    view.update();
    this.toEnd();
  }

  /** Show what has changed, once before the next frame. */
  changed() {
    this.frame ||= requestAnimationFrame(() => this.flush());
  }

  /** Show it now: frames pause in a tab that nobody sees. */
  flush() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    for (const view of this.views.values()) view.update();
    this.#follow();
  }

  toEnd() {
    this.atEnd = true;
    this.scroller.scrollTop = this.scroller.scrollHeight;
  }
}

class TurnView {
  constructor(turn, actions) {
    this.turn = turn;
    this.actions = actions;
    this.questionText = el("div", { className: "bubble" });
    this.question = article("You", "question", this.questionText);
    this.wait = el("p", { className: "wait" });
    this.reasoningText = el("div", { className: "reasoning-text" });
    this.reasoning = el("details", { className: "reasoning" }, el("summary", {}, "Reasoning"), this.reasoningText);
    this.text = el("div", { className: "prose" });
    this.markdown = new MarkdownView(this.text);
    this.error = el("div", { className: "error", hidden: true });
    this.foot = el("footer", { className: "figures" });
    this.answer = article("Answer", "answer", this.wait, this.reasoning, this.text, this.error, this.foot);
    this.shown = "";
  }

  update() {
    const { turn } = this;
    const { state } = turn;
    if (this.questionText.textContent !== turn.input) this.questionText.textContent = turn.input;
    this.question.hidden = !turn.input;
    this.markdown.update(state.text);
    this.reasoning.hidden = !state.reasoning;
    if (this.reasoningText.textContent !== state.reasoning) this.reasoningText.textContent = state.reasoning;
    this.wait.textContent = waitText(turn);
    this.wait.hidden = !this.wait.textContent;
    // What stands below the text is made again only where it would differ: it may have the focus.
    const shown = JSON.stringify([state.status, state.reason, turn.figures, turn.error?.message, turn.run?.stopping]);
    if (shown === this.shown) return;
    this.shown = shown;
    this.answer.setAttribute("aria-busy", String(isRunning(state)));
    this.answer.dataset.status = state.status;
    this.#showError();
    this.#showFoot();
  }

  #showError() {
    const { turn } = this;
    this.error.hidden = !turn.error;
    this.error.replaceChildren();
    if (turn.error) this.error.append(...errorNodes(turn.error, this.actions.remedies(turn)));
  }

  #showFoot() {
    const { turn } = this;
    const parts = figureTexts(turn).map(([name, text, title]) =>
      el("span", { title, className: `figure ${name}` }, text));
    const buttons = [];
    if (turn.state.text && !isRunning(turn.state)) {
      buttons.push(iconButton("copy", "Copy the answer", () => copy(turn.state.text, "Answer")));
    }
    if (turn.run) buttons.push(iconButton("list", "Raw events of this answer", () => this.actions.showEvents(turn)));
    this.foot.replaceChildren(...parts, ...buttons);
    this.foot.hidden = !parts.length && !buttons.length;
  }
}

function isRunning(state) {
  return state.status === "waiting" || state.status === "running";
}

function waitText({ state, run, loading }) {
  if (loading) return "Loading";
  if (run?.reconnecting) return "Connecting again";
  if (!isRunning(state)) return "";
  if (run?.stopping) return "Stopping";
  if (state.text || state.reasoning) return "";
  return state.status === "waiting" ? "Waiting for the model" : "Reading the prompt";
}

function figureTexts({ state, figures = {} }) {
  const texts = [];
  const status = STATUS[state.status];
  if (status) texts.push(["ended", typeof status === "string" ? status : status[state.reason] ?? "Incomplete", state.reason]);
  if (figures.output !== undefined) {
    const cached = figures.cached ? `, ${figures.cached} of them from the cache` : "";
    texts.push(["tokens", `${figures.output} tokens`, "Tokens of the answer"]);
    texts.push(["input", `${figures.input} in`, `Tokens of the prompt${cached}`]);
  }
  if (figures.first !== undefined) {
    texts.push(["first", `first after ${duration(figures.first)}`, "From sending to the first token"]);
  }
  if (figures.rate !== undefined) {
    texts.push(["rate", `${figures.rate.toFixed(figures.rate < 10 ? 1 : 0)} tokens/s`, "After the first token"]);
  }
  return texts;
}

function duration(ms) {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** Return an error as the API gives it: status and code, message, field, request, and what to do. */
export function errorNodes(error, remedies = []) {
  const title = [error.status >= 400 ? error.status : "", error.code || "error"].filter(Boolean).join(" ");
  const details = [
    error.param ? `Field: ${error.param}` : "",
    error.retryAfter ? `The server asks to wait ${error.retryAfter} s.` : "",
    error.requestId ? `Request: ${error.requestId}` : "",
  ].filter(Boolean);
  return [
    el("p", { className: "error-title" }, title),
    el("p", {}, error.message),
    details.length ? el("p", { className: "error-details" }, details.join("  ")) : null,
    remedies.length ? el("p", { className: "remedies" }, ...remedies.map(([name, action]) =>
      el("button", { type: "button", className: "button", onclick: action }, name))) : null,
  ].filter(Boolean);
}

function article(name, className, ...children) {
  const node = el("article", { className }, el("h2", { className: "sr-only" }, name), ...children);
  node.setAttribute("aria-label", name);
  return node;
}

function iconButton(name, label, action) {
  const button = el("button", { type: "button", className: "icon-button small", title: label, onclick: action }, icon(name));
  button.setAttribute("aria-label", label);
  return button;
}
