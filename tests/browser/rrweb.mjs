// Records a page with rrweb in a real browser, appends the events to Runledger while it is used, follows them in another page
// and replays them there.
//
//   node rrweb.mjs <base url> <token>        for example: node rrweb.mjs http://127.0.0.1:4000 eyJ…
//
// CHROMIUM names the browser (default /usr/bin/chromium).
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const STEP_TIMEOUT_MS = 30_000;
const RRWEB = fileURLToPath(new URL('node_modules/rrweb/umd/rrweb.js', import.meta.url));
const FLAGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
];
const PAGE = `<!doctype html><title>Recorded</title><style>li { color: rgb(0 90 0) }</style>
  <h1>A small page — größer als 0</h1><input id="name"><button id="add">Add</button>
  <ul id="list"></ul><p id="note"></p><div style="height: 3000px"></div>
  <script>
    document.querySelector('#add').onclick = () => {
      const item = document.createElement('li');
      item.textContent = document.querySelector('#name').value;
      document.querySelector('#list').append(item);
    };
  </script>`;

const [baseUrl, token] = process.argv.slice(2);
if (!baseUrl || !token) {
  console.error('usage: node rrweb.mjs <base url> <token>');
  process.exit(1);
}
const base = new URL(baseUrl.endsWith('/') ? baseUrl : `${baseUrl}/`);
const at = path => new URL(path, base).href;

async function main(context) {
  const start = 'mutation { startExecution(input: { name: "recorded" }) { execution { id } } }';
  const { id } = (await graphql(start)).startExecution.execution;

  const player = await context.newPage();
  await player.goto(at('graphiql'));
  await follow(player, id);

  const recorder = new Recorder(id);
  const page = await context.newPage();
  await page.exposeFunction('emit', text => recorder.take(JSON.parse(text)));
  await page.setContent(PAGE);
  await page.addScriptTag({ path: RRWEB });
  await page.evaluate(() => {
    globalThis.stop = globalThis.rrweb.record({ emit: event => globalThis.emit(JSON.stringify(event)) });
  });
  await use(page);
  const shown = await text(page.mainFrame());
  await page.evaluate(() => globalThis.stop());
  await recorder.finish();
  const recorded = recorder.events;
  assert(recorded.length > 20, `only ${recorded.length} events were recorded`);
  assert(recorded.some(event => event.type === 2), 'there is a picture of the whole page');
  console.log(`ok      ${recorded.length} events recorded, appended in ${recorder.calls} calls`);

  await graphql('mutation ($id: ID!) { finishExecution(input: { id: $id, status: COMPLETED }) { execution { id } } }', { id });
  const followed = await player.evaluate(() => globalThis.followed);
  same(followed, recorded);
  console.log('ok      the subscription gave every event once, in order, as it was recorded');

  same(await read(id), recorded);
  const { visual } = (await graphql(
    'query ($id: ID!) { execution(id: $id) { visual { enabled eventsCaptured streamDurationMs download { url } } } }',
    { id },
  )).execution;
  const times = recorded.map(event => event.timestamp);
  assert.equal(visual.enabled, true);
  assert.equal(visual.eventsCaptured, recorded.length);
  assert.equal(visual.streamDurationMs, Math.max(...times) - Math.min(...times));
  const lines = (await (await fetch(visual.download.url)).text()).trimEnd().split('\n');
  same(lines.map(line => JSON.parse(line)), recorded);
  console.log('ok      pages and the download have the same events, and the execution counts them');

  const sessions = (await graphql('{ visualSessions(first: 1) { nodes { id } } }')).visualSessions.nodes;
  assert.deepEqual(sessions, [{ id }]);

  assert.equal(await replay(player, followed), shown);
  console.log('ok      the replayed page ends as the recorded one did');
}

/** Does what a user might. */
async function use(page) {
  for (const name of ['Ada', 'Grace', 'Žofie 🚀']) {
    await page.locator('#name').fill('');
    await page.locator('#name').pressSequentially(name, { delay: 15 });
    await page.mouse.move(40 + name.length * 20, 80, { steps: 8 });
    await page.locator('#add').click();
  }
  await page.mouse.wheel(0, 600);
  await page.setViewportSize({ width: 900, height: 700 });
  await page.evaluate(() => { document.querySelector('#note').innerHTML = '<b>done</b> & <i>dusted</i>'; });
  // Scrolls and mouse moves are told late.
  await page.waitForTimeout(700);
}

function text(frame) {
  return frame.evaluate(() => ['h1', '#list', '#note'].map(of => document.querySelector(of).innerHTML).join('\n'));
}

/** Appends events in their order, one call at a time, while they come. */
class Recorder {
  events = [];
  calls = 0;
  #id;
  #sent = 0;
  #sending = Promise.resolve();

  constructor(id) {
    this.#id = id;
  }

  take(event) {
    this.events.push(event);
    this.#sending = this.#sending.then(() => this.#send());
    // A failure is told by finish().
    this.#sending.catch(() => {});
  }

  async finish() {
    await this.#sending;
    assert.equal(this.#sent, this.events.length);
  }

  async #send() {
    const events = this.events.slice(this.#sent);
    if (!events.length) return;
    const input = { executionId: this.#id, events, firstSeq: this.#sent };
    const append = 'mutation ($input: AppendVisualEventsInput!) { appendVisualEvents(input: $input) { nextSeq appended } }';
    const answer = (await graphql(append, { input })).appendVisualEvents;
    this.#sent += events.length;
    this.calls += 1;
    assert.deepEqual(answer, { nextSeq: this.#sent, appended: events.length });
  }
}

/** Follows in a page, as a player would, from before the first event; `followed` is all of them once it has ended. */
async function follow(page, id) {
  const address = at('graphql').replace(/^http/, 'ws');
  await page.evaluate(([address, token, id]) => new Promise((subscribed, refused) => {
    globalThis.followed = new Promise((ended, failed) => {
      const events = [];
      const socket = new WebSocket(address, 'graphql-transport-ws');
      const send = message => socket.send(JSON.stringify(message));
      const query = `subscription ($id: ID!) { visualEvents(executionId: $id) { events nextSeq caughtUp ended } }`;
      socket.onopen = () => send({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } });
      socket.onclose = socket.onerror = () => { refused(new Error('closed')); failed(new Error('closed')); };
      socket.onmessage = ({ data }) => {
        const message = JSON.parse(data);
        if (message.type === 'connection_ack') send({ type: 'subscribe', id: '1', payload: { query, variables: { id } } });
        if (message.type === 'ping') send({ type: 'pong' });
        if (message.type === 'error') failed(new Error(data));
        if (message.type === 'complete') ended(events);
        if (message.type !== 'next') return;
        subscribed();
        const batch = message.payload.data.visualEvents;
        events.push(...batch.events);
        if (batch.nextSeq !== events.length) failed(new Error(`${batch.nextSeq} is not ${events.length}`));
      };
    });
    globalThis.followed.catch(refused);
  }), [address, token, id]);
}

/** Reads all events page by page. */
async function read(id) {
  const query = `query ($id: ID!, $from: BigInt!) {
    execution(id: $id) { visualEvents(fromSeq: $from, first: 17) { events nextSeq caughtUp ended } }
  }`;
  const events = [];
  for (;;) {
    const page = (await graphql(query, { id, from: events.length })).execution.visualEvents;
    events.push(...page.events);
    assert.equal(page.nextSeq, events.length);
    if (page.ended) return events;
  }
}

/** What a replayed page shows at its end. */
async function replay(page, events) {
  await page.addScriptTag({ path: RRWEB });
  await page.evaluate(events => {
    const root = document.body.appendChild(document.createElement('div'));
    const player = new globalThis.rrweb.Replayer(events, { root, UNSAFE_replayCanvas: false });
    player.pause(player.getMetaData().totalTime);
  }, events);
  const element = await page.locator('.replayer-wrapper iframe').elementHandle();
  return page.evaluate(
    frame => ['h1', '#list', '#note'].map(of => frame.contentDocument.querySelector(of).innerHTML).join('\n'),
    element,
  );
}

/** Event for event, also the order of their keys. */
function same(events, expected) {
  assert.equal(events.length, expected.length);
  events.forEach((event, index) => assert.equal(JSON.stringify(event), JSON.stringify(expected[index]), `event ${index}`));
}

async function graphql(query, variables) {
  const response = await fetch(at('graphql'), {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ query, variables }),
    signal: AbortSignal.timeout(STEP_TIMEOUT_MS),
  });
  const answer = await response.json();
  assert(response.ok && !answer.errors, JSON.stringify(answer.errors ?? response.status));
  return answer.data;
}

const profile = await mkdtemp(join(tmpdir(), 'rrweb-'));
const context = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: FLAGS,
  viewport: { width: 1280, height: 800 },
  // The player is a page of the server's own, which lets nobody else's script in.
  bypassCSP: true,
});
context.setDefaultTimeout(STEP_TIMEOUT_MS);
try {
  await main(context);
} catch (problem) {
  console.error(`FAILED  ${problem.stack}`);
  process.exitCode = 1;
} finally {
  await context.close();
  await rm(profile, { recursive: true, force: true });
}
