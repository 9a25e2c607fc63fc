/** The built pages, read as the flow library reads them: it parses the definition and never runs it. */
import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import path from 'node:path';
import ts from 'typescript';
import { build } from '../../scripts/build';
import { ROOT } from '../../scripts/build/paths';
import { shippedNodes } from '../support/shipped-nodes';

const SCRIPT = /<script.+?type=['"]text\/javascript['"].*?>([\S\s]*?)<\/script>/gi;
const WIRE_NODES = ['ota-inform', 'ota-push', 'ota-progress'];

/** The object literals handed to `registerType`, by type. */
function definitions(page: string): Map<string, ts.ObjectLiteralExpression> {
  const found = new Map<string, ts.ObjectLiteralExpression>();
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) && /\.registerType$/.test(node.expression.getText())) {
      const [type, definition] = node.arguments;
      assert.ok(type && ts.isStringLiteral(type), 'the type is a literal');
      assert.ok(definition && ts.isObjectLiteralExpression(definition), 'the definition is a literal');
      found.set(type.text, definition);
    }
    ts.forEachChild(node, visit);
  };
  for (const [, code] of page.matchAll(SCRIPT)) {
    visit(ts.createSourceFile('page.js', code ?? '', ts.ScriptTarget.ES2022, true, ts.ScriptKind.JS));
  }
  return found;
}

function property(object: ts.ObjectLiteralExpression, name: string): ts.Expression | undefined {
  const found = object.properties.find((entry) => entry.name?.getText() === name);
  return found && ts.isPropertyAssignment(found) ? found.initializer : undefined;
}

function keys(object: ts.Expression | undefined): string[] {
  assert.ok(object && ts.isObjectLiteralExpression(object), 'stands inline');
  return object.properties.map((entry) => {
    assert.ok(entry.name && ts.isIdentifier(entry.name), 'is a plain property');
    return entry.name.text;
  });
}

describe('the built pages', function () {
  this.timeout(240_000);
  const pages = new Map<string, ts.ObjectLiteralExpression>();

  before(async () => {
    await build();
    for (const name of Object.keys(await shippedNodes())) {
      const page = await fs.readFile(path.join(ROOT, 'dist', 'nodes', name, `${name}.html`), 'utf8');
      const found = definitions(page);
      assert.deepEqual([...found.keys()], [name]);
      pages.set(name, found.get(name)!);
    }
  });

  it('stand beside the file that package.json names', async () => {
    const { 'node-red': nodeRed } = JSON.parse(
      await fs.readFile(path.join(ROOT, 'package.json'), 'utf8'),
    ) as {
      'node-red': { nodes: Record<string, string> };
    };
    for (const [name, file] of Object.entries(nodeRed.nodes)) {
      assert.equal(file, `dist/nodes/${name}/${name}.js`);
      assert.ok(pages.has(name), name);
      await fs.access(path.join(ROOT, file));
    }
  });

  it('hold defaults and credentials inline, with the node name and the settings version among them', () => {
    for (const definition of pages.values()) {
      const names = keys(property(definition, 'defaults'));
      assert.ok(names.includes('name') && names.includes('settingsVersion'));
    }
    for (const name of WIRE_NODES) {
      assert.deepEqual(keys(property(pages.get(name)!, 'credentials')), ['accessToken']);
    }
  });

  it('say icon, colour and ports as literals, and the icon is there', async () => {
    for (const [name, definition] of pages) {
      const category = property(definition, 'category');
      assert.ok(category && ts.isStringLiteral(category));
      if (category.text === 'config') continue;
      assert.equal(category.text, 'OTA');
      for (const literal of ['color', 'icon'])
        assert.ok(ts.isStringLiteral(property(definition, literal)!), name);
      for (const literal of ['inputs', 'outputs']) {
        assert.ok(ts.isNumericLiteral(property(definition, literal)!), name);
      }
      const icon = (property(definition, 'icon') as ts.StringLiteral).text;
      await fs.access(path.join(ROOT, 'dist', 'nodes', name, 'icons', icon));
    }
  });
});
