/** A line of the table that the benchmarks print, and how it is printed. */
export interface Row {
  readonly what: string;
  /** Ours and what it is measured against, with units; empty where there is no such thing. */
  readonly ours: string;
  readonly other: string;
  /** Speed or saving as a ratio (more is better), or a number with its unit. */
  readonly result: string;
  /** Empty where it is told for information only. */
  readonly goal: string;
  readonly reached: boolean | null;
}

const HEAD: Row = { what: '', ours: 'ours', other: 'other', result: 'result', goal: 'goal', reached: null };

export function printTable(rows: readonly Row[]): string {
  const cells = [HEAD, ...rows].map(({ what, ours, other, result, goal, reached }) => [
    what,
    ours,
    other,
    result,
    goal,
    reached === null ? '' : reached ? 'yes' : 'NO',
  ]);
  const widths = (cells[0] ?? []).map((_, column) =>
    Math.max(...cells.map((row) => row[column]?.length ?? 0)),
  );
  return cells
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const [low = NaN, high = NaN] = [sorted[sorted.length % 2 === 0 ? middle - 1 : middle], sorted[middle]];
  return (low + high) / 2;
}
