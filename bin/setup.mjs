/**
 * Makes a fresh clone ready to run: dependencies as in package-lock.json, and `dist` as in `src`. Uses nothing but
 * Node, because it runs before anything is installed. Silent and quick when there is nothing to do.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const NODE_FLOOR = [20, 19];
const LOCK_WAIT_MS = 15 * 60_000;
const OUTPUT_LIMIT = 200_000;

class SetupError extends Error {}

const say = (line) => process.stderr.write(`maestro: ${line}\n`);
const sha256 = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest('hex');
const readOr = (path, otherwise) => (existsSync(path) ? readFileSync(path, 'utf8') : otherwise);
const remove = (folder) => rmSync(folder, { recursive: true, force: true });
const seconds = (since) => `${((Date.now() - since) / 1000).toFixed(1)} s`;

/**
 * Installs and builds what is missing or stale. Returns whether the command may go on; when not, the reason is on
 * stderr and the exit code is set. `rebuild` builds even when nothing has changed.
 */
export async function ensureReady({
  root = resolve(dirname(fileURLToPath(import.meta.url)), '..'),
  rebuild = false,
} = {}) {
  try {
    checkNode();
    // Installed as a dependency there is no source, and what was published is already built.
    const isCheckout = existsSync(join(root, 'src')) && existsSync(join(root, 'package-lock.json'));
    if (!isCheckout || (!rebuild && isReady(root))) return true;
    await withLock(join(root, '.maestro', 'setup.lock'), async () => {
      if (!isInstalled(root)) await install(root);
      if (rebuild || !isBuilt(root)) await build(root);
    });
    return true;
  } catch (err) {
    if (!(err instanceof SetupError)) throw err;
    say(err.message);
    process.exitCode = 1;
    return false;
  }
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > NODE_FLOOR[0] || (major === NODE_FLOOR[0] && minor >= NODE_FLOOR[1])) return;
  throw new SetupError(`Node ${NODE_FLOOR.join('.')} or newer is needed; this is ${process.version}.`);
}

const isReady = (root) => isInstalled(root) && isBuilt(root);
const lockStamp = (root) => join(root, 'node_modules', '.maestro-lock');
const buildStamp = (folder) => join(folder, '.maestro-build');

function isInstalled(root) {
  const lock = readFileSync(join(root, 'package-lock.json'), 'utf8');
  return readOr(lockStamp(root), '') === sha256(lock) || installedByHand(root, lock);
}

/** npm records what it installed. After an `npm ci` by hand that record agrees with the lock file: not again, then. */
function installedByHand(root, lock) {
  const record = readOr(join(root, 'node_modules', '.package-lock.json'), undefined);
  if (record === undefined) return false;
  const wanted = JSON.parse(lock).packages ?? {};
  const present = JSON.parse(record).packages ?? {};
  const same = (path) =>
    present[path]?.version === wanted[path]?.version && present[path]?.integrity === wanted[path]?.integrity;
  const isExpected = (path) => path !== '' && (!wanted[path].optional || path in present);
  const agrees = Object.keys(present).every(same) && Object.keys(wanted).filter(isExpected).every(same);
  if (agrees) writeFileSync(lockStamp(root), sha256(lock));
  return agrees;
}

async function install(root) {
  const began = Date.now();
  say('installing dependencies (npm ci) ...');
  const lock = readFileSync(join(root, 'package-lock.json'), 'utf8');
  await run(root, 'npm ci', 'npm', ['ci', '--include=dev', '--no-audit', '--no-fund']);
  mkdirSync(join(root, 'node_modules'), { recursive: true });
  writeFileSync(lockStamp(root), sha256(lock));
  say(`dependencies installed in ${seconds(began)}`);
}

/** Hashes names and contents of all that decides what `dist` holds. */
function sourceHash(root) {
  const configs = readdirSync(root).filter((name) => /^tsconfig.*\.json$/.test(name));
  const sources = ['src', 'web'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => relative(root, join(entry.parentPath ?? entry.path, entry.name))),
  );
  return sha256(
    ...[...configs, ...sources, join('bin', 'build-web.mjs')]
      .sort()
      .flatMap((file) => [`${file}\0`, readFileSync(join(root, file)), '\0']),
  );
}

const isBuilt = (root) => readOr(buildStamp(join(root, 'dist')), '') === sourceHash(root);

/** Builds beside `dist` and swaps, so that no command ever starts from half a build. */
async function build(root) {
  const began = Date.now();
  say('building ...');
  // A build that was killed may have left its folder; nobody else builds now.
  for (const name of readdirSync(root).filter((entry) => entry.startsWith('.dist-'))) remove(join(root, name));
  const fresh = join(root, `.dist-${process.pid}`);
  const old = `${fresh}-old`;
  const hash = sourceHash(root);
  try {
    const tsc = join('node_modules', 'typescript', 'bin', 'tsc');
    await run(root, 'the build', process.execPath, [tsc, '-p', 'tsconfig.build.json', '--outDir', fresh]);
    await run(root, 'the build of the viewer', process.execPath, [join('bin', 'build-web.mjs'), join(fresh, 'web')]);
    writeFileSync(buildStamp(fresh), hash);
    if (existsSync(join(root, 'dist'))) renameSync(join(root, 'dist'), old);
    renameSync(fresh, join(root, 'dist'));
  } finally {
    for (const folder of [fresh, old]) remove(folder);
  }
  say(`built in ${seconds(began)}`);
}

/** Runs a tool quietly. When it fails, its own output is shown. */
async function run(cwd, what, program, args) {
  // npm runs this package's own scripts while it installs; they must not begin a second setup.
  const env = { ...process.env, MAESTRO_IN_SETUP: '1' };
  const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const collect = (chunk) => {
    output = (output + chunk).slice(-OUTPUT_LIMIT);
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  const status = await new Promise((done) => {
    child.once('error', (err) => done(err.code === 'ENOENT' ? `${program} is not on PATH` : err.message));
    child.once('close', (code, signal) => done(code === 0 ? '' : `exit ${code ?? signal}`));
  });
  if (status === '') return;
  process.stderr.write(output);
  throw new SetupError(`${what} failed (${status})${output === '' ? '' : '; its output is above'}.`);
}

/** Pids are used again, above all in containers: a process is its pid and the time it began. */
function processName(pid) {
  const stat = readOr(`/proc/${pid}/stat`, '');
  return `${pid} ${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '-'}`;
}

/** One setup at a time in one checkout: the others wait for it, and then find everything done. */
async function withLock(folder, work) {
  mkdirSync(dirname(folder), { recursive: true });
  const deadline = Date.now() + LOCK_WAIT_MS;
  let hasSaidSo = false;
  while (!tryLock(folder)) {
    const owner = readOr(join(folder, 'owner'), '');
    if (isStale(folder, owner)) breakLock(folder, owner);
    else {
      if (Date.now() > deadline)
        throw new SetupError(`process ${owner.split(' ')[0]} holds ${folder}; end it, or remove that folder.`);
      if (!hasSaidSo) say(`waiting for the setup that process ${owner.split(' ')[0] || '?'} is doing ...`);
      hasSaidSo = true;
      await sleep(100);
    }
  }
  try {
    await work();
  } finally {
    remove(folder);
  }
}

function tryLock(folder) {
  try {
    mkdirSync(folder);
  } catch (err) {
    if (err.code === 'EEXIST') return false;
    throw new SetupError(`${dirname(folder)} cannot be written: ${err.message}`);
  }
  writeFileSync(join(folder, 'owner'), processName(process.pid));
  return true;
}

function isStale(folder, owner) {
  // Between making the folder and naming the owner there is a moment; ten seconds are no moment.
  if (owner === '') return Date.now() - (statSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? Date.now()) > 10_000;
  const pid = Number(owner.split(' ')[0]);
  try {
    process.kill(pid, 0);
  } catch (err) {
    if (err.code !== 'EPERM') return true;
  }
  return processName(pid) !== owner;
}

/** Moves the lock aside, and puts it back when another process was quicker and it is a new one. */
function breakLock(folder, owner) {
  const aside = `${folder}.${process.pid}`;
  try {
    renameSync(folder, aside);
    if (readOr(join(aside, 'owner'), '') !== owner) renameSync(aside, folder);
  } catch (err) {
    if (!['ENOENT', 'EEXIST', 'ENOTEMPTY'].includes(err.code)) throw err;
  }
  remove(aside);
}

const isEntry = process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url);
if (isEntry && process.env.MAESTRO_IN_SETUP !== '1') await ensureReady({ rebuild: process.argv.includes('--rebuild') });
