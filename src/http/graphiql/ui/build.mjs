// Builds ../dist, the files that the server embeds. The result is the same byte for byte wherever it is built from
// the same lock file: names carry a hash of the content, and the gzip headers no time stamp and no operating system.
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { notice } from './notice.mjs';

const here = fileURLToPath(new URL('.', import.meta.url));
const dist = join(here, '../dist');

/** GraphiQL loads prettier's parsers by their names of old, which yield nothing here (and would be a second copy). */
const alias = {
  'prettier/parser-babel': 'prettier/plugins/babel',
  'prettier/parser-graphql': 'prettier/plugins/graphql',
};

const common = {
  absWorkingDir: here,
  bundle: true,
  charset: 'utf8',
  define: { 'process.env.NODE_ENV': '"production"' },
  entryNames: '[name]-[hash]',
  chunkNames: 'chunk-[hash]',
  format: 'esm',
  legalComments: 'none', // complete licence texts are in NOTICE
  metafile: true,
  minify: true,
  outdir: dist,
  target: 'es2022',
  write: false,
};

/** GraphiQL's style sheet brings its text fonts along as base64, 320 kB of them; the system's own fonts do as well.
 * Codicons stay: the editor's symbols are drawn with them. */
const withoutTextFonts = {
  name: 'without-text-fonts',
  setup({ onLoad }) {
    onLoad({ filter: /graphiql[\\/]dist[\\/]style\.css$/ }, async ({ path }) => ({
      contents: (await readFile(path, 'utf8')).replace(/@font-face\s*\{[^}]*\}/g, face =>
        /font-family:\s*["']?codicon/.test(face) ? face : ''),
      loader: 'css',
    }));
  },
};

/** The editor imports its styles piece by piece; GraphiQL's style sheet already holds all of them. */
const withoutEditorStyles = {
  name: 'without-editor-styles',
  setup({ onLoad }) {
    onLoad({ filter: /monaco-editor[\\/]esm[\\/].*\.css$/ }, () => ({ contents: '', loader: 'js' }));
  },
};

const workers = await build({
  ...common,
  entryPoints: {
    'worker-editor': 'monaco-editor/esm/vs/editor/editor.worker.js',
    'worker-json': 'monaco-editor/esm/vs/language/json/json.worker.js',
    'worker-graphql': 'monaco-graphql/esm/graphql.worker.js',
  },
});
const page = await build({
  ...common,
  alias,
  define: {
    ...common.define,
    WORKER_EDITOR: JSON.stringify(fileFor(workers, 'worker-editor')),
    WORKER_JSON: JSON.stringify(fileFor(workers, 'worker-json')),
    WORKER_GRAPHQL: JSON.stringify(fileFor(workers, 'worker-graphql')),
  },
  entryPoints: { main: 'src/main.jsx', style: 'src/style.css' },
  jsx: 'automatic',
  plugins: [withoutTextFonts, withoutEditorStyles],
  splitting: true,
});

await rm(dist, { recursive: true, force: true });
await mkdir(dist);
for (const file of [...workers.outputFiles, ...page.outputFiles]) {
  await writeFile(join(dist, `${basename(file.path)}.gz`), gzip(file.contents));
}
const html = (await readFile(join(here, 'src/index.html'), 'utf8'))
  .replace('{main}', fileFor(page, 'main', '.js'))
  .replace('{style}', fileFor(page, 'style', '.css'));
await writeFile(join(dist, 'index.html'), html);
await writeFile(join(dist, 'NOTICE'), await notice(here, [workers.metafile, page.metafile]));
console.log(`${(await readdir(dist)).length} files in ${basename(dist)}/`);

function fileFor({ outputFiles }, name, extension = '.js') {
  const found = outputFiles.map(file => basename(file.path))
    .filter(file => file.startsWith(`${name}-`) && file.endsWith(extension));
  if (found.length !== 1) throw new Error(`expected one file for ${name}${extension}, found ${found.join(', ') || 'none'}`);
  return found[0];
}

function gzip(contents) {
  const packed = gzipSync(contents, { level: 9 });
  packed.fill(0, 4, 8); // the time
  packed[9] = 255; // the operating system: unknown
  return packed;
}
