/* global WORKER_EDITOR, WORKER_GRAPHQL, WORKER_JSON -- file names, put in by the build */
const files = { json: WORKER_JSON, graphql: WORKER_GRAPHQL };

globalThis.MonacoEnvironment = {
  getWorker: (_id, label) => new Worker(new URL(files[label] ?? WORKER_EDITOR, import.meta.url), { type: 'module' }),
};
