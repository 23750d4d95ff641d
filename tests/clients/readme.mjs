// The examples of the README, run as they stand there.
//
// node readme.mjs <base url> <token> <runledger binary>

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Report, assert } from './report.mjs';

const [url, token, runledger] = process.argv.slice(2);
const here = dirname(fileURLToPath(import.meta.url));
const readme = readFileSync(join(here, '../../README.md'), 'utf8');
const env = { ...process.env, RUNLEDGER_SERVER: url, RUNLEDGER_TOKEN: token };

function example(language) {
  const block = readme.match(new RegExp('```' + language + '\\n([\\s\\S]*?)```'));
  assert(block, `the README has an example in ${language}`);
  return block[1];
}

function run(command, args, input) {
  const done = spawnSync(command, args, { env, input, cwd: here, encoding: 'utf8', timeout: 60_000 });
  assert(done.status === 0, `${command} ends well: ${done.stderr}`);
  return done.stdout;
}

const report = new Report();
await report.check('curl', () => {
  const output = run('bash', ['-eu'], example('bash'));
  assert(/"name":"from curl"/.test(output) && !/"errors"/.test(output), output);
});
await report.check('Python', () => {
  assert(run('python3', ['-'], example('python')) === 'COMPLETED\n', 'it completes');
});
await report.check('JavaScript', () => {
  // A file beside node_modules, so that the packages are found.
  const file = join(here, `readme-example-${process.pid}.mjs`);
  writeFileSync(file, example('js'));
  try {
    assert(run('node', [file]) === '0 hello\n', 'the line arrives');
  } finally {
    rmSync(file);
  }
});
await report.check('runledger exec', () => {
  const output = run(runledger, ['exec', '--name', 'unit tests', '--', 'sh', '-c', 'echo out; echo err >&2']);
  assert(output === 'out\n', 'the output passes through');
});
await report.check('a project, uploaded', () => {
  const folder = mkdtempSync(join(tmpdir(), 'readme-'));
  mkdirSync(join(folder, 'my-project'));
  writeFileSync(join(folder, 'my-project', 'main.py'), 'print("hello")\n');
  const block = readme.match(/```sh\n(tar [\s\S]*?)```/)[1];
  const done = spawnSync('bash', ['-eu'], { env, input: block, cwd: folder, encoding: 'utf8', timeout: 60_000 });
  rmSync(folder, { recursive: true });
  assert(done.status === 0 && /"version":1,"fileCount":1/.test(done.stdout), done.stdout + done.stderr);
});
await report.check('an export', () => {
  const folder = mkdtempSync(join(tmpdir(), 'readme-'));
  const block = readme.match(/```sh\n(runledger export [\s\S]*?)```/)[1];
  const path = `${dirname(runledger)}:${process.env.PATH}`;
  const done = spawnSync('bash', ['-eu'], { env: { ...env, PATH: path }, input: block, cwd: folder, encoding: 'utf8' });
  const csv = done.status === 0 && readFileSync(join(folder, 'runs.csv'), 'utf8');
  rmSync(folder, { recursive: true });
  assert(csv && csv.startsWith('\ufeffid,name,') && done.stdout.includes('"name":"from curl"'), done.stdout + done.stderr);
});
report.end();
