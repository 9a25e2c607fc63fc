/** Names for the palette, which breaks long ones anywhere. */

/** The width of a label there, in pixels. */
const WIDTH = 82;

/**
 * Makes `paletteLabel`: the node's type on one line, with a hyphen that doesn't break. While the palette is
 * being made, a name too wide for the browser's font has a blank behind the hyphen, where it is then broken;
 * dialog and help, which ask later, never show that blank.
 */
export function paletteName(type: string): () => string {
  const name = type.replace('-', '\u2011');
  return () => {
    const made = $('.red-ui-palette-node').is(`[data-palette-type="${type}"]`);
    const width = RED.view.calculateTextWidth?.(name, 'red-ui-palette-label') ?? 0;
    return made || width < WIDTH ? name : name.replace('\u2011', '\u2011 ');
  };
}
