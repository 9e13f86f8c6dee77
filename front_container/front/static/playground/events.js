// The drawer with the raw events of an answer.

import { $, copy, el } from "./dom.js";

const MOST_SHOWN = 500;

export class EventsDrawer {
  #log = null;
  #shown = 0; // entries of the log that are in the list, those dropped from it included
  #frame = 0;

  constructor() {
    $("copy-events").onclick = () => copy(linesOf(this.#log), "Events");
  }

  get open() {
    return !$("events").hidden;
  }

  /** Show an answer's log: `{request, requestId, entries, dropped}`, or none. */
  show(log) {
    this.#log = log;
    this.#shown = 0;
    $("events-list").replaceChildren();
    $("events-request").replaceChildren();
    this.flush();
  }

  changed() {
    if (this.open) this.#frame ||= requestAnimationFrame(() => this.flush());
  }

  flush() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    $("copy-events").disabled = !this.#log;
    if (!this.open || !this.#log) return;
    this.#showRequest();
    const { entries, dropped } = this.#log;
    const list = $("events-list");
    const total = dropped + entries.length;
    for (let number = Math.max(this.#shown, dropped, total - MOST_SHOWN); number < total; number += 1) {
      list.append(row(entries[number - dropped], number));
    }
    this.#shown = total;
    while (list.children.length > MOST_SHOWN) list.firstElementChild.remove();
    const hidden = total - list.children.length;
    $("events-about").textContent = `${total} events${hidden ? `, the last ${list.children.length} shown` : ""}`;
  }

  #showRequest() {
    const { request, requestId } = this.#log;
    const body = request?.body ? JSON.stringify(request.body, null, 2) : "";
    const title = request ? `${request.method} ${request.path}` : "";
    const shown = $("events-request");
    if (shown.dataset.title === title + requestId && shown.firstChild) return;
    shown.dataset.title = title + requestId;
    shown.replaceChildren(disclosure(el("code", {}, title), () => body || "No body."));
    if (requestId) shown.append(el("p", { className: "quiet" }, `x-request-id: ${requestId}`));
  }
}

function row({ at, name, data }, number) {
  return el("li", {}, disclosure(
    el("span", { className: "event-line" },
      el("span", { className: "event-number" }, String(number)),
      el("span", { className: "event-name" }, name || "message"),
      el("span", { className: "event-time" }, `${at} ms`)),
    () => pretty(data),
  ));
}

/** Return a disclosure whose content is made when it is first opened. */
function disclosure(summary, content) {
  const node = el("details", {}, el("summary", {}, summary));
  node.ontoggle = () => {
    if (node.open && node.children.length === 1) node.append(el("pre", { tabIndex: 0 }, content()));
  };
  return node;
}

function pretty(data) {
  try {
    return JSON.stringify(JSON.parse(data), null, 2);
  } catch {
    return data;
  }
}

function linesOf(log) {
  return log.entries.map(({ data }) => `${data}\n`).join("");
}
