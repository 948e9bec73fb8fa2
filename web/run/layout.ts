import ELK, { type ElkExtendedEdge, type ElkNode } from 'elkjs/lib/elk-api.js';

export interface Box {
  id: string;
  width: number;
  height: number;
}
export interface Link {
  from: string;
  to: string;
}
export interface Placed {
  width: number;
  height: number;
  boxes: Map<string, { x: number; y: number }>;
  /** The corners of every link, in the order of the links. */
  lines: { x: number; y: number }[][];
}

let elk: InstanceType<typeof ELK> | undefined;
/** Layout of a large graph takes seconds: it is worked out in a worker, and the page stays free meanwhile. */
const layouter = (): InstanceType<typeof ELK> =>
  (elk ??= new ELK({ workerFactory: () => new Worker('/elk-worker.js'), algorithms: ['layered'] }));

const OPTIONS = {
  'elk.algorithm': 'layered',
  'elk.direction': 'RIGHT',
  'elk.edgeRouting': 'ORTHOGONAL',
  'elk.layered.nodePlacement.strategy': 'BRANDES_KOEPF',
  'elk.layered.considerModelOrder.strategy': 'NODES_AND_EDGES',
  'elk.spacing.nodeNode': '16',
  'elk.spacing.edgeNode': '14',
  'elk.spacing.edgeEdge': '8',
  'elk.layered.spacing.nodeNodeBetweenLayers': '44',
  'elk.layered.spacing.edgeNodeBetweenLayers': '16',
  'elk.spacing.componentComponent': '32',
  'elk.padding': '[top=16,left=16,bottom=16,right=16]',
};
/** Beyond this the finer choices take too long for what they give. */
const LARGE = 200;
const QUICKER = {
  'elk.layered.thoroughness': '2',
  'elk.layered.nodePlacement.strategy': 'SIMPLE',
  'elk.layered.considerModelOrder.strategy': 'NONE',
};

/** Where boxes and the lines between them stand, from left to right. */
export async function layout(boxes: readonly Box[], links: readonly Link[]): Promise<Placed> {
  const graph: ElkNode = {
    id: 'run',
    layoutOptions: boxes.length > LARGE ? { ...OPTIONS, ...QUICKER } : OPTIONS,
    children: boxes.map((box) => ({ ...box })),
    edges: links.map(({ from, to }, index) => ({ id: String(index), sources: [from], targets: [to] })),
  };
  const placed = await layouter().layout(graph);
  return {
    width: placed.width ?? 0,
    height: placed.height ?? 0,
    boxes: new Map((placed.children ?? []).map(({ id, x = 0, y = 0 }: ElkNode) => [id, { x, y }])),
    lines: (placed.edges ?? []).map(cornersOf),
  };
}

const cornersOf = ({ sections = [] }: ElkExtendedEdge): { x: number; y: number }[] =>
  sections.flatMap(({ startPoint, bendPoints = [], endPoint }) => [startPoint, ...bendPoints, endPoint]);

const ROUND = 8;
/** A line with rounded corners, as the path of an SVG. */
export function pathOf(corners: readonly { x: number; y: number }[]): string {
  const [first, ...rest] = corners;
  if (first === undefined) return '';
  let path = `M${first.x} ${first.y}`;
  let before = first;
  rest.forEach((corner, index) => {
    const after = rest[index + 1];
    if (after === undefined) {
      path += ` L${corner.x} ${corner.y}`;
      return;
    }
    const enter = towards(corner, before);
    const leave = towards(corner, after);
    path += ` L${enter.x} ${enter.y} Q${corner.x} ${corner.y} ${leave.x} ${leave.y}`;
    before = corner;
  });
  return path;
}

/** The point near a corner in the direction of another point, at most half the way. */
function towards(corner: { x: number; y: number }, other: { x: number; y: number }): { x: number; y: number } {
  const [dx, dy] = [other.x - corner.x, other.y - corner.y];
  const length = Math.hypot(dx, dy);
  const part = length === 0 ? 0 : Math.min(ROUND, length / 2) / length;
  return { x: corner.x + dx * part, y: corner.y + dy * part };
}
