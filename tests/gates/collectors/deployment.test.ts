import { beforeAll, describe, expect, it } from 'vitest';
import { deploymentCollector } from '../../../src/gates/collectors/operations/deployment.ts';
import type { Sandbox } from '../../../src/shared/sandbox/sandbox.ts';
import { Project, collect, readingOf, realSandbox } from './documents-support.ts';
import { SERVER, operatedProject } from './operations-support.ts';

const ALL = ['deployment_success', 'deployment_time_minutes', 'downtime_minutes', 'post_deployment_incidents'];

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await realSandbox();
});

const rehearse = async (project: Project) => {
  const collected = await collect(deploymentCollector, project, ALL, { sandbox, phase: 'deployment' });
  const read = (metric: string) => readingOf(collected, metric);
  const valueOf = (metric: string): number => {
    const reading = read(metric);
    return typeof reading === 'string' ? Number.NaN : reading.value;
  };
  const findings = collected.findings.map((found) => `${found.metric} ${found.rule} ${found.message}`).join('\n');
  return { read, valueOf, findings, evidence: JSON.stringify(collected.values) };
};

/** Code that only an instance runs which finds that another one was there before it. */
const asSecond = (code: string): string =>
  `let served = 0;\nconst isSecond = existsSync(join(folder, '..', 'first'));\nwriteFileSync(join(folder, '..', 'first'), '');\n${code}\nconst counts`;
const onRequest = (code: string): string =>
  `  const { pathname } = new URL(request.url, 'http://localhost');\n  served += 1;\n  ${code}`;
const PARSED = "  const { pathname } = new URL(request.url, 'http://localhost');";

describe('the deployment collector', () => {
  it('replaces a running service without anybody noticing', async () => {
    const { read, valueOf, findings, evidence } = await rehearse(operatedProject());
    expect(findings).toBe('');
    expect(read('deployment_success')).toEqual({ value: 1, examined: 1 });
    expect(valueOf('deployment_time_minutes')).toBeGreaterThan(0);
    expect(valueOf('deployment_time_minutes')).toBeLessThan(0.5);
    expect(valueOf('downtime_minutes')).toBe(0);
    expect(valueOf('post_deployment_incidents')).toBe(0);
    expect(evidence).toContain('rehearsed in the sandbox, not seen in production');
  });

  it('fails a service that forgets its data when it is replaced', async () => {
    const { read, valueOf, findings } = await rehearse(new Project());
    expect(read('deployment_success')).toEqual({ value: 0, examined: 1 });
    expect(findings).toContain('deployment_success deployment/smoke beside the first: GET /links/');
    expect(valueOf('post_deployment_incidents')).toBeGreaterThan(0);
  });

  it('fails a service that cannot run beside itself, and has no numbers for what did not happen', async () => {
    const project = operatedProject().edit(
      SERVER,
      'const counts',
      asSecond('if (isSecond) throw new Error("locked");'),
    );
    const { read, findings } = await rehearse(project);
    expect(read('deployment_success')).toEqual({ value: 0, examined: 1 });
    expect(findings).toContain('locked');
    for (const metric of ALL.slice(1)) expect(read(metric)).toContain('did not complete');
  });

  it('measures how long the service was away while switching', async () => {
    const project = operatedProject()
      .edit(SERVER, 'const counts', asSecond(''))
      .edit(SERVER, PARSED, onRequest('if (isSecond && served > 1 && served <= 12) return json(response, 503, {});'));
    const { valueOf, findings } = await rehearse(project);
    expect(valueOf('downtime_minutes')).toBeGreaterThan(0);
    expect(valueOf('downtime_minutes')).toBeLessThan(0.2);
    expect(findings).toContain('downtime_minutes deployment/downtime');
  });

  it('counts a run of failures after the switch as one incident', async () => {
    const project = operatedProject()
      .edit(SERVER, 'const counts', asSecond('const bornAt = Date.now();'))
      .edit(
        SERVER,
        PARSED,
        onRequest(
          "if (isSecond && pathname === '/health' && Date.now() - bornAt > 1900 && Date.now() - bornAt < 2300) return json(response, 503, {});",
        ),
      );
    const { read, valueOf, findings } = await rehearse(project);
    expect(read('deployment_success')).toEqual({ value: 1, examined: 1 });
    expect(valueOf('post_deployment_incidents')).toBe(1);
    expect(findings).toContain('post_deployment_incidents deployment/incident the health check failed: status 503');
  });

  it('fails a service that ends by itself or never says that it is healthy', async () => {
    const ended = await rehearse(
      operatedProject().edit('package.json', 'node src/backend/server.js', 'node --version'),
    );
    expect(ended.read('deployment_success')).toEqual({ value: 0, examined: 1 });
    expect(ended.findings).toContain('npm start ended with 0');
    for (const metric of ALL.slice(1)) expect(ended.read(metric)).toContain('did not complete');
  });

  it('cannot rehearse what has no start script', async () => {
    for (const project of [
      operatedProject().edit('package.json', '"start"', '"begin"'),
      operatedProject().remove('package.json'),
    ]) {
      const { read } = await rehearse(project);
      for (const metric of ALL) expect(read(metric)).toContain('package.json');
    }
  });
});
