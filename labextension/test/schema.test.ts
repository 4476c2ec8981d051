/**
 * The types of `types.ts` are compared with `tests/golden/schema.json`, the JSON schemas of the server. TypeScript
 * checks a module that declares the schemas and assigns each to its counterpart.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import ts from 'typescript';
import { describe, expect, it } from 'vitest';

interface Schema {
  $ref?: string;
  allOf?: Schema[];
  anyOf?: Schema[];
  oneOf?: Schema[];
  const?: unknown;
  enum?: unknown[];
  type?: string;
  items?: Schema;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: Schema;
}

/** Types of `types.ts`, the schemas that they stand for, and the fields that pages do not use. */
const RESPONSES: Record<string, [schema: string, unused?: string[]]> = {
  ErrorInfo: ['ErrorInfo'],
  Usage: ['UsageInfo'],
  Cost: ['Cost'],
  Citation: ['CitationInfo'],
  ToolCall: ['ToolCallInfo'],
  ImageInfo: ['ImageInfo'],
  Partial: ['Partial'],
  JobSource: ['SourceInfo'],
  Job: ['JobInfo', ['tags', 'priority', 'on_restart', 'retry_policy', 'attempt']],
  JobPage: ['JobPage'],
  EndCounts: ['EndCounts'],
  BatchInfo: ['BatchInfo', ['concurrency']],
  Paused: ['Paused'],
  Notice: ['NoticeInfo'],
  Inbox: ['Inbox'],
  Mute: ['Mute'],
  Part: ['PartInfo', ['cache_control']],
  Message: ['MessageInfo', ['tool_call_id']],
  ThreadMessage: ['ThreadMessageInfo', ['tool_call_id']],
  Thread: ['ThreadInfo', ['created_at']],
  ThreadPage: ['ThreadPage'],
  CostRow: ['CostRow', ['jobs', 'input_tokens', 'output_tokens']],
  CostList: ['CostList', ['by']],
  ModelList: ['ModelsInfo', ['default_why', 'problems']],
  ServerStatus: ['ServerStatus', ['version', 'protocol', 'server', 'store', 'counts', 'limits', 'default_model']],
  ServerFrame: ['ServerFrame', ['field']]
};

/** Bodies of requests, and frames that pages send. */
const REQUESTS: Record<string, string> = {
  JobSubmission: 'JobSubmission',
  ClientFrame: 'ClientFrame'
};

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const schemas = JSON.parse(readFileSync(join(ROOT, '../tests/golden/schema.json'), 'utf8')) as Record<string, Schema>;

const WIRE = join(ROOT, 'src', 'wire', 'types.ts');

/** Write a schema as a TypeScript type. */
function typeOf(schema: Schema): string {
  const union = schema.anyOf ?? schema.oneOf;
  if (schema.$ref) {
    return schema.$ref.split('/').at(-1) ?? 'unknown';
  }
  if (schema.allOf) {
    return typeOf(schema.allOf[0] ?? {});
  }
  if (union) {
    return `(${union.map(typeOf).join(' | ')})`;
  }
  if (schema.enum || 'const' in schema) {
    return (schema.enum ?? [schema.const]).map(value => JSON.stringify(value)).join(' | ');
  }
  switch (schema.type) {
    case 'array':
      return `(${typeOf(schema.items ?? {})})[]`;
    case 'object':
      return schema.properties
        ? `{ ${fieldsOf(schema).join('; ')} }`
        : `Record<string, ${typeOf(schema.additionalProperties ?? {})}>`;
    case 'integer':
      return 'number';
    default:
      return schema.type ?? 'unknown';
  }
}

function fieldsOf({ properties = {}, required = [] }: Schema): string[] {
  return Object.entries(properties).map(
    ([name, field]) => `${name}${required.includes(name) ? '' : '?'}: ${typeOf(field)}`
  );
}

/** Return the types of events by the names of their schemas. */
function eventTypes(): Map<string, unknown> {
  const events = Object.entries(schemas).filter(
    ([, { properties }]) => properties && 'seq' in properties && 'type' in properties
  );
  return new Map(events.map(([name, { properties }]) => [name, properties?.type?.enum?.[0]]));
}

function assignments(): string[] {
  const checks = Object.entries(RESPONSES).flatMap(([type, [schema, unused = []]]) =>
    comparison(`Wire.${type}`, schema, unused)
  );
  for (const [schema, type] of eventTypes()) {
    checks.push(...comparison(`Extract<Wire.WireEvent, { type: ${JSON.stringify(type)} }>`, schema));
  }
  for (const [type, schema] of Object.entries(REQUESTS)) {
    checks.push(`export const request${type} = (value: Wire.${type}): ${schema} => value;`);
  }
  return checks;
}

/** Write checks that the server's values have a type of `types.ts`, and that it has all their fields and no other. */
function comparison(type: string, schema: string, unused: string[] = []): string[] {
  const left = unused.map(name => JSON.stringify(name)).join(' | ') || 'never';
  return [
    `export const value${schema} = (value: ${schema}): ${type} => value;`,
    `export const missing${schema}: Record<Exclude<Keys<${schema}>, Keys<${type}> | ${left}>, 0> = {};`,
    `export const unknown${schema}: Record<Exclude<Keys<${type}> | ${left}, Keys<${schema}>>, 0> = {};`
  ];
}

/** Return what TypeScript reports about the comparison of some schemas with `types.ts`. */
function problems(compared: Record<string, Schema>): string[] {
  const module = [
    `import * as Wire from ${JSON.stringify(WIRE.replace(/\\/g, '/').replace(/\.ts$/, ''))};`,
    'type Keys<T> = T extends unknown ? keyof T : never;',
    ...Object.entries(compared).map(([name, schema]) => `type ${name} = ${typeOf(schema)};`),
    ...assignments()
  ].join('\n');
  const path = join(ROOT, 'test', 'comparison.ts');
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    types: []
  };
  const host = ts.createCompilerHost(options);
  const read = host.readFile.bind(host);
  const exists = host.fileExists.bind(host);
  const source = host.getSourceFile.bind(host);
  host.readFile = name => (name === path ? module : read(name));
  host.fileExists = name => name === path || exists(name);
  host.getSourceFile = (name, ...rest) =>
    name === path ? ts.createSourceFile(name, module, ts.ScriptTarget.ES2022) : source(name, ...rest);
  const program = ts.createProgram([path], options, host);
  return ts.getPreEmitDiagnostics(program).map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
}

describe('types of types.ts', { timeout: 60_000 }, () => {
  it('follow the schemas of the server', () => {
    expect(eventTypes().size).toBe(12);
    expect(problems(schemas)).toEqual([]);
  });

  it.each([
    ['a new field', { tokens_per_second: { type: 'number' } }, "'tokens_per_second' is missing"],
    ['another type', { title: { type: 'integer' } }, "'number' is not assignable to type 'string'"]
  ])('differ from a schema with %s', (_, change, expected) => {
    const { properties = {}, required = [] } = schemas.JobInfo ?? {};
    const changed: Schema = {
      type: 'object',
      properties: { ...properties, ...change },
      required: [...required, ...Object.keys(change)]
    };
    expect(problems({ ...schemas, JobInfo: changed }).join('\n')).toContain(expected);
  });
});
