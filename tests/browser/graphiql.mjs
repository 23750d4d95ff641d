// Drives GraphiQL in a real browser that can reach nothing but the server under test.
//
//   node graphiql.mjs <base url> <token>        for example: node graphiql.mjs http://127.0.0.1:4000 eyJ…
//
// CHROMIUM names the browser (default /usr/bin/chromium). SCREENSHOTS names a folder for pictures of each step.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const STEP_TIMEOUT_MS = 30_000;
const FLAGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
];

const [baseUrl, token] = process.argv.slice(2);
if (!baseUrl || !token) {
  console.error('usage: node graphiql.mjs <base url> <token>');
  process.exit(1);
}
const base = new URL(baseUrl.endsWith('/') ? baseUrl : `${baseUrl}/`);
const at = path => new URL(path, base).href;

let passed = 0;
let failed = 0;

async function main() {
  const profile = await mkdtemp(join(tmpdir(), 'graphiql-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: FLAGS,
    viewport: { width: 1280, height: 800 },
  });
  try {
    const page = context.pages()[0] ?? await context.newPage();
    page.setDefaultTimeout(STEP_TIMEOUT_MS);
    await runChecks(page, watch(page));
  } finally {
    await context.close();
    await rm(profile, { recursive: true, force: true });
  }
}

async function runChecks(page, seen) {
  let executionId;

  await check(page, 'a link with a token signs in, and the token is kept in the session storage only', async () => {
    await page.goto(at(`graphiql#token=${token}`));
    await page.locator('#status[data-state="signed-in"]').waitFor();
    const place = await page.evaluate(() => ({
      address: location.href,
      session: JSON.stringify(sessionStorage),
      local: JSON.stringify(localStorage) + document.cookie,
    }));
    expect(place.address === at('graphiql'), `the address bar shows ${place.address.replace(token, '<token>')}`);
    expect(place.session.includes(token), 'the session storage does not hold the token');
    expect(!place.local.includes(token), 'the local storage or a cookie holds the token');
  });

  await check(page, 'the query of the first tab runs', async () => {
    await editor(page);
    await execute(page);
    await result(page, '"totalCount"');
    expect(!(await resultText(page)).includes('"errors"'), `the result has errors: ${await resultText(page)}`);
  });

  await check(page, 'a mutation starts an execution', async () => {
    await write(page, 'Start', 'mutation Start { startExecution(input: {name: "browser"}) { execution { id } } }');
    await execute(page);
    await result(page, '"startExecution"');
    executionId = (await resultText(page)).match(/"id":\s*"([^"]+)"/)?.[1];
    expect(executionId, `the result has no id: ${await resultText(page)}`);
  });

  await check(page, 'a subscription shows a stored log line, and then a new one as it arrives', async () => {
    expect(executionId, 'there is no execution to follow');
    await append(executionId, 'stored before');
    await write(page, 'Follow', `subscription Follow { logTail(executionId: "${executionId}") { lines { message } } }`);
    await execute(page);
    await result(page, 'stored before');
    await append(executionId, 'arrived live');
    await result(page, 'arrived live');
    await page.getByRole('button', { name: /^Stop/ }).click();
    await page.getByRole('button', { name: /^Execute/ }).waitFor();
  });

  await check(page, 'nothing outside the server was asked for, and the console shows no error', async () => {
    expect(!seen.foreign.length, `asked for ${seen.foreign.join(', ')}`);
    expect(!seen.errors.length, seen.errors.join('\n'));
  });

  await check(page, 'a wrong token is refused with a message', async () => {
    await page.getByLabel('Token').fill('not-a-token');
    await page.getByRole('button', { name: 'Sign in' }).click();
    const status = page.locator('#status[data-state="failed"]');
    await status.waitFor();
    expect(/^Sign-in failed: ./.test(await status.innerText()), `the status says ${await status.innerText()}`);
    expect(!(await page.evaluate(() => JSON.stringify(sessionStorage))).includes('eyJ'), 'a token is still stored');
  });
}

/** Notes every address that the page or its workers ask for, and every error in the console. */
function watch(page) {
  const seen = { foreign: [], errors: [] };
  const note = address => {
    const url = new URL(address);
    if (!['data:', 'blob:'].includes(url.protocol) && url.host !== base.host) seen.foreign.push(address);
  };
  page.on('request', request => note(request.url()));
  page.on('websocket', socket => note(socket.url()));
  page.on('pageerror', problem => seen.errors.push(String(problem)));
  page.on('console', message => {
    if (message.type() === 'error') seen.errors.push(`${message.text()} (${message.location().url})`);
  });
  return seen;
}

async function check(page, name, body) {
  try {
    await body();
    passed += 1;
    console.log(`ok      ${name}`);
  } catch (problem) {
    failed += 1;
    console.error(`FAILED  ${name}\n        ${problem.message}`);
  }
  if (process.env.SCREENSHOTS) await page.screenshot({ path: join(process.env.SCREENSHOTS, `${passed + failed}.png`) });
}

function expect(condition, message) {
  if (!condition) throw new Error(message);
}

/** Waits until the operation editor and the schema are there. */
async function editor(page) {
  await page.locator('.graphiql-query-editor .view-line').first().waitFor();
  await page.locator('.graphiql-query-editor .graphiql-spinner').waitFor({ state: 'detached' });
}

/** Replaces the operation, and waits until GraphiQL has noticed: the tab then bears the operation's name. */
async function write(page, name, operation) {
  await page.evaluate(text => {
    const isOperation = model => model.uri.path.endsWith('operation.graphql');
    globalThis.__MONACO.editor.getModels().find(isOperation).setValue(text);
  }, operation);
  await page.locator('.graphiql-tab-active', { hasText: name }).waitFor();
}

async function execute(page) {
  await page.getByRole('button', { name: /^Execute/ }).click();
}

async function result(page, text) {
  try {
    await page.waitForFunction(wanted => {
      const shown = document.querySelector('.result-window .view-lines')?.textContent ?? '';
      return shown.replace(/\u00a0/g, ' ').includes(wanted);
    }, text);
  } catch {
    throw new Error(`the result pane does not show ${text}, but: ${await resultText(page)}`);
  }
}

async function resultText(page) {
  const shown = await page.locator('.result-window .view-lines').textContent();
  return shown.replace(/\u00a0/g, ' ');
}

async function append(executionId, message) {
  const query = 'mutation ($input: AppendLogsInput!) { appendLogs(input: $input) { nextSeq } }';
  const response = await fetch(at('graphql'), {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ query, variables: { input: { executionId, lines: [{ message }] } } }),
    signal: AbortSignal.timeout(STEP_TIMEOUT_MS),
  });
  const answer = await response.text();
  expect(response.ok && !JSON.parse(answer).errors, `appendLogs answered ${response.status} ${answer}`);
}

try {
  await main();
} catch (problem) {
  failed += 1;
  console.error(`FAILED  ${problem.stack}`);
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed || !passed ? 1 : 0);
