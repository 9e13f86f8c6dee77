// What the browser keeps, and where.
//
// sessionStorage, until the tab is closed: the key, and the answer that is just being read.
// localStorage: the key if the user asks for it, the theme, and a record for each conversation. The
// record of a Responses conversation has the ids of its responses; the server has their texts. Chat
// and Messages have no memory on the server, so their records have the texts.
//
// Each record has a name of its own, so that tabs which write at the same time lose nothing.

const PREFIX = "axon.";
const CONVERSATION = `${PREFIX}conversation.`;
const RUNNING = `${PREFIX}running.`;

export class Store {
  constructor() {
    this.session = storageOf("sessionStorage");
    this.local = storageOf("localStorage");
  }

  get key() {
    return this.session.getItem(`${PREFIX}key`) ?? this.local.getItem(`${PREFIX}key`) ?? "";
  }

  get remembersKey() {
    return this.local.getItem(`${PREFIX}key`) !== null;
  }

  setKey(key, { remember }) {
    this.session.setItem(`${PREFIX}key`, key);
    if (remember) this.local.setItem(`${PREFIX}key`, key);
    else this.local.removeItem(`${PREFIX}key`);
  }

  get theme() {
    return this.local.getItem(`${PREFIX}theme`) ?? "system";
  }

  setTheme(theme) {
    if (theme === "system") this.local.removeItem(`${PREFIX}theme`);
    else this.local.setItem(`${PREFIX}theme`, theme);
  }

  /** The model, the API and the parameters that a new conversation begins with. */
  get defaults() {
    return read(this.local, `${PREFIX}defaults`) ?? {};
  }

  setDefaults(changed) {
    tryWrite(this.local, `${PREFIX}defaults`, { ...this.defaults, ...changed });
  }

  /** All conversations, the latest first. */
  conversations() {
    return Object.keys(this.local)
      .filter((name) => name.startsWith(CONVERSATION))
      .map((name) => read(this.local, name))
      .filter((conversation) => conversation?.id && Array.isArray(conversation.turns))
      .sort((one, other) => other.at - one.at);
  }

  conversation(id) {
    return read(this.local, CONVERSATION + id);
  }

  /** Save a conversation; raises where the browser's storage is full. */
  save(conversation) {
    write(this.local, CONVERSATION + conversation.id, conversation);
  }

  remove(id) {
    this.local.removeItem(CONVERSATION + id);
    this.setRunning(id, null);
    if (this.current === id) this.setCurrent("");
  }

  /** The conversation that this tab shows. */
  get current() {
    return read(this.session, `${PREFIX}current`) ?? "";
  }

  setCurrent(id) {
    tryWrite(this.session, `${PREFIX}current`, id);
  }

  /** How far this tab has read a conversation's running answer: `Run.progress` and the input. */
  running(conversationId) {
    return read(this.session, RUNNING + conversationId);
  }

  setRunning(conversationId, progress) {
    const name = RUNNING + conversationId;
    // Without it, as where it is too long, a reload reads the answer from its beginning.
    if (!progress || !tryWrite(this.session, name, progress)) this.session.removeItem(name);
  }

  forgetEverything() {
    for (const storage of [this.session, this.local]) {
      for (const name of Object.keys(storage)) if (name.startsWith(PREFIX)) storage.removeItem(name);
    }
  }
}

/** Return a storage of the browser, or one that ends with the page where the user denies it. */
function storageOf(name) {
  try {
    return window[name];
  } catch {
    const kept = {};
    const methods = {
      getItem: (key) => kept[key] ?? null,
      setItem: (key, value) => { kept[key] = value; },
      removeItem: (key) => { delete kept[key]; },
    };
    for (const [method, value] of Object.entries(methods)) Object.defineProperty(kept, method, { value });
    return kept;
  }
}

function read(storage, name) {
  try {
    return JSON.parse(storage.getItem(name));
  } catch {
    return null; // somebody else's text under this name
  }
}

function write(storage, name, value) {
  storage.setItem(name, JSON.stringify(value));
}

/** Keep what the page can do without; return whether there was room. */
function tryWrite(storage, name, value) {
  try {
    write(storage, name, value);
    return true;
  } catch {
    return false;
  }
}
