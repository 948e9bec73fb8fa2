import { z } from 'zod';
import { FleetError } from '../shared/errors.ts';
import { Name } from '../shared/names.ts';
import { ExecuteRequest, ExecuteResponse, WorkflowList } from './api-schemas.ts';
import { executeWorkflow } from './execute.ts';
import { type Route, json, route } from './route.ts';
import { runLinks } from './run-links.ts';
import type { ServerContext } from './server-context.ts';
import { writtenPersonas } from './workflow-check.ts';
import { loadWorkflow, shippedWorkflows } from './workflow-file.ts';

const WorkflowParams = z.object({ name: Name });
const MOST_KEY_CHARACTERS = 255;

/** Listing workflows, and starting runs of them. */
export const workflowRoutes = (context: ServerContext): Route[] => [
  route({
    method: 'get',
    path: '/api/workflows',
    id: 'listWorkflows',
    summary: 'The workflows that can be run',
    scope: 'read',
    answers: [json(200, 'All of them', 'WorkflowList', WorkflowList)],
    handle: async ({ res }) => res.json(await listWorkflows(context.packageRoot)),
  }),
  executeRoute(context),
];

function executeRoute(context: ServerContext): Route {
  return route({
    method: 'post',
    path: '/api/workflows/{name}/execute',
    id: 'executeWorkflow',
    summary: 'Start a run',
    scope: 'run',
    params: WorkflowParams,
    headers: { 'Idempotency-Key': 'Asking again with the same key and body gives the same run' },
    body: { name: 'ExecuteRequest', schema: ExecuteRequest },
    answers: [json(202, 'The run is enqueued', 'ExecuteResponse', ExecuteResponse)],
    handle: async ({ params: { name }, body, note, logger, req, res }) => {
      const key = req.get('idempotency-key');
      if (key !== undefined && (key === '' || key.length > MOST_KEY_CHARACTERS))
        throw new FleetError('BAD_INPUT', `Idempotency-Key must have 1 to ${MOST_KEY_CHARACTERS} characters`);
      const runId = await executeWorkflow(context, name, body, key);
      note({ id: runId });
      const { status } = await context.store.getRun(runId);
      const answer: ExecuteResponse = { runId, status, links: runLinks(runId) };
      const policyDigest = context.sources.policySet.digest;
      logger.info({ runId, workflow: name, policyDigest }, 'run accepted');
      res.status(202).location(answer.links.self).json(answer);
    },
  });
}

async function listWorkflows(packageRoot: string): Promise<WorkflowList> {
  const list: WorkflowList = { workflows: [], invalid: [] };
  for (const name of await shippedWorkflows(packageRoot)) {
    try {
      const { workflow } = await loadWorkflow(name, { cwd: packageRoot, packageRoot });
      const phases = Object.entries(workflow.phases).map(([phase, spec]) => ({
        name: phase,
        needs: spec.needs ?? [],
        personas: [...writtenPersonas(spec)],
      }));
      const { description = '', inputs } = workflow;
      list.workflows.push({ name, description, inputs, phases });
    } catch (err) {
      if (!(err instanceof FleetError)) throw err;
      list.invalid.push({ name, reason: err.message });
    }
  }
  return list;
}
