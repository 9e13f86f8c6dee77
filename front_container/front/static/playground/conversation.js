// A conversation and its turns: how they are kept, found again, and deleted.

import { ApiError } from "./api.js";
import { DIALECTS, ended, newState, takeResponse, textOf } from "./dialects.js";
import { figuresOf, Run } from "./run.js";

const TITLE_LENGTH = 60;

/** A question and its answer, which a run may be reading. */
export class Turn {
  constructor({ input = "", state = newState(), figures = {}, run = null }) {
    this.input = input;
    this.run = run;
    this.loading = false;
    this.#state = state;
    this.#figures = figures;
    this.#error = null;
  }

  #state;
  #figures;
  #error;

  get state() {
    return this.run?.state ?? this.#state;
  }

  get figures() {
    return this.run ? figuresOf(this.run.progress) : this.#figures;
  }

  get error() {
    const { error } = this.state;
    return this.run?.error ?? this.#error ?? (error && new ApiError({ ...error, status: 200 }));
  }

  /** Say why nothing can be shown or read of it; `status` is what is known of the answer. */
  fail(error, status) {
    this.#error = error;
    this.#state.status = status;
  }
}

export class Conversation {
  constructor({ api, store, changed, unsaved, record }) {
    this.api = api;
    this.store = store;
    this.#changed = changed;
    this.#unsaved = unsaved;
    const { id, title, model, at } = record;
    Object.assign(this, { id, title, model, at, kind: record.api in DIALECTS ? record.api : "responses" });
    this.dialect = DIALECTS[this.kind];
    this.turns = record.turns.map((turn) => this.#restored(turn));
  }

  #changed;
  #unsaved;

  static create({ kind, model, ...parts }) {
    const record = { id: crypto.randomUUID?.() ?? `${Date.now()}`, title: "", api: kind, model, at: Date.now(), turns: [] };
    return new Conversation({ ...parts, record });
  }

  /** The turn whose answer is being read. */
  get running() {
    const last = this.turns.at(-1);
    return last?.run && !ended(last.state) ? last : null;
  }

  /** Ask the next question; return its turn. */
  ask(input, { model, settings }) {
    const turns = this.turns.map(({ input: asked, state }) => ({ input: asked, ...state }));
    const body = this.dialect.body({ model, turns, input, settings });
    this.model = model;
    this.title ||= input.trim().slice(0, TITLE_LENGTH);
    this.at = Date.now();
    const turn = new Turn({ input });
    this.turns.push(turn);
    this.#start(turn, { body });
    this.save();
    return turn;
  }

  /** Take the last turn away, so that its question can be asked again. */
  dropLast() {
    const turn = this.turns.pop();
    const { id } = turn.state;
    if (id && this.dialect.resumable) this.#deleteResponse(id).catch(() => {}); // it may be gone
    this.save();
    return turn;
  }

  /** Read on an answer whose reading has failed. */
  readOn(turn) {
    const progress = turn.run.progress;
    Object.assign(progress.state, { status: "waiting", error: null });
    if (!progress.state.id) progress.startedAt = Date.now();
    this.#start(turn, { progress });
  }

  #start(turn, parts) {
    turn.run = this.#newRun(turn, parts);
    turn.run.read();
  }

  #newRun(turn, { body, progress }) {
    return new Run({
      api: this.api,
      dialect: this.dialect,
      body,
      progress,
      changed: () => this.#changed(this, turn),
      save: (kept) => this.#keep(turn, kept),
    });
  }

  #keep(turn, progress) {
    this.store.setRunning(this.id, progress && { ...progress, input: turn.input });
    this.save();
  }

  #restored(kept) {
    const state = { ...newState(), ...kept.state };
    return new Turn({ input: kept.input, state, figures: kept.figures });
  }

  save() {
    const whole = !this.dialect.resumable;
    // A question that the server never took has no id to find it by.
    const kept = this.turns.filter(({ state }) => whole || state.id || !ended(state));
    const turns = kept.map(({ input, state, figures }) => ({
      ...(whole && { input }),
      state: whole ? state : { id: state.id, status: state.status },
      figures,
    }));
    const { id, title, kind, model, at } = this;
    try {
      this.store.save({ id, title, api: kind, model, at, turns });
    } catch (error) {
      this.#unsaved(error); // it goes on without being kept
    }
  }

  /** Find the texts of all turns again, and read on what runs. */
  async open() {
    const progress = this.store.running(this.id);
    if (this.dialect.resumable) await this.#openStored(progress);
    else this.#openKept(progress);
    this.#changed(this, null);
  }

  #openKept(progress) {
    for (const turn of this.turns) {
      if (turn.run || ended(turn.state)) continue;
      Object.assign(turn.state, progress?.state);
      turn.fail(new ApiError({
        status: 200,
        code: "page_left",
        message: `The page was left while it read this answer, and ${this.dialect.name} cannot resume one. `
          + "Ask again, or use Responses.",
      }), "failed");
    }
    this.store.setRunning(this.id, null);
    this.save();
  }

  async #openStored(progress) {
    const last = this.turns.at(-1);
    if (progress && last && !last.run && (last.state.id || progress.state.id) === progress.state.id) {
      last.input = progress.input;
      this.#start(last, { progress });
    } else if (last && !last.run && !last.state.id) {
      this.turns.pop(); // it was left before the server had it
    }
    await Promise.all(this.turns.filter((turn) => !turn.run && !turn.input).map((turn) => this.#load(turn)));
  }

  async #load(turn) {
    const path = `/v1/responses/${turn.state.id}`;
    turn.loading = true;
    this.#changed(this, turn);
    try {
      const [response, items] = await Promise.all([
        this.api.json("GET", path),
        this.api.json("GET", `${path}/input_items?order=asc&limit=100`),
      ]);
      turn.input = textOf(items.data, "message");
      takeResponse(turn.state, response);
      if (!ended(turn.state)) {
        const state = { ...newState(), id: turn.state.id, status: "running" };
        this.#start(turn, { progress: { state, number: -1, startedAt: 0, firstAt: 0, lastAt: 0 } });
      }
    } catch (error) {
      // Not "failed": the next question continues this answer, if the server has it after all.
      turn.fail(error, ended(turn.state) ? turn.state.status : "unknown");
    }
    turn.loading = false;
    this.#changed(this, turn);
  }

  /** Delete it here, and its responses on the server. Raises ApiError, and then keeps it. */
  async delete() {
    this.running?.run.leave();
    if (this.dialect.resumable) {
      // First: the server may know a repeated request only while the turn before it exists.
      await this.#identifyLast();
      await Promise.all(this.turns.filter((turn) => turn.state.id).map((turn) => this.#deleteResponse(turn.state.id)));
    }
    this.store.remove(this.id);
  }

  /** Make the id of the last question's response known, where the server may have one. */
  async #identifyLast() {
    const last = this.turns.at(-1);
    const progress = this.store.running(this.id);
    if (!last || last.state.id) return;
    // The page was left, and this conversation was not opened since.
    if (!last.run && progress) last.run = this.#newRun(last, { progress });
    if (last.run && !last.state.id && (!ended(last.state) || last.state.status === "broken")) {
      await last.run.identify();
    }
  }

  async #deleteResponse(id) {
    try {
      await this.api.json("DELETE", `/v1/responses/${id}`);
    } catch (error) {
      if (error.status !== 404) throw error;
    }
  }
}
