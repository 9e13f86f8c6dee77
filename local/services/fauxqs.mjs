// SQS and S3 on the loopback interface only. fauxqs's own server listens on every interface and
// invents host names for queue URLs, so its parts are put together here.
// Usage: node fauxqs.mjs '{"host", "port", "region", "folder", "queues", "buckets"}'
import { AsyncLocalStorage } from "node:async_hooks";
import { buildApp } from "../node_modules/fauxqs/dist/app.js";
import { applyInitConfig } from "../node_modules/fauxqs/dist/initConfig.js";
import { PersistenceManager } from "../node_modules/fauxqs/dist/persistence.js";
import { S3Store } from "../node_modules/fauxqs/dist/s3/s3Store.js";
import { SnsStore } from "../node_modules/fauxqs/dist/sns/snsStore.js";
import { SqsStore } from "../node_modules/fauxqs/dist/sqs/sqsStore.js";

const { host, port, region, folder, queues, buckets } = JSON.parse(process.argv[2]);
const stores = { sqsStore: new SqsStore(), snsStore: new SnsStore(), s3Store: new S3Store() };
stores.sqsStore.host = ""; // queue URLs then carry the address that the client used

const persistence = folder ? new PersistenceManager(folder) : undefined;
if (persistence) {
  // Write-ahead log without a sync for every message: safe against the death of any process.
  persistence.db.exec("PRAGMA synchronous = NORMAL");
  persistence.load(stores.sqsStore, stores.snsStore, stores.s3Store);
  for (const store of Object.values(stores)) store.persistence = persistence;
  for (const queue of stores.sqsStore.allQueues()) queue.persistence = persistence;
}

applyInitConfig({ queues, buckets }, stores.sqsStore, stores.snsStore, stores.s3Store, { port, region });
// A queue kept from an earlier run takes today's definition.
for (const { name, attributes } of queues) stores.sqsStore.getQueueByName(name).setAttributes(attributes);

const app = buildApp({ logger: false, defaultRegion: region, stores });
forgetClientsThatAreGone(app, stores.sqsStore.allQueues().next().value);
if (persistence) app.addHook("onClose", () => persistence.close());
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => app.close().finally(() => process.exit(0)));
}
await app.listen({ host, port });

// A receiver killed in its long poll would get one more message and keep it for the visibility
// timeout; SQS notices the broken connection. All queues share the given queue's prototype.
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
