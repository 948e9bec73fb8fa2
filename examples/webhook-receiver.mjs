// Is told of events by a webhook, and believes only what is signed.
//   maestro webhooks add http://127.0.0.1:8080/ --events run.finished        prints the secret
//   WEBHOOK_SECRET=whsec_... PORT=8080 node examples/webhook-receiver.mjs
import { createServer } from 'node:http';
import { Webhook, WebhookVerificationError } from 'standardwebhooks';

const webhook = new Webhook(process.env.WEBHOOK_SECRET ?? '');
/** What was handled: the same event may be sent again, always under the same id. Keep this where your work is kept. */
const handled = new Set();

const server = createServer(async (req, res) => {
  const chunks = [];
  for await (const chunk of req) chunks.push(chunk);
  let event;
  try {
    // The signature is over the bytes as they came, and over the time: what is older than five minutes is refused.
    event = webhook.verify(Buffer.concat(chunks), req.headers);
  } catch (err) {
    if (!(err instanceof WebhookVerificationError)) throw err;
    res.writeHead(401).end();
    return;
  }
  const id = req.headers['webhook-id'];
  if (!handled.has(id)) {
    handled.add(id);
    const { runId, workflow, simulated, replayed, event: what } = event.data;
    console.log(`${event.type} ${workflow} ${runId} ${what.status ?? ''}${replayed ? ' [replayed]' : ''}${simulated ? ' [simulated]' : ''}`);
  }
  // Answer soon: what is not answered with 2xx within ten seconds is sent again.
  res.writeHead(204).end();
});
server.listen(Number(process.env.PORT ?? 8080), '127.0.0.1', () => console.log(`listening on ${server.address().port}`));
