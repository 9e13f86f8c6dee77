// Small helpers for the document. Text is always set as text: nothing here parses HTML.

export const $ = (id) => document.getElementById(id);

/** Return a new element: its properties, then its children, which are nodes or text. */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const SVG = "http://www.w3.org/2000/svg";

/** Return one of the icons that index.html has. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

/** Say something to screen readers alone. */
export function announce(text) {
  $("status").textContent = text;
}

let toastEnds = 0;

/** Show a short message for some seconds, and say it. */
export function toast(text) {
  const shown = $("toast");
  shown.textContent = text;
  shown.hidden = false;
  announce(text);
  clearTimeout(toastEnds);
  toastEnds = setTimeout(() => { shown.hidden = true; }, 4000);
}

/** Copy a text, also where the page has no secure context and so no clipboard API. */
export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = el("textarea", { value: text, className: "sr-only" });
    // Inside an open dialog, since everything outside it is inert.
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (!done) return toast("The browser did not allow to copy.");
  }
  return toast(`${what} copied.`);
}

/** Open a dialog; `save` runs when its form is sent, and keeps it open by returning false. */
export function openDialog(dialog, save) {
  const form = dialog.querySelector("form");
  if (form) {
    form.onsubmit = async (event) => {
      event.preventDefault();
      if ((await save?.()) !== false) dialog.close();
    };
  }
  for (const button of dialog.querySelectorAll("[data-close]")) button.onclick = () => dialog.close();
  dialog.showModal();
}
