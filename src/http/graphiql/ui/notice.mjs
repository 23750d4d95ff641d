import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** Packages published without a licence file, and the package of the same project and authors that has it. */
const TEXT_FROM = {
  '@graphiql/plugin-doc-explorer': 'graphiql',
  '@graphiql/plugin-explorer': 'graphiql',
  '@graphiql/plugin-history': 'graphiql',
  'react-compiler-runtime': 'react',
  'react-remove-scroll-bar': 'react-remove-scroll',
};

/** What monaco-editor carries in its own source. These two packages are installed only for their licence texts. */
const INSIDE_MONACO = [
  { label: 'Codicons, the icon font inside monaco-editor: CC-BY-4.0', folder: 'node_modules/@vscode/codicons' },
  { label: 'DOMPurify 3.1.7, inside monaco-editor: Apache-2.0 OR MPL-2.0', folder: 'node_modules/dompurify' },
];
const MONACO_NOTICES = ['nodejs path library', 'markedjs'];

/** What the parts of prettier for GraphQL and JSON carry; its own list also has the other languages' packages. */
const INSIDE_PRETTIER = [
  '@babel/code-frame', '@babel/helper-validator-identifier', '@babel/parser', 'diff', 'emoji-regex', 'escape-string-regexp',
  'get-east-asian-width', 'graphql', 'index-to-position', 'is-es5-identifier-name', 'jest-docblock', 'js-tokens', 'leven',
  'narrow-emojis', 'picocolors', 'vnopts',
];

const INTRODUCTION = `GraphiQL as it is embedded in Runledger, and the licences of everything in it
===========================================================================

The files beside this one are built from the packages listed here, combined and minified. Codicons by Microsoft are
unchanged. Each text stands below the packages that it is for. Made by the build; do not edit.
`;

/** The text of NOTICE: each package that went into the bundle, with its complete licence. Fails when a text is missing. */
export async function notice(here, metafiles) {
  const packages = await Promise.all(bundledFolders(metafiles).map(folder => describe(here, folder)));
  const inside = await Promise.all(INSIDE_MONACO.map(async ({ label, folder }) =>
    ({ label, text: await licenceText(join(here, folder)) })));
  const labels = {};
  for (const { label, text } of [...packages, ...inside, ...await monacoNotices(here), ...await prettierNotices(here)]) {
    (labels[text] ??= []).push(label);
  }
  const sections = Object.entries(labels).map(([text, names]) =>
    `${'-'.repeat(100)}\n${names.sort().join('\n')}\n\n${text}\n`);
  return [INTRODUCTION, ...sections].join('\n');
}

function bundledFolders(metafiles) {
  const inputs = metafiles.flatMap(({ outputs }) => Object.values(outputs)).flatMap(({ inputs }) => Object.entries(inputs));
  const folders = inputs
    .filter(([, { bytesInOutput }]) => bytesInOutput > 0)
    .map(([path]) => path.match(/^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//)?.[1])
    .filter(Boolean);
  return [...new Set(folders)].sort();
}

async function describe(here, folder) {
  const { name, version, license } = JSON.parse(await readFile(join(here, folder, 'package.json'), 'utf8'));
  const source = TEXT_FROM[name] ? join('node_modules', TEXT_FROM[name]) : folder;
  return { label: `${name} ${version}: ${license}`, text: await licenceText(join(here, source)) };
}

async function licenceText(folder) {
  const names = (await readdir(folder)).filter(name => /^(licen[cs]e(-mit)?|copying|notice)(\.(md|txt))?$/i.test(name));
  if (!names.length) throw new Error(`${folder} has no licence file`);
  return (await Promise.all(names.sort().map(name => readText(join(folder, name))))).join('\n\n');
}

async function monacoNotices(here) {
  const all = await readText(join(here, 'node_modules/monaco-editor/ThirdPartyNotices.txt'));
  return MONACO_NOTICES.map(name => {
    const [, text] = all.match(new RegExp(`^%% ${name}[^\\n]*\\n=+\\n(.*?)\\n=+\\nEND OF ${name}`, 'ms')) ?? [];
    if (!text) throw new Error(`monaco-editor has no notice for ${name}`);
    return { label: `${name}, inside monaco-editor: MIT`, text: text.trim() };
  });
}

async function prettierNotices(here) {
  const all = await readText(join(here, 'node_modules/prettier/THIRD-PARTY-NOTICES.md'));
  const sections = all.split(/^## /m);
  return INSIDE_PRETTIER.map(name => {
    const section = sections.find(section => section.startsWith(`${name}@`));
    const licence = section?.match(/^License: (.*)$/m)?.[1];
    const text = section?.split('\n').filter(line => line.startsWith('>')).slice(1).map(line => line.slice(2)).join('\n').trim();
    if (!licence || !text) throw new Error(`prettier has no notice for ${name}`);
    return { label: `${section.split('\n')[0].replace('@v', ' ')}, inside prettier: ${licence}`, text };
  });
}

async function readText(path) {
  const text = await readFile(path, 'utf8');
  return text.replace(/^\uFEFF/, '').replace(/\r\n/g, '\n').replace(/[ \t]+$/gm, '').trim();
}
