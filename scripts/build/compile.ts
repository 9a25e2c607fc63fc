/** TypeScript: the runtime is compiled, the editor's scripts are checked. A type error ends the build. */
import path from 'node:path';
import ts from 'typescript';
import type { Output } from './dist';
import type { Folders } from './paths';

/** Compiles what tsconfig.build.json names to CommonJS. @throws Error with every diagnostic */
export function compileRuntime(folders: Folders, output: Output): void {
  const program = load(folders, 'tsconfig.build.json');
  const result = program.emit(undefined, (file, text) => {
    output.set(path.relative(folders.dist, path.resolve(file)), text);
  });
  refuse(folders, result.diagnostics);
}

/** Checks the types of the editor's scripts. @throws Error with every diagnostic */
export function checkEditor(folders: Folders): void {
  load(folders, 'tsconfig.editor.json');
}

function load(folders: Folders, config: string): ts.Program {
  const file = path.join(folders.root, config);
  const parsed = ts.getParsedCommandLineOfConfigFile(file, undefined, {
    ...ts.sys,
    onUnRecoverableConfigFileDiagnostic: (diagnostic) => refuse(folders, [diagnostic]),
  });
  if (parsed === undefined) throw new Error(`Can't read ${file}.`);
  refuse(folders, parsed.errors);
  const program = ts.createProgram(parsed.fileNames, parsed.options);
  refuse(folders, ts.getPreEmitDiagnostics(program));
  return program;
}

function refuse({ root }: Folders, diagnostics: readonly ts.Diagnostic[]): void {
  if (diagnostics.length === 0) return;
  const host: ts.FormatDiagnosticsHost = {
    getCanonicalFileName: (name) => name,
    getCurrentDirectory: () => root,
    getNewLine: () => '\n',
  };
  throw new Error(ts.formatDiagnostics(diagnostics, host).trimEnd());
}
