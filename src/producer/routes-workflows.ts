import { z } from 'zod';
import { FleetError } from '../shared/errors.ts';
import { Name } from '../shared/names.ts';
import { ExecuteRequest, ExecuteResponse, WorkflowList, WorkflowSummary } from './api-schemas.ts';
import { executeWorkflow } from './execute.ts';
import { type Route, json, route } from './route.ts';
import { runLinks } from './run-links.ts';
import type { ServerContext } from './server-context.ts';
import { writtenPersonas } from './workflow-check.ts';
import { MOST_UPLOAD_BYTES } from './upload-bodies.ts';
import { Upload, Uploads } from './uploads.ts';
import type { LoadedWorkflow } from './workflow-file.ts';

const WorkflowParams = z.object({ name: Name });
const MOST_KEY_CHARACTERS = 255;
const WORKFLOW_LIMIT = '1mb';

/** Listing workflows, and starting runs of them. */
export const workflowRoutes = (context: ServerContext): Route[] => [
  route({
    method: 'get',
    path: '/api/workflows',
    id: 'listWorkflows',
    summary: 'The workflows that can be run',
    scope: 'read',
    answers: [json(200, 'All of them', 'WorkflowList', WorkflowList)],
    handle: async ({ res }) => res.json(await listWorkflows(context)),
  }),
  uploadWorkflowRoute(context),
  executeRoute(context),
  uploadRoute(context),
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
    handle: async ({ params: { name }, body, principal, note, logger, req, res }) => {
      const key = req.get('idempotency-key');
      if (key !== undefined && (key === '' || key.length > MOST_KEY_CHARACTERS))
        throw new FleetError('BAD_INPUT', `Idempotency-Key must have 1 to ${MOST_KEY_CHARACTERS} characters`);
      const runId = await executeWorkflow(context, { name, by: principal }, body, key);
      note({ id: runId });
      const { status } = await context.store.getRun(runId);
      const answer: ExecuteResponse = { runId, status, links: runLinks(runId) };
      const policyDigest = context.sources.policySet.digest;
      logger.info({ runId, workflow: name, policyDigest }, 'run accepted');
      res.status(202).location(answer.links.self).json(answer);
    },
  });
}

function uploadWorkflowRoute(context: ServerContext): Route {
  return route({
    method: 'post',
    path: '/api/workflows',
    id: 'uploadWorkflow',
    summary: 'Check the text of a workflow file and keep it, to be run by its name or by its digest',
    scope: 'admin',
    body: { type: 'application/yaml', schema: z.string().min(1, 'send the text of the file'), limit: WORKFLOW_LIMIT },
    answers: [
      json(201, 'It is kept as the newest version', 'WorkflowSummary', WorkflowSummary),
      json(200, 'It was the newest version already', 'WorkflowSummary', WorkflowSummary),
    ],
    handle: async ({ body, principal, note, res }) => {
      const { loaded, isNew } = await context.workflows.add(body, principal.name);
      note({ name: loaded.workflow.name, digest: loaded.digest });
      res.status(isNew ? 201 : 200).json(summaryOf(loaded, true));
    },
  });
}

function uploadRoute(context: ServerContext): Route {
  return route({
    method: 'post',
    path: '/api/uploads',
    id: 'upload',
    summary: `Send a file ahead of the request that names it: at most ${MOST_UPLOAD_BYTES / 1024 / 1024} MiB, kept a week`,
    scope: 'run',
    body: { type: 'application/octet-stream', stream: true },
    answers: [json(201, 'What to name it by', 'Upload', Upload)],
    handle: async ({ principal, note, req, res }) => {
      const sender = `${principal.kind}:${principal.name}`;
      const body = await context.uploadBodies.read(req, sender);
      const upload = await new Uploads(context).receive(body, sender);
      note({ ref: upload.ref });
      res.status(201).json(upload);
    },
  });
}

async function listWorkflows({ workflows, provider }: ServerContext): Promise<WorkflowList> {
  const list: WorkflowList = { workflows: [], provider, invalid: [] };
  for (const { name, uploaded } of await workflows.names()) {
    try {
      list.workflows.push(summaryOf(await workflows.load(name), uploaded));
    } catch (err) {
      if (!(err instanceof FleetError)) throw err;
      list.invalid.push({ name, reason: err.message });
    }
  }
  return list;
}

function summaryOf({ workflow, digest }: LoadedWorkflow, uploaded: boolean): WorkflowSummary {
  const { name, description = '', inputs, budget } = workflow;
  const phases = Object.entries(workflow.phases).map(([phase, spec]) => ({
    name: phase,
    needs: spec.needs ?? [],
    personas: [...writtenPersonas(spec)],
  }));
  return { name, description, digest, uploaded, inputs, ...(budget === undefined ? {} : { budget }), phases };
}
