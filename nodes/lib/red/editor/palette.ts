/** Names for the palette, which breaks long ones anywhere. */

/** The width of a label there, in pixels. */
const WIDTH = 82;

/**
 * A node's type on one line (with a hyphen that doesn't break), or broken after the hyphen where the
 * browser's font is too wide for that.
 */
export function paletteName(type: string): string {
  const name = type.replace('-', '\u2011');
  const width = RED.view.calculateTextWidth?.(name, 'red-ui-palette-label') ?? 0;
  return width < WIDTH ? name : name.replace('\u2011', '\u2011 ');
}
