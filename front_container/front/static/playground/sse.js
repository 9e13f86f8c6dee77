// Server-sent events of a fetch: EventSource cannot send a key or a body.

const SILENCE_MS = 45_000; // the server sends a comment each 15 s, so the connection is gone

/** Yield `{event, data}` for each event of a stream of bytes; comments are left out. */
export async function* serverSentEvents(stream) {
  const decoder = new TextDecoder();
  const reader = stream.getReader();
  const lines = new Lines();
  let name = "";
  let data = [];
  try {
    for (;;) {
      const { value, done } = await within(SILENCE_MS, reader.read());
      if (done) return; // an event without its empty line is incomplete, and is dropped
      for (const line of lines.feed(decoder.decode(value, { stream: true }))) {
        if (line === "") {
          if (data.length) yield { event: name, data: data.join("\n") };
          name = "";
          data = [];
        } else if (line.startsWith("data:")) data.push(field(line, 5));
        else if (line.startsWith("event:")) name = field(line, 6);
      }
    }
  } finally {
    reader.cancel().catch(() => {}); // a reader that is left must close the connection
  }
}

/** Wait for a promise, but no longer; raises TypeError then, as fetch does for a lost connection. */
async function within(ms, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new TypeError("Nothing came for too long.")), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function field(line, from) {
  return line.slice(line[from] === " " ? from + 1 : from);
}

/** Cuts pieces of text into lines, which end with CRLF, LF or CR. */
class Lines {
  #pieces = []; // of a line that has not ended; joined once, so a long line costs its length
  #afterReturn = false;

  *feed(text) {
    let from = 0;
    if (this.#afterReturn && text) {
      if (text[0] === "\n") from = 1;
      this.#afterReturn = false;
    }
    const end = /\r\n|\r|\n/g;
    end.lastIndex = from;
    for (let match; (match = end.exec(text)); from = end.lastIndex) {
      this.#pieces.push(text.slice(from, match.index));
      yield this.#pieces.join("");
      this.#pieces = [];
      this.#afterReturn = match[0] === "\r" && end.lastIndex === text.length;
    }
    if (from < text.length) this.#pieces.push(text.slice(from));
  }
}
