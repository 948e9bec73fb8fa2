import type { JSX } from 'preact';
import type { z } from 'zod';
import type { RoundEvidence } from '../../src/shared/round-evidence.ts';
import type { BlobRef } from '../../src/shared/run-record.ts';
import type { Evidence as Trace } from '../../src/shared/verdict.ts';
import { count, number } from '../lib/format.ts';
import type { RunView } from '../lib/live-run.ts';
import { useAsked } from '../lib/use-asked.ts';
import { Loading, Pill, SimulatedMark, Text } from '../ui/basic.tsx';
import { Table } from '../ui/table.tsx';

/** The blob as it was stored: an old one may lack what came later. */
type StoredEvidence = z.input<typeof RoundEvidence>;

/** What a round rests on is large, so it is fetched when somebody opens it. It never changes, so the browser keeps it. */
export function Evidence({ run, reference, of }: { run: RunView; reference: BlobRef; of: string }): JSX.Element {
  const path = `/api/runs/${run.id}/blobs/${reference}`;
  const { value: found, fault } = useAsked<StoredEvidence>(path);
  if (fault !== undefined) return <p class="banner bad">The evidence cannot be read: {fault}</p>;
  if (found === undefined) return <Loading what="the evidence" />;
  return (
    <div>
      <p class="muted">
        Measured on commit <code>{found.commit.slice(0, 12)}</code>, files <code>{found.tree.slice(0, 12)}</code>,
        sandbox {found.sandbox}.{found.replayed === true && ' Personas and reviewers answered from a recording.'}{' '}
        <a href={path} download={`evidence-${of.replaceAll(/[^a-z0-9]+/g, '-')}.json`}>
          Download as JSON
        </a>
      </p>
      <Integrity found={found} of={of} />
      <Claims found={found} of={of} />
      <Measurements found={found} of={of} />
      <Findings found={found} of={of} />
      {found.reviews.length > 0 && (
        <p class="muted">
          Reviewed by{' '}
          {found.reviews.map(({ reviewer, simulated }) => `${reviewer}${simulated ? ' (simulated)' : ''}`).join(', ')}.
        </p>
      )}
    </div>
  );
}

interface PartProps {
  found: StoredEvidence;
  of: string;
}

const INTEGRITY = {
  tests_mean_something: 'the tests mean something',
  handed_down_tests: 'tests that were handed down still stand',
  measurement_untouched: 'nobody touched the measuring',
  claims_hold: 'what was claimed holds',
  handoff_complete: 'what later phases need is there',
} satisfies Record<RoundEvidence['integrity'][number]['check'], string>;

const Integrity = ({ found: { integrity = [] }, of }: PartProps): JSX.Element =>
  integrity.length === 0 ? (
    <p class="muted">No checks of integrity were made in this round.</p>
  ) : (
    <Table
      caption={`Integrity of ${of}`}
      columns={['Outcome', 'Check', { name: 'Examined', kind: 'number' }, 'Message']}
      rows={integrity.map((check) => ({
        key: check.check,
        cells: [
          <Pill status={check.outcome} />,
          <strong>{INTEGRITY[check.check]}</strong>,
          String(check.examined),
          <div>
            <Text>{check.message}</Text>
            <Trail entries={check.evidence} />
          </div>,
        ],
      }))}
    />
  );

const Claims = ({ found: { claims = [] }, of }: PartProps): JSX.Element | null =>
  claims.length === 0 ? null : (
    <Table
      caption={`Claims in ${of}`}
      columns={['Outcome', 'Who', 'Claimed', 'Measured']}
      rows={claims.map((claim, index) => ({
        key: String(index),
        cells: [
          <Pill status={claim.contradicted ? 'contradicted' : 'held'} />,
          claim.persona,
          <Text>{claim.claim}</Text>,
          <Text>{claim.measured}</Text>,
        ],
      }))}
    />
  );

const Measurements = ({ found: { measurements }, of }: PartProps): JSX.Element | null =>
  measurements.length === 0 ? null : (
    <Table
      caption={`Measurements of ${of}`}
      columns={['Metric', 'Value', 'Collector', 'Rests on']}
      rows={measurements.map((each) => ({
        key: each.metric,
        cells: [
          <strong>{each.metric}</strong>,
          each.status === 'measured' ? (
            <div>
              <span class="num">{number(each.value)}</span> <span class="muted">({each.source})</span>{' '}
              {each.simulated && <SimulatedMark />}
              <div class="muted">{each.examined} examined</div>
            </div>
          ) : (
            <div>
              <Pill status="not_evaluable" />
              <div>
                <Text>{each.reason}</Text>
              </div>
            </div>
          ),
          `${each.collector} ${each.collectorVersion}`,
          <Trail entries={each.evidence} />,
        ],
      }))}
    />
  );

const MOST_FINDINGS = 100;
const Findings = ({ found: { findings }, of }: PartProps): JSX.Element | null =>
  findings.length === 0 ? null : (
    <Table
      caption={`${count(findings.length, 'finding')} of ${of}${findings.length > MOST_FINDINGS ? `, the first ${MOST_FINDINGS}` : ''}`}
      columns={['Severity', 'Rule', 'Where', 'Message', 'For']}
      rows={findings.slice(0, MOST_FINDINGS).map((each, index) => ({
        key: String(index),
        cells: [
          each.severity,
          <code>{each.rule}</code>,
          <code>
            {each.file === undefined ? '–' : `${each.file}${each.line === undefined ? '' : `:${each.line}`}`}
          </code>,
          <Text>{each.message}</Text>,
          each.persona ?? '–',
        ],
      }))}
    />
  );

const Trail = ({ entries }: { entries: readonly Trace[] }): JSX.Element => (
  <ul class="trail">
    {entries.map(({ summary, command, exitCode, tool, toolVersion }, index) => {
      const by = [
        tool === undefined ? '' : `${tool} ${toolVersion ?? ''}`.trim(),
        exitCode === undefined ? '' : `exit code ${exitCode ?? 'none'}`,
      ].filter((part) => part !== '');
      return (
        <li key={index}>
          <Text>{summary}</Text>
          {command !== undefined && <code class="command">{command}</code>}
          {by.length > 0 && <span class="muted"> {by.join(', ')}</span>}
        </li>
      );
    })}
  </ul>
);
