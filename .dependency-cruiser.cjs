/** The arrows of ARCHITECTURE.md, as a check. */
const layer = (name, from, to) => ({ name, severity: 'error', from: { path: from }, to: { path: to } });
const home = (name, pkg, owners) => ({
  name,
  severity: 'error',
  from: { path: '^src', pathNot: owners },
  to: { path: `node_modules/${pkg}/`, dependencyTypesNot: ['type-only'] },
});
module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    layer('shared-is-the-bottom', '^src/shared', '^src/(gates|producer|workers|cli)'),
    layer('gates-know-only-shared', '^src/gates', '^src/(producer|workers|cli)'),
    layer('workers-never-import-producer', '^src/workers', '^src/(producer|cli)'),
    layer('producer-never-imports-workers', '^src/producer', '^src/(workers|cli)'),
    layer('gates-touch-no-queue-and-no-model', '^src/gates', 'node_modules/(bullmq|ioredis|express|@anthropic-ai)/'),
    home('model-sdk-only-in-workers', '@anthropic-ai', '^src/workers/'),
    home('mcp-only-beside-the-tools', '@modelcontextprotocol', '^src/workers/agent/mcp/'),
    home('bullmq-only-at-the-ends', 'bullmq', '^src/(producer|workers)/'),
    home('express-only-in-producer', 'express', '^src/producer/'),
    home('pino-only-in-logger', 'pino', '^src/shared/logger[.]ts$'),
    home('redis-is-dialled-in-one-place', 'ioredis', '^src/shared/redis[.]ts$'),
    { name: 'the-viewer-takes-only-types', severity: 'error', from: { path: '^web' }, to: { path: '^src', dependencyTypesNot: ['type-only'] } },
    layer('nothing-imports-the-viewer', '^(src|tests)', '^web'),
    { name: 'src-never-imports-tests', severity: 'error', from: { path: '^src' }, to: { path: '^tests' } },
    { name: 'no-dev-deps-in-src', severity: 'error', from: { path: '^src' }, to: { dependencyTypes: ['npm-dev'], pathNot: 'node_modules/@types/' } },
    { name: 'no-unresolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    { name: 'no-orphans', severity: 'error', from: { orphan: true, path: '^src', pathNot: '(/main[.]ts$|/probes/)' }, to: {} },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'], extensions: ['.ts', '.tsx', '.js', '.mjs', '.css'] },
  },
};
