// SQS and S3 on the loopback interface only. fauxqs's own server listens on every interface and
// invents host names for queue URLs, so this script builds a server from its modules.
// Usage: node fauxqs.mjs '{"modules", "host", "port", "region", "folder", "queues", "buckets", "uploads"}'
import { AsyncLocalStorage } from "node:async_hooks";
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const { modules, host, port, region, folder, queues, buckets, uploads } = JSON.parse(process.argv[2]);

// By path: the modules are not exported, and node_modules need not lie above this file.
const load = (path) => import(pathToFileURL(join(modules, "fauxqs", "dist", path)).href);
const { buildApp } = await load("app.js");
const { applyInitConfig } = await load("initConfig.js");
const { PersistenceManager } = await load("persistence.js");
const { S3Store } = await load("s3/s3Store.js");
const { SnsStore } = await load("sns/snsStore.js");
const { SqsStore } = await load("sqs/sqsStore.js");

const stores = { sqsStore: new SqsStore(), snsStore: new SnsStore(), s3Store: new S3Store() };
stores.sqsStore.host = ""; // queue URLs then carry the address that the client used

const persistence = folder ? new PersistenceManager(folder) : undefined;
if (persistence) {
  // Write-ahead log without a sync for every message: safe against the death of any process.
  persistence.db.exec("PRAGMA synchronous = NORMAL");
  keepReceiveCounts(persistence);
  persistence.load(stores.sqsStore, stores.snsStore, stores.s3Store);
  for (const store of Object.values(stores)) store.persistence = persistence;
  for (const queue of stores.sqsStore.allQueues()) queue.persistence = persistence;
}

applyInitConfig({ queues, buckets }, stores.sqsStore, stores.snsStore, stores.s3Store, { port, region });
// A queue kept from an earlier run takes today's definition.
for (const { name, attributes } of queues) stores.sqsStore.getQueueByName(name).setAttributes(attributes);

const app = buildApp({ logger: false, defaultRegion: region, stores });
takeLargeObjects(app);
refuseWrongChecksums(app);
refuseOthers(app, process.env.AXON_LOCAL_TOKEN ?? "", { ...uploads, secret: process.env.AXON_UPLOAD_SECRET ?? "" });
forgetClientsThatAreGone(app, stores.sqsStore.allQueues().next().value);
if (persistence) app.addHook("onClose", () => persistence.close());
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => app.close().finally(() => process.exit(0)));
}
await app.listen({ host, port });

// fauxqs checks no credentials. Programs of this run send its token as the session token of theirs, or as the
// first part of the path; no other user of the machine knows it. Web pages have no access, not even by a name
// of their own that leads here (DNS rebinding). As in `local/http/access.py`.
function refuseOthers(app, token, uploads) {
  const digest = (text) => createHash("sha256").update(text).digest();
  const expected = digest(token);
  const isToken = (given) => timingSafeEqual(digest(given), expected);
  const local = /^(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?$/i;
  const header = "x-amz-security-token";

  // Before fauxqs reads the URL.
  app.server.prependListener("request", (request) => {
    const [, first, rest] = /^\/([^/?]*)(.*)$/s.exec(request.url) ?? [];
    if (token === "" || first === undefined || !isToken(first)) return;
    request.url = rest.startsWith("/") ? rest : `/${rest}`;
    request.headers[header] = token;
  });
  app.addHook("onRequest", (request, reply, done) => {
    const { host, origin, [header]: given = "" } = request.raw.headers;
    const { url } = request.raw;
    const page = origin !== undefined || (host !== undefined && !local.test(host));
    if (!page && (token === "" || isToken(given) || url === "/health" || isUpload(request.raw, uploads))) return done();
    const message = page ? "Web pages have no access." : "The security token included in the request is invalid.";
    const type = page ? "AccessDeniedException" : "UnrecognizedClientException";
    reply.code(403).header("x-amzn-ErrorType", type).send({ __type: type, message });
  });
}

// Clients of the front put a body below `path` with a URL that the front has signed, and know no token. The
// signature is checked as S3 does (Signature Version 4 in the query), since fauxqs checks none.
function isUpload({ method, url, headers }, { keyId, path, secret }) {
  const [target, search = ""] = url.split("?", 2);
  if (secret === "" || method !== "PUT" || !target.startsWith(path) || target.includes("/.")) return false;
  const query = new URLSearchParams(search);
  const field = (name) => query.get(`X-Amz-${name}`) ?? "";
  const [timestamp, given, names] = ["Date", "Signature", "SignedHeaders"].map(field);
  const [id, ...scope] = field("Credential").split("/");
  const began = Date.parse(timestamp.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z"));
  const age = Date.now() - began;
  if (id !== keyId || !(age > -900_000 && age <= 1000 * Number(field("Expires")))) return false;
  // A header could change what the request does, such as its source.
  const signed = names.split(";");
  if (Object.keys(headers).some((name) => name.startsWith("x-amz-") && !signed.includes(name))) return false;

  query.delete("X-Amz-Signature");
  const encode = (text) => encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
  const fields = [...query].map((pair) => pair.map(encode).join("=")).sort().join("&");
  const values = signed.map((name) => `${name}:${headers[name] ?? ""}\n`).join("");
  const canonical = [method, target, fields, values, names, "UNSIGNED-PAYLOAD"].join("\n");
  const sign = (key, text) => createHmac("sha256", key).update(text).digest();
  const digest = createHash("sha256").update(canonical).digest("hex");
  const expected = sign(scope.reduce(sign, `AWS4${secret}`), ["AWS4-HMAC-SHA256", timestamp, scope.join("/"), digest].join("\n"));
  const actual = Buffer.from(given, "hex");
  return actual.length === expected.length && timingSafeEqual(actual, expected);
}

// fauxqs takes 11 MiB; S3 takes 5 GB in one request, and a payload has 20 MB by default.
function takeLargeObjects(app) {
  app.removeContentTypeParser("*");
  app.addContentTypeParser("*", { parseAs: "buffer", bodyLimit: 256 * 2 ** 20 }, (_request, body, done) => done(null, body));
}

// fauxqs keeps the checksum that a client sends, and compares it with nothing.
function refuseWrongChecksums(app) {
  app.addHook("preHandler", ({ method, headers, body }, reply, done) => {
    const given = headers["x-amz-checksum-sha256"];
    const isRight = () => given === createHash("sha256").update(body ?? "").digest("base64");
    if (method !== "PUT" || given === undefined || isRight()) return done();
    const message = "The SHA256 you specified did not match the calculated checksum.";
    const error = `<Error><Code>BadDigest</Code><Message>${message}</Message></Error>`;
    reply.code(400).type("application/xml").send(error);
  });
}

// fauxqs 2.4.1 writes NULL as the receive count of a message that is made visible at once, which its own
// table refuses: the call ends with HTTP 500, and the message, which is no longer in flight by then, is
// gone until a restart. SQS keeps the count, by which poison messages become dead letters.
function keepReceiveCounts(persistence) {
  const release = persistence.db.prepare(
    "UPDATE sqs_messages SET receipt_handle = NULL, visibility_deadline = NULL WHERE message_id = ?",
  );
  persistence.updateMessageReady = (messageId) => release.run(messageId);
}

// A receiver that is killed during its long poll would be sent one more message, invisible to others
// until its visibility timeout; SQS notices the broken connection. The methods are replaced on the
// prototype that all queues share.
function forgetClientsThatAreGone(app, anyQueue) {
  const client = new AsyncLocalStorage();
  app.addHook("preHandler", (request, _reply, done) => client.run(request.raw.socket, done));
  const Queue = Object.getPrototypeOf(anyQueue);
  const { dequeue, waitForMessages } = Queue;

  Queue.dequeue = function (...options) {
    const socket = client.getStore();
    return socket?.readableEnded || socket?.destroyed ? [] : dequeue.apply(this, options);
  };
  Queue.waitForMessages = async function (seconds) {
    const socket = client.getStore();
    const waiting = waitForMessages.call(this, seconds);
    const waiter = this.pollWaiters.at(-1);
    const leave = () => {
      clearTimeout(waiter.timer);
      this.pollWaiters = this.pollWaiters.filter((other) => other !== waiter);
      waiter.resolve();
    };
    for (const end of ["end", "close"]) socket?.once(end, leave);
    await waiting;
    for (const end of ["end", "close"]) socket?.off(end, leave);
  };
}
