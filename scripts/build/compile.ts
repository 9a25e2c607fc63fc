/** TypeScript: the runtime is compiled, the editor's scripts are checked. A type error ends the build. */
import path from 'node:path';
import ts from 'typescript';
import type { Output } from './dist';
import { DIST, ROOT } from './paths';

/** Compiles what tsconfig.build.json names to CommonJS. @throws Error with every diagnostic */
export function compileRuntime(output: Output): void {
  const program = load('tsconfig.build.json');
  const result = program.emit(undefined, (file, text) => {
    output.set(path.relative(DIST, path.resolve(file)), text);
  });
  refuse(result.diagnostics);
}

/** Checks the types of the editor's scripts. @throws Error with every diagnostic */
export function checkEditor(): void {
  load('tsconfig.editor.json');
}

function load(config: string): ts.Program {
  const file = path.join(ROOT, config);
  const parsed = ts.getParsedCommandLineOfConfigFile(file, undefined, {
    ...ts.sys,
    onUnRecoverableConfigFileDiagnostic: (diagnostic) => refuse([diagnostic]),
  });
  if (parsed === undefined) throw new Error(`Can't read ${file}.`);
  refuse(parsed.errors);
  const program = ts.createProgram(parsed.fileNames, parsed.options);
  refuse(ts.getPreEmitDiagnostics(program));
  return program;
}

function refuse(diagnostics: readonly ts.Diagnostic[]): void {
  if (diagnostics.length === 0) return;
  const host: ts.FormatDiagnosticsHost = {
    getCanonicalFileName: (name) => name,
    getCurrentDirectory: () => ROOT,
    getNewLine: () => '\n',
  };
  throw new Error(ts.formatDiagnostics(diagnostics, host).trimEnd());
}
