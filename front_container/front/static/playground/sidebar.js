// The list of conversations, with what can be done with each.

import { $, el, icon } from "./dom.js";

export class Sidebar {
  constructor({ store, actions }) {
    this.store = store;
    this.actions = actions;
    // Other tabs change the list, too.
    addEventListener("storage", () => this.show());
  }

  show() {
    const conversations = this.store.conversations();
    const focused = document.activeElement?.dataset?.focus;
    $("no-conversations").hidden = conversations.length > 0;
    $("conversations").replaceChildren(...conversations.map((conversation) => this.#row(conversation)));
    if (focused) $("conversations").querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
  }

  #row(conversation) {
    const { id, title, api } = conversation;
    const name = title || "Untitled";
    const open = el("button", { type: "button", className: "open", onclick: () => this.actions.open(id) },
      el("span", { className: "title" }, name), el("span", { className: "kind" }, api));
    open.dataset.focus = `open ${id}`;
    if (id === this.store.current) open.setAttribute("aria-current", "true");
    return el("li", {},
      open,
      this.#button("edit", `Rename ${name}`, id, () => this.actions.rename(id)),
      this.#button("trash", `Delete ${name}`, id, () => this.actions.remove(id)));
  }

  #button(name, label, id, action) {
    const button = el("button", { type: "button", className: "icon-button small", title: label, onclick: action }, icon(name));
    button.setAttribute("aria-label", label);
    button.dataset.focus = `${name} ${id}`;
    return button;
  }
}
