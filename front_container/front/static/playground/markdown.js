// A small renderer of Markdown. It makes elements and sets text: HTML in an answer stays text, and
// a link is one only with http or https. What it does not know is shown as it was written.

import { copy, el, icon } from "./dom.js";

// Each takes a time that grows with the line's length alone, whatever the line is.
const FENCE = /^ {0,3}(`{3,}|~{3,}(?!~))([^`]*)$/;
const HEADING = /^(#{1,6})\s+(.*)$/s;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/s;
const QUOTE = /^>\s?(.*)$/s;
const RULE = /^\s*([-*_])(\s*\1){2,}\s*$/;
const LEVEL = 2; // of the heading that each answer has; its own begin below
const LONGEST_SPAN = 2000; // how far the end of bold text or of a link is looked for

/** Shows a text that grows. Only its last blocks are made again, so a long answer stays cheap. */
export class MarkdownView {
  #root;
  #text = "";
  #final = 0; // where the text begins that may still be shown otherwise
  #level = LEVEL; // of the last heading before it
  #open = []; // the nodes of its blocks

  constructor(root) {
    this.#root = root;
  }

  update(text) {
    if (text === this.#text) return;
    if (!text.startsWith(this.#text)) {
      this.#root.replaceChildren();
      this.#final = 0;
      this.#level = LEVEL;
      this.#open = [];
    }
    this.#text = text;
    for (const node of this.#open) node.remove();
    this.#open = [];
    const from = this.#final;
    let level = this.#level;
    for (const block of blocks(text.slice(from))) {
      const start = from + block.start;
      // What is before this block is final once its first line is: "~~~" may become text.
      if (text.includes("\n", start)) {
        this.#final = start;
        this.#level = level;
        this.#open = [];
      }
      const node = render(block, level);
      level = levelOf(node) ?? level;
      this.#open.push(node);
      this.#root.append(node);
    }
  }
}

function levelOf(node) {
  return /^H\d$/.test(node.tagName) ? Number(node.tagName[1]) : null;
}

/** Yield the blocks of a text: `{type, start, ...}`. */
export function* blocks(text) {
  const lines = linesOf(text);
  for (let at = 0; at < lines.length;) {
    const { start, line } = lines[at];
    if (!line.trim()) {
      at += 1;
      continue;
    }
    const [block, next] = blockAt(lines, at);
    yield { start, ...block };
    at = next;
  }
}

function linesOf(text) {
  const lines = [];
  for (let start = 0; start < text.length;) {
    const end = text.indexOf("\n", start);
    const stop = end < 0 ? text.length : end;
    lines.push({ start, line: text.slice(start, stop) });
    start = stop + 1;
  }
  return lines;
}

function blockAt(lines, at) {
  const { line } = lines[at];
  const fence = FENCE.exec(line);
  if (fence) return fenced(lines, at, fence);
  const heading = HEADING.exec(line);
  if (heading) return [{ type: "heading", level: heading[1].length, text: heading[2] }, at + 1];
  if (RULE.test(line)) return [{ type: "rule" }, at + 1];
  if (ITEM.test(line)) return list(lines, at);
  if (QUOTE.test(line)) return quoted(lines, at);
  const from = at;
  do at += 1; while (at < lines.length && !beginsAnother(lines[at].line));
  return [{ type: "paragraph", text: joined(lines, from, at) }, at];
}

function beginsAnother(line) {
  return !line.trim() || [FENCE, HEADING, ITEM, QUOTE, RULE].some((pattern) => pattern.test(line));
}

function joined(lines, from, to) {
  return lines.slice(from, to).map(({ line }) => line).join("\n");
}

function fenced(lines, at, [, mark, info]) {
  const from = at + 1;
  const closes = (line) => line.trim().startsWith(mark) && !line.trim().replaceAll(mark[0], "");
  for (at = from; at < lines.length && !closes(lines[at].line);) at += 1;
  const language = info.trim().split(/\s/, 1)[0].slice(0, 40);
  return [{ type: "code", language, text: joined(lines, from, at) }, at + 1];
}

function quoted(lines, at) {
  const inner = [];
  for (let match; at < lines.length && (match = QUOTE.exec(lines[at].line)); at += 1) inner.push(match[1]);
  return [{ type: "quote", text: inner.join("\n") }, at];
}

function list(lines, at) {
  const items = [];
  for (; at < lines.length; at += 1) {
    const { line } = lines[at];
    const item = ITEM.exec(line);
    if (item) items.push({ indent: item[1].length, marker: item[2], text: item[3] });
    else if (line.trim() && !/^\s/.test(line) && beginsAnother(line)) break;
    else if (line.trim()) items.at(-1).text += `\n${line.trim()}`;
    else if (!ITEM.test(lines[at + 1]?.line ?? "")) break;
  }
  return [{ type: "list", items }, at];
}

function render(block, above) {
  switch (block.type) {
    case "code":
      return codeBlock(block);
    case "heading":
      // No level is left out, as readers who move by headings expect.
      return el(`h${Math.min(6, block.level + LEVEL, above + 1)}`, {}, ...inline(block.text));
    case "rule":
      return el("hr");
    case "list":
      return listElement(block.items);
    case "quote":
      return el("blockquote", {}, ...inline(block.text));
    default:
      return el("p", {}, ...inline(block.text));
  }
}

function codeBlock({ language, text }) {
  const button = el("button", { type: "button", className: "icon-button small" }, icon("copy"));
  button.setAttribute("aria-label", "Copy the code");
  button.onclick = () => copy(text, "Code");
  const head = el("div", { className: "code-head" }, el("span", {}, language || "code"), button);
  const pre = el("pre", { tabIndex: 0, role: "region" }, el("code", {}, text));
  pre.setAttribute("aria-label", `Code${language ? ` in ${language}` : ""}`);
  return el("div", { className: "code-block" }, head, pre);
}

function listElement(items) {
  const open = []; // the lists that an item may belong to, each inside the one before
  for (const { indent, marker, text } of items) {
    while (open.length > 1 && indent < open.at(-1).indent) open.pop();
    if (!open.length || (indent > open.at(-1).indent && open.length < 6)) {
      const ordered = /\d/.test(marker);
      const node = el(ordered ? "ol" : "ul", ordered ? { start: parseInt(marker, 10) } : {});
      open.at(-1)?.node.lastElementChild.append(node);
      open.push({ indent, node });
    }
    open.at(-1).node.append(el("li", {}, ...inline(text)));
  }
  return open[0].node;
}

/** Return the nodes of a line of text: code, bold, italic, links, and text. */
export function inline(text) {
  const nodes = [];
  let plain = 0;
  const mark = /`+|\*\*|\*|\[/g;
  for (let match; (match = mark.exec(text));) {
    const [node, end] = spanAt(text, match.index, match[0]) ?? [];
    if (!node) continue;
    if (match.index > plain) nodes.push(text.slice(plain, match.index));
    nodes.push(node);
    plain = end;
    mark.lastIndex = end;
  }
  if (plain < text.length) nodes.push(text.slice(plain));
  return nodes;
}

function spanAt(text, at, mark) {
  if (mark === "[") return linkAt(text, at);
  const from = at + mark.length;
  const within = text.slice(from, from + LONGEST_SPAN);
  const length = within.indexOf(mark);
  if (length <= 0) return null;
  const inner = within.slice(0, length);
  const end = from + length + mark.length;
  if (mark[0] === "`") return [el("code", {}, inner.trim() ? inner.replace(/^ (.*) $/s, "$1") : inner), end];
  // A star with a space inside is multiplication, or a list.
  if (/^\s|\s$/.test(inner)) return null;
  const tag = mark === "**" ? "strong" : "em";
  return [el(tag, {}, ...(mark === "**" ? inline(inner) : [inner])), end];
}

function linkAt(text, at) {
  const within = text.slice(at, at + LONGEST_SPAN);
  const link = /^\[([^\][\n]+)\]\((https?:\/\/[^\s()]+)\)/i.exec(within);
  if (!link) return null;
  const node = el("a", { href: link[2], target: "_blank", rel: "noopener noreferrer" }, link[1]);
  return [node, at + link[0].length];
}
