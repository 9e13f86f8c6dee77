// The playground: which conversation is shown, and what each control does.

import { Api } from "./api.js";
import { Conversation } from "./conversation.js";
import { openCode, openDelete, openKey, openRename, openSettings } from "./dialogs.js";
import { DIALECTS, ended } from "./dialects.js";
import { $, announce, el, toast } from "./dom.js";
import { EventsDrawer } from "./events.js";
import { Sidebar } from "./sidebar.js";
import { Store } from "./store.js";
import { Transcript } from "./transcript.js";

const LONGEST_SPOKEN = 600; // a longer answer is announced, and read where it stands

export class App {
  constructor() {
    this.store = new Store();
    this.api = new Api(this.store);
    this.opened = new Map(); // conversations by id: one whose answer runs goes on in the background
    this.conversation = null;
    this.drawer = new EventsDrawer();
    this.transcript = new Transcript({
      root: $("transcript"),
      scroller: $("scroller"),
      actions: {
        remedies: (turn) => this.#remedies(turn),
        showEvents: (turn) => this.showEvents(turn),
      },
    });
    this.sidebar = new Sidebar({
      store: this.store,
      actions: {
        open: (id) => this.open(id),
        rename: (id) => this.rename(id),
        remove: (id) => this.remove(id),
      },
    });
  }

  async begin() {
    const { api } = this.store.defaults;
    this.#chooseApi(api in DIALECTS ? api : "responses");
    this.#showSettings();
    const { current } = this.store;
    if (this.store.key) {
      if (current) this.open(current);
      else this.newChat();
      await this.loadModels();
    } else {
      this.newChat();
      this.askKey();
    }
  }

  // Models and the key

  async loadModels() {
    try {
      this.#showModels(await this.api.json("GET", "/v1/models"));
    } catch (error) {
      if (error.status === 401) this.askKey(error.message);
      else toast(error.message);
    }
  }

  #showModels({ data }) {
    const select = $("model");
    const wanted = this.conversation?.model || this.store.defaults.model;
    const names = data.map(({ id }) => id);
    select.replaceChildren(...names.map((name) => el("option", { value: name }, name)));
    select.disabled = !names.length;
    if (!names.length) select.append(el("option", { value: "" }, "No models yet"));
    if (names.includes(wanted)) select.value = wanted;
    this.#showKey();
  }

  #showKey() {
    const { key } = this.store;
    $("key-name").textContent = key ? `API key ...${key.slice(-4)}` : "API key";
  }

  askKey(error = "") {
    openKey({
      store: this.store,
      api: this.api,
      error,
      saved: (models) => {
        this.#showModels(models);
        if (this.store.current && !this.conversation) this.open(this.store.current);
        $("prompt").focus();
      },
    });
  }

  // Conversations

  newChat() {
    this.#show(null);
    $("prompt").focus();
  }

  open(id) {
    let conversation = this.opened.get(id);
    if (!conversation) {
      const record = this.store.conversation(id);
      if (!record) return this.newChat();
      conversation = this.#conversation(record);
      conversation.open();
    }
    this.#chooseApi(conversation.kind);
    this.#show(conversation);
    return undefined;
  }

  #conversation(record) {
    const parts = {
      api: this.api,
      store: this.store,
      changed: (...which) => this.#changed(...which),
      unsaved: (error) => toast(`The browser cannot keep this conversation: ${error.message}`),
    };
    const conversation = record.turns
      ? new Conversation({ ...parts, record })
      : Conversation.create({ ...parts, ...record });
    this.opened.set(conversation.id, conversation);
    return conversation;
  }

  #show(conversation) {
    this.conversation = conversation;
    this.store.setCurrent(conversation?.id ?? "");
    $("welcome").hidden = Boolean(conversation);
    document.title = conversation?.title ? `${conversation.title} - Axon` : "Axon playground";
    if (conversation && [...$("model").options].some(({ value }) => value === conversation.model)) {
      $("model").value = conversation.model;
    }
    this.transcript.show(conversation?.turns ?? []);
    this.drawer.show(conversation?.turns.at(-1)?.run?.log ?? null);
    this.#showRunning();
    this.sidebar.show();
  }

  rename(id) {
    openRename({
      name: this.store.conversation(id).title,
      renamed: (title) => {
        const conversation = this.opened.get(id);
        if (conversation) conversation.title = title;
        this.store.save({ ...this.store.conversation(id), title });
        this.sidebar.show();
        if (this.conversation?.id === id) document.title = `${title} - Axon`;
      },
    });
  }

  remove(id) {
    const conversation = this.opened.get(id) ?? this.#conversation(this.store.conversation(id));
    openDelete({
      name: conversation.title,
      remove: async () => {
        await conversation.delete();
        this.opened.delete(id);
        if (this.conversation?.id === id) this.newChat();
        this.sidebar.show();
      },
    });
  }

  // Questions and answers

  chooseApi(kind) {
    this.store.setDefaults({ api: kind });
    this.#chooseApi(kind);
    // A conversation belongs to one API: what one keeps on the server, another has to send.
    if (this.conversation && this.conversation.kind !== kind) {
      this.#show(null);
      toast(`New chat with ${DIALECTS[kind].name}.`);
    }
  }

  #chooseApi(kind) {
    document.querySelector(`[name=api][value=${kind}]`).checked = true;
    $("hint-api").textContent = DIALECTS[kind].hint;
  }

  get kind() {
    return document.querySelector("[name=api]:checked").value;
  }

  send(input) {
    if (this.conversation?.running) return;
    if (!this.store.key) {
      this.askKey();
      return;
    }
    const { model, settings } = this.#choices();
    const conversation = this.conversation ?? this.#conversation({ kind: this.kind, model });
    const turn = conversation.ask(input, { model, settings });
    if (this.conversation === conversation) this.transcript.add(turn);
    else this.#show(conversation);
    this.sidebar.show();
    this.#showRunning();
    announce("Sent. Waiting for the answer.");
  }

  #choices() {
    return { model: $("model").value, settings: this.store.defaults.settings ?? {} };
  }

  async stop() {
    try {
      await this.conversation?.running?.run.stop();
    } catch (error) {
      toast(error.message);
    }
  }

  #remedies(turn) {
    if (this.conversation?.turns.at(-1) !== turn) return [];
    if (!turn.input) return [["Load again", () => this.#reopen(this.conversation.id)]];
    const again = turn.state.status === "broken"
      ? [turn.state.id ? "Read on" : "Try again", () => { this.conversation.readOn(turn); this.#afterRemedy(turn); }]
      : ["Try again", () => this.#askAgain()];
    return turn.error.status === 401 ? [["Enter another key", () => this.askKey()], again] : [again];
  }

  /** Another tab has added to a conversation, or has deleted it. */
  changedElsewhere() {
    for (const [id, conversation] of [...this.opened]) {
      const turns = this.store.conversation(id)?.turns.length ?? 0;
      if (!conversation.running && turns !== conversation.turns.length) this.#reopen(id);
    }
  }

  #reopen(id) {
    this.opened.delete(id);
    if (this.conversation?.id === id) this.open(id);
  }

  #askAgain() {
    const { input } = this.conversation.dropLast();
    this.transcript.show(this.conversation.turns);
    this.send(input);
    $("prompt").focus();
  }

  #afterRemedy(turn) {
    this.transcript.changed();
    this.drawer.show(turn.run.log);
    this.#showRunning();
    $("prompt").focus();
  }

  #changed(conversation, turn) {
    if (conversation !== this.conversation) return;
    if (!turn) {
      this.transcript.show(conversation.turns);
      this.#showRunning();
      return;
    }
    if (turn.run && turn === conversation.turns.at(-1)) this.drawer.changed();
    this.transcript.changed();
    if (turn.run && ended(turn.state)) this.#announceEnd(turn);
  }

  #announceEnd(turn) {
    this.transcript.flush();
    this.#showRunning();
    const { state, figures, error } = turn;
    if (error) announce(`The answer failed. ${error.message}`);
    else if (state.text.length <= LONGEST_SPOKEN) announce(`Answer: ${state.text}`);
    else announce(`The answer is complete, with ${figures.output ?? "an unknown number of"} tokens.`);
  }

  #showRunning() {
    const running = Boolean(this.conversation?.running);
    const focused = document.activeElement === $("stop") || document.activeElement === $("send");
    $("stop").hidden = !running;
    $("send").hidden = running;
    // The button that had the focus is gone, so the focus would be lost.
    if (focused) (running ? $("stop") : $("prompt")).focus();
  }

  // Drawer and dialogs

  showEvents(turn = this.conversation?.turns.at(-1)) {
    $("events").hidden = false;
    $("open-events").setAttribute("aria-expanded", "true");
    this.drawer.show(turn?.run?.log ?? null);
  }

  editSettings() {
    openSettings({
      store: this.store,
      saved: (settings) => {
        this.store.setDefaults({ settings });
        this.#showSettings();
      },
    });
  }

  #showSettings() {
    const changed = Object.values(this.store.defaults.settings ?? {}).some(Boolean);
    $("open-settings").classList.toggle("changed", changed);
    $("open-settings").setAttribute("aria-label", changed ? "Parameters, some set" : "Parameters");
  }

  showCode() {
    const kind = this.conversation?.kind ?? this.kind;
    const dialect = DIALECTS[kind];
    const { model, settings } = this.#choices();
    const turns = (this.conversation?.turns ?? []).map(({ input, state }) => ({ input, ...state }));
    const input = $("prompt").value.trim() || "What is the capital of France?";
    openCode({ api: kind, path: dialect.path, body: dialect.body({ model, turns, input, settings }) });
  }

  leave() {
    for (const { running } of this.opened.values()) running?.run.leave();
  }
}
