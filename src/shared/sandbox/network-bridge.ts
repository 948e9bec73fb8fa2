/** Where the proxy's folder lies inside. */
export const PROXY_FOLDER = '/run/sandbox/network';

/**
 * Runs inside, before the command: listens on the loopback of the sandbox, passes what comes to the proxy's socket, and
 * starts the command with the variables that programs read to find a proxy. Ends as the command ends.
 */
export const BRIDGE = `
const net = require('node:net'), { spawn } = require('node:child_process'), { constants } = require('node:os');
const [socket, ...argv] = process.argv.slice(1);
const server = net.createServer((client) => {
  const proxy = net.connect(socket);
  client.pipe(proxy).pipe(client);
  for (const one of [client, proxy]) one.on('error', () => { client.destroy(); proxy.destroy(); });
});
server.listen(0, '127.0.0.1', () => {
  const url = 'http://127.0.0.1:' + server.address().port, none = 'localhost,127.0.0.1,::1';
  const env = { ...process.env, NODE_USE_ENV_PROXY: '1' };
  for (const name of ['http_proxy', 'https_proxy']) env[name] = env[name.toUpperCase()] = url;
  env.no_proxy = env.NO_PROXY = none;
  const child = spawn(argv[0], argv.slice(1), { stdio: 'inherit', env });
  child.on('error', (err) => { process.stderr.write(argv[0] + ': ' + err.message + '\\n'); process.exit(127); });
  child.on('exit', (code, signal) => process.exit(signal === null ? code : 128 + constants.signals[signal]));
});
`;
