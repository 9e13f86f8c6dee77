// The dialogs: key, parameters, copy as code, rename, delete.

import { $, copy, openDialog, toast } from "./dom.js";
import { BASE } from "./api.js";
import { codeOf } from "./code.js";

const LOCAL_KEY = "sk-axon-local"; // of every local cloud, so no secret
const SURE = "Conversations, too? Yes, forget";
const LOOPBACK = ["127.0.0.1", "localhost", "[::1]"];

/** Ask for a key; `saved` runs when one was accepted by the server. */
export function openKey({ store, api, saved, error = "" }) {
  const field = $("key");
  field.value = store.key;
  $("remember").checked = store.remembersKey;
  $("key-local").hidden = !LOOPBACK.includes(location.hostname);
  showError($("key-error"), error);
  $("use-local-key").onclick = () => { field.value = LOCAL_KEY; };
  const forget = $("forget");
  forget.textContent = "Forget everything";
  forget.onclick = () => {
    if (forget.textContent !== SURE) {
      forget.textContent = SURE;
      return;
    }
    store.forgetEverything();
    location.reload();
  };
  openDialog($("key-dialog"), async () => {
    const key = field.value.trim();
    try {
      if (/[^\x21-\x7e]/.test(key)) throw new Error("A key has letters, digits and signs of ASCII, without spaces.");
      const models = await api.json("GET", "/v1/models", { key });
      store.setKey(key, { remember: $("remember").checked });
      saved(models);
    } catch (refused) {
      showError($("key-error"), refused.message);
      field.focus();
      return false;
    }
    return true;
  });
  field.select();
}

export function openSettings({ store, saved }) {
  const { settings = {} } = store.defaults;
  $("instructions").value = settings.instructions ?? "";
  $("temperature").value = settings.temperature ?? "";
  $("max-tokens").value = settings.maxTokens ?? "";
  openDialog($("settings-dialog"), () => {
    saved({
      instructions: $("instructions").value.trim(),
      temperature: $("temperature").value,
      maxTokens: $("max-tokens").value,
    });
  });
}

/** Show the next request as code; `request` is `{api, path, body}`. */
export function openCode(request) {
  const show = () => {
    const language = document.querySelector("[name=language]:checked").value;
    $("code").textContent = codeOf(language, { ...request, base: BASE });
  };
  for (const choice of document.querySelectorAll("[name=language]")) choice.onchange = show;
  $("copy-code").onclick = () => copy($("code").textContent, "Code");
  show();
  openDialog($("code-dialog"));
}

export function openRename({ name, renamed }) {
  $("title").value = name;
  openDialog($("rename-dialog"), () => {
    const title = $("title").value.trim();
    if (!title) return false;
    renamed(title);
    return true;
  });
  $("title").select();
}

/** Ask before something is deleted; `remove` may raise, and then the dialog says why. */
export function openDelete({ name, remove }) {
  $("delete-name").textContent = name;
  showError($("delete-error"), "");
  openDialog($("delete-dialog"), async () => {
    try {
      await remove();
    } catch (error) {
      showError($("delete-error"), error.message);
      return false;
    }
    toast("Conversation deleted.");
    return true;
  });
}

function showError(node, text) {
  node.textContent = text;
  node.hidden = !text;
}
