// Connects the controls of index.html with the playground.

import { App } from "./app.js";
import { $ } from "./dom.js";

const app = new App();
const prompt = $("prompt");
const phone = matchMedia("(max-width: 760px)");
const THEMES = ["system", "light", "dark"];

function grow() {
  prompt.style.height = "auto";
  prompt.style.height = `${prompt.scrollHeight}px`;
}

function send(text) {
  const input = text.trim();
  if (!input || app.conversation?.running) return;
  prompt.value = "";
  grow();
  app.send(input);
}

$("composer").onsubmit = (event) => {
  event.preventDefault();
  send(prompt.value);
};
prompt.oninput = grow;
prompt.onkeydown = (event) => {
  // An Enter that ends the composition of a character sends nothing.
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    send(prompt.value);
  }
};
for (const starter of document.querySelectorAll(".starter")) {
  starter.onclick = () => send(starter.textContent);
}
for (const choice of document.querySelectorAll("[name=api]")) {
  choice.onchange = () => app.chooseApi(choice.value);
}
$("model").onchange = () => app.store.setDefaults({ model: $("model").value });
$("stop").onclick = () => app.stop();
$("open-key").onclick = () => app.askKey();
$("open-settings").onclick = () => app.editSettings();
$("open-code").onclick = () => app.showCode();

// The sidebar and the drawer. On a phone each covers the rest, which then takes no focus.

function showSidebar(shown) {
  $("sidebar").classList.toggle("shown", shown);
  $("open-sidebar").setAttribute("aria-expanded", String(shown));
  cover();
  if (phone.matches) (shown ? $("new-chat") : $("open-sidebar")).focus();
}

function showEvents(shown) {
  if (shown) app.showEvents();
  else $("events").hidden = true;
  $("open-events").setAttribute("aria-expanded", String(shown));
  cover();
  (shown ? $("close-events") : $("open-events")).focus();
}

function cover() {
  const sidebar = phone.matches && $("sidebar").classList.contains("shown");
  const events = phone.matches && !$("events").hidden;
  // The heading stays: it names the page whatever covers it.
  for (const part of $("main").children) part.inert = (sidebar || events) && part.tagName !== "H1";
  $("sidebar").inert = phone.matches && (!sidebar || events);
}

$("open-sidebar").onclick = () => showSidebar(true);
$("close-sidebar").onclick = () => showSidebar(false);
$("new-chat").onclick = () => {
  if (phone.matches) showSidebar(false);
  app.newChat();
};
$("conversations").addEventListener("click", (event) => {
  if (phone.matches && event.target.closest(".open")) showSidebar(false);
});
$("open-events").onclick = () => showEvents($("events").hidden);
$("close-events").onclick = () => showEvents(false);
phone.onchange = cover;
new MutationObserver(cover).observe($("events"), { attributeFilter: ["hidden"] });

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.isComposing || document.querySelector("dialog[open]")) return;
  if (phone.matches && $("sidebar").classList.contains("shown")) showSidebar(false);
  else if (app.conversation?.running && !$("composer").inert) app.stop();
  else if (!$("events").hidden) showEvents(false);
});

// The theme

function showTheme() {
  const { theme } = app.store;
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  $("theme-name").textContent = `Theme: ${theme}`;
}

$("switch-theme").onclick = () => {
  app.store.setTheme(THEMES[(THEMES.indexOf(app.store.theme) + 1) % THEMES.length]);
  showTheme();
};

addEventListener("storage", () => app.changedElsewhere());
// How far an answer is must be written before the page is gone.
addEventListener("pagehide", () => app.leave());
// A page from the browser's cache has runs that have left.
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

showTheme();
cover();
app.begin();
